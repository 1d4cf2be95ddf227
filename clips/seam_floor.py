"""The seam score that a clip's own noise makes: what a shown score is read against."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np

from blending.metrics import clip_floor
from clips.landmarks import ClipLandmarks
from clips.library import CoreClip
from clips.video import VideoWriter, read_frames

FRAMES = 16
"""So many consecutive frames, from the middle of the clip, are measured: a clip's noise hardly changes along it."""


def measure_floor(clip: CoreClip, landmarks: ClipLandmarks) -> float | None:
    """Seam score of the clip's frames after another pass through the encoder, blended into themselves by the defaults
    (`blending.metrics.clip_floor`). landmarks: smoothed. None when no measured frame has a face. ClipError as
    `read_frames`."""
    total = len(landmarks)
    count = min(FRAMES, total)
    start = (total - count) // 2
    frames = clip.frames()
    plates = [frames[index] for index in range(start, start + count)]
    height, width = plates[0].shape[:2]
    with tempfile.TemporaryDirectory(prefix="seamline-") as folder:
        path = Path(folder) / "again.mp4"
        with VideoWriter(path, width, height) as writer:
            for plate in plates:
                writer.write(plate)
        again = [frame[:height, :width] for frame in read_frames(path)]
    usable = [i for i in range(count) if landmarks.found[start + i]]
    if not usable:
        return None
    return clip_floor(
        [plates[i] for i in usable],
        [np.ascontiguousarray(again[i]) for i in usable],
        [landmarks.at(start + i) for i in usable],
    )
