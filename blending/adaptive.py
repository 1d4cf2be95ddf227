"""Parameters that follow what is measured in the frame: how near the corrected square came to the plate decides how
wide its feather has to be.

A square that agrees with the plate needs no long way from one to the other, and a short one leaves more of the
generated face; one that differs in texture, place or colour does. The measure is the median over cells that speech does
not move, so that another expression, hair or an earring do not count as a mismatch. On simulated generators it is 1 to
2 levels at strength 1, where half the feather is best, and 2.5 to 5 at strength 3, where all of it is; on LS1 it is 2.1
on the clips in the light it was trained in and 4.6 on the evening clip. At 5.5 (an LS1 half trained, in the evening) a
wider one took the tint from 1.46 to 1.31 and the flicker from .75 to .70.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
from numba import njit
from numpy.typing import NDArray

from blending.mask import ColourRegions

Grey: TypeAlias = NDArray[np.uint8]
"""Brightness of a square, uint8 (side, side)."""

SHARES = ((1.0, 0.5), (2.2, 1.0), (4.0, 1.0), (5.5, 1.2))
"""Mismatch in levels and the part of the feather it needs, linear between and constant beyond: half of it for a square
that agrees with the plate, a fifth more for one in quite another light."""

REACHES = ((14.0, 1.0), (30.0, 2.2))
"""Difference at the chin in levels and what it multiplies the reach below the chin by, linear between and constant
beyond. A jaw that hangs lower than the plate's ends in a dark line where the matte ends: on LS1's wide open mouths the
seam score falls from .69 to .38, and closed ones keep the plate's neck."""

MIN_CELLS = 12
"""Fewer still cells than this tell nothing: the feather stays whole."""


def still_difference(first: Grey, second: Grey, regions: ColourRegions) -> float | None:
    """Median over the cells that speech does not move of the mean absolute difference, levels, between two pictures of
    the square's brightness, uint8 (side, side); 0 for equal ones, None where too few such cells are in view."""
    found = _differences(first, second, regions.still_cells)
    return None if len(found) < MIN_CELLS else float(np.partition(found, len(found) // 2)[len(found) // 2])


def chin_difference(first: Grey, second: Grey, regions: ColourRegions) -> float:
    """Mean absolute difference along the chin, levels, between two such pictures; 0 where it is not in view."""
    found = _differences(first, second, regions.chin_cells)
    return float(found.mean()) if len(found) else 0.0


def _differences(first: Grey, second: Grey, cells: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Mean absolute difference of each chosen cell, float32 (K,), levels."""
    found = np.empty(int(cells.sum()), np.float32)
    _cell_differences(first, second, cells, np.arange(len(cells) + 1) * len(second) // len(cells), found)
    return found


def feather_share(mismatch: float | None) -> float:
    """Part of the feather that a mismatch in levels needs, .5 to 1.2, by SHARES; 1 where it is not known."""
    return 1.0 if mismatch is None else _along(SHARES, mismatch)


def reach_share(difference: float) -> float:
    """What a difference at the chin in levels multiplies the reach below it by, 1 to 2.2, by REACHES."""
    return _along(REACHES, difference)


def _along(table: Sequence[tuple[float, float]], value: float) -> float:
    levels, shares = zip(*table, strict=True)
    return float(np.interp(value, levels, shares))


@njit(cache=True, nogil=True, error_model="numpy")
def _cell_differences(first, second, chosen, edges, found):  # type: ignore[no-untyped-def]
    """Mean absolute difference of each chosen cell, over every second pixel of every second row."""
    cells, count = len(chosen), 0
    for i in range(cells):
        for j in range(cells):
            if chosen[i, j] == 0:
                continue
            total, pixels = np.int32(0), 0
            for row in range(edges[i], edges[i + 1], 2):
                for column in range(edges[j], edges[j + 1], 2):
                    total += np.abs(np.int32(first[row, column]) - np.int32(second[row, column]))
                    pixels += 1
            found[count] = np.float32(total) / np.float32(pixels)
            count += 1
