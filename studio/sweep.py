"""A contact sheet over two settings: one frame, close up, each tile with its seam score.

`sweep` draws it as one picture, for programs; `sweep_steps` hands its tiles out one by one, for the page.
"""

from __future__ import annotations

import time
from base64 import b64encode
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont
from pydantic import BaseModel, ConfigDict, Field

from blending import BlendSettings, seam_score
from blending.types import Frame
from clips.core_clips_processor import Shot
from clips.errors import ClipError
from clips.sheet import SHEET_GREY, TEXT, View
from studio.preview import PNG_FAST
from studio.sessions import Session
from studio.timeline import SeamScans

MAX_VALUES = 5
MAX_SECONDS = 60.0
"""A tile of LS1 costs 15 ms, of the slowest method at 1080 x 1920 about 1 s (measured on two cores)."""
TILE_PX, GAP_PX, LABEL_PX, SIDE_PX, TEXT_PT = 280, 8, 30, 96, 17
CLOSE_UP_SHARE = 0.62
"""Side of what a tile shows, about the chin, as a part of the generator's square: jaw, neck and lower cheeks."""
JAW_WIDTH, JAW_ABOVE, JAW_BELOW = 0.9, 0.36, 0.3
"""What a tile of the page shows about the chin, in sides of the generator's square: from the lips to where the square
ends in the neck, from cheek to cheek."""
JAW_WIDEST, JAW_HIGHEST = 1.4, 1.05
"""The most that tiles show which are wider or higher than that."""

NO_LOOK = ("feather_unit",)
"""Settings that a sheet is not offered over: they say how another one is read."""


class SweepRequest(BaseModel):
    """Asks for the tiles of a sheet. down, across: names of two settings; values: how many of a slider's."""

    model_config = ConfigDict(extra="forbid", strict=True)
    token: str = Field(max_length=64)
    frame: int
    settings: dict[str, Any]
    down: str = Field("expansion_ratio", max_length=100)
    across: str = Field("feather_amount", max_length=100)
    values: int = Field(MAX_VALUES, ge=2, le=MAX_VALUES)


@dataclass(frozen=True)
class Axes:
    """Two settings with the values they take: rows from top to bottom, columns from left to right."""

    down: str
    rows: tuple[float | str, ...]
    across: str
    columns: tuple[float | str, ...]

    def pairs(self) -> list[dict[str, float | str]]:
        """The values of every tile, row by row."""
        return [{self.down: row, self.across: column} for row in self.rows for column in self.columns]


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


def axis_values(name: object, values: object, count: int = MAX_VALUES) -> list[float | str]:
    """2 to 5 different values of a setting. None: `count` spread over its range, or its choices. ValueError tells the
    fault."""
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
        spread = np.linspace(control.minimum, control.maximum, count)
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
    axes = read_axes(down, across)
    shot = driven_shot(session, frame)
    view, board, tiles = close_up(shot), _Board(axes), list[Tile]()
    for values, picture, score in _blends(session, shot, settings, axes, started, max_seconds):
        tiles.append(Tile(values, score, board.put(len(tiles), view.show(picture), score)))
    board.mark(min(range(len(tiles)), key=lambda i: tiles[i].score))
    return Sweep(board.picture(), tuple(tiles))


def sweep_steps(
    session: Session,
    frame: int,
    settings: BlendSettings,
    axes: Axes,
    scans: SeamScans,
    *,
    max_seconds: float = MAX_SECONDS,
) -> Generator[dict[str, object], None, None]:
    """What the page draws its sheet from, as JSON values: first `place` (x, y, width, height of the part of the frame
    that the tiles show) with the axes, then each tile with its score and its pixels, a lossless PNG in base64, at last
    the tile with the lowest score, and the settings that changed nothing. The scans rest meanwhile. Faults as `sweep`
    has them."""
    started = time.monotonic()
    shot = driven_shot(session, frame)
    rows, columns = jaw(shot, len(axes.rows) / len(axes.columns))
    yield {
        "frame": frame, "clip": shot.cut.clip, "place": place_of(rows, columns), "down": _axis(axes.down, axes.rows),
        "across": _axis(axes.across, axes.columns),
    }  # fmt: skip
    scores: list[float] = []
    with scans.resting():
        for values, picture, score in _blends(session, shot, settings, axes, started, max_seconds):
            scores.append(score)
            yield {"values": values, "score": round(score, 3), "picture": lossless(picture[rows, columns])}
    table = np.reshape(scores, (len(axes.rows), len(axes.columns)))
    still = [_label(name) for name, axis in ((axes.down, 0), (axes.across, 1)) if not np.ptp(table, axis).any()]
    yield {"best": int(np.argmin(scores)), "still": still}


def read_axes(
    down: tuple[str, Sequence[Any] | None], across: tuple[str, Sequence[Any] | None], count: int = MAX_VALUES
) -> Axes:
    """Two settings, each with its values as `axis_values` takes them. ValueError for one setting twice."""
    if down[0] == across[0]:
        raise ValueError(f"a sweep needs two settings; got {down[0]} twice")
    return Axes(down[0], tuple(axis_values(*down, count)), across[0], tuple(axis_values(*across, count)))


