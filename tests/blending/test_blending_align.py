"""Similarity, alignment, smoothing along time."""

import numpy as np
import pytest
from synthetic_face import points_68, points_of

from blending import Landmarks, align_landmarks_to_reference
from blending.align import similarity
from blending.temporal import smooth_landmarks


def moved(points: np.ndarray, scale: float, angle: float, shift: tuple[float, float]) -> np.ndarray:
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return points @ (scale * turn).T + shift


@pytest.mark.parametrize("scheme", [68, 110, 478])
@pytest.mark.parametrize("angle", [0.0, 0.4, -2.5, np.pi])
def test_known_similarity_is_recovered(scheme: int, angle: float) -> None:
    source = points_of(scheme)
    target = moved(source, 1.7, angle, (300, -40))
    matrix = similarity(source, target)
    assert matrix.shape == (2, 3)
    np.testing.assert_allclose(
        matrix[:, :2], 1.7 * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]), atol=1e-4
    )
    np.testing.assert_allclose(align_landmarks_to_reference(source, target), target, atol=2e-3)


def test_residual_is_the_least_and_keeps_the_shape() -> None:
    rng = np.random.default_rng(0)
    source = points_68()
    target = moved(source, 0.8, 0.3, (5, 9)) + rng.normal(0, 3, source.shape)
    aligned = align_landmarks_to_reference(source, Landmarks(target))
    assert aligned.dtype == np.float32
    least = ((aligned - target) ** 2).sum()
    for scale, angle, shift in (
        (1.01, 0, (0, 0)),
        (1, 0.01, (0, 0)),
        (1, 0, (0.3, 0)),
        (1, 0, (0, -0.3)),
        (0.99, -0.01, (0, 0)),
    ):
        centre = aligned.mean(axis=0)
        assert ((moved(aligned - centre, scale, angle, shift) + centre - target) ** 2).sum() > least
    apart = [np.linalg.norm(p[0] - p[16]) / np.linalg.norm(p[8] - p[27]) for p in (source, aligned)]
    assert apart[0] == pytest.approx(apart[1], rel=1e-4)


def test_mirror_image_is_not_reached_by_reflection() -> None:
    source = points_68(yaw=0.5)
    mirrored = source * (-1, 1)
    aligned = align_landmarks_to_reference(source, mirrored)
    assert np.linalg.det(similarity(source, mirrored)[:, :2]) > 0
    assert np.abs(aligned - mirrored).max() > 5


@pytest.mark.parametrize(
    ("source", "reference", "message"),
    [
        (points_68(), points_of(110), "reference must have the 68 points of landmarks; got 110"),
        (np.ones((68, 2)), points_68(), "must have points that differ"),
        (points_68(), np.ones((68, 2)), "must have points that differ"),
        (points_68()[:67], points_68(), "landmarks must have shape"),
        (np.full((68, 2), np.inf), points_68(), "landmarks must be finite"),
    ],
)
def test_sets_that_cannot_be_aligned(source: np.ndarray, reference: np.ndarray, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        align_landmarks_to_reference(source, reference)


def test_similarity_of_sets_without_common_shape() -> None:
    square = np.array([[1, 0], [0, 1], [-1, 0], [0, -1]], float)
    with pytest.raises(ValueError, match="alike enough"):
        similarity(square, square * (1, -1))


def test_smoothing_keeps_what_stands_and_what_moves_evenly() -> None:
    still = np.repeat(points_68()[None], 30, axis=0)
    np.testing.assert_allclose(smooth_landmarks(still), still, atol=1e-4)
    even = still + np.arange(30)[:, None, None] * np.float32(0.7)
    np.testing.assert_allclose(smooth_landmarks(even)[6:-6], even[6:-6], atol=1e-3)


def test_smoothing_agrees_with_the_slow_sum_and_has_no_lag() -> None:
    rng = np.random.default_rng(0)
    points = np.cumsum(rng.normal(0, 1, (25, 68, 2)), axis=0)
    smoothed = smooth_landmarks(points, 2.0)
    mirrored = np.pad(points, ((8, 8), (0, 0), (0, 0)), mode="reflect")
    kernel = np.exp(-0.5 * (np.arange(-8, 9) / 2.0) ** 2)
    slow = [(kernel[:, None, None] / kernel.sum() * mirrored[t : t + 17]).sum(axis=0) for t in range(25)]
    np.testing.assert_allclose(smoothed, slow, atol=1e-4)
    np.testing.assert_allclose(smooth_landmarks(points[::-1], 2.0)[::-1], smoothed, atol=1e-5)
    jitter = [np.abs(np.diff(p, 2, axis=0)).mean() for p in (points, smoothed)]
    assert jitter[1] < 0.2 * jitter[0]


@pytest.mark.parametrize("count", [1, 2, 3, 5])
def test_clips_shorter_than_the_kernel(count: int) -> None:
    points = np.random.default_rng(1).normal(0, 1, (count, 68, 2)).astype(np.float32)
    smoothed = smooth_landmarks(points, 3.0)
    assert smoothed.shape == points.shape
    assert np.isfinite(smoothed).all()
    assert np.abs(smoothed).max() <= np.abs(points).max() + 1e-6
    np.testing.assert_array_equal(smooth_landmarks(points, 0), points)


@pytest.mark.parametrize(
    ("points", "sigma", "message"),
    [
        (np.zeros((4, 68)), 1.0, "points must have shape"),
        (np.zeros((0, 68, 2)), 1.0, "points must have shape"),
        (np.full((4, 68, 2), np.nan), 1.0, "points must be finite; got NaN or infinity in 4 frames"),
        (np.zeros((4, 68, 2)), -1.0, "sigma_frames must be"),
        (np.zeros((4, 68, 2)), np.nan, "sigma_frames must be"),
    ],
)
def test_bad_tracks_are_named(points: np.ndarray, sigma: float, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        smooth_landmarks(points, sigma)
