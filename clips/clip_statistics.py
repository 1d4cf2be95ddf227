"""What a core clip is like over its frames: pose, light, loop, frames that stand out. Values; words are in
clip_findings, the table and the plot beside it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np
from numpy.typing import NDArray

from blending.types import Frame
from clips.clip_light import LightChange, clip_light, light_change, light_distances, median_light
from clips.head_pose import angles_deg, head_rotations, mean_rotation
from clips.landmarks import ClipLandmarks
from clips.library import CoreClip, Kind
from clips.timeline import FPS
from clips.video import read_frames

THUMB_PX = 128
"""Longer side of the pictures that first and last frame are compared in."""

FRAME_STEP_PCT, FRAME_TURN_DEG, FRAME_LIGHT = 4.0, 6.0, 5.0
"""How far one frame may be from the median of the five around it: place in % of the face, turn, light. Of 566 bundled
frames the furthest are at .96 %, 2.5 degrees and 1.0; of a person's 250 at 1.4 %, 3.7 degrees and 2.0."""

LOW_CONFIDENCE = 0.6
"""Below it the detector is not sure of the face: the bundled frames have .71 at least."""


@dataclass(frozen=True, eq=False)
class Loop:
    """Last frame against first: mean distance of the landmarks in % of the face, mean difference of the pictures in
    8-bit levels, and what the pictures of neighbouring frames differ by (median). Pictures: uint8, THUMB_PX wide."""

    landmarks_pct: float
    picture_levels: float
    usual_levels: float
    first: Frame
    last: Frame


@dataclass(frozen=True)
class Outlier:
    """A frame that stands out of those around it: its number, what about it, and by how much (unit in `what`)."""

    frame: int
    what: str
    amount: float


@dataclass(frozen=True, eq=False)
class ClipStatistics:
    """One clip, frame by frame; T frames of the 25 fps timeline.

    found bool (T,); confidence float32 (T,), 0 where not found; points float32 (T, 68, 2), smoothed, and measured, as
    they were found, px; rotations (T, 3, 3) of the head; face_px: side of the generator's square over the clip; light
    float32 (T, 7), see `clip_light`; jitter_pct as `ClipLandmarks.jitter_pct`, bend_pct (T,) the same of each frame,
    NaN at the ends.
    """

    name: str
    model: str
    kind: Kind
    size_wh: tuple[int, int]
    found: NDArray[np.bool_]
    confidence: NDArray[np.float32]
    points: NDArray[np.float32]
    measured: NDArray[np.float32]
    rotations: NDArray[np.float64]
    face_px: float
    light: NDArray[np.float32]
    jitter_pct: float
    bend_pct: NDArray[np.float64]
    loop: Loop
    change: LightChange | None

    @property
    def frames(self) -> int:
        return len(self.found)

    @cached_property
    def pose_deg(self) -> NDArray[np.float64]:
        """Yaw, pitch, roll of every frame in degrees, (T, 3); see `angles_deg`."""
        return angles_deg(self.rotations)

    @cached_property
    def usual_rotation(self) -> NDArray[np.float64]:
        """The pose the clip keeps around, (3, 3)."""
        return mean_rotation(self.rotations[self.found])

    @cached_property
    def usual_points(self) -> NDArray[np.float32]:
        """Median landmarks, (68, 2)."""
        return np.asarray(np.median(self.points[self.found], axis=0), np.float32)

    @cached_property
    def usual_light(self) -> NDArray[np.float64]:
        return median_light(self.light)

    @cached_property
    def light_spread(self) -> float:
        """Distance from the usual light that 95 % of the frames stay within, CIELAB units."""
        return float(np.nanpercentile(light_distances(self.light), 95))

    @cached_property
    def outliers(self) -> tuple[Outlier, ...]:
        return tuple(_outliers(self))


def measure_statistics(clip: CoreClip, progress: Callable[[int, int], None] | None = None) -> ClipStatistics:
    """Measure a preprocessed clip; every frame is decoded once (14 ms of one core for 640 x 640 px).

    progress(done, total) is called after each frame. ClipError as `CoreClip.landmarks` and `read_frames`.
    """
    return measure_frames(clip, clip.landmarks(), read_frames(clip.path, fps=FPS), progress)


