"""The simulated generator: a truth that is the plate elsewhere, flaws that are what they say and nothing else."""

import cv2
import numpy as np
import pytest
from synthetic_face import plate_of, points_68, points_478

from blending.simulated import (
    NETWORK_SIDE,
    RIM_PX,
    STRENGTHS,
    Flaws,
    SimulatedShot,
    donor_runs,
    miscoloured,
    simulated_shots,
    softened_and_moved,
    stable_points,
    truth_frame,
    wander_of,
)
from blending.types import CropBox, Landmarks, to_image

POINTS, OPENED = points_68(), points_68(mouth=1.0)
PLATE, DONOR = plate_of(POINTS), plate_of(OPENED)
NO_FLAWS = Flaws((0, 0, 0), 1, 1, 0, 0.3, 0, 1, 0, 0)


def shot_of(strength: int, frames: int = 1) -> list[SimulatedShot]:
    marks, opened = [Landmarks(POINTS)] * frames, [Landmarks(OPENED)] * frames
    return list(simulated_shots([PLATE] * frames, [DONOR] * frames, marks, opened, strength))


def test_truth_has_the_donors_mouth_and_is_the_plate_elsewhere() -> None:
    marks, box = Landmarks(POINTS), CropBox.from_landmarks(POINTS)
    truth, drawn = truth_frame(PLATE, marks, DONOR, Landmarks(OPENED), box)
    np.testing.assert_allclose(drawn.points, OPENED, atol=0.5)  # the outermost jaw points move with the synthetic mouth
    (left, top), (right, bottom) = np.rint(np.array([f(OPENED[48:68], axis=0) for f in (np.min, np.max)])).astype(int)
    mouth = slice(top, bottom), slice(left, right)
    from_donor, from_plate = (np.abs(truth[mouth].astype(int) - other[mouth]).mean() for other in (DONOR, PLATE))
    assert from_donor < 0.5 * from_plate
    inset = int(0.05 * box.side)
    elsewhere = np.ones(PLATE.shape[:2], bool)
    elsewhere[box.y0 + inset : box.y0 + box.side - inset, box.x0 + inset : box.x0 + box.side - inset] = False
    np.testing.assert_array_equal(truth[elsewhere], PLATE[elsewhere])


def test_truth_aligns_a_turned_and_moved_donor() -> None:
    turned = points_68(centre=(166, 115), size=171, roll=0.1, mouth=1.0)
    marks, box = Landmarks(POINTS), CropBox.from_landmarks(POINTS)
    _, drawn = truth_frame(PLATE, marks, plate_of(turned), Landmarks(turned), box)
    np.testing.assert_allclose(stable_points(drawn), stable_points(Landmarks(OPENED)), atol=0.5)


def test_a_frame_over_itself_is_itself() -> None:
    marks = Landmarks(POINTS)
    truth, _ = truth_frame(PLATE, marks, PLATE, marks, CropBox.from_landmarks(POINTS))
    np.testing.assert_array_equal(truth, PLATE)


@pytest.mark.parametrize("strength", STRENGTHS)
def test_the_rim_keeps_original_pixels(strength: int) -> None:
    shot = shot_of(strength)[0]
    assert shot.generated.shape == shot.oracle.shape == (NETWORK_SIDE, NETWORK_SIDE, 3)
    clean = cv2.resize(shot.box.extract(shot.truth), (NETWORK_SIDE, NETWORK_SIDE), interpolation=cv2.INTER_CUBIC)
    rim = np.ones((NETWORK_SIDE, NETWORK_SIDE), bool)
    rim[RIM_PX:-RIM_PX, RIM_PX:-RIM_PX] = False
    np.testing.assert_array_equal(shot.generated[rim], clean[rim])
    np.testing.assert_array_equal(shot.oracle[rim], clean[rim])
    assert np.abs(shot.generated[~rim].astype(int) - clean[~rim]).mean() > 3


def test_flaws_grow_with_strength_and_the_oracle_has_no_cast() -> None:
    casts, oracle_casts, blurs = [], [], []
    for strength in STRENGTHS:
        shot = shot_of(strength)[0]
        clean = cv2.resize(shot.box.extract(shot.truth), (NETWORK_SIDE, NETWORK_SIDE)).astype(float)
        casts.append(np.abs((shot.generated - clean).mean(axis=(0, 1))).max())
        oracle_casts.append(np.abs((shot.oracle - clean).mean(axis=(0, 1))).max())
        blurs.append(cv2.Laplacian(shot.oracle, cv2.CV_64F).std())
    assert (np.diff(casts) > 2).all()
    assert max(oracle_casts) < 1
    assert (np.diff(blurs) < 0).all()


def test_same_arguments_same_pictures() -> None:
    for first, second in zip(shot_of(2, frames=3), shot_of(2, frames=3), strict=True):
        np.testing.assert_array_equal(first.generated, second.generated)
    first, second, _ = shot_of(2, frames=3)
    assert np.abs(first.generated.astype(int) - second.generated).mean() > 0.2


