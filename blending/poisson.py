"""Gradient-domain compositing: the generated picture's gradients inside the matte, the plate's values around it.

Source: Perez, Gangnet and Blake 2003, "Poisson Image Editing", with plain (never mixed) gradients: mixed ones bring the
original mouth back.
"""

from __future__ import annotations

import cv2
import numpy as np
from numba import njit
from numpy.typing import NDArray

from blending.types import Frame, Matte

COARSEST_PX = 8
COARSE_SWEEPS = 40
FINE_SWEEPS = 12
OVER_RELAXATION = 1.7


def membrane_of_border(border: NDArray[np.float32], known: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Solution of Laplace's equation where not `known`, with `border` given where known; float32 (H, W, 3).

    The outermost pixels count as known. Successive over-relaxation from coarse to fine (cascadic multigrid, Bornemann
    and Deuflhard 1996): each level starts from the next coarser one's solution.
    """
    known = known.copy()
    known[[0, -1]] = known[:, [0, -1]] = True
    field = np.where(known[..., None], border, np.float32(0)).astype(np.float32)
    if known.all():
        return field
    height, width = known.shape
    if min(height, width) > 2 * COARSEST_PX:
        coarse = membrane_of_border(*_halved(field, known))
        wide = cv2.resize(coarse, (width + width % 2, height + height % 2), interpolation=cv2.INTER_LINEAR)
        np.copyto(field, wide[:height, :width], where=~known[..., None])
        _relax(field, known, FINE_SWEEPS, np.float32(OVER_RELAXATION))
    else:
        _relax(field, known, COARSE_SWEEPS, np.float32(OVER_RELAXATION))
    return field


def poisson(plate: Frame, generated: Frame, matte: Matte) -> tuple[Frame, Matte]:
    """The generated gradients between plate values where the matte is 0, then mixed by the matte.

    generated + c has the generated gradients and meets the plate on the matte's border when c is harmonic inside and
    equal to plate - generated outside. What lies further out (hair, collar) has no part in it.
    """
    mixed = plate + matte[..., None] * (healed(plate, generated, matte) - plate)
    return np.rint(mixed).astype(np.uint8), matte


def healed(plate: Frame, generated: Frame, matte: Matte) -> NDArray[np.float32]:
    """generated + c, what `poisson` mixes in, float32 (H, W, 3), 0..255."""
    error = plate.astype(np.float32) - generated
    return np.clip(generated + membrane_of_border(error, matte <= 0), 0, 255)


def _halved(field: NDArray[np.float32], known: NDArray[np.bool_]) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Every 2 x 2 pixels as one: known where one of them is, as the mean of those that touch an unknown one."""
    height, width = known.shape
    odd = ((0, height % 2), (0, width % 2))
    touching = known & (cv2.dilate((~known).astype(np.uint8), np.ones((3, 3), np.uint8)) > 0)
    counted, weight = (np.pad(mask, odd, mode="edge").astype(np.float32) for mask in (known, touching))
    total = _sum_of_four(np.pad(field, (*odd, (0, 0)), mode="edge") * weight[..., None])
    return total / np.maximum(_sum_of_four(weight), 1)[..., None], _sum_of_four(counted) > 0


def _sum_of_four(values: NDArray[np.float32]) -> NDArray[np.float32]:
    return values[::2, ::2] + values[1::2, ::2] + values[::2, 1::2] + values[1::2, 1::2]


@njit(cache=True, nogil=True)
def _relax(field, known, sweeps, omega):  # type: ignore[no-untyped-def]
    quarter = np.float32(0.25)
    for _ in range(sweeps):
        for row in range(1, field.shape[0] - 1):
            for column in range(1, field.shape[1] - 1):
                if known[row, column]:
                    continue
                for channel in range(3):
                    around = (
                        field[row - 1, column, channel]
                        + field[row + 1, column, channel]
                        + field[row, column - 1, channel]
                        + field[row, column + 1, channel]
                    )
                    here = field[row, column, channel]
                    field[row, column, channel] = here + omega * (quarter * around - here)
