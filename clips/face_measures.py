"""The shape of the face over the frames of core clips: what `test_face_blending.py --stats` prints first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from blending.types import Landmarks
from clips.clip_table import aligned
from clips.library import CoreClip
from clips.preprocess import MAX_JITTER_PCT
from clips.timeline import counted, frames_named

# Limits of --stats. In the bundled clips a frame differs from those around it by 3.1 % at most (a jaw that opens),
# clips of one framing by 2 %.
MAX_FRAME_STEP_PCT = 6.0
MAX_CLIP_DIFFERENCE_PCT = 5.0


@dataclass(frozen=True, eq=False)
class FaceMeasures:
    """Shape of the face over a clip.

    jaw_width_px: extent of the jaw along the line through the eyes; face_height_px: from the brows to the chin, across
    it, so that both are free of the head's roll; float64 (T,). found bool (T,). jitter_pct: noise in % of face_size_px.
    """

    name: str
    jaw_width_px: NDArray[np.float64]
    face_height_px: NDArray[np.float64]
    found: NDArray[np.bool_]
    jitter_pct: float
    face_size_px: float

    @property
    def ratio(self) -> NDArray[np.float64]:
        """Jaw width over face height, (T,)."""
        return self.jaw_width_px / self.face_height_px

    @property
    def jitter_px(self) -> float:
        return self.jitter_pct / 100 * self.face_size_px


def measure_clip(clip: CoreClip) -> FaceMeasures:
    """Measures of every frame from the clip's landmarks. ClipError when there are none up to date."""
    landmarks = clip.landmarks()
    sizes = np.array([face_size(landmarks.at(index)) for index in range(len(landmarks))])
    return FaceMeasures(
        clip.name, sizes[:, 0], sizes[:, 1], landmarks.found, landmarks.jitter_pct, landmarks.face_size_px
    )


def face_size(landmarks: Landmarks) -> tuple[float, float]:
    """Jaw width and face height in px; see FaceMeasures."""
    across = landmarks.anchor("right_eye_outer") - landmarks.anchor("left_eye_outer")
    across = across / max(float(np.linalg.norm(across)), 1e-6)
    down = np.array([-across[1], across[0]])
    brows = np.concatenate([landmarks.region("left_brow"), landmarks.region("right_brow")]).mean(axis=0)
    return float(np.ptp(landmarks.region("jaw") @ across)), float((landmarks.anchor("chin") - brows) @ down)


def frame_findings(measures: FaceMeasures) -> list[str]:
    """In words, which frames stand out of their clip: without a face, or of another shape than those around."""
    findings = []
    if not measures.found.all():
        findings.append(
            f"no face in {frames_named(np.flatnonzero(~measures.found))}: the landmarks there are interpolated"
        )
    for what, values in (("jaw width", measures.jaw_width_px), ("face height", measures.face_height_px)):
        jumps, most_pct = odd_frames(values)
        if len(jumps):
            findings.append(
                f"{what} jumps by up to {most_pct:.0f} % in {frames_named(jumps)}: look at the landmarks there"
            )
    if measures.jitter_pct > MAX_JITTER_PCT:
        findings.append(f"landmarks jitter by more than {MAX_JITTER_PCT:g} %: film sharper or larger")
    return findings


def odd_frames(values: NDArray[np.float64]) -> tuple[NDArray[np.intp], float]:
    """Frames in which a measure differs from those around it by more than MAX_FRAME_STEP_PCT, and the most by which one
    does, %."""
    off_pct = 100 * np.abs(values / _running_median(values) - 1)
    return np.flatnonzero(off_pct > MAX_FRAME_STEP_PCT), float(off_pct.max())


def clip_findings(measures: FaceMeasures, others: Sequence[FaceMeasures]) -> list[str]:
    """In words, how a clip differs from the other clips of the model; nothing when there are none."""
    if not others:
        return []
    findings = []
    size_pct = 100 * (_middle(measures.face_height_px) / np.median([_middle(o.face_height_px) for o in others]) - 1)
    if abs(size_pct) > MAX_CLIP_DIFFERENCE_PCT:
        word = "larger" if size_pct > 0 else "smaller"
        findings.append(f"face {abs(size_pct):.0f} % {word} than in the other clips: a cut to it shows as a jump")
    ratio_pct = 100 * (_middle(measures.ratio) / np.median([_middle(o.ratio) for o in others]) - 1)
    if abs(ratio_pct) > MAX_CLIP_DIFFERENCE_PCT:
        word = "wider" if ratio_pct > 0 else "narrower"
        findings.append(
            f"jaw {abs(ratio_pct):.0f} % {word} for its height than in the other clips: another pose or person"
        )
    return findings


def _middle(values: NDArray[np.float64]) -> float:
    return float(np.median(values))


def _running_median(values: NDArray[np.float64], reach: int = 2) -> NDArray[np.float64]:
    """Median of each value and `reach` neighbours on both sides, ends held."""
    padded = np.pad(values, reach, mode="edge")
    return np.median(np.lib.stride_tricks.sliding_window_view(padded, 2 * reach + 1), axis=1)


def all_findings(shown: Sequence[FaceMeasures], everything: Sequence[FaceMeasures]) -> list[str]:
    """In words, what stands out in some of the clips, by themselves and against all of them."""
    return [
        f"{one.name}: {finding}"
        for one in shown
        for finding in [*frame_findings(one), *clip_findings(one, [other for other in everything if other is not one])]
    ]


_HEADER = ("clip", "frames", "no face", "jaw width px", "face height px", "ratio", "jitter px", "jitter %")


def stats_report(everything: Sequence[FaceMeasures], only: str | None = None) -> str:
    """Table of the clips (one of them when `only` names it) and of all clips together, then what stands out."""
    shown = [one for one in everything if only is None or one.name == only]
    rows = [
        _HEADER,
        *(_row(one.name, [one]) for one in shown),
        _row(f"all {counted(len(everything), 'clip')}" if len(everything) > 1 else "the only clip", everything),
    ]
    lines = aligned(rows)
    lines.insert(len(shown) + 1, "-" * len(lines[0]))
    findings = all_findings(shown, everything)
    return "\n".join([*lines, "", *(findings or ["of the faces' shapes nothing stands out"])])


def _row(name: str, measures: Sequence[FaceMeasures]) -> tuple[str, ...]:
    """Medians with the range over the frames in brackets; jitter over several clips is the root of the mean square."""

    def spread(values: NDArray[np.float64], digits: int) -> str:
        return f"{_middle(values):.{digits}f} ({values.min():.{digits}f}-{values.max():.{digits}f})"

    def join(arrays: Sequence[NDArray]) -> NDArray:
        return np.concatenate(arrays)

    def root_mean_square(values: Sequence[float]) -> str:
        measured = np.array(values)[np.isfinite(values)]
        return f"{np.sqrt((measured**2).mean()):.2f}" if len(measured) else "-"

    found = join([one.found for one in measures])
    return (
        name, str(len(found)), str(int((~found).sum())), spread(join([one.jaw_width_px for one in measures]), 1),
        spread(join([one.face_height_px for one in measures]), 1), spread(join([one.ratio for one in measures]), 3),
        root_mean_square([one.jitter_px for one in measures]), root_mean_square([one.jitter_pct for one in measures]),
    )  # fmt: skip
