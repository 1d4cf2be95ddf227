"""How visible is the seam: gradient in the blend that neither the plate nor the generator explains.

Measured at S -> 192 px over the generator's square and .30 S around it, in CIELAB, over four octaves.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray
from skimage.color import deltaE_ciede2000

from blending.colour import to_lab
from blending.mask import Mask, face_outline, signed_distance, skin_mask
from blending.types import CropBox, Frame, Image, Landmarks, as_landmarks, check_frame, to_image

WORK_SIDE = 192
MARGIN_SHARE = 0.30
LIP_SHARE = 0.06
NECK_REACH = 58
OCTAVE_WEIGHTS = (1.0, 0.8, 0.6, 0.4)
SECTORS = ("left_cheek", "chin", "neck", "right_cheek")


@dataclass(frozen=True, eq=False)
class SeamScore:
    """score: mean of the largest 5 % of the heatmap over the band; lower is better, 0 = no seam.

    heatmap: float32 (K, K), the seam map over `roi` at 192 px per side of the generator's square, 0 outside the band.
    sectors: the same figure for left_cheek, chin, neck and right_cheek (as seen in the picture), 0 where a sector is
    not in view. roi: the part of the frame the heatmap covers; it may reach over the frame's edge.
    """

    score: float
    heatmap: NDArray[np.float32]
    sectors: dict[str, float]
    roi: CropBox


def seam_score(
    plate: Frame, blended: Frame, generated: Frame, box: CropBox, landmarks: Landmarks | ArrayLike
) -> SeamScore:
    """Seam score without a truth (seamU of specs/blending.md).

    plate, blended: uint8 (H, W, 3) of one size. generated: uint8 (K, K, 3), the generator's square, before or after its
    colour correction. Per octave e = min(|grad(blended - plate)|, |grad(blended - paste of generated)|), where near the
    square's border, within 3 * 2^octave px, only the first counts; v = w e / (1 + activity / 3) with the plate's own
    blurred gradient as activity; the heatmap is the largest v. 0 for a plate blended over itself.
    """
    marks = _checked(plate, blended, landmarks)
    check_frame(generated, "generated")
    roi = _roi(box)
    origin, outcome = roi.extract(plate), roi.extract(blended)
    paste = origin.copy()
    margin = box.x0 - roi.x0
    paste[margin : margin + box.side, margin : margin + box.side] = box.resize(generated)
    scale = WORK_SIDE / box.side
    lab_origin, lab_outcome, lab_paste = (_work_lab(part, scale) for part in (origin, outcome, paste))
    grid = _Grid(roi, box, scale, len(lab_origin))
    heatmap = _seam_map(lab_outcome - lab_origin, lab_outcome - lab_paste, lab_origin, grid.inward_px)
    band = grid.band(marks, (plate.shape[0], plate.shape[1]))
    heatmap[~band] = 0
    sectors = {name: _top5(heatmap[where & band]) for name, where in grid.sectors(marks).items()}
    return SeamScore(_top5(heatmap[band]), heatmap, sectors, roi)


def tint(plate: Frame, blended: Frame, box: CropBox, landmarks: Landmarks | ArrayLike) -> float:
    """Mean CIEDE2000 over the skin between blend and plate, both under a Gaussian of 4 px at S -> 192; 0 = same colour.

    A face without skin in view has 0.
    """
    marks = _checked(plate, blended, landmarks)
    skin = cv2.resize(skin_mask(marks, box).astype(np.uint8), (WORK_SIDE, WORK_SIDE), interpolation=cv2.INTER_NEAREST)
    chosen = np.asarray(skin) > 0
    if not chosen.any():
        return 0.0
    scale = WORK_SIDE / box.side
    first, second = (cv2.GaussianBlur(_work_lab(box.extract(part), scale), (0, 0), 4) for part in (plate, blended))
    return float(np.mean(deltaE_ciede2000(np.asarray(first)[chosen], np.asarray(second)[chosen])))


def _checked(plate: Frame, blended: Frame, landmarks: Landmarks | ArrayLike) -> Landmarks:
    check_frame(plate, "plate")
    check_frame(blended, "blended")
    if plate.shape != blended.shape:
        raise ValueError(f"blended must have the size of plate, {plate.shape[:2]}; got {blended.shape[:2]}")
    return as_landmarks(landmarks)


def _roi(box: CropBox) -> CropBox:
    margin = round(MARGIN_SHARE * box.side)
    return CropBox(box.x0 - margin, box.y0 - margin, box.side + 2 * margin)


def _work_lab(part: Frame, scale: float) -> Image:
    side = round(len(part) * scale)
    # Linear does not alias above half size; area at a ratio that is not whole costs five times as much.
    how = cv2.INTER_AREA if scale < 0.5 else cv2.INTER_LINEAR
    return to_lab(to_image(np.asarray(cv2.resize(part, (side, side), interpolation=how), np.uint8)))


@dataclass(frozen=True)
class _Grid:
    """Pixel centres of the working picture in frame px, and the regions laid over it."""

    roi: CropBox
    box: CropBox
    scale: float
    size: int

    @property
    def centres(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        steps = (np.arange(self.size) + 0.5) * (self.roi.side / self.size) - 0.5
        return self.roi.x0 + steps, self.roi.y0 + steps

    @property
    def inward_px(self) -> NDArray[np.float32]:
        """Distance from the square's border in working px, positive inside."""
        half = self.box.side / 2
        xs, ys = self.centres
        across, down = (half - np.abs(c - start - half + 0.5) for c, start in ((xs, self.box.x0), (ys, self.box.y0)))
        return (np.minimum(across[None, :], down[:, None]) * self.scale).astype(np.float32)

    def distance_px(self, polygon: NDArray[np.float32]) -> NDArray[np.float32]:
        """Signed distance to a convex polygon in working px, computed at a quarter of the resolution."""
        xs, ys = self.centres
        coarse = signed_distance(polygon, xs[::4], ys[::4]) * np.float32(self.scale)
        # cv2.remap samples the coarse grid exactly at the fine one's places; the last rows are held.
        across, down = np.meshgrid(*[np.arange(self.size, dtype=np.float32) / 4] * 2)
        fine = cv2.remap(coarse, across, down, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        return np.asarray(fine, np.float32)

    def band(self, marks: Landmarks, frame_hw: tuple[int, int]) -> Mask:
        """Inside square and frame, further than .06 * 192 px from the lips."""
        lips = np.asarray(cv2.convexHull(marks.region("outer_lip")), np.float32).reshape(-1, 2)
        xs, ys = self.centres
        rows, columns = (ys >= 0) & (ys <= frame_hw[0] - 1), (xs >= 0) & (xs <= frame_hw[1] - 1)
        off_lips = self.distance_px(lips) > LIP_SHARE * WORK_SIDE
        return off_lips & (self.inward_px > 0) & rows[:, None] & columns[None, :]

    def sectors(self, marks: Landmarks) -> dict[str, Mask]:
        """The square parted: neck outside the outline at most 58 px above the chin, chin below the lips and between
        their corners, a cheek on each side of the line from the nose bridge to the chin."""
        xs, ys = self.centres
        chin, bridge = marks.anchor("chin"), marks.anchor("crop_top")
        left, right = marks.anchor("left_lip_corner"), marks.anchor("right_lip_corner")
        slope = (chin[0] - bridge[0]) / max(float(chin[1] - bridge[1]), 1.0)
        from_axis = xs[None, :] - (chin[0] + np.clip(slope, -1, 1) * (ys[:, None] - chin[1]))
        outside = self.distance_px(face_outline(marks)) > 0
        neck = outside & (ys[:, None] > chin[1] - NECK_REACH / self.scale)
        lip_bottom = marks.region("outer_lip")[:, 1].max()
        below_lips = (ys[:, None] > lip_bottom) & (np.abs(from_axis) < abs(right[0] - left[0]) / 2)
        chin_part = ~neck & below_lips
        rest = ~neck & ~chin_part
        return dict(zip(SECTORS, (rest & (from_axis < 0), chin_part, neck, rest & (from_axis >= 0)), strict=True))


def _seam_map(
    from_plate: Image, from_paste: Image, plate: Image, inward_px: NDArray[np.float32]
) -> NDArray[np.float32]:
    size = plate.shape[1], plate.shape[0]
    heat = np.zeros(plate.shape[:2], np.float32)
    for octave, weight in enumerate(OCTAVE_WEIGHTS):
        if octave:
            from_plate, from_paste, plate, inward_px = (
                np.asarray(cv2.pyrDown(part), np.float32) for part in (from_plate, from_paste, plate, inward_px)
            )
        error = _gradient(cv2.GaussianBlur(from_plate, (0, 0), 0.8))
        explained = _gradient(cv2.GaussianBlur(from_paste, (0, 0), 0.8))
        error = np.where(np.abs(inward_px) < 3 * 2**octave, error, np.minimum(error, explained))
        activity = cv2.GaussianBlur(_gradient(plate), (0, 0), 2)
        value = np.float32(weight) * error / (1 + activity / 3)
        np.maximum(heat, cv2.resize(value, size, interpolation=cv2.INTER_LINEAR), out=heat)
    return heat


def _gradient(image: NDArray) -> NDArray[np.float32]:
    """Magnitude of Sobel 3x3 / 8 over both directions and all channels, (H, W)."""
    across, down = (cv2.Sobel(image, cv2.CV_32F, dx, 1 - dx, ksize=3, scale=1 / 8) for dx in (1, 0))
    energy = across * across + down * down
    return np.sqrt(cv2.transform(energy, np.ones((1, energy.shape[2]), np.float32)))


def _top5(values: NDArray[np.float32]) -> float:
    """Mean of the largest 5 % (at least one value); 0 of nothing."""
    if values.size == 0:
        return 0.0
    count = max(1, round(0.05 * values.size))
    return float(np.partition(values, values.size - count)[-count:].mean())
