"""One frame blended: matte, colour and composite in the order that every preview and every render shares."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from blending.colour import COLOUR_METHODS, MIN_SKIN_PX
from blending.composite import COMPOSITORS
from blending.mask import FaceField, Mask, box_part, face_field, field_limits, field_matte, place, skin_mask
from blending.settings import BlendSettings
from blending.types import CropBox, Frame, Landmarks, Matte, as_landmarks, check_frame, to_frame, to_image

MAX_SQUARE = 4
"""The square may be this many times the frame's longer side; beyond it the landmarks are in other units."""


@dataclass(frozen=True, eq=False)
class BlendResult:
    """A blended frame and its proof.

    frame: uint8 (H, W, 3). matte: float32 (H, W) as it was used. limits: in words, what kept the blend from being what
    the settings ask for. feather_px: the feather asked for, in px. generated_matched: uint8 (side, side, 3), the square
    after its colour correction, before the matte.
    """

    frame: Frame
    matte: Matte
    limits: tuple[str, ...]
    box: CropBox
    feather_px: float
    generated_matched: Frame


class Blender:
    """Blends generated squares into plates by one set of settings.

    A result depends on the arguments of `blend` and the settings only. The geometry of the last face is kept, so that a
    moving slider pays for it once; `reset` forgets it.
    """

    def __init__(self, settings: BlendSettings | None = None) -> None:
        self.settings = settings or BlendSettings()
        self._geometry: tuple[bytes, CropBox, FaceField, Mask] | None = None

    def reset(self) -> None:
        """Forget the last face."""
        self._geometry = None

    def blend(
        self, plate: Frame, generated: Frame, box: CropBox | None, landmarks: Landmarks | ArrayLike
    ) -> BlendResult:
        """The plate with the generated face in it.

        plate: uint8 (H, W, 3) BGR. generated: uint8 (K, K, 3), the generator's square at any size, resized bicubic to
        the box. box: where it belongs; None takes `CropBox.from_landmarks`. landmarks: of the plate, in frame px, 68,
        110 or 478 points. Where the matte is 0 the plate stays bit-exact. A square or face outside the frame leaves the
        plate as it is and says so in `limits`. ValueError for other types and shapes.
        """
        check_frame(plate, "plate")
        check_frame(generated, "generated")
        marks = as_landmarks(landmarks)
        box = checked_box(box, marks, plate.shape)
        patch = np.ascontiguousarray(box.resize(generated))
        feather_px = self.settings.feather_px(box.side)
        rows, columns = box.inside((plate.shape[0], plate.shape[1]))
        if rows.start == rows.stop or columns.start == columns.stop:
            nothing = np.zeros(plate.shape[:2], np.float32)
            said = ("the generated picture lies outside the frame: the plate is left as it is",)
            return BlendResult(plate.copy(), nothing, said, box, feather_px, patch)
        field, skin = self._face(marks, box)
        base = box.extract(plate)
        visible = np.zeros((box.side, box.side), bool)
        part = box_part(box, rows, columns)
        visible[part] = True
        patch, colour_limits = self._match_colour(patch, base, skin & visible)
        matte = field_matte(field, self.settings.expansion_ratio, feather_px)
        composite, used = COMPOSITORS[self.settings.compositor](base, patch, matte)
        frame = plate.copy()
        frame[rows, columns] = composite[part]
        limits = frame_limits(visible) + colour_limits
        if used is matte:
            limits = field_limits(marks, field, self.settings.expansion_ratio, feather_px) + limits
        return BlendResult(frame, place(used, box, (plate.shape[0], plate.shape[1])), limits, box, feather_px, patch)

    def _face(self, marks: Landmarks, box: CropBox) -> tuple[FaceField, Mask]:
        key = marks.points.tobytes()
        if self._geometry is None or self._geometry[:2] != (key, box):
            field = face_field(marks, box)
            self._geometry = (key, box, field, skin_mask(marks, box, field))
        return self._geometry[2:]

    def _match_colour(self, patch: Frame, base: Frame, skin: Mask) -> tuple[Frame, tuple[str, ...]]:
        if self.settings.colour == "none" or self.settings.colour_amount == 0:
            return patch, ()
        count = int(skin.sum())
        if count < MIN_SKIN_PX:
            return patch, (f"colour is left as it is: {count} skin pixels in view, {MIN_SKIN_PX} are needed",)
        generated = to_image(patch)
        matched = COLOUR_METHODS[self.settings.colour](generated, to_image(base), skin)
        return to_frame(generated + np.float32(self.settings.colour_amount) * (matched - generated)), ()


def checked_box(box: CropBox | None, landmarks: Landmarks, frame_shape: tuple[int, ...]) -> CropBox:
    """The box, or the landmarks' own; ValueError when it is so large that it cannot belong to the frame."""
    box = box or CropBox.from_landmarks(landmarks)
    if box.side > MAX_SQUARE * max(frame_shape[:2]):
        raise ValueError(
            f"box must be at most {MAX_SQUARE} times the frame's longer side ({max(frame_shape[:2])} px); "
            f"got {box.side} px: are the landmarks in pixels of this frame?"
        )
    return box


def frame_limits(visible: Mask) -> tuple[str, ...]:
    """Says how much of the square lies outside the frame, when some of it does."""
    outside = 1 - float(visible.mean())
    return (f"{outside:.0%} of the generated picture lies outside the frame",) if outside > 0 else ()
