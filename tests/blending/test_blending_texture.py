"""The plate's stubble is laid over smooth generated skin, and nowhere else."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from synthetic_face import plate_of, points_68

from blending import Blender, BlendSettings, CropBox, Landmarks
from blending.mask import ColourRegions
from blending.texture import brightness, lay_on_texture
from blending.types import Frame

POINTS = points_68()
BOX = CropBox.from_landmarks(POINTS)
REGIONS = ColourRegions.of(Landmarks(POINTS), BOX, (320, 320))


def stubbled() -> Frame:
    """A plate with grain of 8 levels."""
    grain = np.random.default_rng(5).normal(0, 8, (320, 320))
    return np.clip(plate_of(POINTS) + grain[..., None], 0, 255).astype(np.uint8)


PLATE = stubbled()
SQUARE = np.ascontiguousarray(BOX.extract(PLATE))
SMOOTH = cv2.GaussianBlur(SQUARE, (0, 0), 3)
WHOLE = np.ones(SQUARE.shape[:2], np.float32)


def textured(generated: Frame, amount: float = 1.0, matte: np.ndarray = WHOLE) -> tuple[Frame, float]:
    return lay_on_texture(generated, SQUARE, (brightness(generated), brightness(SQUARE)), REGIONS, matte, amount)


def detail(square: Frame, where: np.ndarray) -> float:
    grey = brightness(square).astype(np.float32)
    return float(np.abs(grey - cv2.blur(grey, (5, 5)))[where].mean())


def test_smooth_skin_gets_the_plates_texture_and_more_of_it_with_the_amount() -> None:
    cheek = REGIONS.skin
    found = [detail(textured(SMOOTH, amount)[0], cheek) for amount in (0, 0.25, 0.5, 0.75, 1)]
    assert found == sorted(found)
    assert len(set(found)) == 5
    assert found[0] < 0.4 * detail(SQUARE, cheek) < 0.8 * detail(SQUARE, cheek) < found[-1]
    grey, wanted = (brightness(one).astype(float)[cheek] for one in (textured(SMOOTH)[0], SQUARE))
    assert np.corrcoef(grey, wanted)[0, 1] > 0.9


def test_lips_and_what_the_matte_does_not_show_stay_as_they_were() -> None:
    lips = np.zeros(SQUARE.shape[:2], np.uint8)
    corners = np.rint(Landmarks(POINTS).region("outer_lip") - (BOX.x0, BOX.y0)).astype(np.int32)
    cv2.fillConvexPoly(lips, cv2.convexHull(corners), (1,))
    half = WHOLE.copy()
    half[: len(half) // 2] = 0
    found, share = textured(SMOOTH, matte=half)
    assert share == 1
    np.testing.assert_array_equal(found[lips > 0], SMOOTH[lips > 0])
    np.testing.assert_array_equal(found[half == 0], SMOOTH[half == 0])
    assert (found[half > 0] != SMOOTH[half > 0]).any()


@pytest.mark.parametrize("generated", [SQUARE, np.clip(SQUARE + 6, 0, 255).astype(np.uint8)], ids=["equal", "lighter"])
def test_a_square_with_its_own_texture_stays_the_same(generated: Frame) -> None:
    found, share = textured(generated)
    assert found is generated
    assert share == 0


def test_an_edge_of_the_plate_is_no_texture() -> None:
    """Of the outline of a patch that only the plate has, 90 levels brighter, less than a third is laid on."""
    edged = SQUARE.copy()
    rows, columns = slice(60, 90), slice(12, 30)
    edged[rows, columns] = np.clip(edged[rows, columns].astype(int) + 90, 0, 255)
    found, _ = lay_on_texture(SMOOTH, edged, (brightness(SMOOTH), brightness(edged)), REGIONS, WHOLE, 1.0)
    without, _ = textured(SMOOTH)
    added = np.abs(brightness(found).astype(float) - brightness(without))
    assert added.max() < 30
    assert np.median(added) == 0


def test_engine_reports_the_share_and_hard_paste_has_none() -> None:
    outcome = Blender(BlendSettings()).blend(PLATE, SMOOTH, BOX, POINTS)
    assert 0 < outcome.chosen["texture_share"] <= 1
    half = Blender(BlendSettings(texture=0.5)).blend(PLATE, SMOOTH, BOX, POINTS)
    assert half.chosen["texture_share"] == pytest.approx(outcome.chosen["texture_share"] / 2)
    hard = Blender(BlendSettings(compositor="hard", colour="none")).blend(PLATE, SMOOTH, BOX, POINTS)
    np.testing.assert_array_equal(hard.frame[BOX.inside((320, 320))], SMOOTH)
