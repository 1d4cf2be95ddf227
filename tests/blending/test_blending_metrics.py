"""Metrics: nothing for nothing, more for worse, each in its own place; compiled parts against the plain formula."""

import cv2
import numpy as np
import pytest
from scipy.ndimage import map_coordinates
from skimage.color import rgb2lab
from synthetic_face import generated_of, plate_of, points_68, points_of

from blending import Blender, BlendSettings, CropBox, seam_score
from blending.metrics import (
    Flicker,
    Truth,
    VisibleError,
    clip_floor,
    mouth_fidelity,
    nrv,
    regions,
)
from blending.perception import gradient, lab_of
from blending.seam import OCTAVE_WEIGHTS, WorkGrid, seam_map
from blending.types import Frame, Landmarks

POINTS, OPENED = points_68(), points_68(mouth=1.0)
MARKS, DRAWN = Landmarks(POINTS), Landmarks(OPENED)
PLATE = plate_of(POINTS)
GENERATED, BOX = generated_of(POINTS)
GRID = WorkGrid.around(BOX)
WHERE = regions(GRID, MARKS, DRAWN, PLATE.shape[:2])
TRUTH = Truth(PLATE, BOX, MARKS, DRAWN)


def brightened(region: np.ndarray, by: int = 12) -> Frame:
    """The plate, brighter in a region of the working grid."""
    mask = GRID.roi.paste(np.zeros_like(PLATE), np.repeat(region[..., None].astype(np.uint8) * 255, 3, axis=2)) > 127
    return np.clip(PLATE + by * mask.astype(int), 0, 255).astype(np.uint8)


# Regions and errors against a truth


@pytest.mark.parametrize("scheme", [68, 110, 478])
def test_regions_lie_where_they_should(scheme: int) -> None:
    marks, drawn = Landmarks(points_of(scheme)), Landmarks(points_of(scheme, mouth=1.0))
    where = regions(GRID, marks, drawn, PLATE.shape[:2])
    rows = GRID.centres[1]
    assert not (where.neck & where.skin).any()
    assert not (where.lips & (where.skin | where.ring)).any()
    assert rows[np.nonzero(where.neck)[0]].mean() > marks.anchor("chin")[1]
    assert where.lips[tuple(np.rint(GRID.points(drawn.region("outer_lip").mean(axis=0))[::-1]).astype(int))]
    border = np.abs(GRID.inward_px[:, None] + np.zeros(GRID.size)) < 1
    assert where.ring[border & GRID.square() & GRID.in_frame(PLATE.shape[:2])].mean() > 0.5
    assert min(where.neck.sum(), where.ring.sum(), where.skin.sum(), where.lips.sum()) > 300


def test_the_truth_has_no_error() -> None:
    error = TRUTH.error(PLATE)
    assert error == VisibleError(0, 0, 0, 0, 0)
    assert error.vis == 0
    assert not TRUTH.heatmap(PLATE).any()


def test_vis_is_the_weighted_sum() -> None:
    assert VisibleError(seam=2, neck=3, ring=6, skin=9, lips=8).vis == pytest.approx(1 + 1.5 + 2)


@pytest.mark.parametrize("name", ["neck", "ring", "skin", "lips"])
def test_an_error_shows_in_its_own_region(name: str) -> None:
    error = TRUTH.error(brightened(getattr(WHERE, name)))
    values = {part: getattr(error, part) for part in ("neck", "ring", "skin", "lips")}
    assert values[name] > 2
    assert max(values, key=values.__getitem__) == name


def test_errors_grow_with_the_step_and_blending_helps() -> None:
    steps = [TRUTH.error(brightened(WHERE.skin, by)).vis for by in (0, 4, 8, 16)]
    assert (np.diff(steps) > 0.2).all()
    hard = TRUTH.error(BOX.paste(PLATE, GENERATED))
    blended = TRUTH.error(Blender().blend(PLATE, GENERATED, BOX, POINTS).frame)
    assert all(getattr(blended, part) < 0.5 * getattr(hard, part) for part in ("neck", "ring", "skin"))


