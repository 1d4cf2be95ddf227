"""Landmarks of a clip folder out of its own .lms files, where they fit its frames."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from clips.errors import ClipError
from clips.frame_folders import FrameFolder
from clips.landmarks import ClipLandmarks, Detection, read_lms
from clips.timeline import frames_named

LMS_DETECTOR = {68: "lms68", 110: "lms110"}
"""What `ClipLandmarks.detector` says of landmarks out of .lms files, by their number of points."""

MIN_FOUND_PCT = 80.0
"""With fewer usable files than this, a folder's landmarks are detected again."""


def read_lms_folder(path: Path, folder: FrameFolder) -> tuple[ClipLandmarks | None, str]:
    """Landmarks of each frame of the folder, from path/landmarks/N.lms; None where they do not fit, with the reason.

    A frame counts as without a face when its file is missing or cannot be read, when its points lie outside the
    picture, and when they repeat those of the frame before though the picture is another one: that is what
    SyncTalk_2D writes where it finds no face. Reason "" means that the folder has no .lms files.
    """
    landmarks = path / "landmarks"
    if not landmarks.is_dir() or not any(landmarks.glob("*.lms")):
        return None, ""
    faces: list[np.ndarray | None] = []
    for index, number in enumerate(folder.numbers):  # a held frame shows the face of the frame before
        faces.append(faces[-1] if index in folder.held else _face(landmarks / f"{number}.lms", folder.size_wh))
    schemes = {len(face) for face in faces if face is not None}
    if len(schemes) > 1:
        return None, "some of its .lms files have 68 points, others 110"
    seen = [face is not None and not (index > 0 and _repeats(index, faces, folder)) for index, face in enumerate(faces)]
    if 100 * sum(seen) < MIN_FOUND_PCT * len(seen):
        return None, f"only {sum(seen)} of {len(seen)} frames have a usable .lms file of their own"
    detections = [
        Detection(face, float("nan")) if ok and face is not None else None for face, ok in zip(faces, seen, strict=True)
    ]
    found = ClipLandmarks.from_detections(detections, folder.size_wh)
    missing = [index for index, ok in enumerate(seen) if not ok]
    return found, f"no .lms file shows a face in {frames_named(missing)}" if missing else ""


def _face(file: Path, size_wh: tuple[int, int]) -> np.ndarray | None:
    """Points of one file, float32 (N, 2); None when it is missing, damaged, or its face is not in the picture."""
    try:
        points = read_lms(file).points
    except ClipError:
        return None
    centre = points.mean(axis=0)
    inside = (centre >= 0).all() and (centre < size_wh).all() and np.ptp(points[:, 0]) >= 8
    return points if inside else None


def _repeats(index: int, faces: list[np.ndarray | None], folder: FrameFolder) -> bool:
    now, before = faces[index], faces[index - 1]
    if now is None or before is None or not np.array_equal(now, before):
        return False
    one, other = folder.pictures[index], folder.pictures[index - 1]
    return one != other and one.read_bytes() != other.read_bytes()
