"""The plate's fine texture (stubble, pores, grain) laid over generated skin that has lost it.

Networks draw smooth skin, and where the plate's stubble ends the eye finds the matte. What the plate has beyond its own
blur is added to the generated square: only as much as the square lacks, nowhere near the lips, and less where both
pictures differ in their coarse structure, since an edge of the plate's face is no texture of the generated one. It is
no mixed-gradient cloning: that takes the plate's edges everywhere, its mouth among them. Texture is brightness only:
the colours of a camera's grain say nothing. On an LS1 half trained, which drew no stubble, seams against the plate fell
from .96 to .74 and skin from .97 to .89, and the stubble no longer ended at the jaw.
"""

from __future__ import annotations

import cv2
import numpy as np
from numba import njit
from numpy.typing import NDArray

from blending.adaptive import Grey, still_difference
from blending.mask import ColourRegions
from blending.membrane import cell_means
from blending.types import Frame, Matte

BLUR_SHARE = 5 / 328
"""What a box of this part of S takes away is texture."""

WHOLE_AT, NONE_FROM = 0.45, 0.80
"""Fine detail of the square over the plate's: all of the texture is laid on up to the first, none from the second."""

FLAT_LEVELS = 0.5
"""A plate whose detail is less than this has no texture to lay on."""

AGREE_GREY2, AGREE_RED2 = 400.0, 36.0
"""Half as much texture where means over cells differ by 20 levels in brightness, or by 6 in red less green: generated
lips over the plate's chin. Means over cells, since a weight for each pixel comes and goes from frame to frame."""

LARGEST_LEVELS = 40.0
"""What stands out further is an edge."""


def brightness(square: Frame) -> Grey:
    """uint8 (side, side) of uint8 (side, side, 3): the weights of BT.601."""
    return np.asarray(cv2.cvtColor(square, cv2.COLOR_BGR2GRAY), np.uint8)


def lay_on_texture(
    generated: Frame, plate: Frame, greys: tuple[Grey, Grey], regions: ColourRegions, matte: Matte, amount: float
) -> tuple[Frame, float]:
    """The square with `amount`, 0..1, of the texture it lacks, uint8 (side, side, 3), and the share that was laid on.

    generated, plate: uint8 (side, side, 3), after registration and colour correction. greys: brightness of both,
    uint8 (side, side). matte: of the square; where it is 0 nothing is laid on, since nothing
    is seen. The share is 0, and the square the same array, where the plate has no more detail than the square: two
    equal pictures stay what they are.
    """
    share = amount * lacking_share(greys, regions) if amount > 0 else 0.0
    if share == 0:
        return generated, 0.0
    coarse = coarse_brightness(greys[1])
    textured, side = generated.copy(), (len(generated), len(generated))
    off = cell_means(generated, len(regions.trust)) - cell_means(plate, len(regions.trust))
    cells = regions.off_lips * (np.float32(share) * regions.in_view) * _agreement(off)
    weight = cv2.resize(cells, side, interpolation=cv2.INTER_LINEAR)
    part = cv2.boundingRect((matte > 0).view(np.uint8))
    _add(greys[1], coarse, weight, part, textured.reshape(len(generated), -1))
    return textured, share


def lacking_share(greys: tuple[Grey, Grey], regions: ColourRegions) -> float:
    """Part of the plate's texture that the square lacks, 0..1; greys: brightness of both, uint8 (side, side)."""
    step = _step(len(greys[0]))
    if step == 0:
        return 0.0
    # Detail is what changes over a few pixels; differences need no blur, and no rounding of one.
    drawn, there = (still_difference(grey[:-step, :-step], grey[step:, step:], regions) for grey in greys)
    if there is None or drawn is None or there < FLAT_LEVELS:
        return 0.0
    return min(max((NONE_FROM - drawn / there) / (NONE_FROM - WHOLE_AT), 0.0), 1.0)


def coarse_brightness(grey: Grey) -> Grey:
    """A square's brightness without its texture, uint8 (side, side)."""
    width = 2 * _step(len(grey)) + 1
    return np.asarray(cv2.blur(grey, (width, width)), np.uint8)


def _step(side: int) -> int:
    return round(BLUR_SHARE * side / 2)


def _agreement(off: NDArray[np.float32]) -> NDArray[np.float32]:
    """How far both pictures show the same skin, 0..1 over cells, float32 (cells, cells), blurred. off: what separates
    their means, levels, (cells, cells, 3)."""
    grey, red = cv2.transform(off, np.array([[0.114, 0.587, 0.299]], np.float32)), off[..., 2] - off[..., 1]
    agreed = 1 / (1 + grey**2 * np.float32(1 / AGREE_GREY2) + red**2 * np.float32(1 / AGREE_RED2))
    return np.asarray(cv2.blur(agreed, (3, 3)), np.float32)


@njit(cache=True, nogil=True, error_model="numpy")
def _add(grey, coarse, weight, part, textured):  # type: ignore[no-untyped-def]
    """In place, in part (x, y, width, height); the rows of `textured` are laid flat, (side, 3 side). A step at a time:
    with more pictures in one loop the compiler does one value at once."""
    half, zero, top, most = np.float32(0.5), np.float32(0), np.float32(255), np.float32(LARGEST_LEVELS)
    left, first_row, wide, high = part
    fine, more = np.empty(wide, np.float32), np.empty(3 * wide, np.float32)
    for row in range(first_row, first_row + high):
        line, counts = textured[row, 3 * left : 3 * (left + wide)], weight[row, left : left + wide]
        base, soft = grey[row, left : left + wide], coarse[row, left : left + wide]
        for k in range(wide):
            fine[k] = counts[k] * min(max(np.float32(base[k]) - np.float32(soft[k]), -most), most)
        for k in range(wide):
            more[3 * k] = more[3 * k + 1] = more[3 * k + 2] = fine[k]
        for k in range(3 * wide):
            level = np.float32(line[k]) + more[k] + half
            line[k] = np.uint8(np.int32(min(max(level, zero), top)))
