"""One picture that shows a blend from all sides: landmarks, masks, jaw and neck, hard paste against blend."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from blending import BlendResult, BlendSettings, create_face_mask, seam_score
from blending.seam import SeamScore
from blending.types import CropBox, Frame, Landmarks, Matte, to_frame
from clips.core_clips_processor import Shot

EXPANSION_RATIOS = (1.0, 1.1, 1.15, 1.2, 1.3)

PANEL_PX = 640
GAP_PX = 28
SHEET_WIDTH_PX = 3 * PANEL_PX + 4 * GAP_PX
SHEET_GREY = (99, 99, 99)  # CIELAB L 42, no colour: nothing on it looks tinted
TEXT, FAINT_TEXT = (245, 245, 245), (214, 214, 214)
TITLE_PT, CAPTION_PT, SMALL_PT = 46, 25, 21

# BGR
JAW_COLOUR, FEATURE_COLOUR, POINT_COLOUR = (80, 220, 255), (255, 210, 120), (255, 255, 255)
SQUARE_COLOUR, MATTE_COLOUR = (190, 190, 190), (60, 90, 255)

CLOSE_UP = 2.0
VIEW_MARGIN_SHARE = 0.22
"""What views of the face show around the generator's square, as a part of its side."""


@dataclass(frozen=True)
class View:
    """A square window of the frame, enlarged: columns x0 .. x0 + side - 1, rows y0 .. y0 + side - 1, at `scale`."""

    x0: int
    y0: int
    side: int
    scale: float

    @classmethod
    def around(cls, x: float, y: float, side: float, frame_hw: tuple[int, int], out_px: int) -> View:
        """Window of about `side` px centred at (x, y), moved and shrunk so that it lies inside the frame."""
        whole = min(round(side), *frame_hw)
        left, top = (
            int(np.clip(round(c - whole / 2), 0, size - whole)) for c, size in ((x, frame_hw[1]), (y, frame_hw[0]))
        )
        return cls(left, top, whole, out_px / whole)

    def show(self, picture: NDArray) -> NDArray:
        """The window of a frame or matte at its size on the sheet."""
        part = picture[self.y0 : self.y0 + self.side, self.x0 : self.x0 + self.side]
        return _resized(part, round(self.side * self.scale), round(self.side * self.scale))

    def place(self, points: NDArray) -> NDArray[np.int32]:
        """Points in frame px as the drawing functions take them: sheet px, 4 fractional bits."""
        shown = (np.asarray(points, np.float64) - (self.x0, self.y0) + 0.5) * self.scale - 0.5
        return np.rint(shown * 16).astype(np.int32)


@dataclass(frozen=True)
class Panel:
    """A picture, uint8 BGR, with its caption: a name and a line of detail."""

    picture: Frame
    name: str
    detail: str = ""


def blend_sheet(
    title: str, subtitle: str, shot: Shot, blend: BlendResult, settings: BlendSettings, notes: Sequence[str] = (), *,
    floor: float | None = None,
) -> Frame:  # fmt: skip
    """The sheet of one driven shot and its blend, uint8 (H, W, 3) BGR, 2032 px wide.

    notes are printed at the foot, after what limited the blend. floor: the seam score that the clip's own noise makes,
    which the others are read against; None where it is not known. ValueError for a shot without a generated picture.
    """
    if shot.generated is None:
        raise ValueError(f"shot must have a generated picture; got one without: {shot.reason}")
    frame_hw = (shot.plate.shape[0], shot.plate.shape[1])
    box, marks = shot.box, shot.landmarks
    centre = box.x0 + box.side / 2, box.y0 + box.side / 2
    face = View.around(*centre, box.side * (1 + 2 * VIEW_MARGIN_SHARE), frame_hw, PANEL_PX)
    pasted, hard, blended = shot.unblended, *_scores(shot, blend)
    rows = [
        [
            _landmark_panel(shot),
            _overlay_panel(shot, blend, settings, face),
            _jaw_panel(blend, marks, frame_hw),
        ],
        _mask_panels(marks, box, frame_hw, blend.feather_px),
        [
            Panel(face.show(shot.plate), "Plate", "the clip as it was filmed"),
            Panel(face.show(pasted), "Hard paste", _seam_words(hard, floor)),
            Panel(face.show(blend.frame), "Blend", _seam_words(blended, floor)),
        ],
    ]
    return _sheet(title, subtitle, rows, (*blend.limits, *_compared(hard, blended, floor), *notes))


