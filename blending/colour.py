"""Colour of the generated square brought to the plate's: one pure function per method.

Every method takes (generated, plate, regions, amount): two squares, uint8 (side, side, 3) BGR, where colour may be
measured in them, and how much of the correction is wanted, 0..1; it returns the corrected square, whole. Two equal
squares give the same one back, bit for bit. The statistical methods work on skin in CIELAB (L 0..100, a and b signed)
and spare what is much darker than skin (mouth cavity, nostrils): a shift measured on skin would turn it purple or blue.
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

from blending.mask import BLACK_SHARE, ColourRegions, Mask, smoothstep
from blending.membrane import membrane, membrane_correction
from blending.types import Frame, Image, check_frame, to_frame, to_image

ColourMethod = Callable[[Frame, Frame, ColourRegions, float], Frame]
Statistics = Callable[[Image, Image, Mask], Image]

MIN_SKIN_PX = 64
MIN_CELLS = 12
"""Fewer pixels of skin or trusted cells than this say nothing about colour."""

QUANTILES = 256
SMOOTHED_QUANTILES = 25
TABLE_LEVELS = 4096
SAMPLES = 2**18
CONTRAST_RANGE = (0.5, 2.0)


def keep(generated: Frame, plate: Frame, regions: ColourRegions, amount: float) -> Frame:
    """The generated picture as it is."""
    return generated


def histogram(generated: Image, plate: Image, skin: Mask) -> Image:
    """Histogram matching in LAB: each channel goes through the plate's inverse distribution of its own distribution.

    Both distributions come from the skin as 256 order statistics; between them the map is linear, beyond the darkest
    and brightest skin it is a shift, so teeth and nostrils keep their contrast. The shifts are smoothed over a tenth of
    the distribution: the bare ones break smooth skin into patches.
    """
    lab, target = to_lab(generated), to_lab(plate)
    matched = np.empty_like(lab)
    for channel in range(3):
        source, reference = _quantiles(lab[..., channel][skin]), _quantiles(target[..., channel][skin])
        shift = cv2.blur((reference - source)[None], (SMOOTHED_QUANTILES, 1), borderType=cv2.BORDER_REPLICATE)[0]
        matched[..., channel] = _map_quantiles(lab[..., channel], source, source + shift)
    return recoloured(generated, lab, _spare_black(lab, matched, skin))


def mean_std(generated: Image, plate: Image, skin: Mask) -> Image:
    """Mean and standard deviation of the skin in LAB (Reinhard et al. 2001, "Color transfer between images", with
    CIELAB for l-alpha-beta). Contrast is changed by a factor of .5..2 at most; a flat channel keeps its contrast."""
    lab, here = to_lab(generated), skin.astype(np.uint8)
    mean, spread = (np.ravel(v) for v in cv2.meanStdDev(lab, mask=here))
    wanted_mean, wanted_spread = (np.ravel(v) for v in cv2.meanStdDev(to_lab(plate), mask=here))
    gain = np.where(spread > 1e-3, np.clip(wanted_spread / np.maximum(spread, 1e-3), *CONTRAST_RANGE), 1.0)
    shift = wanted_mean - gain * mean
    matched = lab * gain.astype(np.float32) + shift.astype(np.float32)
    return recoloured(generated, lab, _spare_black(lab, matched, skin))


def covariance(generated: Image, plate: Image, skin: Mask) -> Image:
    """Mean and covariance of the skin in LAB by the linear map that moves colours least: Monge-Kantorovich, the MKL of
    Pitie and Kokaram 2007, "The linear Monge-Kantorovitch linear colour mapping". No direction's contrast changes by
    more than a factor of .5..2, and one in which the skin is flat keeps its contrast."""
    lab, target = to_lab(generated), to_lab(plate)
    have, want = lab[skin].astype(np.float64), target[skin].astype(np.float64)
    flat = 1e-3 * np.eye(3)
    root, inverse = _root(np.cov(have.T) + flat)
    middle, _ = _root(root @ (np.cov(want.T) + flat) @ root)
    values, axes = np.linalg.eigh(inverse @ middle @ inverse)
    turn = (axes * np.clip(values, *CONTRAST_RANGE)) @ axes.T
    shift = want.mean(axis=0) - turn @ have.mean(axis=0)
    matched = np.asarray(cv2.transform(lab, np.column_stack([turn, shift]).astype(np.float32)), np.float32)
    return recoloured(generated, lab, _spare_black(lab, matched, skin))


def _root(matrix: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Square root of a symmetric positive matrix, and the inverse of that root."""
    values, axes = np.linalg.eigh(matrix)
    roots = np.sqrt(np.maximum(values, 1e-12))
    return (axes * roots) @ axes.T, (axes / roots) @ axes.T


def _by_statistics(correct: Statistics) -> ColourMethod:
    def method(generated: Frame, plate: Frame, regions: ColourRegions, amount: float) -> Frame:
        image = to_image(generated)
        matched = correct(image, to_image(plate), regions.skin)
        return to_frame(image + np.float32(amount) * (matched - image))

    return method


STATISTICS: dict[str, Statistics] = {"covariance": covariance, "mean_std": mean_std, "histogram": histogram}

COLOUR_METHODS: dict[str, ColourMethod] = {
    "membrane": membrane,
    **{name: _by_statistics(correct) for name, correct in STATISTICS.items()},
    "none": keep,
}


