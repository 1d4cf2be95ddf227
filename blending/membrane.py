"""The trust membrane: the colour error measured pixel against pixel where both pictures show the same, carried
smoothly over the rest.

The generator redraws the frame in its own pose, so plate - generated at one and the same place *is* the colour error,
wherever neither picture moves (the mouth and the skin around it do) and nothing has an edge (a misplaced edge is no
colour). Means over cells leave texture out: blurred skin against stubble has no error of colour. What one linear map of
colours explains (cast, contrast, saturation) holds in the mouth too; only what is left, shading, is a field over the
face, filled in across the mouth. On simulated generators the map in front of the field takes the visible error from
.77 to .69 (actor) and from 1.03 to .70 (real footage, a smiling plate under a speaking mouth).

Source: specs of this project; the fill is normalised convolution (Knutsson and Westin 1993) at three scales, the trust
iteratively reweighted least squares with Cauchy weights.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numba import njit
from numpy.typing import NDArray

from blending.mask import ColourRegions, smoothstep
from blending.types import Frame, compact

RADII_CELLS = (1, 3, 9)
"""Half-widths of the three scales, at 41 cells."""

EDGE_LEVELS2 = 36.0
"""Trust is halved where brightness changes by 6 levels per cell."""

MAP_LEVELS2, FIELD_LEVELS2 = 36.0, 16.0
"""Trust is halved where a cell is 6 levels off the linear map, and 4 levels off its neighbourhood (or the map)."""

MAP_STEPS, FIELD_STEPS = 3, 2

MAP_RIDGE_LEVELS2 = 20.0
"""Added to the variance of the cells' colours: a face of hardly any contrast says little about contrast."""

LARGEST_MAP = 0.5
"""Size (root of the sum of squares) of the linear map at most: contrasts change by half."""

FULL_WEIGHT = 0.03
"""A scale counts where its window holds more than this part of the mean trust; below, the next wider one does."""


@dataclass(frozen=True, eq=False)
class ColourError:
    """plate - generated as a model: linear @ generated + field. linear: float32 (3, 3) over BGR; field: float32
    (cells, cells, 3), levels."""

    linear: NDArray[np.float32]
    field: NDArray[np.float32]


def membrane(generated: Frame, plate: Frame, regions: ColourRegions, amount: float) -> Frame:
    """The generated square plus `amount` of the model of its colour error, uint8 (side, side, 3).

    Equal pictures come back bit for bit. Only in the mouth, where the error is guessed from around it, what is much
    darker than the skin is spared, so that the cavity does not turn purple.
    """
    cells = len(regions.trust)
    low, target = cell_means(generated, cells), cell_means(plate, cells)
    error = colour_error(low, target, regions.trust)
    # As wide as the square already: what is left for the kernel runs along contiguous rows.
    field = cv2.resize(error.field * np.float32(amount), (len(generated), cells), interpolation=cv2.INTER_LINEAR)
    mouth_px, per_margin = regions.mouth_rise
    matched, per_black = np.empty(generated.shape, np.uint8), np.float32(1 / regions.black_below(low))
    _correct(
        compact(generated), error.linear * np.float32(amount), field.reshape(cells, -1), mouth_px, per_margin,
        per_black, *regions.mouth_columns, matched,
    )  # fmt: skip
    return matched


def membrane_correction(generated: Frame, plate: Frame, regions: ColourRegions) -> NDArray[np.float32]:
    """What `membrane` adds at amount 1, before rounding, float32 (side, side, 3), levels; any other amount adds that
    part of it."""
    cells, side = len(regions.trust), len(generated)
    low, target = cell_means(generated, cells), cell_means(plate, cells)
    error, drawn = colour_error(low, target, regions.trust), generated.astype(np.float32)
    field = cv2.resize(error.field, (side, side), interpolation=cv2.INTER_LINEAR)
    mouth_px, per_margin = regions.mouth_rise
    dark = smoothstep(_grey(drawn) * np.float32(1 / regions.black_below(low)))
    share = 1 - smoothstep(1 - mouth_px * per_margin) * (1 - dark)
    return np.asarray(share[..., None] * (cv2.transform(drawn, error.linear) + field), np.float32)


