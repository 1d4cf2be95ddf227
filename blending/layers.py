"""What the alpha compositor needs of one frame, so that its sliders can be followed elsewhere (the page's own blend).

The matte follows from two coarse distance maps by a closed form, the colour correction is linear in its amount, the
texture in its own. What is measured on the corrected square (how well it matches, how much texture it lacks) is
tabled over the amount: the steps of that slider are in the table, between them it is read linearly.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from blending.adaptive import chin_difference, feather_share, reach_share, still_difference
from blending.colour import colour_correction
from blending.mask import ColourRegions, FaceField, Mask, face_field, visible_part
from blending.membrane import cell_means
from blending.parsing import SOFT_SHARE, hold_back
from blending.registration import Registration, register, resample
from blending.settings import BlendSettings
from blending.texture import LARGEST_LEVELS, brightness, coarse_brightness, lacking_share
from blending.types import CropBox, Frame, Landmarks, Matte, compact

LOCAL_SETTINGS = (
    "expansion_ratio", "feather_amount", "feather_unit", "adapt", "colour_amount", "texture", "outward_share",
    "down_share", "side_share",
)  # fmt: skip
"""Settings that the layers do not depend on."""

AMOUNTS = 21
"""Entries of each table: colour amounts 0, .05 .. 1."""


@dataclass(frozen=True, eq=False)
class BlendLayers:
    """The layers of one generator's square of side S.

    plate, generated: uint8 (S, S, 3), both squares after registration. correction: float32 (S, S, 3), levels, what
    colour amount 1 adds; None for nothing. field: the distances. kept: float32 (S, S), 0..1, factor of the matte
    (opacity and parsing mask). feather_shares, reach_shares, texture_shares: (21,), by colour amount; the first two
    count where the settings follow the match. detail: int8 (S, S), levels, the plate's texture. texture_cells: float32
    (n, n), where it may be laid on; off: float32 (2, n, n, 3), levels, what separates the cells' means of square and
    plate at colour amounts 0 and 1. The last three are None where no amount lacks texture.
    """

    plate: Frame
    generated: Frame
    correction: NDArray[np.float32] | None
    field: FaceField
    kept: Matte
    feather_shares: NDArray[np.float64]
    reach_shares: NDArray[np.float64]
    texture_shares: NDArray[np.float64]
    detail: NDArray[np.int8] | None = None
    texture_cells: NDArray[np.float32] | None = None
    off: NDArray[np.float32] | None = None


def blend_layers(
    settings: BlendSettings,
    plate: Frame,
    generated: Frame,
    box: CropBox,
    landmarks: Landmarks,
    *,
    registration: Registration | None = None,
    parsing: Mask | None = None,
    opacity: float = 1.0,
) -> BlendLayers:
    """The layers of a frame for the settings that are not in LOCAL_SETTINGS; arguments as `Blender.blend` has them.

    What is mixed from them by other values of LOCAL_SETTINGS is what `Blender` gives with compositor alpha, within two
    levels. The box must not lie outside the frame: ValueError.
    """
    frame_hw = plate.shape[0], plate.shape[1]
    rows, columns = box.inside(frame_hw)
    if rows.start == rows.stop or columns.start == columns.stop:
        raise ValueError(f"box must reach into the frame of {frame_hw[1]} x {frame_hw[0]} px; got {box}")
    regions = ColourRegions(landmarks, face_field(landmarks, box), visible_part(box, frame_hw))
    base = compact(box.extract(plate))
    if settings.registration == "off":
        registration = Registration()
    elif registration is None:
        registration = register(base, generated, regions)
    square = compact(resample(generated, box.side, registration) if registration.moves else box.resize(generated))
    correction = colour_correction(settings.colour, square, base, regions)
    feathers, reaches, textures = _tables(square, base, correction, regions)
    kept = np.full((box.side, box.side), opacity, np.float32)
    if parsing is not None and settings.use_parsing == "on":
        hold_back(kept, parsing, box, frame_hw, SOFT_SHARE)
    layers = BlendLayers(base, square, correction, regions.field, kept, feathers, reaches, textures)
    return _with_texture(layers, regions) if textures.any() else layers


def corrected(square: Frame, correction: NDArray[np.float32] | None, amount: float) -> Frame:
    """The square with that part of the correction, rounded."""
    if correction is None or amount == 0:
        return square
    return np.asarray(cv2.addWeighted(square.astype(np.float32), 1, correction, amount, 0, dtype=cv2.CV_8U), np.uint8)


def _tables(
    square: Frame, base: Frame, correction: NDArray[np.float32] | None, regions: ColourRegions
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Parts of the feather, of the reach and of the texture at each amount of the correction."""
    there, rows = brightness(base), []
    for amount in np.linspace(0, 1, AMOUNTS if correction is not None else 1):
        greys = brightness(corrected(square, correction, float(amount))), there
        feather = feather_share(still_difference(*greys, regions))
        rows.append((feather, reach_share(chin_difference(*greys, regions)), lacking_share(greys, regions)))
    feathers, reaches, textures = np.broadcast_to(np.array(rows), (AMOUNTS, 3)).T
    return feathers, reaches, textures


def _with_texture(layers: BlendLayers, regions: ColourRegions) -> BlendLayers:
    grey, cells = brightness(layers.plate), len(regions.trust)
    detail = grey.astype(np.float32) - coarse_brightness(grey)
    there, whole = cell_means(layers.plate, cells), corrected(layers.generated, layers.correction, 1)
    return BlendLayers(
        layers.plate, layers.generated, layers.correction, layers.field, layers.kept,
        layers.feather_shares, layers.reach_shares, layers.texture_shares,
        np.clip(detail, -LARGEST_LEVELS, LARGEST_LEVELS).astype(np.int8),
        regions.off_lips * regions.in_view,
        np.stack([cell_means(one, cells) - there for one in (layers.generated, whole)]),
    )  # fmt: skip
