"""The generated picture over the plate. Every compositor takes (plate, generated, matte) of one size, the part of the
frame under the generator's square, and returns the composite and the matte it really used; the plate stays bit-exact
where that matte is 0."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from blending.types import Frame, Matte

Compositor = Callable[[Frame, Frame, Matte], tuple[Frame, Matte]]


def alpha(plate: Frame, generated: Frame, matte: Matte) -> tuple[Frame, Matte]:
    """plate + matte (generated - plate), rounded to the nearest level (Porter and Duff 1984, *over*)."""
    base = plate.astype(np.float32)
    mixed = base + matte[..., None] * (generated - base)
    return np.rint(mixed).astype(np.uint8), matte


def hard(plate: Frame, generated: Frame, matte: Matte) -> tuple[Frame, Matte]:
    """The whole generated square, pasted: the documented fallback. The only one with a matte of 1 up to the border."""
    return generated.copy(), np.ones_like(matte)


COMPOSITORS: dict[str, Compositor] = {"alpha": alpha, "hard": hard}