def test_wander_has_the_wanted_size_and_memory() -> None:
    for strength, flaws in STRENGTHS.items():
        wander = wander_of(strength, 20_000)
        np.testing.assert_allclose(wander.colour_lab.std(axis=0), flaws.noise, rtol=0.05)
        lagged = [np.corrcoef(one[1:], one[:-1])[0, 1] for one in wander.colour_lab.T]
        np.testing.assert_allclose(lagged, 0.7, atol=0.03)
        assert wander.direction_rad.std() == pytest.approx(0.15, rel=0.05)
        np.testing.assert_array_equal(wander_of(strength, 7).colour_lab, wander.colour_lab[:7])
    assert len(wander_of(1, 0).colour_lab) == 0


@pytest.mark.parametrize("direction", [0.0, 1.2, 4.0])
def test_shift_goes_where_it_should(direction: float) -> None:
    rng = np.random.default_rng(0)
    image = cv2.GaussianBlur(rng.random((NETWORK_SIDE, NETWORK_SIDE, 3), np.float32), (0, 0), 1.5)
    moved = softened_and_moved(image, Flaws((0, 0, 0), 1, 1, 0, 0.3, 3, 1, 0, 0), direction)
    x, y = 3 * np.cos(direction), 3 * np.sin(direction)
    back = cv2.warpAffine(
        moved, np.array([[1, 0, -x], [0, 1, -y]]), (NETWORK_SIDE, NETWORK_SIDE), flags=cv2.INTER_CUBIC
    )
    inner = slice(8, -8), slice(8, -8)
    assert np.abs(back - image)[inner].mean() < 0.2 * np.abs(moved - image)[inner].mean()


def test_colour_flaws_on_flat_grey() -> None:
    grey = np.full((NETWORK_SIDE, NETWORK_SIDE, 3), 0.5, np.float32)
    lab = cv2.cvtColor(grey, cv2.COLOR_BGR2LAB)[0, 0]
    still = np.zeros(3, np.float32)

    def shown(flaws: Flaws, wander: np.ndarray = still) -> np.ndarray:
        return cv2.cvtColor(miscoloured(grey, flaws, wander), cv2.COLOR_BGR2LAB)

    offset = shown(Flaws((6, 3, -3), 1, 1, 0, 1, 0, 1, 0, 0))[9, 9] - lab
    np.testing.assert_allclose(offset, (6, 3, -3), atol=0.4)
    contrast = shown(Flaws((0, 0, 0), 0.88, 1, 0, 1, 0, 1, 0, 0))[9, 9]
    np.testing.assert_allclose(contrast, 0.88 * lab + 0.12 * np.array([55, 12, 12]), atol=0.4)
    assert shown(Flaws((0, 0, 0), 1, 1.12, 0, 1, 0, 1, 0, 0))[9, 9, 0] == pytest.approx(
        100 * (lab[0] / 100) ** 1.12, 0.01
    )
    shade = shown(Flaws((0, 0, 0), 1, 1, 7, 1, 0, 1, 0, 0))[..., 0] - lab[0]
    assert 4 < np.abs(shade).max() <= 7.1
    assert abs(shade.mean()) < 0.5
    np.testing.assert_allclose(shown(NO_FLAWS, np.array([1, -2, 3], np.float32))[9, 9] - lab, (1, -2, 3), atol=0.4)
    np.testing.assert_allclose(miscoloured(to_image(PLATE), NO_FLAWS, still), to_image(PLATE), atol=0.01)


def test_runs_have_the_same_pose_and_another_mouth() -> None:
    """A head that jerks with a period of 10 frames and a mouth that opens every other time."""
    yaws = np.random.default_rng(0).uniform(-0.4, 0.4, 10)
    clip = []
    for t in range(60):
        points = points_68(yaw=yaws[t % 10])
        points[65:68, 1] += 15 * (t // 10 % 2)  # the lower inner lip
        clip.append(Landmarks(points))
    k, starts = donor_runs(clip, 5, runs=3)
    assert k in (10, 30)
    assert len(starts) == 3
    assert all(0 <= start <= 60 - 5 - k for start in starts)
    assert np.diff(sorted(starts)).min() >= 5
    assert abs(clip[starts[0]].lip_opening - clip[starts[0] + k].lip_opening) > 0.05


def test_every_scheme_has_stable_points_that_speech_leaves_alone() -> None:
    for shut, opened in ((points_68(), points_68(mouth=1.0)), (points_478(), points_478(mouth=1.0))):
        np.testing.assert_array_equal(stable_points(Landmarks(shut))[:16], stable_points(Landmarks(opened))[:16])
        assert stable_points(Landmarks(shut)).shape == (20, 2)


def test_mistakes_are_named() -> None:
    marks = Landmarks(POINTS)
    with pytest.raises(ValueError, match=r"strength must be one of 1, 2, 3; got 4"):
        next(simulated_shots([PLATE], [DONOR], [marks], [marks], 4))
    with pytest.raises(ValueError, match=r"equally many; got \[1, 2\]"):
        next(simulated_shots([PLATE], [DONOR, DONOR], [marks], [marks], 1))
    with pytest.raises(ValueError, match="donor must have the size of plate"):
        next(simulated_shots([PLATE], [DONOR[:99]], [marks], [marks], 1))
    with pytest.raises(ValueError, match="at least 6 frames"):
        donor_runs([marks] * 5, 2)
    with pytest.raises(ValueError, match="at least 13 frames for a run of 10"):
        donor_runs([marks] * 12, 10)
