"""The statistics of a model's clips as text: a table, the ranking, and advice."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence

import numpy as np

from clips.clip_findings import ClipAssessment, ModelAssessment

_HEADER = (
    "clip", "yaw", "pitch", "roll", "from lead", "pose left %", "size %", "loop %", "loop pic.", "light +-",
    "skin L a b", "L-R", "to lead", "to training", "odd frames",
)  # fmt: skip


def assessment_table(model: ModelAssessment, only: Collection[str] | None = None) -> str:
    """One line per clip (of those named in `only`) under a header, and what the columns are."""
    rows = [_HEADER, *(_row(one, one.name == model.lead) for one in model.clips if only is None or one.name in only)]
    lines = aligned(rows)
    training = "" if model.training else "; the model's card says nothing of its training light"
    return "\n".join(
        [
            *lines,
            f"lead: {model.lead!r}. Pose in degrees, least and most: above 0 to the picture's right, up and clockwise.",
            "loop: last frame against first, landmarks in % of the face, pictures in 8-bit levels. light in CIELAB",
            f"units: what 95 % of the frames keep within, and distances between the clips' medians{training}.",
        ]
    )


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Rows as lines of aligned columns, the first to the left."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return [
        "  ".join(cell.rjust(width) if column else cell.ljust(width)
                  for column, (cell, width) in enumerate(zip(row, widths, strict=True)))
        for row in rows
    ]  # fmt: skip


def _row(one: ClipAssessment, lead: bool) -> tuple[str, ...]:
    measured = one.statistics
    pose = measured.pose_deg[measured.found]
    light = measured.usual_light
    return (
        one.name,
        *(f"{pose[:, axis].min():+.0f} {pose[:, axis].max():+.0f}" for axis in range(3)),
        "-" if lead else f"{one.turn_deg:.0f}", f"{one.residual_pct:.1f}", "-" if lead else f"{one.size_pct:+.0f}",
        f"{measured.loop.landmarks_pct:.1f}", f"{measured.loop.picture_levels:.1f}", f"{measured.light_spread:.1f}",
        " ".join(f"{value:.0f}" for value in light[:3]), f"{light[3]:+.0f}", "-" if lead else f"{one.light:.0f}",
        f"{one.training:.0f}" if math.isfinite(one.training) else "-",
        str(len(np.unique([outlier.frame for outlier in measured.outliers]))),
    )  # fmt: skip


def ranking_lines(model: ModelAssessment) -> list[str]:
    """Clips by score, best first, with what each lost points on; then how the score is made."""
    if len(model.clips) < 2:
        return []
    ranked = model.ranking
    width = max(len(one.name) for one in ranked)
    lines = [f"{place:2}. {one.name.ljust(width)}  {one.score_words}" for place, one in enumerate(ranked, 1)]
    return ["clips that suit best:", *lines, model.score_words]


def advice_lines(
    model: ModelAssessment, only: Collection[str] | None = None, *, told: Collection[str] = ()
) -> list[str]:
    """Every finding with what to do about it, and the flag for it. told: topics that the caller has said already."""
    return [
        f"{one.name}: {found}{f' ({found.flag})' if found.flag else ''}"
        for one in model.clips
        if only is None or one.name in only
        for found in one.findings
        if found.topic not in told
    ]