def blend_strip(
    title: str, subtitle: str, shot: Shot, blend: BlendResult, settings: BlendSettings, notes: Sequence[str] = (), *,
    floor: float | None = None,
) -> Frame:  # fmt: skip
    """Plate, hard paste, blend and matte of one driven shot in a row; else as `blend_sheet`."""
    if shot.generated is None:
        raise ValueError(f"shot must have a generated picture; got one without: {shot.reason}")
    frame_hw, box = (shot.plate.shape[0], shot.plate.shape[1]), shot.box
    centre = box.x0 + box.side / 2, box.y0 + box.side / 2
    out_px = (SHEET_WIDTH_PX - 5 * GAP_PX) // 4
    face = View.around(*centre, box.side * (1 + 2 * VIEW_MARGIN_SHARE), frame_hw, out_px)
    pasted, hard, blended = shot.unblended, *_scores(shot, blend)
    row = [
        Panel(face.show(shot.plate), "Plate", "the clip as it was filmed"),
        Panel(face.show(pasted), "Hard paste", _seam_words(hard, floor)),
        Panel(face.show(blend.frame), "Seamline", _seam_words(blended, floor)),
        Panel(face.show(to_frame(np.repeat(blend.matte[..., None], 3, axis=2))), "Matte", "white: the generated face"),
    ]
    return _sheet(title, subtitle, [row], (*blend.limits, *_compared(hard, blended, floor), *notes))


def _landmark_panel(shot: Shot) -> Panel:
    """The whole frame in the panel's width, with its landmarks and the generator's square."""
    height, width = shot.plate.shape[:2]
    scale = PANEL_PX / max(height, width)
    view = View(0, 0, max(height, width), scale)
    picture = _resized(shot.plate, round(width * scale), round(height * scale))
    _draw_square(picture, view, shot.box)
    for point in view.place(shot.landmarks.points):
        cv2.circle(picture, (int(point[0]), int(point[1])), 16, POINT_COLOUR, cv2.FILLED, cv2.LINE_AA, 4)
    for name, closed in (
        ("left_brow", False), ("right_brow", False), ("nose_bridge", False), ("left_eye", True), ("right_eye", True),
        ("outer_lip", True), ("inner_lip", True),
    ):  # fmt: skip
        _draw_line(picture, view.place(shot.landmarks.region(name)), FEATURE_COLOUR, closed=closed)
    _draw_line(picture, view.place(shot.landmarks.region("jaw")), JAW_COLOUR)
    return Panel(
        picture, "Landmarks", f"{shot.landmarks.scheme} points; the square of {shot.box.side} px is what is generated"
    )


def _overlay_panel(shot: Shot, blend: BlendResult, settings: BlendSettings, view: View) -> Panel:
    tint = np.array(MATTE_COLOUR, np.float32)
    amount = 0.55 * blend.matte[..., None]
    tinted = np.rint(shot.plate + amount * (tint - shot.plate)).astype(np.uint8)
    picture = view.show(tinted)
    _draw_square(picture, view, shot.box)
    _draw_contour(picture, view.show(blend.matte), 0.5)
    return Panel(
        picture, "Mask overlay",
        f"expansion {settings.expansion_ratio:g}, feather {blend.feather_px:.0f} px; white line: half and half",
    )  # fmt: skip


def _jaw_panel(blend: BlendResult, marks: Landmarks, frame_hw: tuple[int, int]) -> Panel:
    """The blend around the chin, twice as large where the jaw fits in, with jaw line and edge of the square."""
    jaw, box = marks.region("jaw"), blend.box
    side = max(PANEL_PX / CLOSE_UP, 1.1 * float(np.ptp(jaw[:, 0])))
    chin = marks.anchor("chin")
    view = View.around(float(jaw[:, 0].mean()), float(chin[1]) - 0.12 * side, side, frame_hw, PANEL_PX)
    picture = view.show(blend.frame)
    _draw_square(picture, view, box)
    _draw_line(picture, view.place(jaw), JAW_COLOUR)
    below_px = box.y0 + box.side - 1 - float(chin[1])
    where = f"{abs(below_px):.0f} px {'below' if below_px >= 0 else 'above'} the chin"
    return Panel(
        picture, f"Jaw line and neck, {view.scale:.2g}x",
        f"blend; jaw line yellow, the square ends {where}",
    )  # fmt: skip


def _mask_panels(marks: Landmarks, box: CropBox, frame_hw: tuple[int, int], feather_px: float) -> list[Panel]:
    count = len(EXPANSION_RATIOS)
    out_px = (SHEET_WIDTH_PX - (count + 1) * GAP_PX) // count
    centre = box.x0 + box.side / 2, box.y0 + box.side / 2
    view = View.around(*centre, box.side * (1 + 2 * VIEW_MARGIN_SHARE), frame_hw, out_px)
    panels = []
    for ratio in EXPANSION_RATIOS:
        matte = create_face_mask(marks, frame_hw, ratio, feather_amount=feather_px, box=box)
        picture = view.show(to_frame(np.repeat(matte[..., None], 3, axis=2)))
        _draw_square(picture, view, box)
        _draw_line(picture, view.place(marks.region("jaw")), JAW_COLOUR)
        covered = float(matte.sum()) / box.side**2
        panels.append(Panel(picture, f"Mask {ratio:.2f}", f"covers {100 * covered:.0f} % of the square"))
    return panels


