"""A contact sheet over two settings: one frame, close up, each tile with its seam score."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from blending import BlendSettings, seam_score
from blending.types import Frame
from clips.core_clips_processor import Shot
from clips.sheet import SHEET_GREY, TEXT, View
from studio.sessions import Session

MAX_VALUES = 5
MAX_SECONDS = 60.0
"""A tile of LS1 costs 15 ms, of the slowest method at 1080 x 1920 about 1 s (measured on two cores)."""
TILE_PX, GAP_PX, LABEL_PX, SIDE_PX, TEXT_PT = 280, 8, 30, 96, 17
CLOSE_UP_SHARE = 0.62
"""Side of what a tile shows, about the chin, as a part of the generator's square: jaw, neck and lower cheeks."""


@dataclass(frozen=True)
class Tile:
    """Values of the two settings, the seam score, and where the tile lies on the sheet: x, y, width, height in px."""

    values: dict[str, float | str]
    score: float
    place: tuple[int, int, int, int]

    def describe(self) -> dict[str, object]:
        return {"values": self.values, "score": round(self.score, 3), "place": list(self.place)}


@dataclass(frozen=True, eq=False)
class Sweep:
    """sheet: uint8 BGR; tiles row by row, the first setting's values going down, the second's across."""

    sheet: Frame
    tiles: tuple[Tile, ...]


def axis_values(name: object, values: object) -> list[float | str]:
    """2 to 5 different values of a setting. None: spread over its range, or its choices. ValueError tells the fault."""
    control = next((one for one in BlendSettings.controls() if one.name == name), None)
    if control is None:
        BlendSettings.parse({str(name): 0})  # raises: not a setting, did you mean
        raise AssertionError
    if values is None or values == []:
        if control.kind == "choice":
            return list(control.choices[:MAX_VALUES])
        assert control.minimum is not None
        assert control.maximum is not None
        assert control.step is not None
        spread = np.linspace(control.minimum, control.maximum, MAX_VALUES)
        return [round(float(np.rint(v / control.step) * control.step), 6) for v in spread]
    if isinstance(values, str) or not isinstance(values, Sequence):
        raise ValueError(f"the values of {name} must be a list; got {type(values).__name__}")
    if not 2 <= len(values) <= MAX_VALUES:
        raise ValueError(f"a sweep takes 2 to {MAX_VALUES} values of {name}; got {len(values)}")
    checked = [getattr(BlendSettings.parse({control.name: value}), control.name) for value in values]
    if len(set(checked)) < len(checked):
        raise ValueError(f"the values of {name} must differ; got {checked}")
    return checked


def sweep(
    session: Session,
    frame: int,
    settings: BlendSettings,
    down: tuple[str, Sequence[Any] | None],
    across: tuple[str, Sequence[Any] | None],
    *,
    max_seconds: float = MAX_SECONDS,
) -> Sweep:
    """Blend one driven frame with every pair of values over `settings`; each tile is the render of that frame.

    down, across: a setting's name with its values, see `axis_values`. ValueError for what does not fit, for a frame
    without a generated picture, and when it takes longer than max_seconds: whole or not at all.
    """
    started = time.monotonic()
    if down[0] == across[0]:
        raise ValueError(f"a sweep needs two settings; got {down[0]} twice")
    rows, columns = axis_values(*down), axis_values(*across)
    frames = session.performance.frames
    if not 0 <= frame < frames:
        raise ValueError(f"frame must lie in 0 .. {frames - 1}; got {frame}")
    shot = session.processor.shot(session.performance, frame)
    if shot.generated is None:
        raise ValueError(f"frame {frame} is not blended ({shot.reason}); choose a frame with speech")
    view = close_up(shot)
    board = _Board(down[0], rows, across[0], columns)
    tiles: list[Tile] = []
    for row, first in enumerate(rows):
        for column, second in enumerate(columns):
            if time.monotonic() - started > max_seconds:
                raise ValueError(
                    f"the sweep took longer than {max_seconds:g} s after {len(tiles)} of {len(rows) * len(columns)} "
                    "tiles; give fewer values, or a faster method than poisson or multiband"
                )
            values = {down[0]: first, across[0]: second}
            result = session.processor.blend_shot(shot, BlendSettings.parse(settings.model_dump() | values))
            score = seam_score(shot.plate, result.frame, result.generated_matched, shot.box, shot.landmarks).score
            tiles.append(Tile(values, score, board.put(row, column, view.show(result.frame), score)))
    board.mark(min(range(len(tiles)), key=lambda i: tiles[i].score))
    return Sweep(board.picture(), tuple(tiles))


def close_up(shot: Shot) -> View:
    """The neck seam: around a point a little above the chin."""
    x, y = shot.landmarks.anchor("chin")
    side = CLOSE_UP_SHARE * shot.box.side
    return View.around(float(x), float(y) - 0.1 * side, side, (shot.plate.shape[0], shot.plate.shape[1]), TILE_PX)


class _Board:
    """The sheet while it is drawn: values of one setting at the left, of the other on top, the score below a tile."""

    def __init__(self, down: str, rows: Sequence[object], across: str, columns: Sequence[object]) -> None:
        self._columns = len(columns)
        width = SIDE_PX + len(columns) * (TILE_PX + GAP_PX) + GAP_PX
        height = 2 * LABEL_PX + len(rows) * (TILE_PX + LABEL_PX + GAP_PX)
        self._sheet = Image.new("RGB", (width, height), SHEET_GREY)
        self._pen, self._font = ImageDraw.Draw(self._sheet), ImageFont.load_default(TEXT_PT)
        self._text(
            GAP_PX,
            LABEL_PX // 2,
            f"{_label(down)} (down), {_label(across)} (across); below each its seam score, framed the lowest",
        )
        for column, value in enumerate(columns):
            self._text(self._x(column) + TILE_PX // 2, LABEL_PX * 3 // 2, _shown(value), "mm")
        for row, value in enumerate(rows):
            self._text(SIDE_PX // 2, self._y(row) + TILE_PX // 2, _shown(value), "mm")

    def put(self, row: int, column: int, picture: Frame, score: float) -> tuple[int, int, int, int]:
        x, y = self._x(column), self._y(row)
        self._sheet.paste(Image.fromarray(np.ascontiguousarray(picture[..., ::-1])), (x, y))
        self._text(x + TILE_PX // 2, y + TILE_PX + LABEL_PX // 2, f"{score:.2f}", "mm")
        return x, y, TILE_PX, TILE_PX

    def mark(self, best: int) -> None:
        """A white line around the tile with the lowest score."""
        x, y = self._x(best % self._columns), self._y(best // self._columns)
        self._pen.rectangle((x - 3, y - 3, x + TILE_PX + 2, y + TILE_PX + 2), outline=TEXT, width=3)

    def picture(self) -> Frame:
        return np.ascontiguousarray(np.asarray(self._sheet)[..., ::-1])

    def _x(self, column: int) -> int:
        return SIDE_PX + column * (TILE_PX + GAP_PX)

    def _y(self, row: int) -> int:
        return 2 * LABEL_PX + row * (TILE_PX + LABEL_PX + GAP_PX)

    def _text(self, x: int, y: int, text: str, anchor: str = "lm") -> None:
        self._pen.text((x, y), text, fill=TEXT, font=self._font, anchor=anchor)


def _label(name: str) -> str:
    return next(control.label for control in BlendSettings.controls() if control.name == name)


def _shown(value: object) -> str:
    return f"{value:g}" if isinstance(value, float | int) else str(value)
