"""The engine's layers as the page's own blend reads them (static/blend.js): numbers for JSON and arrays."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from blending.layers import BlendLayers
from blending.mask import MOUTH_MARGIN_SHARE, RIM_SHARE
from blending.settings import ADAPTIVE_SHARE
from blending.texture import AGREE_GREY2, AGREE_RED2

CORRECTION_STEPS = 64
"""Corrections travel as int16 in steps of 1/64 of a level: rounded by 1/128 at most, within +-511 levels."""


def layer_numbers(layers: BlendLayers) -> dict[str, Any]:
    """Everything of the layers that is no picture; px of the square where a name ends so."""
    field = layers.field
    side = field.box.side
    middle = field.outline.mean(axis=0, dtype=np.float64) - (field.box.x0, field.box.y0)
    return {
        "side": side,
        "cells": len(field.distance_grid),
        "mouth_cells": len(field.mouth_grid),
        "texture_cells": 0 if layers.texture_cells is None else len(layers.texture_cells),
        "middle": middle.tolist(),
        "mouth_gap_px": field.mouth_gap_px,
        "edge_gaps_px": list(field.edge_gaps_px),
        "rim_px": RIM_SHARE * side,
        "mouth_margin_px": MOUTH_MARGIN_SHARE * side,
        "adaptive_px": ADAPTIVE_SHARE * side,
        "feather_shares": layers.feather_shares.tolist(),
        "reach_shares": layers.reach_shares.tolist(),
        "texture_shares": layers.texture_shares.tolist(),
        "agree_grey2": AGREE_GREY2,
        "agree_red2": AGREE_RED2,
        "correction_steps": CORRECTION_STEPS,
    }


def layer_blobs(layers: BlendLayers) -> list[tuple[str, NDArray]]:
    """Arrays by name, row by row; pictures in RGB. What is absent does nothing."""
    field = layers.field
    blobs: list[tuple[str, NDArray]] = [
        ("plate", _rgb(layers.plate)),
        ("generated", _rgb(layers.generated)),
        ("distance", field.distance_grid),
        ("mouth", field.mouth_grid),
    ]
    if (layers.kept != 1).any():
        blobs.append(("kept", np.rint(layers.kept * 255).astype(np.uint8)))
    if layers.correction is not None:
        steps = np.clip(np.rint(layers.correction * CORRECTION_STEPS), -32768, 32767)
        blobs.append(("correction", _rgb(steps.astype("<i2"))))
    if layers.detail is not None and layers.texture_cells is not None and layers.off is not None:
        blobs += [("detail", layers.detail), ("texture", layers.texture_cells.astype("<f4")), ("off", _rgb(layers.off))]
    return blobs


def _rgb(picture: NDArray) -> NDArray:
    return np.ascontiguousarray(picture[..., ::-1])
