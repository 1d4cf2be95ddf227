"""The matte: reach guard, mouth, sliders, schemes, and the reduced grid against the slow exact distance."""

from itertools import pairwise

import cv2
import numpy as np
import pytest
from synthetic_face import points_68, points_of

from blending import CropBox, Landmarks, create_face_mask
from blending.mask import face_matte, face_outline, matte_limits, mouth_region, place, signed_distance, skin_mask

POINTS = points_68()
BOX = CropBox.from_landmarks(POINTS)


def random_pose(rng: np.random.Generator) -> np.ndarray:
    return points_of(
        int(rng.choice([68, 68, 68, 110, 478])),
        centre=tuple(rng.uniform(-60, 320, 2)),
        size=float(rng.uniform(12, 320)),
        roll=float(rng.uniform(-0.7, 0.7)),
        yaw=float(rng.uniform(-1, 1)),
        mouth=float(rng.uniform(0, 1)),
    )


def random_box(rng: np.random.Generator, points: np.ndarray) -> CropBox:
    if rng.random() < 0.5:
        return CropBox.from_landmarks(points)
    side = int(rng.integers(8, 300))
    x, y = points.mean(axis=0) + rng.uniform(-1, 1, 2) * side * 0.7
    return CropBox(int(x - side / 2), int(y - side / 2), side)


def border(square: np.ndarray) -> np.ndarray:
    return np.concatenate([square[0], square[-1], square[:, 0], square[:, -1]])


def test_matte_is_zero_on_the_border_of_the_square_for_every_setting() -> None:
    rng = np.random.default_rng(2)
    seen = 0
    for _ in range(1500):
        points = random_pose(rng)
        box = random_box(rng, points)
        expansion = float(rng.choice([1.0, 1.3, rng.uniform(1, 1.3), 3.0]))
        matte = face_matte(points, box, expansion, float(rng.choice([0, 60, rng.uniform(0, 60), 400])))
        assert matte.shape == (box.side, box.side)
        assert matte.dtype == np.float32
        assert not border(matte).any(), (box, expansion)
        assert matte.min() >= 0
        assert matte.max() <= 1
        full = place(matte, box, (240, 300))
        rows, columns = box.inside((240, 300))
        outside = np.ones((240, 300), bool)
        outside[rows, columns] = False
        assert not full[outside].any()
        seen += matte.max() > 0.9
    assert seen > 700


@pytest.mark.parametrize("scheme", [68, 110, 478])
@pytest.mark.parametrize("yaw", [-0.3, 0.0, 0.3])
def test_mouth_stays_whole_under_every_feather(scheme: int, yaw: float) -> None:
    for opened in (0.0, 1.0):
        points = points_of(scheme, yaw=yaw, mouth=opened)
        box, marks = CropBox.from_landmarks(points), Landmarks(points)
        lips = cv2.convexHull(marks.region("outer_lip")).reshape(-1, 2)
        at = np.arange(box.side)
        for polygon in (lips, mouth_region(marks)):
            inside = signed_distance(polygon, box.x0 + at, box.y0 + at) <= 0
            assert inside.sum() > 100
            for expansion in (1.0, 1.15, 1.3):
                for feather in (0, 30, 60, 200):
                    assert face_matte(points, box, expansion, feather)[inside].min() >= 0.97


def test_alpha_only_grows_with_expansion_and_every_step_is_alive() -> None:
    mattes = [face_matte(POINTS, BOX, e, 25) for e in np.arange(1.0, 1.305, 0.01)]
    for before, after in pairwise(mattes):
        assert (after >= before).all()
        assert (after - before).max() > 0.02


@pytest.mark.parametrize("expansion", [1.0, 1.15, 1.3])
def test_alpha_only_falls_with_feather_and_every_step_is_alive(expansion: float) -> None:
    points = points_68(size=245)
    box = CropBox.from_landmarks(points)
    assert abs(box.side - 250) < 10
    mattes = [face_matte(points, box, expansion, 0.005 * box.side * amount) for amount in range(61)]
    for before, after in pairwise(mattes):
        assert (after <= before).all()
        assert (before - after).max() > 1 / 255
    for tenth in range(0, 60, 10):
        assert np.abs(mattes[tenth + 10] - mattes[tenth]).max() > 0.03


def test_first_pixel_of_feather_is_alive() -> None:
    assert np.abs(face_matte(POINTS, BOX, 1.15, 1) - face_matte(POINTS, BOX, 1.15, 0)).max() > 0.1


