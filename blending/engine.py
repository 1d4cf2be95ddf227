"""One frame blended: registration, colour, matte and composite in the order that every preview and render shares."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from numbers import Real

import cv2
import numpy as np
from numpy.typing import ArrayLike

from blending.adaptive import Grey, chin_difference, feather_share, reach_share, still_difference
from blending.colour import match_colour
from blending.composite import COMPOSITORS
from blending.mask import ColourRegions, Mask, MatteShape, face_field, field_limits, field_matte, visible_part
from blending.parsing import SOFT_SHARE, checked_hold_out, hold_back
from blending.registration import Registration, register, resample
from blending.settings import BlendSettings
from blending.texture import brightness, lay_on_texture
from blending.types import CropBox, Frame, Landmarks, Matte, as_landmarks, check_frame, check_square, compact

MAX_SQUARE = 4
"""The square may be this many times the frame's longer side; beyond it the landmarks are in other units."""

IDENTITY = Registration()


@dataclass(frozen=True, eq=False)
class BlendResult:
    """A blended frame and its proof.

    patch, patch_matte: the composite and the matte as it was used, uint8 (h, w, 3) and float32 (h, w), over the part of
    the frame that starts at (row, column) `corner`; around it the frame is `plate` and the matte 0. Without a plate the
    patch is the whole frame. explain: gives the words of `limits`. feather_px:
    the feather's width as it was used, in px. generated_matched: uint8 (side, side, 3), the square after registration
    and colour correction and with its texture, before the matte. chosen: what was measured and chosen for this frame,
    by name. cost_ms: time per stage.
    """

    patch: Frame
    patch_matte: Matte
    explain: Callable[[], tuple[str, ...]]
    box: CropBox
    feather_px: float
    generated_matched: Frame
    plate: Frame | None = None
    corner: tuple[int, int] = (0, 0)
    registration: Registration = IDENTITY
    chosen: Mapping[str, float] = field(default_factory=dict)
    cost_ms: Mapping[str, float] = field(default_factory=dict)

    @cached_property
    def limits(self) -> tuple[str, ...]:
        """In words, what kept the blend from being what the settings ask for; put into words when it is first asked
        for: a render does not ask."""
        return self.explain()

    @cached_property
    def frame(self) -> Frame:
        """uint8 (H, W, 3), composed when it is first asked for (a copy of the plate costs more than the blend): the
        plate must not have been changed by then."""
        if self.plate is None:
            return self.patch
        frame = self.plate.copy()
        frame[self.rows, self.columns] = self.patch
        return frame

    @cached_property
    def matte(self) -> Matte:
        """float32 (H, W), composed when it is first asked for."""
        if self.plate is None:
            return self.patch_matte
        matte = np.zeros(self.plate.shape[:2], np.float32)
        matte[self.rows, self.columns] = self.patch_matte
        return matte

    @property
    def rows(self) -> slice:
        return slice(self.corner[0], self.corner[0] + self.patch.shape[0])

    @property
    def columns(self) -> slice:
        return slice(self.corner[1], self.corner[1] + self.patch.shape[1])


