"""Colour of the generated square brought to the plate's: one pure function per method.

Every method takes (generated, plate, skin): two float pictures of one size, 0..1 BGR, and a bool mask that says which
pixels statistics may be taken from; the correction is applied to the whole generated picture. A method given two equal
pictures returns the same 8-bit frame, bit for bit. Working space: CIELAB in float (L 0..100, a and b signed).

What is much darker than the skin (mouth cavity, nostrils) is spared: a shift of colour measured on skin would turn it
purple or blue there.
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

from blending.mask import Mask, smoothstep
from blending.types import Frame, Image, check_frame, to_frame, to_image

ColourMethod = Callable[[Image, Image, Mask], Image]

MIN_SKIN_PX = 64
"""Fewer skin pixels than this say nothing about colour: the engine then corrects nothing and reports it."""

QUANTILES = 256
TABLE_LEVELS = 4096
SAMPLES = 2**18
CONTRAST_RANGE = (0.5, 2.0)
BLACK_SHARE = 0.4


def keep(generated: Image, plate: Image, skin: Mask) -> Image:
    """The generated picture as it is."""
    return generated


def histogram(generated: Image, plate: Image, skin: Mask) -> Image:
    """Histogram matching in LAB: each channel goes through the plate's inverse distribution of its own distribution.

    Both distributions come from the skin as 256 order statistics; between them the map is linear, beyond the darkest
    and brightest skin it is a shift, so teeth and nostrils keep their contrast.
    """
    lab, target = to_lab(generated), to_lab(plate)
    matched = np.empty_like(lab)
    for channel in range(3):
        source, reference = _quantiles(lab[..., channel][skin]), _quantiles(target[..., channel][skin])
        matched[..., channel] = _map_quantiles(lab[..., channel], source, reference)
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


COLOUR_METHODS: dict[str, ColourMethod] = {"none": keep, "mean_std": mean_std, "histogram": histogram}


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