def test_no_feather_is_an_antialiased_step_of_one_pixel() -> None:
    matte = face_matte(POINTS, BOX, 1.1, 0)
    column = matte[:, BOX.side // 2]
    lower = column[np.argmax(column) :]
    assert 1 <= ((lower > 0) & (lower < 1)).sum() <= 2
    shifted = face_matte(POINTS + np.float32([0, 0.3]), BOX, 1.1, 0)
    assert 0.1 < np.abs(shifted - matte).max() < 0.6


def test_reduced_grid_is_within_a_hundredth_of_the_exact_closed_form() -> None:
    """Away from mouth and border the matte is smoothstep((e - d) / f), computed here pixel by pixel."""
    points = points_68(size=245, roll=0.1)
    box = CropBox.from_landmarks(points)
    outline, side, feather = face_outline(Landmarks(points)), box.side, 0.15 * box.side
    e = 0.15 * side / 2
    matte = face_matte(points, box, 1.15, feather)
    rng = np.random.default_rng(0)
    for _ in range(300):
        # The left and right ramps have ended by f + 4/328 S; the mouth guard starts .1 S above the chin.
        x, y = (int(v) for v in (rng.integers(0.2 * side, 0.8 * side), rng.integers(0.66 * side, 0.83 * side)))
        where = (float(x + box.x0), float(y + box.y0))
        t = np.clip((e + cv2.pointPolygonTest(outline, where, True)) / feather, 0, 1)
        assert matte[y, x] == pytest.approx(t * t * (3 - 2 * t), abs=0.012)


def test_signed_distance_agrees_with_opencv() -> None:
    rng = np.random.default_rng(1)
    hull = cv2.convexHull(rng.uniform(0, 50, (20, 2)).astype(np.float32)).reshape(-1, 2)
    xs, ys = rng.uniform(-20, 70, 30), rng.uniform(-20, 70, 30)
    for winding in (hull, hull[::-1]):
        slow = [[-cv2.pointPolygonTest(hull, (x, y), True) for x in xs] for y in ys]
        np.testing.assert_allclose(signed_distance(winding, xs, ys), slow, atol=1e-3)


def test_half_alpha_at_the_jaw_when_the_feather_is_twice_the_reach() -> None:
    matte = face_matte(POINTS, BOX, 1.15, 0.15 * BOX.side)
    chin = Landmarks(POINTS).anchor("chin")
    column, row = round(float(chin[0])) - BOX.x0, float(chin[1]) - BOX.y0
    assert np.interp(row, np.arange(BOX.side), matte[:, column]) == pytest.approx(0.5, abs=0.05)


@pytest.mark.parametrize("scheme", [110, 478])
def test_schemes_give_the_same_matte(scheme: int) -> None:
    expected = create_face_mask(points_of(68), (320, 320), box=BOX)
    assert np.abs(create_face_mask(points_of(scheme), (320, 320), box=BOX) - expected).max() < 0.08


def test_limits_say_what_stopped_the_matte() -> None:
    assert matte_limits(POINTS, BOX, 1.15, 0.15 * BOX.side) == ()
    chin_y = float(Landmarks(POINTS).anchor("chin")[1])
    low = CropBox(BOX.x0, round(chin_y) + 10 - BOX.side, BOX.side)
    (said,) = (s for s in matte_limits(POINTS, low, 1.2, 10) if "chin" in s)
    assert said == "feather ends 7 px below the chin: the generated picture stops there"
    assert any("at the mouth" in s for s in matte_limits(POINTS, BOX, 1.0, 60))
    assert any("left cheek" in s for s in matte_limits(POINTS, CropBox(BOX.x0 + 40, BOX.y0, BOX.side), 1.15, 10))
    assert matte_limits(POINTS, CropBox(900, 0, 50), 1.15, 10) == (
        "the face lies outside the generated picture: the plate is left as it is",
    )


def test_skin_leaves_out_mouth_border_and_all_that_is_no_skin() -> None:
    skin = skin_mask(POINTS, BOX)
    assert 0.15 < skin.mean() < 0.7
    assert not border(skin).any()
    for name in ("outer_lip", "nose_base", "left_eye"):
        for x, y in np.rint(Landmarks(POINTS).region(name) - (BOX.x0, BOX.y0)).astype(int):
            assert y < 0 or not skin[y, x]
    at = np.arange(BOX.side)
    outside = signed_distance(face_outline(Landmarks(POINTS)), BOX.x0 + at, BOX.y0 + at) > 0
    assert not skin[outside].any()


@pytest.mark.parametrize("shape", [(320, 300), (320, 300, 3), np.zeros((320, 300, 3)).shape])
def test_create_face_mask_takes_the_shape_of_a_picture(shape: tuple[int, ...]) -> None:
    matte = create_face_mask(POINTS, shape, expansion_ratio=1.15)
    assert matte.shape == (320, 300)
    assert matte.dtype == np.float32
    assert matte.max() == 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"image_shape": (320,)}, "image_shape must be"),
        ({"image_shape": (0, 10)}, "image_shape must be"),
        ({"image_shape": (32.5, 10)}, "image_shape must be"),
        ({"expansion_ratio": 0.9}, "expansion_ratio must be .* got 0.9"),
        ({"expansion_ratio": np.nan}, "expansion_ratio must be .* got nan"),
        ({"feather_amount": -1}, "feather_amount must be .* got -1"),
        ({"feather_amount": "30"}, "feather_amount must be .* got '30'"),
        ({"expansion_ratio": None}, "expansion_ratio must be .* got None"),
        ({"feather_amount": np.inf}, "feather_amount must be .* got inf"),
        ({"landmarks": POINTS[:60]}, r"landmarks must have shape .* got \(60, 2\)"),
        ({"landmarks": np.full((68, 2), np.nan)}, "landmarks must be finite"),
        ({"landmarks": np.ones((68, 2)), "box": BOX}, "landmarks must outline a face"),
        ({"landmarks": POINTS * 1000}, "box must be at most 4 times"),
        ({"landmarks": POINTS / 1000}, "at least 8 px wide"),
    ],
)
def test_bad_arguments_are_named(change: dict, message: str) -> None:
    arguments = {"landmarks": POINTS, "image_shape": (320, 320)} | change
    with pytest.raises(ValueError, match=message):
        create_face_mask(**arguments)


def test_face_far_outside_the_frame_gives_an_empty_matte() -> None:
    assert not create_face_mask(POINTS + 1e5, (320, 320)).any()
    assert not create_face_mask(POINTS - 4000, (320, 320)).any()
