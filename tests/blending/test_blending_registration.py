"""Registration: known shifts come back, the mouth has no say, one resample, smoothing without lag."""

import cv2
import numpy as np
import pytest
from synthetic_face import generated_of, plate_of, points_68

from blending import Blender, BlendSettings, CropBox
from blending.registration import LIMITS, Registration, measure_registration, resample, smooth_registrations

POINTS = points_68()
PLATE = plate_of(POINTS)
GENERATED, BOX = generated_of(POINTS)


def displaced(dx: float, dy: float, scale: float, gain: float = 1.0) -> np.ndarray:
    """The plate's own square at 328 px, moved away from where it belongs: what `resample` has to undo."""
    square = cv2.resize(BOX.extract(PLATE), (328, 328), interpolation=cv2.INTER_CUBIC)
    middle = 163.5
    matrix = np.array([[1 / scale, 0, middle - (middle + dx) / scale], [0, 1 / scale, middle - (middle + dy) / scale]])
    moved = cv2.warpAffine(square, matrix, (328, 328), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT_101)
    return np.clip(np.rint((moved.astype(float) - 120) / gain + 120 + (9, -5, 7)), 0, 255).astype(np.uint8)


@pytest.mark.parametrize(
    ("dx", "dy", "scale", "gain"),
    [(0, 0, 1, 1), (1.4, -0.8, 1, 1), (-2.5, 2.2, 1, 1.1), (0, 0, 1.02, 1), (0, 0, 0.982, 0.95), (1.2, 1.6, 1.012, 1)],
)
def test_a_known_displacement_is_found_through_another_colour(dx: float, dy: float, scale: float, gain: float) -> None:
    found = measure_registration(PLATE, displaced(dx, dy, scale, gain), BOX, POINTS)
    assert found.dx == pytest.approx(dx, abs=0.35)
    assert found.dy == pytest.approx(dy, abs=0.35)
    assert found.scale == pytest.approx(scale, abs=0.004)
    assert found.gain == pytest.approx(gain, abs=0.08)


def test_equal_pictures_are_registered_exactly_and_measuring_is_deterministic() -> None:
    noise = np.random.default_rng(0).integers(0, 256, PLATE.shape, dtype=np.uint8)
    for frame in (PLATE, noise, np.full_like(PLATE, 90)):
        assert measure_registration(frame, BOX.extract(frame), BOX, POINTS) == Registration()
    found = {measure_registration(PLATE, GENERATED, BOX, POINTS) for _ in range(3)}
    assert len(found) == 1


def test_the_mouth_and_the_chin_have_little_say() -> None:
    spoilt = displaced(0.8, 0.5, 1)
    before = measure_registration(PLATE, spoilt, BOX, POINTS)
    low = round(328 * 0.55)
    spoilt[low:300, 90:240] = cv2.GaussianBlur(np.roll(spoilt, 6, axis=0), (0, 0), 2)[low:300, 90:240]
    after = measure_registration(PLATE, spoilt, BOX, POINTS)
    assert abs(after.dx - before.dx) < 0.5
    assert abs(after.dy - before.dy) < 0.8


def test_what_is_found_stays_within_the_limits() -> None:
    for seed in range(8):
        generated = np.random.default_rng(seed).integers(0, 256, (80, 80, 3), dtype=np.uint8)
        found = measure_registration(PLATE, generated, BOX, POINTS)
        for name, (low, high) in LIMITS.items():
            assert low <= getattr(found, name) <= high


@pytest.mark.parametrize("side", [9, 168, 328, 401])
def test_resampling_without_a_shift_is_the_boxs_own_resize(side: int) -> None:
    resampled = resample(GENERATED, side, Registration())
    assert np.abs(resampled.astype(int) - CropBox(0, 0, side).resize(GENERATED)).max() <= 1


def test_resampling_undoes_what_was_measured() -> None:
    moved = displaced(1.8, -2.1, 1.01)
    plain, registered = BOX.resize(moved), resample(moved, BOX.side, Registration(1, 1.8, -2.1, 1.01))
    target = cv2.GaussianBlur(BOX.extract(PLATE), (0, 0), 1).astype(float)
    inner = np.s_[12:-12, 12:-12]
    errors = []
    for picture in (plain, registered):
        difference = cv2.GaussianBlur(picture, (0, 0), 1) - target
        errors.append(np.abs(difference - np.median(difference, axis=(0, 1)))[inner].mean())
    assert errors[1] < 0.5 * errors[0]


def test_given_registrations_are_used_as_they_are_and_off_means_off() -> None:
    moved = displaced(2, 0, 1)
    given = Registration(1, -1.5, 0.5, 1)
    on, off = Blender(), Blender(BlendSettings(registration="off"))
    own = on.blend(PLATE, moved, BOX, POINTS)
    told = on.blend(PLATE, moved, BOX, POINTS, registration=given)
    assert told.registration == given
    assert own.registration == measure_registration(PLATE, moved, BOX, POINTS)
    assert (told.frame != own.frame).any()
    left = off.blend(PLATE, moved, BOX, POINTS, registration=given)
    assert left.registration == Registration()
    np.testing.assert_array_equal(left.frame, off.blend(PLATE, moved, BOX, POINTS).frame)


def test_smoothing_is_zero_phase_and_keeps_what_stands() -> None:
    rng = np.random.default_rng(1)
    still = [Registration(1.1, 3.0, -3.0, 0.97)] * 9
    for one in smooth_registrations(still):
        assert (one.gain, one.dx, one.dy, one.scale) == pytest.approx((1.1, 3.0, -3.0, 0.97))
    jitter = [Registration(1, float(dx), 0, 1) for dx in rng.uniform(-1, 1, 40)]
    smoothed = smooth_registrations(jitter)
    assert np.std([r.dx for r in smoothed]) < 0.5 * np.std([r.dx for r in jitter])
    backwards = smooth_registrations(jitter[::-1])[::-1]
    assert [r.dx for r in backwards] == pytest.approx([r.dx for r in smoothed])
    assert smooth_registrations(jitter, 0) == jitter
    with pytest.raises(ValueError, match="at least one frame"):
        smooth_registrations([])
    with pytest.raises(ValueError, match="sigma_frames must be"):
        smooth_registrations(jitter, -1)


@pytest.mark.parametrize(
    "values", [(0.7, 0, 0, 1), (1, 3.1, 0, 1), (1, 0, -3.1, 1), (1, 0, 0, 1.04), (float("nan"), 0, 0, 1)]
)
def test_registrations_out_of_reach_are_refused(values: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="must lie in"):
        Registration(*values)


def test_bad_pictures_are_named() -> None:
    with pytest.raises(ValueError, match="generated must be square"):
        measure_registration(PLATE, GENERATED[:50], BOX, POINTS)
    with pytest.raises(ValueError, match="plate must be uint8"):
        measure_registration(PLATE / 255, GENERATED, BOX, POINTS)
