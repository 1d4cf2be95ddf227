"""What must stay plate: face parsing of SyncTalk_2D data sets and painted hold-outs."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from blending.mask import Mask, box_part
from blending.types import CropBox, Frame, Matte, check_frame

TORSO_BGR = (0, 0, 255)
BACKGROUND_BGR = (255, 255, 255)

SOFT_SHARE = 0.02
"""A parsing mask is as sharp as stairs: the matte rises over this part of the square's side beside it."""


def plate_mask_from_parsing(bgr: Frame) -> Mask:
    """True where a parsing picture of SyncTalk_2D (dataset/NAME/parsing/N.png) keeps the plate, bool (H, W).

    Exactly red (0, 0, 255), the clothes, and exactly white, the background, keep it; head, neck and every other colour,
    also those between that a lossy copy makes, do not. ValueError unless bgr is uint8 (H, W, 3).
    """
    check_frame(bgr, "parsing")
    return np.asarray((bgr == TORSO_BGR).all(axis=2) | (bgr == BACKGROUND_BGR).all(axis=2))


def checked_hold_out(mask: NDArray, name: str, frame_hw: tuple[int, int]) -> NDArray:
    """The mask, or ValueError unless it is bool or float 0..1 (H, W) of the frame's size."""
    if not isinstance(mask, np.ndarray) or mask.shape != frame_hw or mask.dtype.kind not in "bf":
        got = f"{mask.dtype} {mask.shape}" if isinstance(mask, np.ndarray) else type(mask).__name__
        raise ValueError(f"{name} must be a bool or float array of shape {frame_hw}; got {got}")
    if mask.dtype.kind == "f" and not bool(((mask >= 0) & (mask <= 1)).all()):
        raise ValueError(f"{name} must lie in 0 .. 1; got {float(mask.min())} .. {float(mask.max())}")
    return mask


def hold_back(matte: Matte, mask: NDArray, box: CropBox, frame_hw: tuple[int, int], soft_share: float) -> float:
    """Takes the matte of a square down where a mask of the whole frame keeps the plate, in place.

    mask: bool or float (H, W), 1 keeps the plate. soft_share: part of S over which the matte rises again beside what is
    kept; 0 takes the mask as painted. Returns the share of the matte that was taken away, 0..1.
    """
    rows, columns = box.inside(frame_hw)
    part = box_part(box, rows, columns)
    kept = mask[rows, columns].astype(np.float32)
    if soft_share and kept.any():
        off_px = cv2.distanceTransform((kept < 0.5).astype(np.uint8), cv2.DIST_L2, 5)
        t = np.clip(1 - (off_px - 0.5) / max(1.0, soft_share * box.side), 0, 1)
        kept = np.maximum(kept, t * t * (3 - 2 * t))
    before = float(matte.sum())
    matte[part] *= 1 - kept
    return 1 - float(matte.sum()) / before if before else 0.0
