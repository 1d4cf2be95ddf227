"""What the pictures of clips are drawn with: charts of values over frames, words, and the files."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from blending.types import Frame
from clips.errors import ClipError
from clips.ffmpeg import atomic_file

WIDTH_PX, GAP_PX = 1600, 20
CHART_W, CHART_H = 250, 132
GREY, PANEL_GREY, LINE_GREY = (99, 99, 99), (82, 82, 82), (120, 120, 120)
TEXT, FAINT, WARN = (245, 245, 245), (206, 206, 206), (120, 205, 255)  # BGR
LINES = ((245, 245, 245), (90, 205, 250), (245, 190, 120))
"""Up to three lines of one chart, BGR: white, yellow, blue; told apart without colour by brightness."""

PICTURES = (".png", ".jpg", ".jpeg", ".webp")

Words = list[tuple[float, float, str, int, tuple[int, int, int], str]]
"""x, y, text, size, colour (BGR), anchor as Pillow names it."""


@dataclass(frozen=True)
class Series:
    """One line of a chart: values over frames, NaN where there is none, and its name."""

    name: str
    values: NDArray[np.floating]


def draw_chart(
    canvas: Frame, x: int, y: int, series: Sequence[Series], scale: tuple[float, float],
    found: NDArray[np.bool_] | None, marks: Sequence[int], changes: Sequence[int] = (), *,
    level: float = 0.0, tops: Sequence[str] = (), width_px: int = CHART_W, digits: int = 0,
) -> Words:  # fmt: skip
    """Lines over frames in a panel, with a key below; ticks at the foot: odd frames; upright lines: changes. level: a
    thin line; tops: what each line reaches at the top, where they differ; digits: of the numbers beside it."""
    low, high = scale
    frames = len(series[0].values)
    canvas[y : y + CHART_H, x : x + width_px] = PANEL_GREY

    def across(frame: float) -> float:
        return x + 2 + (width_px - 5) * frame / max(frames - 1, 1)

    def up(value: float) -> float:
        return y + CHART_H - 3 - (CHART_H - 6) * (min(max(value, low), high) - low) / (high - low)

    if low < level < high:
        canvas[round(up(level)), x : x + width_px] = LINE_GREY
    for change in changes:
        canvas[y : y + CHART_H, round(across(change))] = WARN
    for number, line in enumerate(series):
        shown = np.isfinite(line.values) if found is None else np.isfinite(line.values) & found
        for run in _runs(shown):
            points = np.array([(across(k), up(float(line.values[k]))) for k in run])
            cv2.polylines(canvas, [np.rint(points * 16).astype(np.int32)], False, LINES[number], 1, cv2.LINE_AA, 4)
    for frame in marks:
        canvas[y + CHART_H - 7 : y + CHART_H, round(across(frame))] = WARN
    beside = x + width_px + 5
    words: Words = [(beside, y + 20 * k - 3, text, 15, LINES[k], "la") for k, text in enumerate(tops)]
    words = words or [(beside, y - 3, f"{high:.{digits}f}", 15, FAINT, "la")]
    words.append((beside, y + CHART_H + 2, f"{low:.{digits}f}", 15, FAINT, "ld"))
    if low < level < high:
        words.append((beside, up(level), f"{level:g}", 15, FAINT, "lm"))
    place: float = x
    for number, line in enumerate(series):
        words.append((place, y + CHART_H + 6, line.name, 16, LINES[number], "la"))
        place += ImageFont.load_default(16).getlength(line.name) + 14
    return words


def _runs(shown: NDArray[np.bool_]) -> list[NDArray[np.intp]]:
    """Frame numbers where shown, split where frames are missing."""
    known = np.flatnonzero(shown)
    return [run for run in np.split(known, np.flatnonzero(np.diff(known) > 1) + 1) if len(run)]


def broken(text: str, size: int, width_px: int) -> list[str]:
    """Words broken into lines of at most width_px."""
    font = ImageFont.load_default(size)
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if lines[-1] and font.getlength(longer) > width_px:
            lines.append(word)
        else:
            lines[-1] = longer
    return lines


def with_words(canvas: Frame, words: Words) -> Frame:
    picture = Image.fromarray(np.ascontiguousarray(canvas[..., ::-1]))
    pen = ImageDraw.Draw(picture)
    fonts: dict[int, object] = {}
    load: Callable[[int], object] = ImageFont.load_default
    for x, y, text, size, colour, anchor in words:
        font = fonts.setdefault(size, load(size))
        pen.text((x, y), text, fill=colour[::-1], font=font, anchor=anchor)  # type: ignore[arg-type]
    return np.ascontiguousarray(np.asarray(picture)[..., ::-1])


def check_picture_name(path: Path) -> Path:
    """The path, if a picture can be written under it; else ClipError."""
    if path.suffix.lower() not in PICTURES:
        raise ClipError(f"the picture's name must end in one of {', '.join(PICTURES)}; got {path.name!r}")
    if os.path.isdir(path):
        raise ClipError(f"the picture's name {path} is a folder; give a file name ending in .png")
    return path


def write_picture(path: Path, picture: Frame) -> None:
    """Write it, complete or not at all. ClipError where it cannot be."""
    encoded, content = cv2.imencode(check_picture_name(path).suffix, picture)
    if not encoded:
        raise ClipError(f"the picture cannot be written as {path.suffix}; give a name ending in .png")
    with atomic_file(path) as partial:
        partial.write_bytes(content.tobytes())
