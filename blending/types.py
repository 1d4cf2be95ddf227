"""The values that travel between the packages: frames, mattes, landmarks and the generator's square.

Pixel centres: pixel (0, 0) is centred at (0, 0), as OpenCV has it. Left and right are meant as
seen in the picture.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, TypeAlias

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from blending.landmark_tables import ANCHORS, DERIVED_FROM_110, DERIVED_FROM_478, REGIONS

Frame: TypeAlias = NDArray[np.uint8]
"""uint8 (H, W, 3), BGR: what travels between modules."""

Image: TypeAlias = NDArray[np.float32]
"""float32 (H, W, 3), BGR, 0..1: what the engine computes with."""

Matte: TypeAlias = NDArray[np.float32]
"""float32 (H, W), 0..1: 0 = plate, 1 = generated."""


LARGEST_PX = 1e6
"""Landmarks further away are no pixels of a frame."""


def to_image(frame: Frame) -> Image:
    """8-bit frame as float32 in 0..1."""
    return frame.astype(np.float32) * np.float32(1 / 255)


def to_frame(image: NDArray[np.floating]) -> Frame:
    """Float picture in 0..1 as 8-bit frame; clips and rounds to the nearest level."""
    return np.clip(np.rint(image * 255.0), 0, 255).astype(np.uint8)


def check_frame(frame: object, name: str) -> Frame:
    """Return `frame` unchanged, or raise ValueError unless it is uint8 (H, W, 3) with H, W > 0."""
    if not isinstance(frame, np.ndarray):
        raise ValueError(f"{name} must be a uint8 array of shape (H, W, 3); got {type(frame).__name__}")
    if frame.dtype != np.uint8 or frame.ndim != 3 or frame.shape[2] != 3 or 0 in frame.shape:
        raise ValueError(f"{name} must be uint8 (H, W, 3), BGR; got {frame.dtype} {frame.shape}")
    return frame


def compact(array: NDArray[Any]) -> NDArray[Any]:
    """The array, contiguous and writable (a copy unless it is): compiled kernels know one layout only, and would be
    compiled again, for seconds, for each further one."""
    return array if array.flags.c_contiguous and array.flags.writeable else np.array(array, order="C")


def check_square(frame: Frame, name: str) -> None:
    """ValueError unless the frame is as wide as it is high."""
    if frame.shape[0] != frame.shape[1]:
        raise ValueError(f"{name} must be square; got {frame.shape[1]} x {frame.shape[0]} px")


@dataclass(frozen=True, eq=False)
class Landmarks:
    """Facial landmarks of one frame.

    points: float32 (N, 2), x then y, in pixels, sub-pixel; N = 68 (iBUG), 110 (SyncTalk_2D) or
    478 (mediapipe FaceMesh with iris). The scheme follows from N; any other N is a ValueError, so
    are values that are not finite.
    """

    points: NDArray[np.float32]

    def __post_init__(self) -> None:
        points = np.asarray(self.points)
        if points.ndim != 2 or points.shape[1] != 2 or len(points) not in REGIONS:
            raise ValueError(f"landmarks must have shape (N, 2) with N one of {sorted(REGIONS)}; got {points.shape}")
        if points.dtype.kind not in "iuf":
            raise ValueError(f"landmarks must be real numbers; got {points.dtype}")
        if points.size and np.abs(points[np.isfinite(points)]).max(initial=0) > LARGEST_PX:
            raise ValueError(f"landmarks must lie within {LARGEST_PX:g} px of the origin; got values beyond")
        points = np.array(points, dtype=np.float32)
        if not np.isfinite(points).all():
            bad = int((~np.isfinite(points)).any(axis=1).sum())
            raise ValueError(f"landmarks must be finite; got {bad} of {len(points)} points with NaN or infinity")
        points.setflags(write=False)
        object.__setattr__(self, "points", points)

    @property
    def scheme(self) -> int:
        """Number of points, which names the scheme: 68, 110 or 478."""
        return len(self.points)

    def region(self, name: str) -> NDArray[np.float32]:
        """Points of a region, float32 (K, 2), in drawing order.

        Regions of every scheme: jaw (temple, chin, temple), left_brow, right_brow, nose_bridge,
        nose_base, left_eye, right_eye, outer_lip, inner_lip. Unknown names raise ValueError.
        """
        table = REGIONS[self.scheme]
        if name not in table:
            raise ValueError(f"region must be one of {sorted(table)}; got {name!r}")
        return self.points[list(table[name])]

    def anchor(self, name: str) -> NDArray[np.float32]:
        """One named point, float32 (2,), as the weighted mean of the points it is declared by.

        Anchors of every scheme: chin, left_eye_outer, right_eye_outer, left_lip_corner,
        right_lip_corner, upper_inner_lip, lower_inner_lip, crop_left, crop_right, crop_top.
        """
        table = ANCHORS[self.scheme]
        if name not in table:
            raise ValueError(f"anchor must be one of {sorted(table)}; got {name!r}")
        indices, weights = zip(*table[name], strict=True)
        return (self.points[list(indices)] * np.array(weights, np.float32)[:, None]).sum(axis=0)

    def to_scheme(self, scheme: int) -> Landmarks:
        """The same face in another scheme; 478 goes to 68 and 110, 110 to 68, any scheme to itself."""
        if scheme == self.scheme:
            return self
        if (self.scheme, scheme) not in {(478, 68), (478, 110), (110, 68)}:
            raise ValueError(
                f"landmarks of {self.scheme} points cannot be turned into {scheme}; only 478 or 110 into 68, and 478 "
                "into 110"
            )
        return Landmarks(_matrix(self.scheme, scheme) @ self.points)

    @property
    def eye_distance_px(self) -> float:
        """Distance between the outer eye corners: the unit of landmark errors."""
        return float(np.linalg.norm(self.anchor("left_eye_outer") - self.anchor("right_eye_outer")))

    @property
    def lip_opening(self) -> float:
        """Gap between the inner lips over the outer-eye distance."""
        gap = np.linalg.norm(self.anchor("upper_inner_lip") - self.anchor("lower_inner_lip"))
        return float(gap / max(self.eye_distance_px, 1e-6))

    @property
    def lip_width(self) -> float:
        """Distance between the lip corners over the outer-eye distance."""
        width = np.linalg.norm(self.anchor("left_lip_corner") - self.anchor("right_lip_corner"))
        return float(width / max(self.eye_distance_px, 1e-6))


@lru_cache(maxsize=3)
def _matrix(known: int, wanted: int) -> NDArray[np.float32]:
    """(wanted, known) matrix of the weights in the derivation table."""
    matrix = np.zeros((wanted, known), np.float32)
    for row, terms in enumerate(DERIVED_FROM_110 if known == 110 else DERIVED_FROM_478[wanted]):
        for index, weight in terms:
            matrix[row, index] += weight
    return matrix


def as_landmarks(landmarks: Landmarks | ArrayLike) -> Landmarks:
    """Landmarks from an (N, 2) array, or the value itself."""
    return landmarks if isinstance(landmarks, Landmarks) else Landmarks(np.asarray(landmarks))


@dataclass(frozen=True)
class CropBox:
    """The generator's square: columns x0 .. x0 + side - 1, rows y0 .. y0 + side - 1, in whole pixels.

    It may reach over the frame's edge; what lies outside is padded with the nearest pixel of the
    frame, never wrapped. side must be at least 8 px.
    """

    x0: int
    y0: int
    side: int

    def __post_init__(self) -> None:
        for name in ("x0", "y0", "side"):
            value = getattr(self, name)
            number = isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool)
            if not number or not np.isfinite(value) or int(value) != value:
                raise ValueError(f"CropBox {name} must be a whole number of pixels; got {value!r}")
            object.__setattr__(self, name, int(value))
        if self.side < 8:
            raise ValueError(f"CropBox side must be at least 8 px; got {self.side}")

    @classmethod
    def from_landmarks(cls, landmarks: Landmarks | ArrayLike) -> CropBox:
        """The square of the SyncTalk_2D format (left and right contour at eye height, top at the
        middle of the nose bridge), rounded to whole pixels. A face too small or turned so far that
        no square of 8 px is left raises ValueError."""
        marks = as_landmarks(landmarks)
        left, right = float(marks.anchor("crop_left")[0]), float(marks.anchor("crop_right")[0])
        side = round(right - left)
        if side < 8:
            raise ValueError(f"landmarks must span a face at least 8 px wide; got {right - left:.1f} px")
        return cls(round(left), round(float(marks.anchor("crop_top")[1])), side)

    def inside(self, frame_hw: tuple[int, int]) -> tuple[slice, slice]:
        """Rows and columns of the frame that the square covers (empty when it lies outside)."""
        height, width = frame_hw
        rows = slice(min(max(self.y0, 0), height), min(max(self.y0 + self.side, 0), height))
        columns = slice(min(max(self.x0, 0), width), min(max(self.x0 + self.side, 0), width))
        return rows, columns

    def extract(self, frame: Frame) -> Frame:
        """The square's pixels, (side, side, 3); outside the frame the nearest pixel is repeated."""
        rows = np.clip(np.arange(self.y0, self.y0 + self.side), 0, frame.shape[0] - 1)
        columns = np.clip(np.arange(self.x0, self.x0 + self.side), 0, frame.shape[1] - 1)
        if rows[0] == self.y0 and rows[-1] - rows[0] == self.side - 1 and columns[-1] - columns[0] == self.side - 1:
            return frame[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        return frame[rows[:, None], columns[None, :]]

    def paste(self, frame: Frame, generated: Frame) -> Frame:
        """Copy of the frame with `generated` (any square size, resized bicubic) over the square."""
        pasted = frame.copy()
        rows, columns = self.inside((frame.shape[0], frame.shape[1]))
        patch = self.resize(generated)
        pasted[rows, columns] = patch[
            rows.start - self.y0 : rows.stop - self.y0, columns.start - self.x0 : columns.stop - self.x0
        ]
        return pasted

    def resize(self, generated: Frame) -> Frame:
        """A generated square at the size of this box, bicubic; raises ValueError if it is not square."""
        check_square(generated, "generated")
        if generated.shape[0] == self.side:
            return generated
        resized = cv2.resize(generated, (self.side, self.side), interpolation=cv2.INTER_CUBIC)
        return np.asarray(resized, dtype=generated.dtype)
