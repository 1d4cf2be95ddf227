"""How visible is the seam: gradient in the blend that neither the plate nor the generator explains.

Measured at S -> 192 px over the generator's square and .30 S around it, in CIELAB, over four octaves.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from blending.mask import Mask, face_outline, skin_mask
from blending.perception import colour_difference, gradient, lab_of, raise_to
from blending.types import CropBox, Frame, Image, Landmarks, as_landmarks, check_frame

WORK_SIDE = 192
MARGIN_SHARE = 0.30
LIP_SHARE = 0.06
NECK_REACH = 58
OCTAVE_WEIGHTS = (1.0, 0.8, 0.6, 0.4)
SECTORS = ("left_cheek", "chin", "neck", "right_cheek")

WINDOW_MARGIN = 32
"""The band lies inside the square: pictures are filtered this many working px around it, and no further."""


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
    check_pair(plate, blended)
    check_frame(generated, "generated")
    marks, grid = as_landmarks(landmarks), WorkGrid.around(box)
    pictures = grid.work(plate), grid.work(blended), grid.work_paste(plate, generated)
    origin, outcome, paste = (lab_of(picture[grid.window]) for picture in pictures)
    heatmap = seam_map(grid, origin, outcome - origin, outcome - paste)
    band = grid.band(marks, (plate.shape[0], plate.shape[1]))
    heatmap *= band
    inner, inner_band = heatmap[grid.window], band[grid.window]  # outside the window both are 0
    sectors = {name: top5(inner[where[grid.window] & inner_band]) for name, where in grid.sectors(marks).items()}
    return SeamScore(top5(heatmap[band]), heatmap, sectors, grid.roi)


def tint(plate: Frame, blended: Frame, box: CropBox, landmarks: Landmarks | ArrayLike) -> float:
    """Mean CIEDE2000 over the skin between blend and plate, both under a Gaussian of 4 px at S -> 192; 0 = same colour.

    A face without skin in view has 0.
    """
    check_pair(plate, blended)
    skin = skin_mask(as_landmarks(landmarks), box).astype(np.uint8)
    chosen = cv2.resize(skin, (WORK_SIDE, WORK_SIDE), interpolation=cv2.INTER_NEAREST) > 0
    if not chosen.any():
        return 0.0
    first, second = (
        cv2.GaussianBlur(lab_of(resized(box.extract(part), WORK_SIDE)), (0, 0), 4) for part in (plate, blended)
    )
    return float(np.mean(colour_difference(np.asarray(first)[chosen], np.asarray(second)[chosen])))


def seam_map(
    grid: WorkGrid, reference: Image, difference: Image, unexplained: Image | None = None
) -> NDArray[np.float32]:
    """Visible gradient of a difference, float32 (size, size), 0 outside the grid's window; pictures cover the window.

    reference: LAB of what the eye compares with; its blurred gradient hides errors. difference: LAB of the blend less
    the reference. unexplained: LAB of the blend less the generator's paste; away from the square's border the smaller
    of both gradients counts.
    """
    heat = np.zeros((grid.size, grid.size), np.float32)
    worst = np.zeros(reference.shape[:2], np.float32)
    for octave, weight in enumerate(OCTAVE_WEIGHTS):
        if octave:
            reference, difference = _half(reference), _half(difference)
            unexplained = None if unexplained is None else _half(unexplained)
        error = gradient(_softened(difference))
        if unexplained is not None:
            inner = grid.inner(octave)
            error[inner] = np.minimum(error[inner], gradient(_softened(unexplained))[inner])
        activity = cv2.GaussianBlur(gradient(reference), (13, 13), 2)
        error *= np.float32(weight) / (1 + activity * np.float32(1 / 3))
        raise_to(worst, error, octave)
    heat[grid.window] = worst
    return heat


def top5(values: NDArray[np.float32]) -> float:
    """Mean of the largest 5 % (at least one value); 0 of nothing."""
    if values.size == 0:
        return 0.0
    count = max(1, round(0.05 * values.size))
    return float(np.partition(values, values.size - count)[-count:].mean())


def check_pair(plate: Frame, blended: Frame) -> None:
    """ValueError unless both are uint8 (H, W, 3) of one size."""
    check_frame(plate, "plate")
    check_frame(blended, "blended")
    if plate.shape != blended.shape:
        raise ValueError(f"blended must have the size of plate, {plate.shape[:2]}; got {blended.shape[:2]}")


def resized(part: Frame, side: int) -> Frame:
    """A square picture at `side` px. Linear does not alias above half size; area at a ratio that is not whole costs
    five times as much."""
    how = cv2.INTER_AREA if 2 * side < len(part) else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(part, (side, side), interpolation=how), np.uint8)


@dataclass(frozen=True)
class WorkGrid:
    """The working picture: `roi` of the frame, the square `box` and .30 S around it, at `size` px a side, so that the
    square has 192 px. Regions are bool (size, size)."""

    box: CropBox
    roi: CropBox
    size: int

    @classmethod
    def around(cls, box: CropBox) -> WorkGrid:
        margin = round(MARGIN_SHARE * box.side)
        roi = CropBox(box.x0 - margin, box.y0 - margin, box.side + 2 * margin)
        return cls(box, roi, round(roi.side * WORK_SIDE / box.side))

    @property
    def scale(self) -> float:
        """Working px per frame px."""
        return WORK_SIDE / self.box.side

    def work(self, frame: Frame) -> Frame:
        """The frame's part at working size."""
        return resized(self.roi.extract(frame), self.size)

    def work_paste(self, plate: Frame, generated: Frame) -> Frame:
        """The plate's part with the generated square pasted in, at working size."""
        paste, start = self.roi.extract(plate).copy(), self.box.x0 - self.roi.x0
        paste[start : start + self.box.side, start : start + self.box.side] = self.box.resize(generated)
        return resized(paste, self.size)

    def lab(self, frame: Frame) -> Image:
        """The frame's part at working size in CIELAB."""
        return lab_of(self.work(frame))

    def points(self, points: NDArray[np.floating]) -> NDArray[np.float64]:
        """Frame px as working px."""
        return (points - (self.roi.x0 - 0.5, self.roi.y0 - 0.5)) * (self.size / self.roi.side) - 0.5

    @cached_property
    def centres(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Columns' x and rows' y in frame px."""
        steps = (np.arange(self.size) + 0.5) * (self.roi.side / self.size) - 0.5
        return self.roi.x0 + steps, self.roi.y0 + steps

    @cached_property
    def inward_px(self) -> NDArray[np.float64]:
        """Of every column, and equally of every row, the distance from the square's border in working px, positive
        inside."""
        half = self.box.side / 2
        return (half - np.abs(self.centres[0] - self.box.x0 - half + 0.5)) * self.scale

    @cached_property
    def window(self) -> tuple[slice, slice]:
        """The square and 24 px around it; starts at a multiple of 8, so that four octaves share their pixels."""
        inside = np.flatnonzero(self.inward_px > -WINDOW_MARGIN)
        whole = slice(int(inside[0]) // 8 * 8, int(inside[-1]) + 1)
        return whole, whole

    def inner(self, octave: int) -> tuple[slice, slice]:
        """Within the window at that octave: further than 3 * 2^octave px inside the square."""
        deep = np.flatnonzero(self.inward_px[self.window[0]][:: 2**octave] >= 3 * 2**octave)
        whole = slice(int(deep[0]), int(deep[-1]) + 1)
        return whole, whole

    def square(self, inset_px: float = 0.0) -> Mask:
        """Inside the square by more than inset_px."""
        inside = self.inward_px > inset_px
        return inside[:, None] & inside[None, :]

    def in_frame(self, frame_hw: tuple[int, int]) -> Mask:
        xs, ys = self.centres
        return ((ys >= 0) & (ys <= frame_hw[0] - 1))[:, None] & ((xs >= 0) & (xs <= frame_hw[1] - 1))[None, :]

    def near(self, points: NDArray[np.floating], reach_px: float = 0.0) -> Mask:
        """In the convex hull of points given in frame px, or at most reach_px from it."""
        drawn = self.along(points, reach_px).astype(np.uint8)
        cv2.fillConvexPoly(drawn, self._hull(points), (1,), shift=4)
        return drawn > 0

    def along(self, points: NDArray[np.floating], reach_px: float) -> Mask:
        """At most reach_px from the outline of the convex hull of points given in frame px, on either side."""
        drawn = np.zeros((self.size, self.size), np.uint8)
        if reach_px > 0:
            cv2.polylines(drawn, [self._hull(points)], True, (1,), max(1, round(2 * reach_px)), shift=4)
        return drawn > 0

    def _hull(self, points: NDArray[np.floating]) -> NDArray[np.int32]:
        # 1/16 px units; what lies far outside is held near the picture, OpenCV draws in 32 bits.
        corners = np.clip(self.points(points), -4 * self.size, 5 * self.size)
        return np.asarray(cv2.convexHull(np.rint(corners * 16).astype(np.int32)), np.int32)

    def band(self, marks: Landmarks, frame_hw: tuple[int, int]) -> Mask:
        """Inside square and frame, further than .06 * 192 px from the lips."""
        return self.square() & self.in_frame(frame_hw) & ~self.near(marks.region("outer_lip"), LIP_SHARE * WORK_SIDE)

    def sectors(self, marks: Landmarks) -> dict[str, Mask]:
        """The square parted: neck outside the outline at most 58 px above the chin, chin below the lips and between
        their corners, a cheek on each side of the line from the nose bridge to the chin."""
        xs, ys = self.centres
        chin, bridge = marks.anchor("chin"), marks.anchor("crop_top")
        left, right = marks.anchor("left_lip_corner"), marks.anchor("right_lip_corner")
        slope = (chin[0] - bridge[0]) / max(float(chin[1] - bridge[1]), 1.0)
        from_axis = xs[None, :] - (chin[0] + np.clip(slope, -1, 1) * (ys[:, None] - chin[1]))
        neck = ~self.near(face_outline(marks)) & (ys > chin[1] - NECK_REACH / self.scale)[:, None]
        lip_bottom = marks.region("outer_lip")[:, 1].max()
        below_lips = (ys > lip_bottom)[:, None] & (np.abs(from_axis) < abs(right[0] - left[0]) / 2)
        chin_part = ~neck & below_lips
        rest, is_left = ~neck & ~chin_part, from_axis < 0
        return dict(zip(SECTORS, (rest & is_left, chin_part, neck, rest & ~is_left), strict=True))


def _softened(image: Image) -> Image:
    return np.asarray(cv2.GaussianBlur(image, (5, 5), 0.8), np.float32)  # three sigma to either side


def _half(image: Image) -> Image:
    return np.asarray(cv2.pyrDown(image), np.float32)