def sweepable(session: Session) -> list[dict[str, str]]:
    """Name and label of every setting that a sheet can show for a session, in their order."""
    left_out = NO_LOOK if session.processor.has_parsing else (*NO_LOOK, "use_parsing")
    return [{"name": c.name, "label": c.label} for c in BlendSettings.controls() if c.name not in left_out]


def driven_shot(session: Session, frame: int) -> Shot:
    """The shot of an output frame. ValueError for a frame outside, and for one without a generated picture."""
    frames = session.performance.frames
    if not 0 <= frame < frames:
        raise ValueError(f"frame must lie in 0 .. {frames - 1}; got {frame}")
    shot = session.processor.shot(session.performance, frame)
    if shot.generated is None:
        raise ValueError(f"frame {frame} is not blended ({shot.reason}); choose a frame with speech")
    return shot


def jaw(shot: Shot, stretch: float = 1.0) -> tuple[slice, slice]:
    """Rows and columns of the frame that show jaw and neck; of more than that where there is room for it, as in a sheet
    whose tiles are `stretch` times as wide for their height. ClipError where they lie outside of the picture."""
    x, y = shot.landmarks.anchor("chin")
    side, (height, width) = shot.box.side, shot.plate.shape[:2]
    across = min(JAW_WIDTH * max(stretch, 1.0), JAW_WIDEST)
    above = min((JAW_ABOVE + JAW_BELOW) / min(stretch, 1.0), JAW_HIGHEST) - JAW_BELOW
    top, bottom = (int(np.clip(round(y + part * side), 0, height)) for part in (-above, JAW_BELOW))
    left, right = (int(np.clip(round(x + part * side), 0, width)) for part in (-across / 2, across / 2))
    if top == bottom or left == right:
        raise ClipError(f"the chin of frame {shot.clip_frame} of {shot.cut.clip!r} lies outside the picture")
    return slice(top, bottom), slice(left, right)


def place_of(rows: slice, columns: slice) -> list[int]:
    """x, y, width and height of a part of the frame."""
    return [columns.start, rows.start, columns.stop - columns.start, rows.stop - rows.start]


def lossless(picture: Frame) -> str:
    """A picture as PNG in base64."""
    return b64encode(cv2.imencode(".png", np.ascontiguousarray(picture), PNG_FAST)[1].tobytes()).decode()


def _blends(
    session: Session, shot: Shot, settings: BlendSettings, axes: Axes, started: float, max_seconds: float
) -> Iterator[tuple[dict[str, float | str], Frame, float]]:
    """Values, blended frame and seam score of every tile, row by row."""
    pairs = axes.pairs()
    for number, values in enumerate(pairs):
        if time.monotonic() - started > max_seconds:
            raise ValueError(
                f"the sweep took longer than {max_seconds:g} s after {number} of {len(pairs)} tiles; give fewer "
                "values, or a faster method than poisson or multiband"
            )
        result = session.processor.blend_shot(shot, BlendSettings.parse(settings.model_dump() | values))
        score = seam_score(shot.plate, result.frame, result.generated_matched, shot.box, shot.landmarks).score
        yield values, result.frame, score


def close_up(shot: Shot) -> View:
    """The neck seam: around a point a little above the chin."""
    x, y = shot.landmarks.anchor("chin")
    side = CLOSE_UP_SHARE * shot.box.side
    return View.around(float(x), float(y) - 0.1 * side, side, (shot.plate.shape[0], shot.plate.shape[1]), TILE_PX)


class _Board:
    """The sheet while it is drawn: values of one setting at the left, of the other on top, the score below a tile."""

    def __init__(self, axes: Axes) -> None:
        self._columns = len(axes.columns)
        width = SIDE_PX + len(axes.columns) * (TILE_PX + GAP_PX) + GAP_PX
        height = 2 * LABEL_PX + len(axes.rows) * (TILE_PX + LABEL_PX + GAP_PX)
        self._sheet = Image.new("RGB", (width, height), SHEET_GREY)
        self._pen, self._font = ImageDraw.Draw(self._sheet), ImageFont.load_default(TEXT_PT)
        self._text(
            GAP_PX,
            LABEL_PX // 2,
            f"{_label(axes.down)} (down), {_label(axes.across)} (across); below each its seam score, framed the lowest",
        )
        for column, value in enumerate(axes.columns):
            self._text(self._x(column) + TILE_PX // 2, LABEL_PX * 3 // 2, _shown(value), "mm")
        for row, value in enumerate(axes.rows):
            self._text(SIDE_PX // 2, self._y(row) + TILE_PX // 2, _shown(value), "mm")

    def put(self, number: int, picture: Frame, score: float) -> tuple[int, int, int, int]:
        x, y = self._x(number % self._columns), self._y(number // self._columns)
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


def _axis(name: str, values: Sequence[float | str]) -> dict[str, object]:
    return {"name": name, "label": _label(name), "values": list(values)}


def _label(name: str) -> str:
    return next(control.label for control in BlendSettings.controls() if control.name == name)


def _shown(value: object) -> str:
    return f"{value:g}" if isinstance(value, float | int) else str(value)
