"""The table of a model's clips and the lines of their plots, as JSON values: what --verify and --stats measure."""

from __future__ import annotations

import base64
import math
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from blending.types import Frame
from clips.clip_findings import LIGHT_STEP, LOOP_LEVELS, LOOP_PCT, ClipAssessment, ModelAssessment, compare
from clips.clip_statistics import ClipStatistics, measure_statistics
from clips.errors import ClipError
from clips.library import BUNDLED, ClipLibrary, CoreClip
from clips.parsing_masks import find_parsing
from clips.preprocess import ClipReport, up_to_date_landmarks, verify_clip
from clips.training_light import training_light

MEASURED_KEPT = 64
PLOT_POINTS = 300
"""A chart is about 200 px wide."""

FIGURES = ("found_pct", "confidence", "jitter_pct", "step_pct", "face_size_px")
COMPARED = ("score", "turn_deg", "size_pct", "light", "training")
OTHERS = ("loop_pct", "loop_levels", "light_spread")

_MEASURED: OrderedDict[object, ClipStatistics] = OrderedDict()
_MEASURING = threading.Lock()


def clip_table(workspace: Path, model: str) -> list[dict[str, object]]:
    """One row of JSON values for each clip of a model, what --verify measures, best first.

    A clip without landmarks has passed False and the reason; its figures are None. rank: place by score; origin:
    "bundled", "workspace" (it can be renamed and removed) or "frames"; parsing: "found", "none" or "left aside".
    """
    clips = ClipLibrary(workspace).any_clips(model)
    try:
        return _table(workspace, clips)
    except ClipError:
        if ClipLibrary(workspace).any_clips(model) == clips:
            raise
        return clip_table(workspace, model)  # one of them was renamed or removed meanwhile


def _table(workspace: Path, listed: Sequence[CoreClip]) -> list[dict[str, object]]:
    usable, others = _usable(listed)
    rows = [unusable_row(clip, _why_unusable(clip)) for clip in others]
    if usable:
        found = assessment(usable, workspace)
        ranks = {one.name: place for place, one in enumerate(found.ranking, 1)}
        rows += [
            {**verified_row(verify_clip(clip, one)), **_compared(one), "rank": ranks[clip.name]}
            for clip, one in zip(usable, found.clips, strict=True)
        ]
    clips = {clip.name: clip for clip in (*usable, *others)}
    for row in rows:
        clip = clips[str(row["name"])]
        row["origin"] = _origin(clip)
        row["parsing"], words = _parsing(workspace, clip)
        row["notes"] = [*_texts(row["notes"]), *words]
    return sorted(rows, key=lambda row: (not row["passed"], -float(str(row["score"] or 0))))


def clip_plots(workspace: Path, model: str) -> dict[str, object]:
    """The lines of each clip over its frames, best first, as JSON values; at most PLOT_POINTS of a line, None where
    there is none. words: what the score is made of."""
    usable, _ = _usable(ClipLibrary(workspace).any_clips(model))
    if not usable:
        return {"words": "", "clips": []}
    found = assessment(usable, workspace)
    return {"words": found.score_words, "clips": [_plots(one, found.lead) for one in found.ranking]}


def _usable(clips: Sequence[CoreClip]) -> tuple[list[CoreClip], list[CoreClip]]:
    usable = [clip for clip in clips if up_to_date_landmarks(clip) is not None]
    return usable, [clip for clip in clips if clip not in usable]


def assessment(clips: Sequence[CoreClip], workspace: Path) -> ModelAssessment:
    """What `assess_model` finds of clips with landmarks. Each is measured once, 14 ms a frame, until it or its
    landmarks change."""
    known = training_light(clips[0].model, workspace)
    with _MEASURING:
        return compare([_measured(clip) for clip in clips], known)


def _measured(clip: CoreClip) -> ClipStatistics:
    key = (clip.model, clip.name, clip.sha256, clip.landmarks_path.stat().st_mtime_ns)
    if key not in _MEASURED:
        _MEASURED[key] = measure_statistics(clip)
        while len(_MEASURED) > MEASURED_KEPT:
            _MEASURED.popitem(last=False)
    _MEASURED.move_to_end(key)
    return _MEASURED[key]


