"""An edit list as a picture: the sound with its speech, the clips under it with the way they run, and their joins."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from blending.types import Frame
from clips.audio import SAMPLE_RATE
from clips.edit_list import EditList
from clips.timeline import FPS, FrameRange, counted

WIDTH_PX, MARGIN_PX = 2000, 40
LABELS_PX = 110
AXIS_PX, SOUND_PX, CLIP_PX, JOINS_PX, GAP_PX = 34, 84, 92, 30, 26
ROW_PX = AXIS_PX + SOUND_PX + CLIP_PX + JOINS_PX + GAP_PX
HEAD_PX = 120
ROW_S, MOST_ROWS = 20, 60
TICKS = (5, 10, 25, 50, 125, 250, 750, 1500)  # frames
TICK_GAP_PX = 90

# Greys only, r = g = b, as on the page: the picture says nothing by colour.
GROUND, TICK, TALK, SILENCE, INK, FAINT, WAVE, SPEECH = 38, 72, 150, 84, 240, 168, 205, 76
LEGEND = "Light bars: lips driven. The line in a bar: the clip's frame, from first to last."
VISIBLE = 1.5
"""Joins above this mismatch get a filled mark."""


def timeline_picture(
    edits: EditList, wav: NDArray[np.float32], speech: Sequence[FrameRange], joins: Sequence[float] | None, title: str
) -> Frame:
    """uint8 (H, 2000, 3). wav: 16 kHz. speech: frames in which speech was heard. joins: the mismatch of each join, None
    where it is not known."""
    row_frames = int(FPS) * max(min(ROW_S, -(-edits.frames // int(FPS))), -(-edits.frames // (int(FPS) * MOST_ROWS)))
    rows = -(-edits.frames // row_frames)
    sheet = Image.new("L", (WIDTH_PX, HEAD_PX + rows * ROW_PX + MARGIN_PX), GROUND)
    pen = ImageDraw.Draw(sheet)
    pen.text((MARGIN_PX, 24), title, fill=INK, font=_font(34))
    pen.text((MARGIN_PX, 74), f"{summary(edits, joins)}. {LEGEND}", fill=FAINT, font=_font(20))
    for row in range(rows):
        shown = FrameRange(row * row_frames, min(edits.frames, (row + 1) * row_frames))
        _Row(pen, HEAD_PX + row * ROW_PX, shown, row_frames).draw(edits, wav, speech, joins)
    return np.repeat(np.asarray(sheet)[..., None], 3, axis=2)


def turns(edits: EditList) -> int:
    """How often a clip turns back."""
    return sum(len(cut.runs()) - 1 for cut in edits.cuts)


def holds(edits: EditList) -> int:
    """Output frames that show the same clip frame as the one before."""
    shown = [(cut.clip, cut.clip_frame(i)) for cut in edits.cuts for i in cut.place]
    return sum(a == b for a, b in pairwise(shown))


def summary(edits: EditList, joins: Sequence[float] | None) -> str:
    """Length, joins, turns, held frames and mismatch in words."""
    said = (
        f"{counted(edits.frames, 'frame')}, {float(edits.frames / FPS):.1f} s; "
        f"{counted(len(edits.cuts) - 1, 'join')}, {counted(turns(edits), 'turn')}"
    )
    if held := holds(edits):
        said += f", {counted(held, 'frame')} held"
    if joins:
        said += f"; mismatch {np.mean(joins):.2f} in the mean, {max(joins):.2f} at most (about 1 begins to show)"
    return said


class _Row:
    """One row of the picture: some seconds of sound."""

    def __init__(self, pen: ImageDraw.ImageDraw, top: int, shown: FrameRange, row_frames: int) -> None:
        self.pen, self.shown = pen, shown
        self.frame_px = (WIDTH_PX - 2 * MARGIN_PX - LABELS_PX) / row_frames
        self.axis, self.sound = top, top + AXIS_PX
        self.clips, self.joins = self.sound + SOUND_PX, self.sound + SOUND_PX + CLIP_PX

    def draw(
        self, edits: EditList, wav: NDArray[np.float32], speech: Sequence[FrameRange], joins: Sequence[float] | None
    ) -> None:
        for text, y in (("speech", self.sound + 30), ("clips", self.clips + 34), ("mismatch", self.joins + 5)):
            self.pen.text((MARGIN_PX, y), text, fill=FAINT, font=_font(18))
        self._axis()
        self._sound(wav, speech)
        for number, cut in enumerate(edits.cuts):
            if cut.place.start < self.shown.stop and cut.place.stop > self.shown.start:
                self._cut(edits, number)
                if joins is not None and number and cut.place.start in self.shown:
                    self._join(cut.place.start, joins[number - 1])

    def x(self, frame: float) -> float:
        inside = min(max(frame, self.shown.start), self.shown.stop)
        return MARGIN_PX + LABELS_PX + (inside - self.shown.start) * self.frame_px

    def _axis(self) -> None:
        step = next((n for n in TICKS if n * self.frame_px >= TICK_GAP_PX), TICKS[-1])
        for frame in range(-(-self.shown.start // step) * step, self.shown.stop, step):
            x = self.x(frame)
            self.pen.line((x, self.axis + 24, x, self.sound + SOUND_PX), fill=TICK)
            self.pen.text((x + 3, self.axis + 8), f"{float(frame / FPS):g} s  {frame}", fill=FAINT, font=_font(15))

    def _sound(self, wav: NDArray[np.float32], speech: Sequence[FrameRange]) -> None:
        middle, half = self.sound + SOUND_PX // 2, SOUND_PX // 2 - 6
        for heard in speech:
            if heard.start < self.shown.stop and heard.stop > self.shown.start:
                box = (self.x(heard.start), self.sound + 2, self.x(heard.stop), self.sound + SOUND_PX - 4)
                self.pen.rectangle(box, fill=SPEECH)
        loudest = max(float(np.abs(wav).max(initial=0)), 1e-6)
        left = round(self.x(self.shown.start))
        for x in range(left, round(self.x(self.shown.stop))):
            start, stop = ((self.shown.start + (p - left) / self.frame_px) / FPS * SAMPLE_RATE for p in (x, x + 1))
            heard_here = wav[int(start) : max(int(stop), int(start) + 1)]
            level = half * float(np.abs(heard_here).max(initial=0)) / loudest
            self.pen.line((x, middle - level, x, middle + level), fill=WAVE)

    def _cut(self, edits: EditList, number: int) -> None:
        cut = edits.cuts[number]
        left, right = self.x(cut.place.start), self.x(cut.place.stop)
        top = self.clips + (6 if cut.driven else 18)
        bottom = self.clips + CLIP_PX - (18 if cut.driven else 6)
        self.pen.rectangle((left, top, right - 1, bottom), fill=TALK if cut.driven else SILENCE, outline=GROUND)
        ink = 20 if cut.driven else INK
        low, high = bottom - 8, top + 30
        points = []
        for place, _ in cut.runs():
            for frame in (place.start, place.stop - 1):
                inside = min(max(frame, self.shown.start), self.shown.stop - 1)
                if cut.place.start <= inside < cut.place.stop:
                    share = (cut.clip_frame(inside) - cut.first) / max(cut.span - 1, 1)
                    points.append((self.x(inside + 0.5), low - share * (low - high)))
        if len(points) > 1:
            self.pen.line(points, fill=ink, width=2)
        if cut.dissolve:
            self.pen.polygon(((left, bottom), (self.x(cut.place.start + cut.dissolve), top), (left, top)), fill=GROUND)
        name = f"{cut.clip}  {cut.first_frame} > {cut.last_frame}"
        left = self.x(cut.place.start + cut.dissolve) + 5
        self.pen.text((left, top + 4), _cropped(name, right - left - 3), fill=ink, font=_font(17))

    def _join(self, frame: int, price: float) -> None:
        x = self.x(frame)
        self.pen.line((x, self.sound, x, self.joins + 4), fill=INK)
        mark = (x - 4, self.joins + 3, x + 4, self.joins + 11)
        self.pen.rectangle(mark, fill=INK if price > VISIBLE else GROUND, outline=INK)
        self.pen.text((x + 8, self.joins + 1), f"{price:.2f}", fill=INK if price > VISIBLE else FAINT, font=_font(16))


def _cropped(text: str, width_px: float) -> str:
    """As many letters as fit."""
    while text and _font(17).getlength(text) > width_px:
        text = text[:-1]
    return text


def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)
