"""How the generated square lies against the plate: contrast, shift and scale, by Gauss-Newton on band-passed
brightness where speech moves nothing: the nose and what is beside it, the surroundings of the face.

Source: Lucas and Kanade 1981, with Cauchy weights; constants measured on the simulated generator of the specs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numba import njit
from numpy.typing import ArrayLike, NDArray

from blending.mask import ColourRegions
from blending.temporal import smooth_values
from blending.types import CropBox, Frame, Landmarks, check_frame, check_square, compact

UNIT_PX = 328
"""Shifts are told in px of a square of this side, whatever the face's size in the frame."""

LIMITS = {"gain": (0.8, 1.25), "dx": (-3.0, 3.0), "dy": (-3.0, 3.0), "scale": (0.97, 1.03)}

WORK_SIDE = 96
WIDE_SHARE = 3 / 96
JAW_SHARE = 0.08
JAW_WEIGHT = 0.25
STEPS = 8
SMALLEST_STEP = 0.008
RIM_SHARE = 10 / 328
FILTERS_REACH = 9
CURVATURE_FLOOR = 40.0
"""Added to the normal matrix's diagonal: a picture without texture stays where it is."""


@dataclass(frozen=True)
class Registration:
    """What brings the generated square onto the plate: it is scaled by `scale` about its centre, then moved by (dx, dy)
    in px of a 328-px square, x to the right, y down; its local contrast is multiplied by `gain`. Values beyond 3 px,
    3 % and a gain of .8 .. 1.25 raise ValueError."""

    gain: float = 1.0
    dx: float = 0.0
    dy: float = 0.0
    scale: float = 1.0

    def __post_init__(self) -> None:
        for name, (low, high) in LIMITS.items():
            if not low <= getattr(self, name) <= high:
                raise ValueError(f"registration {name} must lie in {low} .. {high}; got {getattr(self, name)!r}")

    @property
    def moves(self) -> bool:
        """Whether pixels change place."""
        return (self.dx, self.dy, self.scale) != (0.0, 0.0, 1.0)


def measure_registration(
    plate: Frame, generated: Frame, box: CropBox, landmarks: Landmarks | ArrayLike
) -> Registration:
    """Registration of one frame's square, deterministic; equal pictures give exactly the identity.

    plate: uint8 (H, W, 3). generated: uint8 (K, K, 3), any K. landmarks: of the plate, frame px. ValueError for other
    types and shapes. What the frame does not show, and the face below the nose, have no say.
    """
    check_frame(plate, "plate")
    check_frame(generated, "generated")
    check_square(generated, "generated")
    return register(box.extract(plate), generated, ColourRegions.of(landmarks, box, (plate.shape[0], plate.shape[1])))


def register(base: Frame, generated: Frame, regions: ColourRegions) -> Registration:
    """`measure_registration` for a square of the plate that is already cut out, and regions that are known."""
    side = min(len(base), WORK_SIDE)
    target, source = _band_pass(base, side), _band_pass(generated, side)
    weight = _weight(regions, side)
    slope_x, slope_y = (cv2.Sobel(target, cv2.CV_32F, dx, 1 - dx, ksize=1, scale=0.5) for dx in (1, 0))
    unit = side / UNIT_PX
    units = np.array([1, unit, unit, 1])
    low, high = (np.array(ends) for ends in zip(*LIMITS.values(), strict=True))
    found = _gauss_newton(
        target, source, slope_x, slope_y, weight, low * units, high * units, STEPS, SMALLEST_STEP, CURVATURE_FLOOR
    )
    return Registration(*(float(v) for v in np.clip(found / units, low, high)))


def smooth_registrations(found: Sequence[Registration], sigma_frames: float = 3.0) -> list[Registration]:
    """The registrations of consecutive frames of one shot under a zero-phase Gaussian along time.

    Frame by frame they jitter and the face trembles; sigma_frames >= 0, 3 does what an average with .2 does forward,
    without its lag. Call it once per cut: what lies before a cut says nothing about what follows. ValueError for an
    empty sequence and a negative sigma.
    """
    values = np.array([(one.gain, one.dx, one.dy, one.scale) for one in found], np.float64)
    # A mean of values within limits may lie a rounding error beyond them.
    smoothed = np.clip(smooth_values(values, sigma_frames), values.min(axis=0), values.max(axis=0))
    return [Registration(*(float(v) for v in row)) for row in smoothed]