def _scores(shot: Shot, blend: BlendResult) -> tuple[SeamScore, SeamScore]:
    """Of the hard paste and of the blend."""
    assert shot.generated is not None
    pairs = ((shot.unblended, shot.generated), (blend.frame, blend.generated_matched))
    hard, blended = (seam_score(shot.plate, shown, drawn, shot.box, shot.landmarks) for shown, drawn in pairs)
    return hard, blended


def _seam_words(score: SeamScore, floor: float | None) -> str:
    worst = max(score.sectors, key=lambda name: score.sectors[name]).replace("_", " ")
    noise = "" if floor is None else f", {floor:.2f} the clip's own noise"
    return f"seam score {score.score:.2f}, most at the {worst} (0 is no seam{noise})"


def _compared(hard: SeamScore, blended: SeamScore, floor: float | None) -> tuple[str, ...]:
    """What to say where the blend scores no better than the paste by more than the clip's noise."""
    if floor is None or hard.score - blended.score > floor:
        return ()
    if abs(hard.score - blended.score) > floor:
        return ("the blend scores worse than the hard paste: look at it closely, or try another method",)
    return (
        f"the seam scores of paste and blend differ by less than the clip's own noise makes ({floor:.2f}): the model "
        "draws this clip's colours nearly as they were filmed, and by their seams neither is better",
    )


def _resized(picture: NDArray, width: int, height: int) -> NDArray:
    if (width, height) == (picture.shape[1], picture.shape[0]):
        return picture.copy()
    how = cv2.INTER_AREA if width < picture.shape[1] else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(picture, (width, height), interpolation=how), picture.dtype)


def _draw_line(
    picture: Frame, points: NDArray[np.int32], colour: tuple[int, int, int], *, closed: bool = False
) -> None:
    cv2.polylines(picture, [points[:, None]], closed, colour, 1, cv2.LINE_AA, 4)


def _draw_square(picture: Frame, view: View, box: CropBox) -> None:
    """The outermost pixels' outer edge, so that nothing of the square is covered."""
    first, last = -0.5, box.side - 0.5
    corners = np.array([(first, first), (last, first), (last, last), (first, last)])
    _draw_line(picture, view.place(corners + np.array([box.x0, box.y0])), SQUARE_COLOUR, closed=True)


def _draw_contour(picture: Frame, matte: Matte, level: float) -> None:
    found, _ = cv2.findContours((matte >= level).astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(picture, found, -1, POINT_COLOUR, 1, cv2.LINE_AA)


def _sheet(title: str, subtitle: str, rows: Sequence[Sequence[Panel]], notes: Sequence[str]) -> Frame:
    """Rows of panels, each row spread over the sheet's width, on neutral grey with title and foot."""
    inner_px = SHEET_WIDTH_PX - 2 * GAP_PX
    blocks: list[tuple[int, int, Panel | str, int, tuple[int, int, int]]] = []  # x, y, what, text size, text colour
    y = GAP_PX
    y = _add_text(blocks, GAP_PX, y, title, TITLE_PT, TEXT, inner_px)
    y = _add_text(blocks, GAP_PX, y, subtitle, CAPTION_PT, FAINT_TEXT, inner_px) + GAP_PX // 2
    for row in rows:
        slot_px = (SHEET_WIDTH_PX - GAP_PX) // len(row)
        tallest = max(panel.picture.shape[0] for panel in row)
        bottom = y
        for place, panel in enumerate(row):
            x = GAP_PX + place * slot_px
            blocks.append((x, y, panel, 0, TEXT))
            below = _add_text(blocks, x, y + tallest + 10, panel.name, CAPTION_PT, TEXT, slot_px - GAP_PX)
            bottom = max(bottom, _add_text(blocks, x, below, panel.detail, SMALL_PT, FAINT_TEXT, slot_px - GAP_PX))
        y = bottom + GAP_PX
    for note in notes:
        y = _add_text(blocks, GAP_PX, y, note, SMALL_PT, FAINT_TEXT, inner_px)
    sheet = Image.new("RGB", (SHEET_WIDTH_PX, y + (GAP_PX if notes else 0)), SHEET_GREY)
    pen = ImageDraw.Draw(sheet)
    for x, top, what, size, colour in blocks:
        if isinstance(what, Panel):
            sheet.paste(Image.fromarray(np.ascontiguousarray(what.picture[..., ::-1])), (x, top))
        else:
            pen.text((x, top), what, fill=colour, font=ImageFont.load_default(size))
    return np.ascontiguousarray(np.asarray(sheet)[..., ::-1])


def _add_text(
    blocks: list[tuple[int, int, Panel | str, int, tuple[int, int, int]]],
    x: int, y: int, text: str, size: int, colour: tuple[int, int, int], width_px: int,
) -> int:  # fmt: skip
    """Append the text, broken into lines of at most width_px; returns the y below it."""
    font = ImageFont.load_default(size)
    line = ""
    lines: list[str] = []
    for word in text.split():
        longer = f"{line} {word}".strip()
        if line and font.getlength(longer) > width_px:
            lines.append(line)
            longer = word
        line = longer
    for part in [*lines, line]:
        blocks.append((x, y, part, size, colour))
        y += round(1.3 * size)
    return y
