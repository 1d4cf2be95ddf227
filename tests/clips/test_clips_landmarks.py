"""Landmarks: how near to the truth, which face, and their files. Truth: the actor's exact points."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from blending.types import Frame, Landmarks
from clips.errors import ClipError
from clips.landmarks import (
    LANDMARK_DETECTORS,
    ClipLandmarks,
    Detection,
    FaceDetector,
    detect_landmarks,
    read_lms,
    write_lms,
)
from clips.library import BUNDLED, ClipLibrary
from clips.video import read_frames

ACTOR = Path(__file__).parents[2] / ".." / "shared" / "actor"
LS1 = BUNDLED / "LS1"
CLIPS = sorted(path.stem for path in LS1.glob("*.mp4"))


@pytest.fixture(scope="module", params=sorted(LANDMARK_DETECTORS))
def detector(request: pytest.FixtureRequest) -> Iterator[FaceDetector]:
    made = LANDMARK_DETECTORS[request.param]()
    yield made
    made.close()


@pytest.fixture(scope="module")
def frame() -> Frame:
    return next(iter(read_frames(LS1 / "silence.mp4", 40, 1)))


@pytest.fixture(scope="module")
def stored() -> Landmarks:
    """What preprocessing found in `frame`."""
    return ClipLandmarks.load(LS1 / "silence.landmarks.npz").at(40)


def truth_of(path: Path) -> np.ndarray:
    """Exact iBUG points, float32 (T, 68, 2), in our pixel centres."""
    if not path.is_file():
        pytest.skip("the actor's exact landmarks are not beside this checkout")
    return np.asarray(np.load(path)["points"] - 0.5)


def error_pct(found: Landmarks, truth: np.ndarray, indices: slice = slice(0, 68)) -> float:
    """Mean distance in % of the outer-eye distance."""
    distance = np.linalg.norm(found.to_scheme(68).points - truth, axis=1)[indices].mean()
    return float(100 * distance / np.linalg.norm(truth[36] - truth[45]))


def distance_px(points: np.ndarray, expected: np.ndarray) -> float:
    return float(np.linalg.norm(points - expected, axis=1).mean())


@pytest.mark.parametrize("name", CLIPS)
def test_stored_landmarks_are_near_the_exact_ones(name: str) -> None:
    landmarks = ClipLandmarks.load(LS1 / f"{name}.landmarks.npz")
    truth = truth_of(ACTOR / f"{name}.landmarks.npz")
    assert len(landmarks) == len(truth)
    assert landmarks.found.mean() >= 0.99
    for region, limit in ((slice(0, 17), 5.0), (slice(48, 68), 3.0), (slice(0, 68), 3.0)):
        errors = [error_pct(landmarks.at(i), truth[i], region) for i in range(len(truth))]
        assert np.mean(errors) <= limit, region
    # No systematic half pixel: the mean offset over all points and frames is a small fraction of one.
    offsets = [landmarks.at(i).to_scheme(68).points[17:] - truth[i, 17:] for i in range(len(truth))]
    assert np.abs(np.mean(offsets, axis=(0, 1))).max() < 0.01 * np.linalg.norm(truth[0, 36] - truth[0, 45])


def test_the_open_lips_are_followed() -> None:
    truth = truth_of(ACTOR / "07,20s talk.landmarks.npz")
    landmarks = ClipLandmarks.load(LS1 / "07,20s talk.landmarks.npz").smoothed()
    found = [landmarks.at(i).lip_opening for i in range(len(truth))]
    exact = [Landmarks(points).lip_opening for points in truth]
    assert np.corrcoef(found, exact)[0, 1] > 0.93


def test_detection_gives_what_is_stored(detector: FaceDetector, frame: Frame, stored: Landmarks) -> None:
    detector.reset()
    found = detector.detect(frame)
    assert found is not None
    assert np.abs(found.points - stored.points).max() < 0.1
    assert 0.6 < found.confidence <= 1


def test_small_and_close_faces_are_found(detector: FaceDetector, frame: Frame, stored: Landmarks) -> None:
    small = np.full((720, 1280, 3), 90, np.uint8)
    small[300:460, 500:660] = cv2.resize(frame, (160, 160), interpolation=cv2.INTER_AREA)
    detector.reset()
    found = detector.detect(small)
    assert found is not None
    # The face is 63 px wide; pixel centres: (x + .5) * scale - .5.
    assert distance_px((found.points - (500, 300) + 0.5) * 4 - 0.5, stored.points) < 0.03 * stored.eye_distance_px
    corner, far = stored.points.min(axis=0).astype(int), stored.points.max(axis=0).astype(int)
    close = cv2.resize(frame[corner[1] : far[1], corner[0] : far[0]], None, fx=2, fy=2)
    detector.reset()
    found = detector.detect(np.asarray(close, np.uint8))
    assert found is not None
    assert distance_px((found.points + 0.5) / 2 - 0.5 + corner, stored.points) < 0.03 * stored.eye_distance_px


def test_the_largest_of_two_faces_is_taken_and_followed(
    detector: FaceDetector, frame: Frame, stored: Landmarks
) -> None:
    half = np.asarray(cv2.resize(frame, (320, 320), interpolation=cv2.INTER_AREA))
    padded = np.vstack([half, np.full((320, 320, 3), 90, np.uint8)])
    for picture, shift in ((np.hstack([padded, frame]), 320), (np.hstack([frame, padded]), 0)):
        detector.reset()
        found = detector.detect(np.ascontiguousarray(picture))
        assert found is not None
        assert distance_px(found.points - (shift, 0), stored.points) < 0.03 * stored.eye_distance_px
    # Two faces of nearly one size: whoever was followed stays chosen, whichever is a little larger now.
    other = np.asarray(cv2.resize(frame, (600, 600), interpolation=cv2.INTER_AREA))
    other = np.vstack([other, np.full((40, 600, 3), 90, np.uint8)])
    detector.reset()
    first = detector.detect(np.ascontiguousarray(np.hstack([other, np.full_like(frame, 90)])))
    second = detector.detect(np.ascontiguousarray(np.hstack([other, frame])))
    assert first is not None
    assert second is not None
    assert distance_px(first.points, second.points) < 0.03 * stored.eye_distance_px


@pytest.mark.parametrize("side", ["left", "right", "bottom"])
def test_a_face_cut_by_the_frames_edge_is_found(
    side: str, detector: FaceDetector, frame: Frame, stored: Landmarks
) -> None:
    low, high = stored.points.min(axis=0), stored.points.max(axis=0)
    fifth = (high - low) / 5
    shift = 0
    match side:
        case "left":
            shift = int(low[0] + fifth[0])
            cut = frame[:, shift:]
        case "right":
            cut = frame[:, : int(high[0] - fifth[0])]
        case _:
            cut = frame[: int(high[1] - fifth[1])]
    detector.reset()
    found = detector.detect(np.ascontiguousarray(cut))
    assert found is not None
    assert distance_px(found.points, stored.points - (shift, 0)) < 0.06 * stored.eye_distance_px


def test_no_face_is_none_and_a_clip_without_one_is_refused(detector: FaceDetector) -> None:
    walls = [np.full((240, 320, 3), level, np.uint8) for level in (0, 90, 255)]
    detector.reset()
    assert [detector.detect(wall) for wall in walls] == [None, None, None]
    with pytest.raises(ClipError, match="none was found in 3 frames; use footage"):
        detect_landmarks(walls, detector=detector)
    with pytest.raises(ValueError, match="at least one frame"):
        detect_landmarks([], detector=detector)


def test_frames_without_a_face_are_marked_and_interpolated(detector: FaceDetector) -> None:
    shown = list(read_frames(LS1 / "02,08s talk.mp4", 0, 7))
    wall = np.full_like(shown[0], 90)
    steps: list[int] = []
    frames = [wall, shown[0], wall, wall, shown[6], wall]
    landmarks = detect_landmarks(frames, detector=detector, progress=steps.append)
    assert steps == [1, 2, 3, 4, 5, 6]
    assert landmarks.found.tolist() == [False, True, False, False, True, False]
    assert (landmarks.confidence > 0).tolist() == landmarks.found.tolist()
    start, end = landmarks.points[1], landmarks.points[4]
    assert np.allclose(landmarks.points[2], start + (end - start) / 3, atol=1e-3)
    assert np.allclose(landmarks.points[3], start + (end - start) * 2 / 3, atol=1e-3)
    assert np.array_equal(landmarks.points[0], start)
    assert np.array_equal(landmarks.points[5], end)


def synthetic(length: int = 40, noise_px: float = 0.0) -> ClipLandmarks:
    """The stored face moving steadily, with noise."""
    face = ClipLandmarks.load(LS1 / "silence.landmarks.npz").points[0]
    drift = np.arange(length, dtype=np.float32)[:, None, None] * np.float32([0.7, -0.3])
    noise = np.random.default_rng(0).normal(0, noise_px, (length, 478, 2)).astype(np.float32)
    detections = [Detection(points, 0.9) for points in face + drift + noise]
    return ClipLandmarks.from_detections(detections, (640, 640))


def test_jitter_counts_noise_and_not_motion() -> None:
    assert synthetic().jitter_pct < 0.001
    noisy = synthetic(noise_px=0.5)
    expected = 100 * 0.5 * np.sqrt(2) / noisy.face_size_px
    assert abs(noisy.jitter_pct / expected - 1) < 0.1
    assert np.isnan(synthetic(length=2).jitter_pct)


def test_smoothing_removes_noise_and_keeps_steady_motion() -> None:
    clean, noisy = synthetic(), synthetic(noise_px=0.5)
    smooth = noisy.smoothed(1.2)
    inner = slice(5, -5)
    before = np.abs(noisy.points - clean.points)[inner].mean()
    assert np.abs(smooth.points - clean.points)[inner].mean() < 0.6 * before
    assert np.abs(clean.smoothed(1.2).points - clean.points)[inner].max() < 0.01
    assert smooth.found is noisy.found


def test_saved_landmarks_come_back_within_a_128th_of_a_pixel(tmp_path: Path) -> None:
    landmarks = synthetic(noise_px=2.0)
    landmarks.save(tmp_path / "a.npz")
    again = ClipLandmarks.load(tmp_path / "a.npz")
    assert np.abs(again.points - landmarks.points).max() <= 1 / 128 + 1e-4
    assert (again.size_wh, again.found.all(), again.appearance) == ((640, 640), True, None)
    again.save(tmp_path / "b.npz")
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()  # rounding happens once
    stretched = landmarks.points * np.arange(1, 41, dtype=np.float32)[:, None, None]
    far = ClipLandmarks(stretched, landmarks.found, landmarks.confidence, (30000, 30000))
    far.save(tmp_path / "far.npz")  # steps beyond 16 bit
    assert np.abs(ClipLandmarks.load(tmp_path / "far.npz").points - far.points).max() <= 1 / 128 + 1e-3


def test_bundled_landmarks_are_small() -> None:
    assert sum(path.stat().st_size for path in LS1.glob("*.landmarks.npz")) < 2_500_000


def test_files_that_are_no_landmarks_are_refused_with_the_cure(tmp_path: Path) -> None:
    whole = (LS1 / "silence.landmarks.npz").read_bytes()
    (tmp_path / "cut.npz").write_bytes(whole[:5000])
    (tmp_path / "empty.npz").touch()
    (tmp_path / "text.npz").write_text("no landmarks")
    np.savez(tmp_path / "other.npz", points=np.zeros((3, 68, 2)))
    np.savez(tmp_path / "pickle.npz", format=np.array({"a": 1}, dtype=object))
    np.savez(tmp_path / "later.npz", format=99)
    for name in ("cut", "empty", "text", "other", "pickle", "later", "missing"):
        with pytest.raises(ClipError, match=r"expected .*run `python preprocess_core_clips.py`"):
            ClipLandmarks.load(tmp_path / f"{name}.npz")


def test_lms_files_are_110_whole_numbers_and_read_back(tmp_path: Path) -> None:
    landmarks = synthetic(3)
    paths = write_lms(tmp_path / "landmarks", landmarks)
    assert [path.name for path in paths] == ["0.lms", "1.lms", "2.lms"]
    lines = paths[1].read_text().splitlines()
    assert len(lines) == 110
    assert all(len(line.split()) == 2 and line.replace(" ", "").replace("-", "").isdigit() for line in lines)
    expected = landmarks.at(1).to_scheme(110).points
    assert np.abs(read_lms(paths[1]).points - expected).max() <= 0.5 + 1e-3


@pytest.mark.parametrize("text", [None, "", "1 2\n" * 69, "1 2 3\n" * 110, "a b\n" * 110, "nan 1\n" * 110])
def test_lms_files_that_are_none_are_refused(text: str | None, tmp_path: Path) -> None:
    path = tmp_path / "0.lms"
    if text is not None:
        path.write_text(text)
    with pytest.raises(ClipError, match=r"110 .*extract the landmarks again"):
        read_lms(path)


def test_wrong_shapes_are_the_callers_mistake() -> None:
    good = synthetic(3)
    with pytest.raises(ValueError, match=r"points must have shape \(T, N, 2\) .* \[68, 110, 478\]"):
        ClipLandmarks(good.points[:, :69], good.found, good.confidence, (640, 640))
    with pytest.raises(ValueError, match="found and confidence"):
        ClipLandmarks(good.points, good.found[:2], good.confidence, (640, 640))
    for index in (3, -1):
        with pytest.raises(IndexError, match=r"0 \.\. 2"):
            good.at(index)


def test_the_110_points_give_the_68_where_both_mark_a_place():
    landmarks = ClipLibrary().clip("LS1", "05,20s talk evening").landmarks()
    for index in (0, 40, 90):
        marks = landmarks.at(index)
        off = np.linalg.norm(marks.to_scheme(110).to_scheme(68).points - marks.to_scheme(68).points, axis=1)
        assert off.mean() < 0.01 * marks.eye_distance_px
        assert off.max() < 0.08 * marks.eye_distance_px