def colour_error(generated: NDArray[np.float32], plate: NDArray[np.float32], trust: NDArray[np.float32]) -> ColourError:
    """The colour error of a square from the cell means of both pictures, float32 (cells, cells, 3), levels, and the
    cells' trust, (cells, cells), 0..1, not all 0. Equal pictures have exactly none."""
    error, weight = plate - generated, trust.copy()
    _doubt_edges(_grey(generated), _grey(plate), weight)
    linear, constant = _linear_map(generated, error, weight)
    left = error - constant - cv2.transform(generated, linear)
    return ColourError(linear, _fill(left, weight) + constant)


@njit(cache=True, nogil=True, error_model="numpy")
def _doubt_edges(first, second, weight):  # type: ignore[no-untyped-def]
    """Divides each cell's weight by 1 + (the larger of the pictures' squared gradients, levels per cell) / 36."""
    cells = len(weight)
    for i in range(1, cells - 1):
        for j in range(1, cells - 1):
            steepest = np.float32(0)
            for grey in (first, second):
                across, down = grey[i, j + 1] - grey[i, j - 1], grey[i + 1, j] - grey[i - 1, j]
                steepest = max(steepest, across * across + down * down)
            weight[i, j] /= np.float32(1) + np.float32(0.25 / EDGE_LEVELS2) * steepest