class Blender:
    """Blends generated squares into plates by one set of settings.

    A result depends on the arguments of `blend` and the settings only. The geometry of the last face is kept, so that a
    moving slider pays for it once; `reset` forgets it.
    """

    def __init__(self, settings: BlendSettings | None = None) -> None:
        if settings is not None and not isinstance(settings, BlendSettings):
            raise ValueError(
                f"settings must be BlendSettings; got {type(settings).__name__}: see BlendSettings.parse for mappings"
            )
        self.settings = settings or BlendSettings()
        self._face: tuple[tuple[object, ...], ColourRegions] | None = None

    def reset(self) -> None:
        """Forget the last face."""
        self._face = None

    def blend(
        self,
        plate: Frame,
        generated: Frame,
        box: CropBox | None,
        landmarks: Landmarks | ArrayLike,
        *,
        registration: Registration | None = None,
        generated_landmarks: Landmarks | ArrayLike | None = None,
        hold_out: Matte | Mask | None = None,
        parsing: Mask | None = None,
        opacity: float = 1.0,
        out: Frame | None = None,
    ) -> BlendResult:
        """The plate with the generated face in it.

        plate: uint8 (H, W, 3) BGR. generated: uint8 (K, K, 3), the generator's square at any size, resized bicubic to
        the box. box: where it belongs; None takes `CropBox.from_landmarks`. landmarks: of the plate, frame px, 68,
        110 or 478 points; generated_landmarks: of the generated face in the frame, where known: the matte then holds
        both jaws.

        registration: as measured and smoothed over the clip; None measures this frame alone, or takes none when the
        setting is off. hold_out: bool or 0..1 (H, W), painted: 1 keeps the plate. parsing: bool (H, W) of
        `plate_mask_from_parsing`; used when the setting is on. opacity: 0..1, multiplies the matte: ramps at cuts.
        out: a frame to write into; the plate itself is changed in place, and only where the matte is above 0.

        Where the matte is 0 the plate stays bit-exact. A square or face outside the frame leaves the plate as it is and
        says so in `limits`. ValueError for other types and shapes.
        """
        check_frame(plate, "plate")
        check_frame(generated, "generated")
        marks = as_landmarks(landmarks)
        frame_hw = plate.shape[0], plate.shape[1]
        box = checked_box(box, marks, plate.shape)
        check_square(generated, "generated")
        _check_share(opacity, "opacity")
        if out is not None and check_frame(out, "out").shape != plate.shape:
            raise ValueError(f"out must have the size of plate, {plate.shape}; got {out.shape}")
        if out is not None and not out.flags.writeable:
            raise ValueError("out must be writable; got a read-only array")
        if registration is not None and not isinstance(registration, Registration):
            raise ValueError(f"registration must be a Registration or None; got {type(registration).__name__}")
        held = {"hold-out": (hold_out, 0.0)}
        if self.settings.use_parsing == "on":
            held["parsing mask"] = (parsing, SOFT_SHARE)
        masks = [(name, checked_hold_out(m, name, frame_hw), soft) for name, (m, soft) in held.items() if m is not None]

        rows, columns = box.inside(frame_hw)
        if rows.start == rows.stop or columns.start == columns.stop:
            said = ("the generated picture lies outside the frame: the plate is left as it is",)
            nothing = np.empty((0, 0, 3), np.uint8)
            return _finished(
                BlendResult(
                    nothing, np.zeros((0, 0), np.float32), lambda: said, box, self.settings.feather_px(box.side),
                    box.resize(generated), plate,
                ),
                out,
            )  # fmt: skip

        clock = _Clock()
        regions = self._regions(marks, box, generated_landmarks, frame_hw)
        base = compact(box.extract(plate))
        clock.lap("geometry")
        registration = self._registration(registration, base, generated, regions)
        clock.lap("registration")
        square = resample(generated, box.side, registration) if registration.moves else box.resize(generated)
        clock.lap("resample")
        square, colour_limits = match_colour(
            self.settings.colour, compact(square), base, regions, self.settings.colour_amount
        )
        clock.lap("colour")
        greys = brightness(square), brightness(base)
        shape, measured = self._shape(greys, regions)
        clock.lap("match")
        matte = field_matte(regions.field, shape)
        if opacity < 1:
            matte *= np.float32(opacity)
        for name, mask, soft in masks:
            taken = hold_back(matte, mask, box, frame_hw, soft)
            colour_limits += (f"{name} keeps the plate in {taken:.0%} of the matte",)
        clock.lap("matte")
        if self.settings.compositor != "hard":
            square, share = lay_on_texture(square, base, greys, regions, matte, self.settings.texture)
            measured["texture_share"] = share
        clock.lap("texture")
        composite, used = COMPOSITORS[self.settings.compositor](base, square, matte)
        clock.lap("composite")

        def explain() -> tuple[str, ...]:
            limits = frame_limits(box, rows, columns) + colour_limits
            return field_limits(marks, regions.field, shape) + limits if used is matte else limits

        part = slice(rows.start - box.y0, rows.stop - box.y0), slice(columns.start - box.x0, columns.stop - box.x0)
        return _finished(
            BlendResult(
                composite[part], used[part], explain, box, shape.feather_px, square, plate,
                (rows.start, columns.start), registration, measured | _chosen(shape, box.side), clock.laps,
            ),
            out,
        )  # fmt: skip

    def _regions(
        self, marks: Landmarks, box: CropBox, generated: Landmarks | ArrayLike | None, frame_hw: tuple[int, int]
    ) -> ColourRegions:
        drawn = None if generated is None else as_landmarks(generated)
        key = (marks.points.tobytes(), None if drawn is None else drawn.points.tobytes(), box, frame_hw)
        if self._face is None or self._face[0] != key:
            regions = ColourRegions(marks, face_field(marks, box, drawn), visible_part(box, frame_hw))
            self._face = (key, regions)
        return self._face[1]

    def _shape(self, greys: tuple[Grey, Grey], regions: ColourRegions) -> tuple[MatteShape, dict[str, float]]:
        """The matte's numbers, its feather and its reach below the chin by the match where that is asked for; and what
        was measured.
        greys: brightness of the corrected square and of the plate's."""
        side = len(greys[0])
        if not self.settings.follows_match or self.settings.compositor == "hard":
            return self.settings.matte_shape(side), {}
        mismatch, chin = still_difference(*greys, regions), chin_difference(*greys, regions)
        measured = {"feather_share": feather_share(mismatch), "reach_share": reach_share(chin), "chin_levels": chin}
        if mismatch is not None:
            measured["mismatch_levels"] = mismatch
        return self.settings.matte_shape(side, measured["feather_share"], measured["reach_share"]), measured

    def _registration(
        self, given: Registration | None, base: Frame, generated: Frame, regions: ColourRegions
    ) -> Registration:
        if self.settings.registration == "off" or self.settings.compositor == "hard":
            return IDENTITY
        return register(base, generated, regions) if given is None else given