def resample(generated: Frame, side: int, registration: Registration) -> Frame:
    """The square at `side` px, laid onto the plate: bicubic (Keys, a = -.75, as OpenCV's resize), its border repeated.
    There is no turn in a registration, so rows and columns are resampled one after the other."""
    resampled = np.empty((side, side, 3), np.uint8)
    shift = np.array([registration.dy, registration.dx]) * (side / UNIT_PX)
    _resample(compact(generated), shift, registration.scale, resampled)
    return resampled


@njit(cache=True, nogil=True)
def _taps(side, count, shift, scale):  # type: ignore[no-untyped-def]
    """For each of `side` pixels, the four of `count` around its place, (side, 4), and their weights, (side, 4)."""
    taken, weights = np.empty((side, 4), np.int32), np.empty((side, 4), np.float32)
    middle, a = (side - 1) / 2, -0.75
    for i in range(side):
        place = ((i - middle - shift) / scale + middle + 0.5) * (count / side) - 0.5
        first = int(np.floor(place))
        for tap in range(4):
            taken[i, tap] = min(max(first - 1 + tap, 0), count - 1)
            d = abs(place - (first - 1 + tap))
            if d <= 1:
                weights[i, tap] = ((a + 2) * d - (a + 3)) * d * d + 1
            else:
                weights[i, tap] = ((a * d - 5 * a) * d + 8 * a) * d - 4 * a
    return taken, weights


@njit(cache=True, nogil=True)
def _resample(generated, shift, scale, resampled):  # type: ignore[no-untyped-def]
    width = 3 * len(generated)
    rows, row_weights = _taps(len(resampled), len(generated), shift[0], scale)
    columns, column_weights = _taps(len(resampled), len(generated), shift[1], scale)
    line = np.empty(width, np.float32)
    zero, half, top = np.float32(0), np.float32(0.5), np.float32(255)
    for row in range(len(rows)):
        above, upper = generated[rows[row, 0]].reshape(-1), generated[rows[row, 1]].reshape(-1)
        lower, below = generated[rows[row, 2]].reshape(-1), generated[rows[row, 3]].reshape(-1)
        w0, w1, w2, w3 = row_weights[row, 0], row_weights[row, 1], row_weights[row, 2], row_weights[row, 3]
        for k in range(width):
            line[k] = (
                w0 * np.float32(above[k]) + w1 * np.float32(upper[k])
                + w2 * np.float32(lower[k]) + w3 * np.float32(below[k])
            )  # fmt: skip
        for column in range(len(columns)):
            i0, i1, i2, i3 = (
                3 * columns[column, 0],
                3 * columns[column, 1],
                3 * columns[column, 2],
                3 * columns[column, 3],
            )
            w0, w1 = column_weights[column, 0], column_weights[column, 1]
            w2, w3 = column_weights[column, 2], column_weights[column, 3]
            for channel in range(3):
                value = (
                    w0 * line[i0 + channel] + w1 * line[i1 + channel]
                    + w2 * line[i2 + channel] + w3 * line[i3 + channel]
                )  # fmt: skip
                resampled[row, column, channel] = np.uint8(np.int32(min(max(value + half, zero), top)))


def _band_pass(frame: Frame, side: int) -> NDArray[np.float32]:
    """Brightness at `side` px without grain and without shading, float32 (side, side), levels."""
    grey = cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY)
    grain = 2 * round((len(frame) / side - 1) / 2) + 1
    if grain > 1:
        grey = cv2.blur(grey, (grain, grain))
    small = cv2.resize(grey, (side, side), interpolation=cv2.INTER_LINEAR).astype(np.float32)
    width = 2 * max(1, round(WIDE_SHARE * side)) + 1
    wide = cv2.blur(cv2.blur(small, (width, width)), (width, width))
    return np.asarray(cv2.blur(small, (3, 3)) - wide, np.float32)


def _weight(regions: ColourRegions, side: int) -> NDArray[np.float32]:
    """1 where both pictures show the same, less where speech moves what they show (the face below the nose and .08 S
    around it: an opening jaw takes the chin along, which is no shift of the square), 0 in the mouth, near the border
    and outside the frame."""
    box, small = regions.field.box, (side, side)
    per_px = side / box.side
    outside = cv2.resize(regions.field.distance_grid, small, interpolation=cv2.INTER_LINEAR)
    mouth = cv2.resize(regions.field.mouth_grid, small, interpolation=cv2.INTER_LINEAR)
    weight = np.where(outside > JAW_SHARE * box.side, np.float32(1), np.float32(JAW_WEIGHT))
    weight[mouth < 0.02 * box.side] = 0
    nose = float(regions.landmarks.region("nose_base")[:, 1].max()) - box.y0
    above = slice(0, min(max(round((nose + 0.5) * per_px), 0), side))
    weight[above] = np.maximum(weight[above], mouth[above] >= 0.02 * box.side)
    if not regions.visible.all():
        # What the filters see of the padding outside the frame has no say either.
        seen = cv2.resize(regions.visible.astype(np.uint8), small, interpolation=cv2.INTER_NEAREST)
        weight *= cv2.erode(seen, np.ones((2 * FILTERS_REACH + 1,) * 2, np.uint8))
    rim = max(1, round(RIM_SHARE * side))
    weight[:rim] = weight[-rim:] = 0
    weight[:, :rim] = weight[:, -rim:] = 0
    return weight