def match_colour(
    method: str, generated: Frame, plate: Frame, regions: ColourRegions, amount: float
) -> tuple[Frame, tuple[str, ...]]:
    """The square after a method of COLOUR_METHODS, and in words what kept it from correcting: too little in view to
    measure colour by."""
    if method == "none" or amount == 0:
        return generated, ()
    missing = _missing(method, regions)
    return (generated, missing) if missing else (COLOUR_METHODS[method](generated, plate, regions, amount), ())


def colour_correction(method: str, generated: Frame, plate: Frame, regions: ColourRegions) -> Image | None:
    """What a method of COLOUR_METHODS adds to the square at amount 1, before rounding, float32 (side, side, 3), levels:
    any amount adds that part of it. None where it adds nothing."""
    if method == "none" or _missing(method, regions):
        return None
    if method == "membrane":
        return membrane_correction(generated, plate, regions)
    image = to_image(generated)
    return np.float32(255) * (STATISTICS[method](image, to_image(plate), regions.skin) - image)


def _missing(method: str, regions: ColourRegions) -> tuple[str, ...]:
    """In words, what keeps a method from measuring colour; empty when nothing does."""
    if method == "membrane":
        count, least, what = int(regions.trust.sum()), MIN_CELLS, "comparable cells"
    else:
        count, least, what = int(regions.skin.sum()), MIN_SKIN_PX, "skin pixels"
    return (f"colour is left as it is: {count} {what} in view, {least} are needed",) if count < least else ()


def match_color_histogram(source: Frame, reference: Frame, mask: NDArray | None = None) -> Frame:
    """Source with the LAB histograms of reference; uint8, the size of source.

    source, reference: uint8 (H, W, 3) BGR, any sizes without a mask. mask: (H, W), bool, uint8 or float; statistics of
    both pictures come from where it exceeds half its maximum (no mask: the whole picture), and the whole source is
    corrected by them, so that a soft mask is not applied twice when the result is blended. Equal pictures give the
    source back bit for bit. Raises ValueError for other types, sizes that differ from the mask's and an empty mask.
    """
    check_frame(source, "source")
    check_frame(reference, "reference")
    image, target = to_image(source), to_lab(to_image(reference))
    generated = to_lab(image)
    here: Mask | tuple[()] = ()
    if mask is not None:
        here = _chosen(np.asarray(mask), source, reference)
    matched = np.empty_like(generated)
    for channel in range(3):
        have = _quantiles(generated[..., channel][here].ravel())
        want = _quantiles(target[..., channel][here].ravel())
        matched[..., channel] = _map_quantiles(generated[..., channel], have, want)
    return to_frame(recoloured(image, generated, matched))


def to_lab(image: Image) -> Image:
    """BGR 0..1 to CIELAB: L 0..100, a and b signed."""
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2LAB), np.float32)


def _spare_black(lab: Image, corrected: Image, skin: Mask) -> Image:
    """The correction in full from .4 of the skin's mean lightness up, fading out to none at black."""
    full_from = max(BLACK_SHARE * float(lab[..., 0][skin].mean()), 1.0)
    weight = smoothstep(lab[..., :1] / np.float32(full_from))
    return lab + weight * (corrected - lab)


def recoloured(image: Image, lab: Image, corrected: Image) -> Image:
    """The image moved by what separates two LAB pictures, `lab` being its own. OpenCV interpolates LAB in tables, so
    the way there and back moves 8-bit colours by up to a level; in the difference of two ways back that error is gone,
    and an unchanged LAB leaves the image bit-exact."""
    return np.clip(image + (from_lab(corrected) - from_lab(lab)), 0, 1)


def from_lab(lab: Image) -> Image:
    """CIELAB to BGR, held in 0..1."""
    return np.clip(np.asarray(cv2.cvtColor(lab, cv2.COLOR_LAB2BGR), np.float32), 0, 1)


def _chosen(mask: NDArray, source: Frame, reference: Frame) -> Mask:
    if mask.shape != source.shape[:2] or source.shape != reference.shape:
        raise ValueError(
            f"mask must have the height and width of source and reference; got mask {mask.shape}, "
            f"source {source.shape[:2]}, reference {reference.shape[:2]}"
        )
    chosen = np.asarray(mask > mask.max() / 2) if mask.dtype != bool else mask
    if not chosen.any():
        raise ValueError("mask must choose at least one pixel; got an empty mask")
    return chosen


def _quantiles(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """256 order statistics at the middles of 256 equal parts of the distribution, (256,), rising. Of more
    than 262 144 values an even selection is taken: sorting 2 million costs half a second."""
    ordered = np.sort(values[:: 1 + len(values) // SAMPLES])
    return ordered[((np.arange(QUANTILES) + 0.5) * (len(ordered) / QUANTILES)).astype(np.intp)]


def _map_quantiles(
    values: NDArray[np.float32], source: NDArray[np.float32], reference: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Piecewise linear map that takes each source quantile to the reference's; slope 1 beyond both ends."""
    knots, group = np.unique(source, return_inverse=True)
    # Many pixels of one value share one knot: it goes to the mean of what they should become.
    shifts = np.bincount(group, reference.astype(np.float64) - source) / np.bincount(group)
    # A table over the knots' span: np.interp on every pixel costs five times as much.
    low, span = float(knots[0]), max(float(knots[-1] - knots[0]), 1e-6)
    table = np.interp(low + span * np.linspace(0, 1, TABLE_LEVELS), knots, shifts).astype(np.float32)
    places = (values - np.float32(low)) * np.float32((TABLE_LEVELS - 1) / span) + np.float32(0.5)
    return values + table[np.clip(places, 0, TABLE_LEVELS - 1).astype(np.int32)]