def _chosen(shape: MatteShape, side: int) -> dict[str, float]:
    """What the settings came to, px."""
    return {
        "feather_px": shape.feather_px,
        "reach_px": shape.reach_px(side),
        "reach_below_px": shape.reach_px(side, shape.down_share),
        "reach_beside_px": shape.reach_px(side, shape.side_share),
    }


class _Clock:
    """Milliseconds since the lap before, by name."""

    def __init__(self) -> None:
        self.laps: dict[str, float] = {}
        self._last = time.perf_counter()

    def lap(self, name: str) -> None:
        now = time.perf_counter()
        self.laps[name] = 1000 * (now - self._last)
        self._last = now


def _finished(result: BlendResult, out: Frame | None) -> BlendResult:
    """The result, written into `out` where one is given."""
    if out is None or result.plate is None:
        return result
    if out is not result.plate:
        np.copyto(out, result.plate)
    out[result.rows, result.columns] = result.patch
    result.__dict__["frame"] = out
    return result


def _check_share(value: float, name: str) -> None:
    if isinstance(value, bool) or not isinstance(value, Real) or not 0 <= value <= 1:
        raise ValueError(f"{name} must be a number of 0 to 1; got {value!r}")


def warm_up() -> None:
    """Compiles (or loads from numba's cache) every kernel of the engine on a small face: seconds once, at start-up."""
    marks, box, plate = _sample()
    smooth = np.asarray(cv2.blur(plate[12:76, 12:76], (9, 9)), np.uint8)  # what lacks texture needs every kernel
    for compositor in COMPOSITORS:
        Blender(BlendSettings(compositor=compositor)).blend(plate, smooth, box, marks)


def _sample() -> tuple[Landmarks, CropBox, Frame]:
    """A face of 68 points on two circles over a shaded frame of 96 px."""
    turn = np.linspace(0, 2 * np.pi, 68, endpoint=False)
    points = 48 + np.column_stack([np.cos(turn), np.sin(turn)]) * np.where(np.arange(68) < 48, 32, 8)[:, None]
    y, x = np.mgrid[:96, :96]
    plate = np.dstack([90 + y // 4, 110 + x // 4, 140 + (x * y) % 17]).astype(np.uint8)
    return Landmarks(points.astype(np.float32)), CropBox(12, 12, 72), plate


def checked_box(box: CropBox | None, landmarks: Landmarks, frame_shape: tuple[int, ...]) -> CropBox:
    """The box, or the landmarks' own; ValueError when it is so large that it cannot belong to the frame."""
    if box is not None and not isinstance(box, CropBox):
        raise ValueError(f"box must be a CropBox or None; got {type(box).__name__}")
    box = CropBox.from_landmarks(landmarks) if box is None else box
    if box.side > MAX_SQUARE * max(frame_shape[:2]):
        raise ValueError(
            f"box must be at most {MAX_SQUARE} times the frame's longer side ({max(frame_shape[:2])} px); "
            f"got {box.side} px: are the landmarks in pixels of this frame?"
        )
    return box


def frame_limits(box: CropBox, rows: slice, columns: slice) -> tuple[str, ...]:
    """Says how much of the square lies outside the frame, when some of it does. rows, columns: `box.inside`."""
    outside = 1 - (rows.stop - rows.start) * (columns.stop - columns.start) / box.side**2
    return (f"{outside:.0%} of the generated picture lies outside the frame",) if outside > 0 else ()
