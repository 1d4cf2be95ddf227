"""Faces in frames: detectors behind one door, the landmarks of a whole clip, and their files."""

from __future__ import annotations

import os
import sys
import threading
import warnings
import zipfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from blending.landmark_tables import REGIONS
from blending.temporal import smooth_landmarks
from blending.types import LARGEST_PX, CropBox, Frame, Landmarks, check_frame
from clips.errors import ClipError
from clips.ffmpeg import atomic_file
from clips.timeline import counted

FORMAT = 1
"""Version of the landmark file; a file of another version is made again by preprocessing."""

_STEPS_PER_PX = 64
_LMS_POINTS = 110
"""What SyncTalk_2D makes; files of 68 points are read too."""


@dataclass(frozen=True, eq=False)
class Detection:
    """The face of one frame: points float32 (N, 2), 478 of them as detected; confidence 0..1 (the face detector's
    score), NaN where it is not known."""

    points: NDArray[np.float32]
    confidence: float


class FaceDetector(Protocol):
    """Finds the face of one frame after another. What it keeps between frames is whom it follows."""

    def detect(self, frame: Frame) -> Detection | None:
        """The largest face, or None. A followed face stays chosen until another is clearly larger."""

    def reset(self) -> None:
        """Forget whom it followed; call between clips."""

    def close(self) -> None:
        """Free the network; the detector cannot be used afterwards."""


@dataclass(frozen=True)
class _FaceBox:
    """Square around a face in px: centre and side, with the detector's score."""

    x: float
    y: float
    side: float
    score: float

    def overlap(self, other: _FaceBox) -> float:
        """Intersection over union."""
        w, h = (
            max(0.0, min(a + self.side / 2, b + other.side / 2) - max(a - self.side / 2, b - other.side / 2))
            for a, b in ((self.x, other.x), (self.y, other.y))
        )
        return w * h / (self.side**2 + other.side**2 - w * h)


class FaceMeshDetector:
    """mediapipe FaceMesh with iris (478 points), whose networks lie inside the wheel of mediapipe 0.10.21.

    First the face is located in the whole frame (the detector for faces up to 5 m away; the one for
    near faces if that finds none), then the mesh is fitted in a crop around the largest one. So
    small faces, faces cut by the frame's edge and several faces work, and each frame is measured
    afresh: tracking from frame to frame was no better after smoothing (lips 1.0 against 0.9 % of
    the outer-eye distance) and makes a frame depend on those before it. About 14 ms per frame.
    """

    MIN_SCORE = 0.5
    CROP_SIDES = 2.0  # side of the crop over the face box; 1.6 to 2.6 measure alike
    TAKE_OVER = 1.25  # how much larger another face must be to be followed instead
    SAME_FACE_OVERLAP = 0.3

    def __init__(self) -> None:
        with _quiet_stderr():
            import mediapipe.python.solutions as solutions  # slow, and not everybody needs it

            self._locators = [
                solutions.face_detection.FaceDetection(model_selection=model, min_detection_confidence=self.MIN_SCORE)
                for model in (1, 0)
            ]
            self._mesh = solutions.face_mesh.FaceMesh(static_image_mode=True, max_num_faces=2, refine_landmarks=True)
            for network in (*self._locators, self._mesh):  # they warn while they start, which the first picture awaits
                self._run(network, np.zeros((64, 64, 3), np.uint8))
        self._followed: _FaceBox | None = None
        self._has_chattered = False

    def detect(self, frame: Frame) -> Detection | None:
        """See FaceDetector; frame is uint8 (H, W, 3) BGR, points count pixel centres."""
        check_frame(frame, "frame")
        if self._has_chattered:
            return self._detect(frame)
        with _quiet_stderr():  # the networks warn once, at the first face
            found = self._detect(frame)
        self._has_chattered = found is not None
        return found

    def reset(self) -> None:
        """See FaceDetector."""
        self._followed = None

    def close(self) -> None:
        """See FaceDetector."""
        for network in (*self._locators, self._mesh):
            network.close()

    def _detect(self, frame: Frame) -> Detection | None:
        rgb = cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)
        box = self._choose(self._locate(rgb))
        if box is None:
            return None
        square = CropBox(round(box.x - box.side * self.CROP_SIDES / 2), round(box.y - box.side * self.CROP_SIDES / 2),
                         max(8, round(box.side * self.CROP_SIDES)))  # fmt: skip
        crop = np.ascontiguousarray(square.extract(np.asarray(rgb, np.uint8)))
        faces = self._run(self._mesh, crop).multi_face_landmarks or []
        candidates = [
            np.array([(p.x, p.y) for p in face.landmark], np.float32) * square.side + (square.x0 - 0.5, square.y0 - 0.5)
            for face in faces
        ]
        if not candidates:
            return None
        nearest = min(candidates, key=lambda points: float(np.hypot(*(points.mean(axis=0) - (box.x, box.y)))))
        self._followed = box
        return Detection(nearest.astype(np.float32), min(1.0, box.score))

    def _locate(self, rgb: NDArray[Any]) -> list[_FaceBox]:
        height, width = rgb.shape[:2]
        for locator in self._locators:
            boxes = []
            for face in self._run(locator, rgb).detections or []:
                area = face.location_data.relative_bounding_box
                centre = ((area.xmin + area.width / 2) * width, (area.ymin + area.height / 2) * height)
                side = max(area.width * width, area.height * height)
                if side >= 8:
                    boxes.append(_FaceBox(*centre, side, float(face.score[0])))
            if boxes:
                return boxes
        return []

    def _choose(self, boxes: Sequence[_FaceBox]) -> _FaceBox | None:
        if not boxes:
            return None
        largest = max(boxes, key=lambda box: box.side)
        if self._followed is not None:
            same = max(boxes, key=self._followed.overlap)
            known = same.overlap(self._followed) > self.SAME_FACE_OVERLAP
            if known and largest.side < self.TAKE_OVER * same.side:
                return same
        return largest

    @staticmethod
    def _run(network: Any, rgb: NDArray[Any]) -> Any:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # protobuf: GetPrototype() is deprecated
            return network.process(rgb)


