"""Laplacian blending: coarse structure runs out over a wide band, fine structure over a narrow one.

Source: Burt and Adelson 1983, "A Multiresolution Spline". The blend is linear, so the pyramid is built of the
difference generated - plate: at the square's border nothing of the plate's surroundings is needed.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from blending.types import Frame, Matte

COARSEST_PX = 16
FULL_FROM = 0.25
"""Coarse bands reach beyond the matte; the result fades to the plate below this alpha, to 0 where the matte is 0."""


def multiband(plate: Frame, generated: Frame, matte: Matte) -> tuple[Frame, Matte]:
    """Each band of generated - plate mixed in by the matte of its scale; the plate stays where the matte is 0."""
    mixed = added(plate, generated, matte)
    return np.clip(np.rint(plate + mixed), 0, 255).astype(np.uint8), matte


def added(plate: Frame, generated: Frame, matte: Matte) -> NDArray[np.float32]:
    """What `multiband` adds to the plate, float32 (H, W, 3) in levels."""
    mixed = _bands(generated.astype(np.float32) - plate, matte)
    mixed *= np.minimum(matte * np.float32(1 / FULL_FROM), 1)[..., None]
    return mixed


def _bands(difference: NDArray[np.float32], matte: NDArray[np.float32]) -> NDArray[np.float32]:
    height, width = matte.shape
    if min(height, width) < 2 * COARSEST_PX:
        return difference * matte[..., None]
    coarse = np.asarray(cv2.pyrDown(difference), np.float32)
    upper = _bands(coarse, np.asarray(cv2.pyrDown(matte), np.float32))
    size = (width, height)
    band = difference - cv2.pyrUp(coarse, dstsize=size)
    return np.asarray(cv2.pyrUp(upper, dstsize=size) + band * matte[..., None], np.float32)
