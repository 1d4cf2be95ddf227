"""What a lip-sync model is judged by: arrays in, numbers out. No video, no files."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from blending.types import CropBox, Frame, Landmarks

CLOSED_TRUTH = 0.02
"""Inner-lip gap over the outer-eye distance under which the true mouth counts as closed."""
CLOSED_DRAWN = 0.04
OFFSETS = range(-4, 5)
MOUTH_BOX_SCALE = 1.2
TEETH_SATURATION = 0.3
TEETH_LEVEL = 60
"""Between the lips, what is brighter than this and hardly red is teeth (lips and gums have a saturation above .3)."""

QUIET_DB = 35.0
"""So far below the loudest frames a frame of sound is a pause."""
PAUSE_FRAMES = 8
"""A pause at least so long must find the mouth closed; a shorter one may belong to a consonant."""
SETTLE_FRAMES = 3
"""The mouth closes and opens around the edges of a pause; there it is not judged."""


@dataclass(frozen=True)
class LipFigures:
    """opening_r, width_r: correlation with the truth. best_offset: frames by which the drawn opening
    follows best (positive = late). closed_share: of the frames whose true mouth is closed, how many are
    drawn with a gap under 4 % of the outer-eye distance; closed_gap_p95: the gap 95 % of them stay under."""

    frames: int
    opening_r: float
    width_r: float
    best_offset: int
    closed_share: float
    closed_gap_p95: float


def lip_figures(drawn: NDArray[np.floating], truth: NDArray[np.floating]) -> LipFigures:
    """Figures of drawn against true (T, 2) opening and width; NaN rows (no face found) are left out."""
    found = np.isfinite(drawn).all(axis=1)
    a, b = drawn[found], truth[found]
    by_offset = {
        k: correlation(drawn[max(k, 0) : len(drawn) + min(k, 0), 0], truth[max(-k, 0) : len(truth) - max(k, 0), 0])
        for k in OFFSETS
    }
    gaps = a[b[:, 0] < CLOSED_TRUTH, 0]
    share = float((gaps < CLOSED_DRAWN).mean()) if len(gaps) else math.nan
    most = float(np.percentile(gaps, 95)) if len(gaps) else math.nan
    best = max(by_offset, key=lambda k: by_offset[k])
    return LipFigures(int(found.sum()), correlation(a[:, 0], b[:, 0]), correlation(a[:, 1], b[:, 1]), best, share, most)


def correlation(a: NDArray[np.floating], b: NDArray[np.floating]) -> float:
    """Pearson's r of two series (T,), pairs with NaN left out; 0 where one does not vary."""
    found = np.isfinite(a) & np.isfinite(b)
    if found.sum() < 3 or np.std(a[found]) == 0 or np.std(b[found]) == 0:
        return 0.0
    return float(np.corrcoef(a[found], b[found])[0, 1])


@dataclass(frozen=True)
class SoundFigures:
    """How lips move with a sound that has no picture.

    opening_energy_r: opening against log energy within speech; opening_width_r: whether both are one signal;
    paused: frames deep inside pauses; closed_share: how many of them have a gap under 4 % of the outer-eye distance.
    """

    speaking: int
    opening_energy_r: float
    opening_width_r: float
    paused: int
    closed_share: float


def frame_levels_db(wav: NDArray[np.floating], frames: int, samples_per_frame: int) -> NDArray[np.float64]:
    """Level of each video frame's sound, float (frames,), in dB below full scale, at least -100."""
    padded = np.pad(np.asarray(wav, np.float64), (0, max(0, frames * samples_per_frame - len(wav))))
    power = (padded[: frames * samples_per_frame].reshape(frames, samples_per_frame) ** 2).mean(axis=1)
    return 10 * np.log10(power + 1e-10)


def sound_figures(lips: NDArray[np.floating], levels_db: NDArray[np.floating]) -> SoundFigures:
    """Figures of drawn opening and width (T, 2) under a sound of that many levels; NaN rows are left out."""
    quiet = levels_db < np.percentile(levels_db, 95) - QUIET_DB
    speaking, paused = ~_in_runs(quiet, PAUSE_FRAMES, 0), _in_runs(quiet, PAUSE_FRAMES, SETTLE_FRAMES)
    opening, width = lips[:, 0], lips[:, 1]
    gaps = opening[paused & np.isfinite(opening)]
    return SoundFigures(
        int(speaking.sum()),
        correlation(opening[speaking], levels_db[speaking]),
        correlation(opening[speaking], width[speaking]),
        len(gaps),
        float((gaps < CLOSED_DRAWN).mean()) if len(gaps) else math.nan,
    )