LANDMARK_DETECTORS: dict[str, Callable[[], FaceDetector]] = {"facemesh": FaceMeshDetector}
"""Makers of detectors by name."""

_stderr_lock = threading.RLock()


@contextmanager
def _quiet_stderr() -> Iterator[None]:
    """Nothing written to the process's stderr (from C++ too) gets through inside; one thread at a time."""
    with _stderr_lock:
        sys.stderr.flush()
        try:
            kept = os.dup(2)
        except OSError:  # a process without stderr has nothing to silence
            yield
            return
        silence = os.open(os.devnull, os.O_WRONLY)
        try:
            os.dup2(silence, 2)
            yield
        finally:
            os.dup2(kept, 2)
            os.close(kept)
            os.close(silence)


@dataclass(frozen=True, eq=False)
class ClipLandmarks:
    """Landmarks of all frames of a clip.

    points float32 (T, N, 2) in px, N = 478 as detected, or 68 or 110 out of .lms files; found bool (T,): False marks
    frames without a face, whose points are interpolated from their neighbours (held at the ends); confidence float32
    (T,), 0 where not found, NaN where nobody knows it; size_wh: the frames' size in px. clip_sha256, detector and
    appearance (see clips.library) say what it was made from. Wrong shapes and T = 0 are a ValueError.
    """

    points: NDArray[np.float32]
    found: NDArray[np.bool_]
    confidence: NDArray[np.float32]
    size_wh: tuple[int, int]
    clip_sha256: str = ""
    detector: str = ""
    appearance: NDArray[np.float32] | None = None

    def __post_init__(self) -> None:
        length = len(self.points)
        count = self.points.shape[1] if self.points.ndim == 3 else 0
        if count not in REGIONS or self.points.shape != (length, count, 2) or length == 0:
            raise ValueError(
                f"points must have shape (T, N, 2) with T > 0 and N one of {sorted(REGIONS)}; got {self.points.shape}"
            )
        if self.found.shape != (length,) or self.confidence.shape != (length,):
            raise ValueError(
                f"found and confidence must have shape ({length},); got {self.found.shape} and {self.confidence.shape}"
            )

    @classmethod
    def from_detections(cls, detections: Sequence[Detection | None], size_wh: tuple[int, int]) -> ClipLandmarks:
        """Gather the frames' detections; frames without one are interpolated. ClipError if no frame has a face."""
        found = np.array([one is not None for one in detections], bool)
        if not found.any():
            raise ClipError(
                f"expected a face; none was found in {counted(len(detections), 'frame')}; use footage in which the "
                "face is in the picture, upright, lit and at least 4 % of the picture's width"
            )
        known = np.flatnonzero(found)
        faces = np.stack([one.points for one in detections if one is not None])
        measured = faces.reshape(len(known), -1)
        frames = np.arange(len(detections))
        right = np.clip(np.searchsorted(known, frames), 0, len(known) - 1)
        left = np.clip(np.searchsorted(known, frames, side="right") - 1, 0, len(known) - 1)
        span = np.maximum(known[right] - known[left], 1)
        share = np.clip((frames - known[left]) / span, 0, 1).astype(np.float32)[:, None]
        points = measured[left] + share * (measured[right] - measured[left])
        confidence = np.array([0.0 if one is None else one.confidence for one in detections], np.float32)
        return cls(points.reshape(-1, *faces.shape[1:]).astype(np.float32), found, confidence, size_wh)

    def __len__(self) -> int:
        return len(self.points)

    def at(self, index: int) -> Landmarks:
        """Landmarks of one frame, 0 <= index < T; else IndexError."""
        if not 0 <= index < len(self):
            raise IndexError(f"frame index must be 0 .. {len(self) - 1}; got {index}")
        return Landmarks(self.points[index])

    def smoothed(self, sigma_frames: float = 1.2) -> ClipLandmarks:
        """The same clip with zero-phase smoothed points: a Gaussian of sigma_frames, no lag."""
        return replace(self, points=smooth_landmarks(self.points, sigma_frames))

    @property
    def face_size_px(self) -> float:
        """Median side of the generator's square over the clip, in px."""
        widths = [abs(self.at(i).anchor("crop_right")[0] - self.at(i).anchor("crop_left")[0]) for i in range(len(self))]
        return float(np.median(widths))

    @property
    def roll_deg(self) -> float:
        """How the line through the eyes lies in the picture, mean over the frames with a face: 0 is upright, 90 a face
        that is turned clockwise onto its side; -180..180."""
        frames = np.flatnonzero(self.found)
        eyes = [self.at(int(i)).anchor("right_eye_outer") - self.at(int(i)).anchor("left_eye_outer") for i in frames]
        across, down = np.sum(eyes, axis=0)
        return float(np.degrees(np.arctan2(down, across)))

    @property
    def jitter_pct(self) -> float:
        """Noise of the measurement in % of the face size: RMS of the second difference over time / sqrt 6.

        A steady motion has no second difference and counts nothing; NaN with fewer than 3 found frames in a row.
        """
        in_a_row = self.found[:-2] & self.found[1:-1] & self.found[2:]
        bend = (self.points[:-2] - 2 * self.points[1:-1] + self.points[2:])[in_a_row]
        if bend.size == 0:
            return float("nan")
        return float(np.sqrt((bend.astype(np.float64) ** 2).sum(axis=2).mean() / 6) / self.face_size_px * 100)

    def save(self, path: Path | str) -> None:
        """Write an .npz (no pickle inside), points rounded to 1/64 px; complete or not at all.

        Kept as steps from frame to frame, which compress to about 1 byte per number.
        """
        steps = np.rint(self.points * _STEPS_PER_PX).astype(np.int64)
        steps[1:] -= steps[:-1].copy()
        small = np.abs(steps[1:]).max(initial=0) < 2**15
        with atomic_file(path) as partial, open(partial, "wb") as file:
            np.savez_compressed(
                file,
                format=np.int32(FORMAT),
                first=steps[0].astype(np.int32),
                steps=steps[1:].astype(np.int16 if small else np.int32),
                found=self.found,
                confidence=self.confidence.astype(np.float16),
                size_wh=np.array(self.size_wh, np.int32),
                clip_sha256=np.array(self.clip_sha256),
                detector=np.array(self.detector),
                appearance=np.zeros(0, np.float32) if self.appearance is None else self.appearance,
            )

    @classmethod
    def load(cls, path: Path | str) -> ClipLandmarks:
        """Read what `save` wrote. ClipError: missing, damaged, not such a file, or of another version."""
        path = Path(path)
        cure = "run `python preprocess_core_clips.py` to make it"
        try:
            with open(path, "rb") as content, np.load(content, allow_pickle=False) as file:
                if int(file["format"]) != FORMAT:
                    raise ClipError(
                        f"expected landmark file version {FORMAT}; {path.name} has version {file['format']}; "
                        f"{cure} again"
                    )
                steps = np.concatenate([file["first"][None].astype(np.int64), file["steps"]])
                width, height = (int(size) for size in file["size_wh"])
                appearance = file["appearance"].astype(np.float32)
                return cls(
                    (np.cumsum(steps, axis=0) / _STEPS_PER_PX).astype(np.float32),
                    file["found"].astype(bool),
                    file["confidence"].astype(np.float32),
                    (width, height),
                    str(file["clip_sha256"]),
                    str(file["detector"]),
                    appearance if appearance.size else None,
                )
        except FileNotFoundError as error:
            raise ClipError(f"expected the landmark file {path}; it does not exist; {cure}") from error
        except (OSError, KeyError, ValueError, EOFError, zipfile.BadZipFile) as error:
            raise ClipError(f"expected a landmark file; {path} is damaged or of another kind; {cure} again") from error


