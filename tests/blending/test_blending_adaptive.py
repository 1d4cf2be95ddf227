"""The feather follows the match: narrow where the corrected square agrees with the plate, wide where it does not."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from synthetic_face import plate_of, points_68

from blending import Blender, BlendSettings, CropBox, Landmarks
from blending.adaptive import REACHES, SHARES, feather_share, reach_share, still_difference
from blending.mask import ColourRegions
from blending.texture import brightness
from blending.types import Frame

POINTS = points_68()
PLATE = plate_of(POINTS)
BOX = CropBox.from_landmarks(POINTS)
SQUARE = np.ascontiguousarray(BOX.extract(PLATE))
REGIONS = ColourRegions.of(Landmarks(POINTS), BOX, (320, 320))


def mismatch_levels(first: Frame, second: Frame, regions: ColourRegions) -> float | None:
    return still_difference(brightness(first), brightness(second), regions)


def grained(levels: float) -> Frame:
    """The plate's square with noise whose mean size is `levels`: something no colour correction takes away."""
    noise = np.random.default_rng(3).choice([-levels, levels], SQUARE.shape[:2])
    return np.clip(SQUARE + noise[..., None], 0, 255).astype(np.uint8)


def test_mismatch_is_the_difference_in_levels_and_nothing_for_equal_pictures() -> None:
    assert mismatch_levels(SQUARE, SQUARE, REGIONS) == 0
    assert mismatch_levels(grained(4), SQUARE, REGIONS) == pytest.approx(4, abs=0.1)
    assert mismatch_levels(SQUARE, grained(4), REGIONS) == mismatch_levels(grained(4), SQUARE, REGIONS)


def test_another_mouth_and_another_cheek_are_no_mismatch() -> None:
    changed = SQUARE.copy()
    side = BOX.side
    lip_y = int(Landmarks(POINTS).region("outer_lip")[:, 1].mean()) - BOX.y0
    cv2.rectangle(changed, (side // 4, lip_y - side // 8), (3 * side // 4, lip_y + side // 8), (0, 0, 90), -1)
    assert (changed != SQUARE).any()
    assert mismatch_levels(changed, SQUARE, REGIONS) == 0


def test_mismatch_is_not_known_where_nothing_still_is_in_view() -> None:
    box = CropBox(12 - BOX.side, BOX.y0, BOX.side)
    outside = ColourRegions.of(Landmarks(POINTS - (BOX.x0 - box.x0, 0)), box, (320, 320))
    assert mismatch_levels(SQUARE, SQUARE, outside) is None
    assert feather_share(None) == 1


def test_share_rises_with_the_mismatch_within_its_ends() -> None:
    shares = [feather_share(levels) for levels in np.linspace(0, 12, 200)]
    assert shares == sorted(shares)
    assert (shares[0], shares[-1]) == (SHARES[0][1], SHARES[-1][1]) == (0.5, 1.2)


@pytest.mark.parametrize("levels", [0, 1.5, 2, 3.5, 5, 9])
def test_engine_uses_and_reports_the_feather_of_the_match(levels: float) -> None:
    outcome = Blender(BlendSettings(registration="off", colour="none")).blend(PLATE, grained(levels), BOX, POINTS)
    asked = BlendSettings().feather_px(BOX.side)
    assert outcome.chosen["feather_share"] == feather_share(outcome.chosen["mismatch_levels"])
    assert outcome.feather_px == pytest.approx(asked * outcome.chosen["feather_share"])
    same = Blender(BlendSettings(adapt="off", feather_amount=30 * outcome.chosen["feather_share"]))
    assert outcome.chosen["texture_share"] == 0  # a square with more grain than the plate needs none of it
    np.testing.assert_allclose(outcome.matte, same.blend(PLATE, SQUARE, BOX, POINTS).matte, atol=1e-5)


@pytest.mark.parametrize("change", [{"feather_unit": "px"}, {"adapt": "off"}], ids=str)
def test_feather_stays_as_set_in_pixels_or_when_switched_off(change: dict) -> None:
    chosen = BlendSettings(**change)
    outcome = Blender(chosen).blend(PLATE, grained(9), BOX, POINTS)
    assert outcome.feather_px == chosen.feather_px(BOX.side)
    assert "mismatch_levels" not in outcome.chosen


def test_feather_slider_stays_monotonic_under_the_match() -> None:
    widths = [
        Blender(BlendSettings(feather_amount=amount)).blend(PLATE, grained(2), BOX, POINTS).feather_px
        for amount in range(0, 61, 5)
    ]
    assert np.all(np.diff(widths) > 0)


def test_reach_below_the_chin_follows_a_dropped_jaw() -> None:
    """The generated jaw hangs lower: what the plate has as neck is chin there."""
    dropped = SQUARE.copy()
    chin = Landmarks(POINTS).anchor("chin") - (BOX.x0, BOX.y0)
    rows = slice(int(chin[1]) - 4, int(chin[1]) + BOX.side // 10)
    dropped[rows, BOX.side // 4 : -BOX.side // 4] = (20, 20, 30)
    still = Blender(BlendSettings(registration="off", colour="none")).blend(PLATE, SQUARE, BOX, POINTS)
    open_jaw = Blender(BlendSettings(registration="off", colour="none")).blend(PLATE, dropped, BOX, POINTS)
    assert (still.chosen["reach_share"], still.chosen["chin_levels"]) == (1, 0)
    assert open_jaw.chosen["reach_share"] > 1.3
    below = open_jaw.chosen["reach_below_px"] / still.chosen["reach_below_px"]
    assert below == pytest.approx(open_jaw.chosen["reach_share"])
    assert (open_jaw.matte >= still.matte - 1e-6).all()
    assert open_jaw.matte.sum() > still.matte.sum() * 1.02
    shares = [reach_share(levels) for levels in np.linspace(0, 60, 100)]
    assert shares == sorted(shares)
    assert (shares[0], shares[-1]) == (1, REACHES[-1][1])