@njit(cache=True, nogil=True, fastmath=True, error_model="numpy")
def _gauss_newton(target, source, slope_x, slope_y, weight, low, high, steps, least, floor):  # type: ignore[no-untyped-def]
    """(gain, dx, dy, scale) for which gain * source, scaled about its middle and moved, is nearest to target.

    The slopes are the target's: at the solution they are the moved source's, and they need no resampling. Each row is
    first taken from the source, then summed up, so that the compiler does several pixels at once."""
    side = len(target)
    middle = (side - 1) / 2
    found, spread2 = np.array([1.0, 0.0, 0.0, 1.0]), 100.0
    places, parts = np.empty(side, np.int32), np.empty(side, np.float32)
    across = (np.arange(side) - middle).astype(np.float32)
    blended, moved = np.empty(side, np.float32), np.empty(side, np.float32)
    normal, right = np.empty((4, 4)), np.empty(4)
    one, none = np.float32(1), np.float32(0)
    for step in range(steps):
        normal[:], right[:] = 0.0, 0.0
        total, mass = 0.0, 1e-9
        gain, per_spread2 = np.float32(found[0]), np.float32(1 / spread2)
        for column in range(side):
            x = (column - middle - found[1]) / found[3] + middle
            places[column] = min(max(int(x), 0), side - 2)
            parts[column] = min(max(x - places[column], 0.0), 1.0)
        for row in range(side):
            y = (row - middle - found[2]) / found[3] + middle
            i = min(max(int(y), 0), side - 2)
            fy, down = np.float32(min(max(y - i, 0.0), 1.0)), np.float32(row - middle)
            upper, lower = source[i], source[i + 1]
            for column in range(side):
                blended[column] = upper[column] + fy * (lower[column] - upper[column])
            for column in range(side):
                j = places[column]
                moved[column] = blended[j] + parts[column] * (blended[j + 1] - blended[j])
            wanted, counts, sx_row, sy_row = target[row], weight[row], slope_x[row], slope_y[row]
            gg, gx, gy, gs, xx, xy, xs, yy, ys, ss = none, none, none, none, none, none, none, none, none, none
            rg, rx, ry, rs, off2, count = none, none, none, none, none, none
            for column in range(side):
                value = moved[column]
                off = wanted[column] - gain * value
                trust = counts[column] / (one + off * off * per_spread2)
                sx, sy = -sx_row[column], -sy_row[column]
                both = sx * across[column] + sy * down
                by_value, by_x, by_y, by_both = trust * value, trust * sx, trust * sy, trust * both
                gg += by_value * value
                gx += by_value * sx
                gy += by_value * sy
                gs += by_value * both
                xx += by_x * sx
                xy += by_x * sy
                xs += by_x * both
                yy += by_y * sy
                ys += by_y * both
                ss += by_both * both
                rg += by_value * off
                rx += by_x * off
                ry += by_y * off
                rs += by_both * off
                off2 += trust * off * off
                count += trust
            sums = (gg, gx, gy, gs, xx, xy, xs, yy, ys, ss)
            k = 0
            for m in range(4):
                for n in range(m, 4):
                    normal[m, n] += sums[k]
                    k += 1
            right[0] += rg
            right[1] += rx
            right[2] += ry
            right[3] += rs
            total += float(off2)
            mass += float(count)
        for m in range(4):
            normal[m, m] += floor
            for n in range(m):
                normal[m, n] = normal[n, m]
        change = np.linalg.solve(normal, right)
        spread2 = max(4.0 * total / mass, 1.0)
        for m in range(4):
            found[m] = min(max(found[m] + change[m], low[m]), high[m])
        if step > 1 and max(abs(change[1]), abs(change[2]), abs(change[3]) * middle) < least:
            break
    return found
