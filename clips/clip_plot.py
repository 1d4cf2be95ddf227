"""The statistics of a model's clips as one picture: a row per clip, a column per question."""

from __future__ import annotations

import math
from collections.abc import Sequence

import cv2
import numpy as np

from blending.types import Frame
from clips.chart import (
    FAINT,
    GAP_PX,
    GREY,
    LINE_GREY,
    PANEL_GREY,
    TEXT,
    WARN,
    WIDTH_PX,
    Series,
    Words,
    broken,
    draw_chart,
    with_words,
)
from clips.clip_findings import LIGHT_STEP, LOOP_LEVELS, LOOP_PCT, ClipAssessment, ModelAssessment
from clips.clip_statistics import LOW_CONFIDENCE
from clips.errors import ClipError
from clips.timeline import counted

ROW_PX = 190
MOST_CLIPS = 60
"""A picture of more rows is longer than pictures may be in some viewers (16 384 px)."""

# x and width of the columns, px
NAME_X, NAME_W = GAP_PX, 250
POSE_X, LIGHT_X, FIND_X = 290, 590, 890
LOOP_X, LOOP_W = 1190, 170
SCORE_X = 1385

Scales = dict[str, tuple[float, float]]


def clip_plot(model: ModelAssessment) -> Frame:
    """The picture, uint8 (H, 1600, 3) BGR on neutral grey. ClipError for more than MOST_CLIPS clips."""
    if len(model.clips) > MOST_CLIPS:
        raise ClipError(
            f"at most {MOST_CLIPS} clips of a model fit into one picture; {model.model} has {len(model.clips)}; "
            "leave out --output, the table holds them all"
        )
    advice = [(one.name, str(found)) for one in model.clips for found in one.findings]
    foot = [f"{name}: {words}" for name, words in advice] or ["Nothing stands out."]
    lines = [line for text in [*foot, model.score_words] for line in broken(text, 18, WIDTH_PX - 2 * GAP_PX)]
    top = 104
    height = top + ROW_PX * len(model.clips) + GAP_PX + 26 * len(lines) + GAP_PX
    canvas = np.full((height, WIDTH_PX, 3), GREY, np.uint8)
    words: Words = [
        (GAP_PX, 14, f"{model.model}: core clips", 34, TEXT, "la"),
        *(
            (x, 66, name, 19, FAINT, "la")
            for x, name in (
                (POSE_X, "pose, degrees"), (LIGHT_X, "light, CIELAB"), (FIND_X, "landmarks"),
                (LOOP_X, "first and last frame"), (SCORE_X, "how well it suits"),
            )
        ),
    ]  # fmt: skip
    scales = _scales(model.clips)
    ranks = {one.name: place for place, one in enumerate(model.ranking, 1)}
    for row, one in enumerate(model.clips):
        words += _draw_row(canvas, top + row * ROW_PX, one, ranks[one.name], one.name == model.lead, scales)
    y = top + ROW_PX * len(model.clips) + GAP_PX
    words += [(GAP_PX, y + 26 * number, line, 18, FAINT, "la") for number, line in enumerate(lines)]
    return with_words(canvas, words)


def _scales(clips: Sequence[ClipAssessment]) -> Scales:
    """Lowest and highest value of each kind of chart over all clips, so that rows can be compared."""
    pose = max(10.0, max(float(np.abs(one.statistics.pose_deg).max()) for one in clips))
    light = np.concatenate([one.statistics.light[:, [0, 4]].ravel() for one in clips])
    shade = np.concatenate([one.statistics.light[:, 3] for one in clips])
    bend = np.concatenate([one.statistics.bend_pct for one in clips])
    low, high = (float(fold(light[np.isfinite(light)])) for fold in (np.min, np.max))
    side = max(10.0, float(np.nanmax(np.abs(shade)))) if np.isfinite(shade).any() else 10.0
    return {
        "pose": (-pose, pose),
        "light": (math.floor(min(low, -side) / 10) * 10.0, math.ceil(max(high, side) / 10) * 10.0),
        "landmarks": (0.0, max(1.0, float(np.nanmax(bend)) if np.isfinite(bend).any() else 0.0)),
    }