def test_errors_outside_the_frame_are_none() -> None:
    points = points_68(centre=(-900, 120))
    box = CropBox.from_landmarks(points)
    assert Truth(PLATE, box, points, points).error(255 - PLATE) == VisibleError(0, 0, 0, 0, 0)


# Flicker


def flicker_of(plates: list[Frame], blends: list[Frame]) -> float:
    meter = Flicker()
    for plate, blended in zip(plates, blends, strict=True):
        meter.add(plate, blended, BOX, MARKS, DRAWN)
    return meter.value


def test_what_does_not_change_does_not_flicker() -> None:
    tinted = brightened(WHERE.skin)
    assert flicker_of([PLATE], [tinted]) == 0
    assert flicker_of([PLATE] * 3, [PLATE] * 3) == 0
    assert flicker_of([PLATE] * 3, [tinted] * 3) == 0


def test_flicker_is_the_size_of_the_change() -> None:
    everywhere = np.ones((GRID.size, GRID.size), bool)
    values = [flicker_of([PLATE] * 4, [PLATE, brightened(everywhere, by)] * 2) for by in (3, 6, 12)]
    change = np.linalg.norm(lab_of(brightened(everywhere, 6)) - lab_of(PLATE), axis=2)
    assert values[1] == pytest.approx(change[BOX.y0 : BOX.y0 + 150, BOX.x0 : BOX.x0 + 150].mean(), rel=0.2)
    assert values[1] / values[0] == pytest.approx(2, rel=0.1)
    assert values[2] / values[1] == pytest.approx(2, rel=0.1)


def test_flicker_counts_only_where_the_plate_stands_still() -> None:
    dark = (PLATE * 0.6).astype(np.uint8)
    assert flicker_of([PLATE, dark], [PLATE, PLATE]) == 0


def test_cut_and_reset() -> None:
    tinted, meter = brightened(WHERE.skin), Flicker()
    meter.add(PLATE, PLATE, BOX, MARKS, DRAWN)
    meter.cut()
    meter.add(PLATE, tinted, BOX, MARKS, DRAWN)
    assert meter.value == 0
    meter.add(PLATE, PLATE, BOX, MARKS, DRAWN)
    assert meter.value > 1
    meter.reset()
    assert meter.value == 0


# The mouth, NRV, the clip's floor


def test_a_pasted_mouth_is_whole_and_the_plates_is_not() -> None:
    pasted = mouth_fidelity(BOX.paste(PLATE, GENERATED), GENERATED, BOX, DRAWN)
    assert (pasted.correlation, pasted.delta_e) == (pytest.approx(1), 0)
    plate = mouth_fidelity(PLATE, GENERATED, BOX, DRAWN)
    assert plate.correlation < 0.9
    assert plate.delta_e > 4


def test_correlation_ignores_colour_and_delta_e_does_not() -> None:
    brighter = np.clip(GENERATED.astype(int) + 8, 0, 255).astype(np.uint8)
    found = mouth_fidelity(BOX.paste(PLATE, brighter), GENERATED, BOX, DRAWN)
    assert found.correlation > 0.995
    assert found.delta_e > 2


def test_a_mouth_that_is_not_in_view_is_kept() -> None:
    points = points_68(centre=(-900, 120))
    found = mouth_fidelity(PLATE, GENERATED, CropBox.from_landmarks(points), points)
    assert (found.correlation, found.delta_e) == (1, 0)


def test_nrv_punishes_a_lost_mouth_only_below_the_floor() -> None:
    assert nrv(0.5, 2.0, 1.0) == nrv(0.5, 2.0, 0.98) == pytest.approx(1.0)
    assert nrv(0.5, 2.0, 0.88) == pytest.approx(2.0)