def measure_frames(
    clip: CoreClip,
    landmarks: ClipLandmarks,
    frames: Iterable[Frame],
    progress: Callable[[int, int], None] | None = None,
) -> ClipStatistics:
    """`measure_statistics` of frames that are at hand; of the clip only what it is called is asked."""
    thumbs = _Thumbs()
    total = len(landmarks)

    def looked_at() -> Iterable[Frame]:
        for index, frame in enumerate(frames):
            if index >= total:
                return
            thumbs.see(frame, bool(landmarks.found[index]))
            yield frame
            if progress is not None:
                progress(index + 1, total)

    light = clip_light(looked_at(), landmarks)
    smoothed = landmarks.smoothed()
    points, measured = (
        np.stack([marks.at(index).to_scheme(68).points for index in range(len(marks))])
        for marks in (smoothed, landmarks)
    )
    rotations = head_rotations(points)
    size = landmarks.face_size_px
    known = np.flatnonzero(landmarks.found)
    gap = np.linalg.norm(smoothed.points[known[0]] - smoothed.points[known[-1]], axis=1).mean()
    first, last = thumbs.first, thumbs.last
    assert first is not None  # landmarks have at least one frame with a face
    assert last is not None
    return ClipStatistics(
        clip.name, clip.model, clip.kind, landmarks.size_wh, landmarks.found, landmarks.confidence, points, measured,
        rotations, size, light, landmarks.jitter_pct, _bend_pct(landmarks, size),
        Loop(float(gap) / size * 100, _levels(first, last), float(np.median(thumbs.steps or [0.0])), first, last),
        light_change(light, rotations),
    )  # fmt: skip


class _Thumbs:
    """Small pictures of the first and last frame with a face, and how much neighbouring frames differ."""

    def __init__(self) -> None:
        self.first: Frame | None = None
        self.last: Frame | None = None
        self.steps: list[float] = []

    def see(self, frame: Frame, found: bool) -> None:
        if not found:
            return
        height, width = frame.shape[:2]
        scale = min(1.0, THUMB_PX / max(height, width))
        size = max(1, round(width * scale)), max(1, round(height * scale))
        small = np.asarray(cv2.resize(frame, size, interpolation=cv2.INTER_AREA), np.uint8)
        if self.last is None:
            self.first = small
        else:
            self.steps.append(_levels(self.last, small))
        self.last = small


def _levels(one: Frame, other: Frame) -> float:
    return float(cv2.absdiff(one, other).mean())


def _bend_pct(landmarks: ClipLandmarks, size: float) -> NDArray[np.float64]:
    """Noise of each frame's landmarks as `ClipLandmarks.jitter_pct` counts it for a clip, (T,); NaN at the ends and
    beside frames without a face."""
    bend = np.full(len(landmarks), np.nan)
    in_a_row = landmarks.found[:-2] & landmarks.found[1:-1] & landmarks.found[2:]
    second = landmarks.points[:-2] - 2 * landmarks.points[1:-1] + landmarks.points[2:]
    rms = np.sqrt((second.astype(np.float64) ** 2).sum(axis=2).mean(axis=1) / 6) / size * 100
    bend[1:-1][in_a_row] = rms[in_a_row]
    return bend


def _outliers(one: ClipStatistics) -> Iterable[Outlier]:
    """Frames that differ from those around, by frame number: place, turn, light, and how sure the detector is."""
    centre, pose = one.measured.mean(axis=1), angles_deg(head_rotations(one.measured))
    off_place = np.linalg.norm(centre - _running_median(centre), axis=1) / one.face_px * 100
    off_turn = np.abs(pose - _running_median(pose)).max(axis=1)
    with np.errstate(invalid="ignore"):
        off_light = np.sqrt(np.nansum((one.light - _running_median(one.light)) ** 2, axis=1))
    measures = [
        ("place, % of the face", off_place, FRAME_STEP_PCT),
        ("turn, degrees", off_turn, FRAME_TURN_DEG),
        ("light", off_light, FRAME_LIGHT),
        ("detector unsure, confidence", 1 - one.confidence, 1 - LOW_CONFIDENCE),
    ]
    changing = range(0) if one.change is None else range(one.change.last, one.change.first + 1)
    for frame in range(one.frames):
        if not one.found[frame]:
            yield Outlier(frame, "no face", 1.0)
            continue
        for what, off, limit in measures:
            if off[frame] > limit and not (what == "light" and frame in changing):
                amount = float(one.confidence[frame]) if what.startswith("detector") else float(off[frame])
                yield Outlier(frame, what, amount)


def _running_median(values: NDArray[np.floating], reach: int = 2) -> NDArray[np.float64]:
    """Median over time of each row and `reach` rows on both sides, the ends held; what is NaN is left out."""
    padded = np.pad(np.asarray(values, np.float64), ((reach, reach), (0, 0)), mode="edge")
    windows = np.lib.stride_tricks.sliding_window_view(padded, 2 * reach + 1, axis=0)
    known = np.isfinite(windows).any(axis=-1)
    return np.where(known, np.nanmedian(np.where(known[..., None], windows, 0.0), axis=-1), np.nan)
