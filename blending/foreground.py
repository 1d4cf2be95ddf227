"""A finished blend taken apart again into foreground and matte, so that a plain *over* gives it back."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from blending.multiband import added
from blending.poisson import healed
from blending.types import Frame, Matte

HALF_LEVEL = 0.45
"""What an over may miss a rounded level by: under .5, so that the matte's own rounding to 16 bits fits in."""

Levels = NDArray[np.float32]


def drawn(plate: Frame, generated: Frame, matte: Matte) -> Levels:
    """alpha and hard lay the generated picture over the plate as it is."""
    return generated.astype(np.float32)


def of_bands(plate: Frame, generated: Frame, matte: Matte) -> Levels:
    """What multiband adds, over the matte; it may leave 0..255."""
    share = np.maximum(matte, 1e-6)[..., None]
    return np.asarray(plate + added(plate, generated, matte) / share, np.float32)


FOREGROUNDS: dict[str, Callable[[Frame, Frame, Matte], Levels]] = {
    "alpha": drawn, "poisson": healed, "multiband": of_bands, "hard": drawn,
}  # fmt: skip
"""By compositor: what an over with the matte it used would need, before rounding."""


def foreground_of(
    compositor: str, plate: Frame, result: Frame, generated: Frame, matte: Matte
) -> tuple[Levels, Matte, bool]:
    """Foreground float32 (h, w, 3) in levels 0..255 and matte (h, w) with plate + matte (foreground - plate) = result,
    within half a level; and whether they are others than what went into the compositor.

    plate, result, generated: uint8 (h, w, 3), of one part of the frame, and the matte the compositor used; result is
    the plate where the matte is 0. Where the generated picture and the matte give the result by themselves (alpha,
    hard) they are returned. Otherwise (poisson, multiband) the foreground is what the compositor mixed in, never
    further off than the result's rounding allows; where it would leave 0..255 the matte is raised, the least that is
    needed. A matte of 0 stays 0. ValueError for an unknown compositor.
    """
    if compositor not in FOREGROUNDS:
        raise ValueError(f"compositor must be one of {', '.join(FOREGROUNDS)}; got {compositor!r}")
    base = plate.astype(np.float32)
    share = matte[..., None].astype(np.float32)
    there = result.astype(np.float32) - base
    if np.abs(share * (generated - base) - there).max(initial=0) <= 0.502:
        return generated.astype(np.float32), matte, False
    wanted = share * (FOREGROUNDS[compositor](plate, generated, matte) - base)
    wanted = np.clip(wanted, there - HALF_LEVEL, there + HALF_LEVEL)
    room = np.where(wanted > 0, 255 - base, base)
    needed = np.where(np.abs(wanted) > HALF_LEVEL, np.abs(wanted) / np.maximum(room, HALF_LEVEL), 0).max(axis=2)
    raised = np.where(matte > 0, np.minimum(np.maximum(matte, needed), 1), 0).astype(np.float32)
    over = raised[..., None]
    solved = np.clip(base + wanted / np.maximum(over, 1e-6), 0, 255)
    return np.where(over > 0, solved, generated).astype(np.float32), raised, True
