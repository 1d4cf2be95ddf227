"""The generated picture over the plate. Every compositor takes (plate, generated, matte) of one size, the part of the
frame under the generator's square, and returns the composite and the matte it really used; the plate stays bit-exact
where that matte is 0."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numba import njit

from blending.multiband import multiband
from blending.poisson import poisson
from blending.types import Frame, Matte, compact

Compositor = Callable[[Frame, Frame, Matte], tuple[Frame, Matte]]


def alpha(plate: Frame, generated: Frame, matte: Matte) -> tuple[Frame, Matte]:
    """plate + matte (generated - plate), rounded to the nearest level (Porter and Duff 1984, *over*)."""
    mixed = np.empty(plate.shape, np.uint8)
    _over(compact(plate), compact(generated), compact(matte), mixed)
    return mixed, matte


def hard(plate: Frame, generated: Frame, matte: Matte) -> tuple[Frame, Matte]:
    """The whole generated square, pasted: the documented fallback. The only one with a matte of 1 up to the border."""
    return generated.copy(), np.ones_like(matte)


@njit(cache=True, nogil=True)
def _over(plate, generated, matte, mixed):  # type: ignore[no-untyped-def]
    """Rows laid flat, so that the compiler does several values at once; by way of int32, which is one command."""
    width = matte.shape[1]
    shares, half = np.empty(3 * width, np.float32), np.float32(0.5)
    for row in range(len(matte)):
        base, drawn, line = plate[row].reshape(-1), generated[row].reshape(-1), mixed[row].reshape(-1)
        for column in range(width):
            share = matte[row, column]
            shares[3 * column] = share
            shares[3 * column + 1] = share
            shares[3 * column + 2] = share
        for k in range(3 * width):
            below = np.float32(base[k])
            line[k] = np.uint8(np.int32(below + shares[k] * (np.float32(drawn[k]) - below) + half))


COMPOSITORS: dict[str, Compositor] = {"alpha": alpha, "poisson": poisson, "multiband": multiband, "hard": hard}
"""By name. `hard` alone shows the square as it was drawn: no registration, no matte."""
