"""A finished blend taken apart again into foreground and matte, so that a plain *over* gives it back."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from blending.types import Frame, Matte

HALF_LEVEL = 0.45
"""What an over may miss a rounded level by: under .5, so that the matte's own rounding to 16 bits fits in."""

SMOOTH_SHARE = 0.05
"""Width of the Gaussian that what a compositor added is smoothed by, in parts of the picture's width."""


def foreground_of(
    plate: Frame, result: Frame, generated: Frame, matte: Matte
) -> tuple[NDArray[np.float32], Matte, bool]:
    """Foreground float32 (h, w, 3) in levels 0..255 and matte (h, w) with plate + matte (foreground - plate) = result,
    within half a level; and whether they had to be solved for.

    plate, result, generated: uint8 (h, w, 3), of one part of the frame; result is the plate where the matte is 0.
    Where the generated picture and the matte give the result by themselves (alpha, hard) they are returned. Otherwise
    (poisson, multiband) the foreground is the generated picture and what the compositor added to it, smooth, and never
    further from either than the result's rounding allows; where it would leave 0..255 the matte is raised, the least
    that is needed. A matte of 0 stays 0.
    """
    base, drawn = plate.astype(np.float32), generated.astype(np.float32)
    share = matte[..., None].astype(np.float32)
    there = result.astype(np.float32) - base
    if np.abs(share * (drawn - base) - there).max(initial=0) <= 0.502:
        return drawn, matte, False
    room = np.where(there > 0, 255 - base, base)
    needed = np.max((np.abs(there) - HALF_LEVEL) / np.maximum(room, 1), axis=2)
    raised = np.where(matte > 0, np.clip(np.maximum(matte, needed), 0, 1), 0).astype(np.float32)
    share = raised[..., None]
    width = max(1.0, SMOOTH_SHARE * plate.shape[1])
    added = cv2.GaussianBlur(share * (there - share * (drawn - base)), (0, 0), width)
    weight = cv2.GaussianBlur(share * share, (0, 0), width)
    guess = drawn + added / np.maximum(weight.reshape(*raised.shape, 1), 1e-6)
    safe = np.maximum(share, 1e-6)
    low, high = base + (there - HALF_LEVEL) / safe, base + (there + HALF_LEVEL) / safe
    solved = np.clip(np.clip(guess, low, high), 0, 255)
    return np.where(share > 0, solved, drawn).astype(np.float32), raised, True