def _draw_row(canvas: Frame, y: int, one: ClipAssessment, rank: int, lead: bool, scales: Scales) -> Words:
    stats = one.statistics
    words: Words = []
    canvas[y - 1 : y, GAP_PX:-GAP_PX] = LINE_GREY
    for number, line in enumerate(broken(one.name, 22, NAME_W)[:3]):
        words.append((NAME_X, y + 10 + 27 * number, line, 22, TEXT, "la"))
    below = y + 14 + 27 * len(broken(one.name, 22, NAME_W)[:3])
    facts = [
        f"{stats.kind}{', lead' if lead else ''}",
        f"{counted(stats.frames, 'frame')}, face {stats.face_px:.0f} px",
    ]
    odd = len({outlier.frame for outlier in stats.outliers})
    if odd:
        facts.append(counted(odd, "odd frame"))
    words += [(NAME_X, below + 22 * k, fact, 17, FAINT, "la") for k, fact in enumerate(facts)]
    marks = sorted({outlier.frame for outlier in stats.outliers})
    pose = [Series(name, stats.pose_deg[:, axis]) for axis, name in enumerate(("yaw", "pitch", "roll"))]
    light = [Series("skin L", stats.light[:, 0]), Series("left - right", stats.light[:, 3])]
    light.append(Series("background L", stats.light[:, 4]))
    confidence = np.where(stats.found, stats.confidence, 0.0)
    words += draw_chart(canvas, POSE_X, y + 8, pose, scales["pose"], stats.found, marks)
    change = () if stats.change is None or stats.change.amount <= LIGHT_STEP else (stats.change.last,)
    words += draw_chart(canvas, LIGHT_X, y + 8, light, scales["light"], stats.found, marks, change)
    high = scales["landmarks"][1]
    found = [Series("confidence", confidence), Series("jitter %", stats.bend_pct / high)]
    words += draw_chart(
        canvas, FIND_X, y + 8, found, (0.0, 1.0), None, marks, level=LOW_CONFIDENCE, tops=("1", f"{high:.1f}")
    )
    words += _loop_cell(canvas, y + 8, one)
    return words + _score_cell(canvas, y + 8, one, rank)


def _loop_cell(canvas: Frame, y: int, one: ClipAssessment) -> Words:
    loop = one.statistics.loop
    width, lowest = (LOOP_W - 6) // 2, y
    for number, picture in enumerate((loop.first, loop.last)):
        scale = min(width / picture.shape[1], 104 / picture.shape[0])
        size = max(1, round(picture.shape[1] * scale)), max(1, round(picture.shape[0] * scale))
        small = cv2.resize(picture, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)
        left = LOOP_X + number * (width + 6)
        canvas[y : y + size[1], left : left + size[0]] = small
        lowest = max(lowest, y + size[1])
    open_ = loop.landmarks_pct > LOOP_PCT or loop.picture_levels > LOOP_LEVELS
    return [
        (LOOP_X, lowest + 8, "does not loop" if open_ else "loops", 17, WARN if open_ else TEXT, "la"),
        (LOOP_X, lowest + 32, f"{loop.landmarks_pct:.1f} %, {loop.picture_levels:.1f} levels", 16, FAINT, "la"),
    ]


def _score_cell(canvas: Frame, y: int, one: ClipAssessment, rank: int) -> Words:
    """Rank and score, and a bar of what is left, with the parts that were lost named below."""
    width = WIDTH_PX - GAP_PX - SCORE_X
    canvas[y + 42 : y + 54, SCORE_X : SCORE_X + width] = PANEL_GREY
    canvas[y + 42 : y + 54, SCORE_X : SCORE_X + max(0, round(width * one.score / 100))] = TEXT
    lost = sorted(((off, name) for name, off in one.parts.items() if off >= 0.5), reverse=True)
    fault = next((found for found in one.findings if found.fault), None)
    words: Words = [
        (SCORE_X, y + 4, f"{rank}.", 26, TEXT, "la"),
        (SCORE_X + width, y + 4, f"{one.score:.0f}", 26, TEXT, "ra"),
    ]
    words += [(SCORE_X, y + 62 + 20 * k, f"{name} -{off:.0f}", 16, FAINT, "la") for k, (off, name) in enumerate(lost)]
    if fault is not None:
        words.append((SCORE_X, y + 62 + 20 * len(lost), f"unfit: {fault.topic}", 16, WARN, "la"))
    return words
