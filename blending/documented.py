"""The documented functions on masks and frames, with feather_amount in pixels, as their documentation has it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from blending.composite import alpha
from blending.engine import checked_box
from blending.mask import face_matte, place
from blending.types import CropBox, Frame, Landmarks, Matte, as_landmarks, check_frame


def create_face_mask(
    landmarks: Landmarks | ArrayLike,
    image_shape: Sequence[int],
    expansion_ratio: float = 1.15,
    *,
    feather_amount: float = 30,
    box: CropBox | None = None,
) -> Matte:
    """Matte of a face, float32 (H, W): 0 = plate, 1 = generated.

    landmarks: (N, 2) in px, N = 68, 110 or 478. image_shape: (H, W) or (H, W, C). expansion_ratio >= 1: the outline
    grows by (expansion_ratio - 1) / 2 of the generator's square. feather_amount: px, >= 0. box: the generator's square;
    None computes it from the landmarks. The matte is 0 on and outside the square's border, whatever the other
    arguments. ValueError for anything else.
    """
    hw = _frame_hw(image_shape)
    marks = as_landmarks(landmarks)
    box = checked_box(box, marks, hw)
    return place(face_matte(marks, box, expansion_ratio, feather_amount), box, hw)


def blend_faces(
    original: Frame,
    generated_frame: Frame,
    landmarks: Landmarks | ArrayLike,
    feather_amount: float = 30,
    *,
    expansion_ratio: float = 1.15,
    box: CropBox | None = None,
) -> Frame:
    """The original with the generated face mixed in by `create_face_mask`; uint8 (H, W, 3).

    original, generated_frame: uint8 (H, W, 3) BGR of one size; colours are taken as they are (`match_color_histogram`
    comes before). feather_amount in px. Where the matte is 0 the original stays bit-exact; a frame blended over itself
    is itself. ValueError for other types, shapes and numbers.
    """
    check_frame(original, "original")
    check_frame(generated_frame, "generated_frame")
    if original.shape != generated_frame.shape:
        raise ValueError(
            f"generated_frame must have the size of original, {original.shape[:2]}; got {generated_frame.shape[:2]}"
        )
    marks = as_landmarks(landmarks)
    box = checked_box(box, marks, original.shape)
    matte = create_face_mask(marks, original.shape, expansion_ratio, feather_amount=feather_amount, box=box)
    rows, columns = box.inside((original.shape[0], original.shape[1]))
    blended = original.copy()
    blended[rows, columns], _ = alpha(original[rows, columns], generated_frame[rows, columns], matte[rows, columns])
    return blended


def _frame_hw(image_shape: Sequence[int]) -> tuple[int, int]:
    sizes = tuple(image_shape) if isinstance(image_shape, Sequence) else (image_shape,)
    if len(sizes) not in (2, 3) or not all(isinstance(n, int | np.integer) and n > 0 for n in sizes):
        raise ValueError(f"image_shape must be (H, W) or (H, W, C) in whole pixels above 0; got {sizes}")
    return int(sizes[0]), int(sizes[1])
