"""Layers for a blend elsewhere: put together by the plain formula they are the engine's blend."""

import cv2
import numpy as np
import pytest
from synthetic_face import generated_of, plate_of, points_68

from blending import COLOUR_METHODS, Blender, BlendSettings, CropBox, Landmarks
from blending.colour import colour_correction
from blending.layers import AMOUNTS, blend_layers, corrected
from blending.mask import ColourRegions, field_matte

POINTS = points_68()
MARKS = Landmarks(POINTS)
PLATE = plate_of(POINTS)
GENERATED, BOX = generated_of(POINTS)
REGIONS = ColourRegions.of(MARKS, BOX, PLATE.shape[:2])


@pytest.mark.parametrize("method", COLOUR_METHODS)
def test_any_amount_adds_that_part_of_the_correction(method):
    base = BOX.extract(PLATE)
    correction = colour_correction(method, GENERATED, base, REGIONS)
    for amount in (0.0, 0.35, 1.0):
        engine = COLOUR_METHODS[method](GENERATED, base, REGIONS, amount)
        assert np.abs(corrected(GENERATED, correction, amount).astype(int) - engine).max() <= 1
    assert (correction is None) == (method == "none")


@pytest.mark.parametrize("opacity", [1.0, 0.4])
@pytest.mark.parametrize("held", [False, True])
@pytest.mark.parametrize("generated", [GENERATED, cv2.GaussianBlur(GENERATED, (0, 0), 3)], ids=["sharp", "smooth"])
def test_mixed_layers_are_the_blend(generated, held, opacity):
    parsing = np.zeros(PLATE.shape[:2], bool)
    parsing[round(float(MARKS.anchor("chin")[1])) :] = held
    for amount in (0.0, 0.5, 1.0):
        settings = BlendSettings(colour_amount=amount, feather_amount=22, texture=0, outward_share=0.3)
        layers = blend_layers(settings, PLATE, generated, BOX, MARKS, parsing=parsing, opacity=opacity)
        at = round(amount * (AMOUNTS - 1))
        shape = settings.matte_shape(BOX.side, layers.feather_shares[at], layers.reach_shares[at])
        matte = field_matte(layers.field, shape) * layers.kept
        square = corrected(layers.generated, layers.correction, amount).astype(np.float32)
        mixed = np.rint(layers.plate + matte[..., None] * (square - layers.plate))
        result = Blender(settings).blend(PLATE, generated, BOX, MARKS, parsing=parsing, opacity=opacity)
        assert np.abs(matte - result.patch_matte).max() < 0.004
        assert np.abs(mixed - result.patch).max() <= 1


def test_texture_is_there_where_it_is_lacked():
    smooth = cv2.GaussianBlur(GENERATED, (0, 0), 3)
    layers = blend_layers(BlendSettings(), PLATE, smooth, BOX, MARKS)
    share = Blender(BlendSettings(texture=0.5)).blend(PLATE, smooth, BOX, MARKS).chosen["texture_share"]
    assert layers.texture_shares[-1] * 0.5 == pytest.approx(share, abs=0.01)
    assert share > 0.1
    assert layers.detail is not None
    without = blend_layers(BlendSettings(colour="none"), PLATE, BOX.extract(PLATE), BOX, MARKS)
    assert without.detail is None
    assert not without.texture_shares.any()


def test_a_square_outside_the_frame_is_an_error():
    with pytest.raises(ValueError, match="box must reach into the frame"):
        blend_layers(BlendSettings(), PLATE, GENERATED, CropBox(2000, 0, BOX.side), MARKS)