def test_floor_of_a_clip_is_its_noise() -> None:
    rng = np.random.default_rng(0)

    def noisy(sd: float) -> list[Frame]:
        return [np.clip(np.rint(PLATE + rng.normal(0, sd, PLATE.shape)), 0, 255).astype(np.uint8) for _ in range(3)]

    plates, marks = [PLATE] * 3, [MARKS] * 3
    assert clip_floor(plates, plates, marks) == 0
    floors = [clip_floor(plates, noisy(sd), marks) for sd in (1, 3)]
    assert 0 < floors[0] < floors[1]
    hard = BlendSettings.parse({"compositor": "hard", "colour": "none", "registration": "off"})
    assert clip_floor(plates, noisy(3), marks, hard) > 0


def test_mistakes_are_named() -> None:
    with pytest.raises(ValueError, match="plates must hold at least one frame"):
        clip_floor([], [], [])
    with pytest.raises(ValueError, match="shorter"):
        clip_floor([PLATE, PLATE], [PLATE], [MARKS] * 2)
    with pytest.raises(ValueError, match="blended must have the size of plate"):
        TRUTH.error(PLATE[:99])
    with pytest.raises(ValueError, match="blended must be uint8"):
        TRUTH.error(PLATE / 255)


# Compiled parts against the plain ones


def test_lab_follows_the_formula() -> None:
    rng = np.random.default_rng(0)
    for top in (256, 12):
        frame = rng.integers(0, top, (40, 50, 3), dtype=np.uint8)
        np.testing.assert_allclose(lab_of(frame), rgb2lab(frame[..., ::-1]), atol=0.01)
    np.testing.assert_allclose(lab_of(np.full((1, 1, 3), 255, np.uint8)), [[[100, 0, 0]]], atol=1e-3)


@pytest.mark.parametrize("hw", [(1, 1), (1, 5), (5, 1), (2, 2), (3, 4), (31, 40)])
def test_gradient_is_sobel(hw: tuple[int, int]) -> None:
    image = np.random.default_rng(0).normal(0, 30, (*hw, 3)).astype(np.float32)
    across, down = (cv2.Sobel(image, cv2.CV_32F, dx, 1 - dx, ksize=3, scale=1 / 8) for dx in (1, 0))
    np.testing.assert_allclose(gradient(image), np.sqrt((across**2 + down**2).sum(axis=2)), atol=1e-4)


@pytest.mark.parametrize("side", [61, 185, 420])
def test_windowed_map_is_the_whole_one(side: int) -> None:
    """Filtering only around the square changes nothing inside it."""
    points = points_68(size=side)
    plate, (generated, box) = plate_of(points, (500, 500)), generated_of(points, frame_hw=(500, 500))
    grid, blended = WorkGrid.around(box), Blender().blend(plate, generated, box, points).frame
    reference, outcome, paste = grid.lab(plate), grid.lab(blended), lab_of(grid.work_paste(plate, generated))
    fast = seam_map(grid, *(part[grid.window] for part in (reference, outcome - reference, outcome - paste)))
    plain = np.zeros_like(fast)
    parts = reference, outcome - reference, outcome - paste
    inward = np.minimum(grid.inward_px[:, None], grid.inward_px[None, :]).astype(np.float32)
    for octave, weight in enumerate(OCTAVE_WEIGHTS):
        if octave:
            parts, inward = tuple(cv2.pyrDown(part) for part in parts), inward[::2, ::2]
        first, second = (gradient(cv2.GaussianBlur(part, (0, 0), 0.8)) for part in parts[1:])
        error = np.where(inward < 3 * 2**octave, first, np.minimum(first, second))
        value = weight * error / (1 + cv2.GaussianBlur(gradient(parts[0]), (0, 0), 2) / 3)
        places = np.arange(grid.size) / 2**octave
        rows, columns = np.meshgrid(places, places, indexing="ij")
        plain = np.maximum(plain, map_coordinates(value, (rows, columns), order=1, mode="nearest"))
    inside = grid.square()
    assert np.abs(fast - plain)[inside].max() < 0.05 * plain[inside].max()
    assert seam_score(plate, blended, generated, box, points).score > 0