def _linear_map(
    generated: NDArray[np.float32], error: NDArray[np.float32], trust: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """(3, 3) and (3,): error = linear @ generated + constant, by reweighted least squares with a ridge towards 0."""
    linear, constant = np.zeros((3, 3)), np.zeros(3)
    _fit_map(generated, error, trust, MAP_STEPS, MAP_LEVELS2, MAP_RIDGE_LEVELS2, LARGEST_MAP, linear, constant)
    return linear.astype(np.float32), constant.astype(np.float32)


@njit(cache=True, nogil=True, error_model="numpy")
def _fit_map(generated, error, trust, steps, level2, ridge, largest, linear, constant):  # type: ignore[no-untyped-def]
    """All sums that a step needs are in one 7 x 7 product of (generated, error, 1) with itself, weighted."""
    cells, middle, shift = trust.size, np.empty(3), np.empty(3)
    spread, shared = np.empty((3, 3)), np.empty((3, 3))
    rows, weighted, weight = np.ones((7, cells)), np.empty((7, cells)), np.empty(cells)
    drawn, off, trusted = generated.reshape(-1, 3), error.reshape(-1, 3), trust.reshape(-1)
    for k in range(cells):
        for m in range(3):
            rows[m, k], rows[3 + m, k] = drawn[k, m], off[k, m]
    per_level2 = 0.0
    for _ in range(steps):
        weight[:] = 1.0
        for m in range(3):
            a, b, c, d = linear[m, 0], linear[m, 1], linear[m, 2], constant[m]
            for k in range(cells):
                left = rows[3 + m, k] - d - a * rows[0, k] - b * rows[1, k] - c * rows[2, k]
                weight[k] += left * left * per_level2
        for k in range(cells):
            weight[k] = trusted[k] / weight[k]
        for m in range(7):
            for k in range(cells):
                weighted[m, k] = weight[k] * rows[m, k]
        sums = np.dot(weighted, rows.T)
        sums /= 1e-9 + sums[6, 6]
        for m in range(3):
            middle[m], shift[m] = sums[m, 6], sums[3 + m, 6]
        for m in range(3):
            for n in range(3):
                spread[m, n] = sums[m, n] - middle[m] * middle[n]
                shared[m, n] = sums[3 + m, n] - shift[m] * middle[n]
            spread[m, m] += ridge
        _divide(shared, spread, linear)
        size = np.sqrt((linear * linear).sum())
        if size > largest:
            linear *= largest / size
        for m in range(3):
            constant[m] = shift[m] - linear[m, 0] * middle[0] - linear[m, 1] * middle[1] - linear[m, 2] * middle[2]
        per_level2 = 1.0 / level2


@njit(cache=True, nogil=True, error_model="numpy")
def _divide(shared, spread, linear):  # type: ignore[no-untyped-def]
    """linear = shared @ inverse of the symmetric, positive 3 x 3 `spread`, by its adjugate."""
    adjugate = np.empty((3, 3))
    for m in range(3):
        for n in range(3):
            a, b, c, d = (m + 1) % 3, (m + 2) % 3, (n + 1) % 3, (n + 2) % 3
            adjugate[m, n] = spread[a, c] * spread[b, d] - spread[a, d] * spread[b, c]
    whole = spread[0, 0] * adjugate[0, 0] + spread[0, 1] * adjugate[0, 1] + spread[0, 2] * adjugate[0, 2]
    for m in range(3):
        for n in range(3):
            total = shared[m, 0] * adjugate[0, n] + shared[m, 1] * adjugate[1, n] + shared[m, 2] * adjugate[2, n]
            linear[m, n] = total / whole


def _fill(error: NDArray[np.float32], trust: NDArray[np.float32]) -> NDArray[np.float32]:
    """Smooth field through what is left of the error, float32 (cells, cells, 3). A cell counts less the further it is
    from its neighbourhood's mean and, since the skin around a mouth moves as a whole, from 0."""
    radii = [max(1, round(radius * len(trust) / 41)) for radius in RADII_CELLS]
    packed = np.empty((*trust.shape, 4), np.float32)
    weight = trust.copy()
    packed[..., :3], packed[..., 3] = error * trust[..., None], trust
    for _ in range(FIELD_STEPS):
        _weigh(error, weight, _spread(packed, radii[1]), np.float32(0.5 / FIELD_LEVELS2), packed)
    total = packed.reshape(-1, 4).sum(axis=0)
    field = np.empty_like(error)
    field[:] = total[:3] / max(float(total[3]), 1e-6)
    little = np.float32(FULL_WEIGHT * total[3] / trust.size)
    for radius in reversed(radii):
        _refine(field, _spread(packed, radius), little)
    return field


@njit(cache=True, nogil=True, error_model="numpy")
def _refine(field, near, little):  # type: ignore[no-untyped-def]
    """field = the mean of `near` where there is enough weight for it, the field as it was where there is not."""
    for i in range(field.shape[0]):
        for j in range(field.shape[1]):
            share = np.float32(1) / (near[i, j, 3] + little)
            for channel in range(3):
                field[i, j, channel] = (near[i, j, channel] + little * field[i, j, channel]) * share


def _spread(packed: NDArray[np.float32], radius: int) -> NDArray[np.float32]:
    """Mean of (weight * error, weight) over a window that is two boxes, one over the other; outside counts as 0."""
    size = (2 * radius + 1, 2 * radius + 1)
    once = cv2.boxFilter(packed, -1, size, borderType=cv2.BORDER_CONSTANT)
    return np.asarray(cv2.boxFilter(once, -1, size, borderType=cv2.BORDER_CONSTANT), np.float32)


@njit(cache=True, nogil=True, error_model="numpy")
def _weigh(error, weight, around, per_level2, packed):  # type: ignore[no-untyped-def]
    """packed = (w error, w), float32 (cells, cells, 4): each cell's weight over 1 + (its squared distances from 0 and
    from the mean of `around`) * per_level2. weight is updated in place."""
    for i in range(weight.shape[0]):
        for j in range(weight.shape[1]):
            per_mass = np.float32(1) / max(around[i, j, 3], np.float32(1e-6))
            distance2 = np.float32(0)
            for channel in range(3):
                here = error[i, j, channel]
                off = here - around[i, j, channel] * per_mass
                distance2 += here * here + off * off
            w = weight[i, j] / (np.float32(1) + distance2 * per_level2)
            weight[i, j] = w
            packed[i, j, 3] = w
            for channel in range(3):
                packed[i, j, channel] = w * error[i, j, channel]


def _grey(cells: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray(cv2.transform(cells, np.array([[0.114, 0.587, 0.299]], np.float32)), np.float32)


def cell_means(frame: Frame, cells: int) -> NDArray[np.float32]:
    """Means of a square over cells x cells parts of nearly equal size, float32 (cells, cells, 3), levels; of every
    second row."""
    means = np.empty((cells, cells, 3), np.float32)
    _fill_means(compact(frame), np.arange(cells + 1) * len(frame) // cells, means)
    return means


@njit(cache=True, nogil=True)
def _fill_means(frame, edges, means):  # type: ignore[no-untyped-def]
    cells, side = len(means), frame.shape[1]
    sums = np.empty(3 * side, np.int32)
    for i in range(cells):
        sums[:] = 0
        rows = 0
        for row in range(edges[i], edges[i + 1], 2):
            rows += 1
            line = frame[row].reshape(-1)
            for k in range(3 * side):
                sums[k] += line[k]
        for j in range(cells):
            first, last = edges[j], edges[j + 1]
            scale = np.float32(1) / np.float32(rows * (last - first))
            for channel in range(3):
                total = np.int32(0)
                for column in range(first, last):
                    total += sums[3 * column + channel]
                means[i, j, channel] = np.float32(total) * scale


@njit(cache=True, nogil=True, error_model="numpy")
def _correct(generated, linear, field, mouth_px, per_margin, per_black, first, last, matched):  # type: ignore[no-untyped-def]
    """matched = generated + share * (linear @ generated + field), rounded. field: float32 (cells, 3 * side), already as
    wide as the square. share is 1, but less for what is dark in the mouth, which lies in columns first .. last - 1.
    A row and a step at a time, so that the compiler does several values at once."""
    side, cells = len(generated), len(field)
    one, two, three, half = np.float32(1), np.float32(2), np.float32(3), np.float32(0.5)
    zero, top = np.float32(0), np.float32(255)
    share, error = np.ones(3 * side, np.float32), np.empty(3 * side, np.float32)
    planes, mapped = np.empty((3, side), np.float32), np.empty((3, side), np.float32)
    for row in range(side):
        place = (row + 0.5) * (cells / side) - 0.5
        above = min(max(int(np.floor(place)), 0), cells - 2)
        down = np.float32(min(max(place - above, 0.0), 1.0))
        upper, lower = field[above], field[above + 1]
        drawn, line, mouth = generated[row].reshape(-1), matched[row].reshape(-1), mouth_px[row]
        for column in range(side):
            planes[0, column] = np.float32(drawn[3 * column])
            planes[1, column] = np.float32(drawn[3 * column + 1])
            planes[2, column] = np.float32(drawn[3 * column + 2])
        for channel in range(3):
            by_blue, by_green, by_red = linear[channel, 0], linear[channel, 1], linear[channel, 2]
            for column in range(side):
                mapped[channel, column] = (
                    by_blue * planes[0, column] + by_green * planes[1, column] + by_red * planes[2, column]
                )
        for column in range(side):
            error[3 * column] = mapped[0, column]
            error[3 * column + 1] = mapped[1, column]
            error[3 * column + 2] = mapped[2, column]
        for k in range(3 * side):
            error[k] += upper[k] + down * (lower[k] - upper[k])
        share[3 * first : 3 * last] = one
        for column in range(first, last):
            within = one - mouth[column] * per_margin
            if within <= zero:
                continue
            within = min(within, one)
            blue, green, red = planes[0, column], planes[1, column], planes[2, column]
            t = np.float32(0.114) * blue + np.float32(0.587) * green + np.float32(0.299) * red
            t = min(t * per_black, one)
            share[3 * column : 3 * column + 3] = one - within * within * (three - two * within) * (
                one - t * t * (three - two * t)
            )
        for k in range(3 * side):
            level = np.float32(drawn[k]) + share[k] * error[k] + half
            line[k] = np.uint8(np.int32(min(max(level, zero), top)))