def _in_runs(chosen: NDArray[np.bool_], shortest: int, inset: int) -> NDArray[np.bool_]:
    """Which places lie in a run of at least `shortest` chosen ones, at least `inset` from its ends."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], chosen, [False]]).astype(np.int8)))
    inside = np.zeros(len(chosen), bool)
    for start, stop in edges.reshape(-1, 2):
        if stop - start >= shortest:
            inside[start + inset : stop - inset] = True
    return inside


def mouth_square(landmarks: Landmarks) -> CropBox:
    """The square of 1.2 x the mouth's width (or height, where that is more) around the lips."""
    lips = landmarks.region("outer_lip")
    side = max(8, round(MOUTH_BOX_SCALE * float(np.ptp(lips, axis=0).max())))
    corner = (lips.min(axis=0) + lips.max(axis=0)) / 2 - (side - 1) / 2
    return CropBox(round(float(corner[0])), round(float(corner[1])), side)


def teeth(frame: Frame, landmarks: Landmarks) -> NDArray[np.bool_]:
    """Where teeth show between the inner lips of `landmarks`: bright and hardly red; bool (H, W)."""
    between = np.zeros(frame.shape[:2], np.uint8)
    cv2.fillPoly(between, [np.rint(landmarks.region("inner_lip") * 16).astype(np.int32)], (1,), shift=4)
    highest, lowest = frame.max(axis=2).astype(np.float32), frame.min(axis=2).astype(np.float32)
    pale = highest - lowest < TEETH_SATURATION * highest
    return (between > 0) & pale & (highest > TEETH_LEVEL)


@dataclass(frozen=True)
class PictureFigures:
    """mouth_psnr_db: pooled over the mouth squares of all frames. teeth_iou: pixels that show teeth in truth and
    drawn picture over those that do in either, inside the true inner lips; teeth_share: drawn over true area.
    flicker: mean change of the error from frame to frame, in levels of 255, per region."""

    mouth_psnr_db: float
    teeth_iou: float
    teeth_share: float
    flicker: dict[str, float]


@dataclass
class PictureTally:
    """Pools what PictureFigures tell, over frames added in order."""

    squared: float = 0.0
    values: int = 0
    both: int = 0
    either: int = 0
    true: int = 0
    made: int = 0
    changes: dict[str, list[float]] = field(default_factory=dict)
    _last: NDArray[np.float32] | None = None

    def add_mouth(self, truth: Frame, made: Frame, landmarks: Landmarks) -> None:
        """One frame's mouth: true and made frame, uint8 (H, W, 3), and the true landmarks."""
        square = mouth_square(landmarks)
        error = square.extract(made).astype(np.float64) - square.extract(truth)
        self.squared += float((error**2).sum())
        self.values += error.size
        a, b = teeth(truth, landmarks), teeth(made, landmarks)
        self.both += int((a & b).sum())
        self.either += int((a | b).sum())
        self.true += int(a.sum())
        self.made += int(b.sum())

    def add_error(self, error: NDArray[np.float32], regions: dict[str, NDArray[np.bool_]]) -> None:
        """One frame's error (K, K, 3) in levels on a grid that goes with the face, and regions of that grid."""
        if self._last is not None:
            change = np.abs(error - self._last).mean(axis=2)
            for name, where in regions.items():
                if where.any():
                    self.changes.setdefault(name, []).append(float(change[where].mean()))
        self._last = error

    def cut(self) -> None:
        """The next frame does not follow the last one."""
        self._last = None

    def figures(self) -> PictureFigures:
        mean_square = self.squared / max(self.values, 1)
        return PictureFigures(
            10 * math.log10(255**2 / max(mean_square, 1e-9)),
            self.both / self.either if self.either else math.nan,
            self.made / self.true if self.true else math.nan,
            {name: float(np.mean(values)) for name, values in self.changes.items()},
        )


LESS_IS_BETTER = {"closed_gap_p95", "cheeks", "neck", "held_out_loss", "held_out_l1"}


def rounded(values: dict[str, Any]) -> dict[str, Any]:
    """Figures as the card keeps them: three places, cut to the worse side, so that none passes a limit it missed."""
    kept = dict(values)
    for key, value in values.items():
        if isinstance(value, dict):
            kept[key] = rounded(value)
        elif isinstance(value, float) and math.isfinite(value):
            kept[key] = (math.ceil if key in LESS_IS_BETTER else math.floor)(value * 1000) / 1000
    return kept
