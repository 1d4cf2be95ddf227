"""Which clips have the best landmarks: the choice that --best-clips makes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from clips.landmarks import ClipLandmarks
from clips.library import CoreClip
from clips.timeline import counted


def quality_order(landmarks: ClipLandmarks) -> tuple[int, float]:
    """Sorts clips from the best landmarks to the worst: frames without a face in permille of the clip, then jitter
    (`ClipLandmarks.jitter_pct`; a clip too short to measure it comes last)."""
    missing = round(1000 * (1 - float(landmarks.found.mean())))
    return missing, float(np.nan_to_num(landmarks.jitter_pct, nan=np.inf))


def best_clips(clips: Sequence[CoreClip], count: int | None) -> tuple[list[CoreClip], tuple[str, ...]]:
    """The clips without all but `count` talk clips of the best landmarks, in their order; and what was left out.

    None keeps all. Silence clips stay, since nothing is drawn into them, unless there are no talk clips. ValueError for
    a count below 1.
    """
    if count is None:
        return list(clips), ()
    if count < 1:
        raise ValueError(f"best_clips must be at least 1; got {count}")
    driven = [clip for clip in clips if clip.kind == "talk"] or list(clips)
    ranked = sorted(driven, key=lambda clip: (quality_order(clip.landmarks()), clip.name))
    out = ranked[count:]
    if not out:
        return list(clips), ()
    names = "; ".join(f"{clip.name} ({_figures(clip.landmarks())})" for clip in out)
    note = f"left out, since only the best {count} by landmarks are used: {names}"
    return [clip for clip in clips if clip not in out], (note,)


def _figures(landmarks: ClipLandmarks) -> str:
    missing = int((~landmarks.found).sum())
    return f"jitter {landmarks.jitter_pct:.2f} %" + (f", no face in {counted(missing, 'frame')}" if missing else "")
