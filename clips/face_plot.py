"""The shapes of the faces of a model's clips as one picture: a row per clip, a chart per measure."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from blending.types import Frame
from clips.chart import FAINT, GAP_PX, GREY, LINE_GREY, TEXT, WIDTH_PX, Series, Words, broken, draw_chart, with_words
from clips.clip_plot import MOST_CLIPS
from clips.errors import ClipError
from clips.face_measures import FaceMeasures, all_findings, odd_frames
from clips.timeline import counted

ROW_PX, HEAD_PX = 190, 104
NAME_W, CHART_PX = 250, 370
PAD = 0.08
"""Room above and below the lines, as a part of what they span."""

Measure = tuple[str, int, Callable[[FaceMeasures], NDArray[np.float64]]]
MEASURES: dict[int, Measure] = {
    290: ("jaw width, px", 0, lambda one: one.jaw_width_px),
    730: ("face height, brows to chin, px", 0, lambda one: one.face_height_px),
    1170: ("jaw width / face height", 2, lambda one: one.ratio),
}
"""Where a column begins, px, and what is drawn in it, with how many digits."""


def face_plot(model: str, everything: Sequence[FaceMeasures], only: str | None = None) -> Frame:
    """The picture, uint8 (H, 1600, 3) BGR on neutral grey; of one clip where `only` names it, on the scales of all.
    ClipError for more than MOST_CLIPS clips."""
    shown = [one for one in everything if only is None or one.name == only]
    if len(shown) > MOST_CLIPS:
        raise ClipError(
            f"at most {MOST_CLIPS} clips of a model fit into one picture; {model} has {len(shown)}; "
            "name one with --clip, or leave out --output"
        )
    foot = all_findings(shown, everything) or ["Of the faces' shapes nothing stands out."]
    lines = [line for text in foot for line in broken(text, 18, WIDTH_PX - 2 * GAP_PX)]
    bottom = HEAD_PX + ROW_PX * len(shown) + GAP_PX
    canvas = np.full((bottom + 26 * len(lines) + GAP_PX, WIDTH_PX, 3), GREY, np.uint8)
    words: Words = [(GAP_PX, 14, f"{model}: faces of the core clips", 34, TEXT, "la")]
    words += [(x, 66, name, 19, FAINT, "la") for x, (name, _, _) in MEASURES.items()]
    words += [(GAP_PX, bottom + 26 * number, line, 18, FAINT, "la") for number, line in enumerate(lines)]
    for x, (_, digits, of) in MEASURES.items():
        scale = _scale([of(one)[one.found] for one in everything])
        for row, one in enumerate(shown):
            words += _chart(canvas, x, HEAD_PX + row * ROW_PX + 8, one, of(one), digits, scale)
    for row, one in enumerate(shown):
        words += _name_cell(canvas, HEAD_PX + row * ROW_PX, one)
    return with_words(canvas, words)


def _scale(values: Sequence[NDArray[np.float64]]) -> tuple[float, float]:
    """Lowest and highest value over all clips, so that rows can be compared, with a little room."""
    low, high = (float(fold(np.concatenate(values))) for fold in (np.min, np.max))
    room = max(PAD * (high - low), 0.01 * high)
    return low - room, high + room


def _chart(
    canvas: Frame, x: int, y: int, one: FaceMeasures, values: NDArray[np.float64], digits: int,
    scale: tuple[float, float],
) -> Words:  # fmt: skip
    """A measure over the clip's frames; ticks where it stands out, or no face is."""
    known = values[one.found]
    middle = float(np.median(known))
    key = f"middle {middle:.{digits + 1}f}, from {known.min():.{digits + 1}f} to {known.max():.{digits + 1}f}"
    marks = sorted({*map(int, odd_frames(values)[0]), *map(int, np.flatnonzero(~one.found))})
    return draw_chart(
        canvas, x, y, [Series(key, values)], scale, one.found, marks, width_px=CHART_PX, digits=digits
    )  # fmt: skip


def _name_cell(canvas: Frame, y: int, one: FaceMeasures) -> Words:
    canvas[y - 1 : y, GAP_PX:-GAP_PX] = LINE_GREY
    name = broken(one.name, 22, NAME_W)[:3]
    facts = [counted(len(one.found), "frame")]
    if lost := int((~one.found).sum()):
        facts.append(f"no face in {lost}")
    if np.isfinite(one.jitter_px):
        facts.append(f"jitter {one.jitter_px:.2f} px, {one.jitter_pct:.2f} %")
    below = y + 14 + 27 * len(name)
    return [
        *((GAP_PX, y + 10 + 27 * k, line, 22, TEXT, "la") for k, line in enumerate(name)),
        *((GAP_PX, below + 22 * k, fact, 17, FAINT, "la") for k, fact in enumerate(facts)),
    ]