def verified_row(report: ClipReport) -> dict[str, object]:
    """The figures of one clip by itself; those that compare it with others are None."""
    figures = {name: _number(float(getattr(report, name))) for name in FIGURES}
    return {
        "name": report.clip.name, "kind": report.clip.kind, "passed": report.passed, "frames": report.frames,
        "fps": str(report.fps) if report.fps.denominator > 1 else int(report.fps), "width": report.size_wh[0],
        "height": report.size_wh[1], **figures, **dict.fromkeys((*COMPARED, *OTHERS, "rank")),
        "reasons": list(report.reasons), "notes": list(report.notes), "advice": [],
    }  # fmt: skip


def _compared(one: ClipAssessment) -> dict[str, object]:
    loop = one.statistics.loop
    figures = {name: float(getattr(one, name)) for name in COMPARED}
    figures |= {"loop_pct": loop.landmarks_pct, "loop_levels": loop.picture_levels}
    figures |= {"light_spread": one.statistics.light_spread}
    return {name: _number(value) for name, value in figures.items()} | {
        "advice": [str(found) for found in one.findings if not found.fault],
        "parts": {name: _number(off) for name, off in one.parts.items()},
    }


def _why_unusable(clip: CoreClip) -> str:
    try:
        clip.landmarks()
    except ClipError as e:
        return str(e)
    return "its landmarks were made by another version; preprocess it again"


def unusable_row(clip: CoreClip, reason: str) -> dict[str, object]:
    """The row of a clip without landmarks, with the reason."""
    return {
        "name": clip.name, "kind": clip.kind, "passed": False, "frames": None, "fps": None, "width": None,
        "height": None, **dict.fromkeys((*FIGURES, *COMPARED, *OTHERS, "rank")), "reasons": [reason], "notes": [],
        "advice": [],
    }  # fmt: skip


def _origin(clip: CoreClip) -> str:
    if clip.path.parent.parent == BUNDLED:
        return "bundled"
    return "workspace" if clip.path.is_file() else "frames"


def _parsing(workspace: Path, clip: CoreClip) -> tuple[str, list[str]]:
    """Whether a clip's parsing masks are used, and what to say where some are not."""
    try:
        masks, words = find_parsing(workspace, clip)
    except ClipError as e:
        return "left aside", [str(e)]
    if masks is not None:
        return "found", []
    return ("left aside", [words]) if words else ("none", [])


def _plots(one: ClipAssessment, lead: str) -> dict[str, object]:
    stats, loop = one.statistics, one.statistics.loop
    seen = stats.found
    change = stats.change
    return {
        "name": one.name, "kind": stats.kind, "lead": one.name == lead, "score": _number(one.score),
        "lost": one.score_words, "frames": stats.frames, "face_px": round(stats.face_px),
        "pose": {name: _line(stats.pose_deg[:, axis], seen) for axis, name in enumerate(("yaw", "pitch", "roll"))},
        "light": {
            name: _line(stats.light[:, column], seen)
            for name, column in (("skin", 0), ("sides", 3), ("back", 4))
        },
        "landmarks": {
            "sure": _line(np.where(seen, stats.confidence, 0.0), np.ones_like(seen), np.nanmin),
            "jitter %": _line(stats.bend_pct, seen, np.nanmax),
        },
        "odd": sorted({outlier.frame for outlier in stats.outliers}),
        "change": None if change is None or change.amount <= LIGHT_STEP else change.last,
        "loops": loop.landmarks_pct <= LOOP_PCT and loop.picture_levels <= LOOP_LEVELS,
        "loop": f"{loop.landmarks_pct:.1f} % of the face, {loop.picture_levels:.1f} levels",
        "first": _picture(loop.first), "last": _picture(loop.last),
    }  # fmt: skip


def _line(
    values: NDArray[np.floating], seen: NDArray[np.bool_], fold: Callable[..., object] = np.nanmean
) -> list[float | None]:
    """Values over frames, as many neighbours folded into one as it takes to have at most PLOT_POINTS."""
    shown = np.where(seen, values, np.nan).astype(np.float64)
    parts = np.array_split(shown, min(len(shown), PLOT_POINTS))
    return [_number(float(fold(part)), 2) if np.isfinite(part).any() else None for part in parts]  # type: ignore[arg-type]


def _picture(frame: Frame) -> str:
    encoded = cv2.imencode(".jpg", frame, [cv2.IMWRITE_JPEG_QUALITY, 88])[1].tobytes()
    return "data:image/jpeg;base64," + base64.b64encode(encoded).decode()


def _number(value: float, digits: int = 3) -> float | None:
    return round(value, digits) if math.isfinite(value) else None


def _texts(value: object) -> list[str]:
    assert isinstance(value, list)
    return value