def detect_landmarks(
    frames: Iterable[Frame],
    *,
    detector: FaceDetector | None = None,
    progress: Callable[[int], None] | None = None,
) -> ClipLandmarks:
    """Landmarks of a clip's frames in order, uint8 (H, W, 3) BGR of one size.

    detector: one to use (it is reset, not closed), None makes a FaceMeshDetector. progress is
    called with the number of frames done. ClipError if no frame has a face; ValueError for no frame.
    """
    own = detector is None
    detector = detector or LANDMARK_DETECTORS["facemesh"]()
    found: list[Detection | None] = []
    size_wh = (0, 0)
    try:
        detector.reset()
        for frame in frames:
            size_wh = (frame.shape[1], frame.shape[0])
            found.append(detector.detect(frame))
            if progress is not None:
                progress(len(found))
    finally:
        if own:
            detector.close()
    if not found:
        raise ValueError("frames must hold at least one frame; got none")
    return ClipLandmarks.from_detections(found, size_wh)


def read_lms(path: Path | str) -> Landmarks:
    """A SyncTalk_2D landmark file: 110 lines `x y` in px, or 68 of them. ClipError when it is missing
    or not one."""
    path = Path(path)
    try:
        rows = [line.split() for line in path.read_text(encoding="ascii").splitlines() if line.strip()]
        points = np.array([[float(x), float(y)] for x, y in rows], np.float32)
    except (OSError, ValueError) as error:
        raise ClipError(
            f"expected a .lms file with {_LMS_POINTS} or 68 lines `x y`; {path} cannot be read as one; "
            "extract the landmarks again"
        ) from error
    if points.shape not in {(_LMS_POINTS, 2), (68, 2)} or not np.abs(points).max(initial=0) <= LARGEST_PX:
        raise ClipError(
            f"expected {_LMS_POINTS} or 68 points in a .lms file; {path} has {len(points)}; extract the landmarks again"
        )
    return Landmarks(points)


def write_lms(folder: Path | str, landmarks: ClipLandmarks) -> list[Path]:
    """Write folder/N.lms for every frame N, 0-based, as SyncTalk_2D reads them: 110 lines `x y`, nearest integers.

    Returns the paths. A frame without a face gets its interpolated points.
    """
    paths = []
    for index in range(len(landmarks)):
        points = np.rint(landmarks.at(index).to_scheme(_LMS_POINTS).points).astype(int)
        path = Path(folder) / f"{index}.lms"
        with atomic_file(path) as partial:
            partial.write_text("".join(f"{x} {y}\n" for x, y in points), encoding="ascii")
        paths.append(path)
    return paths
