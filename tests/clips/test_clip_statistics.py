"""Pose, light, loop, outliers, ranking: each finding fires on a clip made to have it, and on no good one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from clips.chart import WIDTH_PX, check_picture_name, write_picture
from clips.clip_findings import ModelAssessment, compare
from clips.clip_light import frame_light, light_change
from clips.clip_plot import MOST_CLIPS, clip_plot
from clips.clip_statistics import ClipStatistics, measure_frames
from clips.clip_table import advice_lines, assessment_table, ranking_lines
from clips.errors import ClipError
from clips.head_pose import _HEAD, RIGID, angles_deg, head_rotations, mean_rotation, turn_deg
from clips.landmarks import ClipLandmarks
from clips.library import ClipLibrary, CoreClip, measure_appearance
from clips.timeline import spans
from clips.video import read_frames

Frames = list[np.ndarray]
Change = Callable[[Frames, ClipLandmarks], tuple[Frames, ClipLandmarks]]


# Pose


def turned(yaw: float, pitch: float, roll: float) -> np.ndarray:
    """(68, 2) landmarks of the table's head, turned by degrees; what is not rigid lies at the origin."""
    y, p, r = np.radians([yaw, pitch, roll])
    about_y = np.array([[np.cos(y), 0, -np.sin(y)], [0, 1, 0], [np.sin(y), 0, np.cos(y)]])
    about_x = np.array([[1, 0, 0], [0, np.cos(p), np.sin(p)], [0, -np.sin(p), np.cos(p)]])
    about_z = np.array([[np.cos(r), -np.sin(r), 0], [np.sin(r), np.cos(r), 0], [0, 0, 1]])
    points = np.zeros((68, 2))
    points[list(RIGID)] = (_HEAD @ (about_z @ about_x @ about_y).T)[:, :2]
    return points


def test_pose_of_a_turned_head_is_found_at_any_size_and_place():
    random = np.random.default_rng(3)
    for yaw, pitch, roll in random.uniform(-35, 35, (200, 3)):
        points = turned(yaw, pitch, roll) * random.uniform(5, 500) + random.uniform(-900, 900, 2)
        assert angles_deg(head_rotations(points[None]))[0] == pytest.approx((yaw, pitch, roll), abs=1e-6)


def test_a_nose_that_moves_right_and_up_is_a_face_turned_right_and_up():
    straight, right, up = (turned(*angles) for angles in ((0, 0, 0), (20, 0, 0), (0, 20, 0)))
    tip, corners = 30, [36, 45]
    assert (right[tip] - right[corners].mean(axis=0))[0] > 0.1
    assert (up[tip] - up[corners].mean(axis=0))[1] < (straight[tip] - straight[corners].mean(axis=0))[1] - 0.05
    clockwise = turned(0, 0, 10)
    assert clockwise[45, 1] > clockwise[36, 1]


def test_rotations_are_rotations_and_their_mean_lies_between():
    poses = head_rotations(np.stack([turned(-10, 2, 0), turned(10, 2, 0)]))
    assert np.allclose(poses @ poses.transpose(0, 2, 1), np.eye(3))
    assert np.linalg.det(poses) == pytest.approx([1, 1])
    assert turn_deg(poses[0], poses[1]) == pytest.approx(20, abs=0.1)
    assert angles_deg(mean_rotation(poses)[None])[0] == pytest.approx((0, 2, 0), abs=0.1)
    with pytest.raises(ValueError, match=r"points must have shape \(T, 68, 2\)"):
        head_rotations(np.zeros((68, 2)))


# Good clips and spoiled ones


@pytest.fixture(scope="module")
def good() -> dict[str, tuple[CoreClip, Frames, ClipLandmarks]]:
    """The bundled silence and shortest talk clip at 320 px."""
    clips = {}
    for clip in ClipLibrary().clips("LS1"):
        if clip.name in ("silence", "02,08s talk"):
            frames = [cv2.resize(f, (320, 320), interpolation=cv2.INTER_AREA) for f in read_frames(clip.path)]
            marks = clip.landmarks()
            clips[clip.kind] = clip, frames, replace(marks, points=(marks.points - 0.5) / 2, size_wh=(320, 320))
    return clips


@pytest.fixture(scope="module")
def silence(good) -> ClipStatistics:
    clip, frames, marks = good["silence"]
    return measure_frames(clip, marks, frames)


@pytest.fixture(scope="module")
def talk(good) -> ClipStatistics:
    clip, frames, marks = good["talk"]
    return measure_frames(clip, marks, frames)


def spoiled(good, change: Change) -> ClipStatistics:
    clip, frames, marks = good["talk"]
    frames, marks = change(list(frames), marks)
    return measure_frames(clip, marks, frames)


def topics(model: ModelAssessment) -> set[str]:
    (talk,) = (one for one in model.clips if one.statistics.kind == "talk")
    return {finding.topic for finding in talk.findings}


def relit(gain: Callable[[int], float]) -> Change:
    def change(frames: Frames, marks: ClipLandmarks) -> tuple[Frames, ClipLandmarks]:
        return [np.clip(f * gain(i), 0, 255).astype(np.uint8) for i, f in enumerate(frames)], marks

    return change


def warped(matrix_of: Callable[[int], np.ndarray]) -> Change:
    def change(frames: Frames, marks: ClipLandmarks) -> tuple[Frames, ClipLandmarks]:
        matrices = [matrix_of(i) for i in range(len(frames))]
        moved = [
            cv2.warpAffine(f, m, (320, 320), borderMode=cv2.BORDER_REPLICATE)
            for f, m in zip(frames, matrices, strict=True)
        ]
        points = np.stack([p @ m[:, :2].T + m[:, 2] for p, m in zip(marks.points, matrices, strict=True)])
        return moved, replace(marks, points=points.astype(np.float32))

    return change


def shift(dx: float) -> np.ndarray:
    return np.array([[1, 0, dx], [0, 1, 0]], np.float64)


def around(scale: float = 1.0, degrees: float = 0.0) -> np.ndarray:
    return cv2.getRotationMatrix2D((160, 140), degrees, scale)


def trimmed(frames: Frames, marks: ClipLandmarks) -> tuple[Frames, ClipLandmarks]:
    return frames[:28], replace(
        marks, points=marks.points[:28], found=marks.found[:28], confidence=marks.confidence[:28]
    )


def without_face(frames: Frames, marks: ClipLandmarks) -> tuple[Frames, ClipLandmarks]:
    found, confidence = marks.found.copy(), marks.confidence.copy()
    found[[7, 20, 21, 22]] = False
    confidence[~found] = 0
    return [f if ok else np.full_like(f, 90) for f, ok in zip(frames, found, strict=True)], replace(
        marks, found=found, confidence=confidence
    )


def doubtful(frames: Frames, marks: ClipLandmarks) -> tuple[Frames, ClipLandmarks]:
    confidence = marks.confidence.copy()
    confidence[30] = 0.5
    return frames, replace(marks, confidence=confidence)


def leaping(frames: Frames, marks: ClipLandmarks) -> tuple[Frames, ClipLandmarks]:
    """Frame 25's face is squeezed to two thirds: as landmarks that slip off."""
    points = marks.points.copy()
    middle = points[25].mean(axis=0)
    points[25] = middle + (points[25] - middle) @ np.array([[0.66, 0.3], [0, 1]])
    return frames, replace(marks, points=points.astype(np.float32))


SPOILED: list[tuple[str, Change, set[str], str]] = [
    ("a lamp goes out", relit(lambda i: 1.0 if i < 30 else 0.6), {"light change", "loop"}, "after frame 29"),
    (
        "light that fades",
        relit(lambda i: 1 - 0.28 * i / 51),
        {"light", "loop"},
        "the light varies by",
    ),
    ("a flash", relit(lambda i: 1.3 if i == 17 else 1.0), {"light"}, "a flash in frame 17"),
    ("another light", relit(lambda i: 0.7), {"light"}, "other light than 'silence'"),
    ("closer", warped(lambda i: around(1.2)), {"size"}, "face 20 % larger than in 'silence'"),
    ("further away", warped(lambda i: around(0.85)), {"size"}, "face 15 % smaller than in 'silence'"),
    ("tilted", warped(lambda i: around(1, 9)), {"pose"}, "head turned 9 degrees away from 'silence' (yaw"),
    ("cut off", trimmed, {"loop"}, "does not loop"),
    ("a jump", warped(lambda i: shift(12 if i == 33 else 0)), {"place"}, "the face jumps in frame 33"),
    ("no face", without_face, {"no face"}, "no face in frames 7, 20-22"),
    ("hard to find", doubtful, {"detector unsure"}, "the face is hard to find in frame 30"),
    ("slipped landmarks", leaping, {"turn"}, "the landmarks leap in frame 25"),
]


@pytest.mark.parametrize(("change", "expected", "words"), [case[1:] for case in SPOILED], ids=[c[0] for c in SPOILED])
def test_a_spoiled_clip_is_told_for_what_was_done_to_it_and_nothing_else(good, silence, change, expected, words):
    model = compare([silence, spoiled(good, change)], {})
    assert topics(model) - {"place" if "turn" in expected else ""} == expected
    assert words in "\n".join(advice_lines(model))
    faults = [found.topic for found in model.clips[1].findings if found.fault]
    assert faults == [topic for topic in expected if topic == "light change"], "nothing else makes a clip unfit"
    assert not any(found.topic for found in model.clips[0].findings), "the silence clip is as it was"


def test_good_clips_have_nothing_to_say_and_a_high_score(talk, silence):
    model = compare([silence, talk], {"take": silence.usual_light})
    assert [found for one in model.clips for found in one.findings] == []
    assert all(one.score > 90 for one in model.clips)
    assert advice_lines(model) == []
    assert model.lead == "silence"


def test_a_drift_is_no_sudden_change_and_a_step_is_named_where_it_is(silence):
    still = np.tile(silence.light[:1], (60, 1))
    poses = np.tile(np.eye(3), (60, 1, 1))
    drift = still + np.linspace(0, 12, 60)[:, None] * np.eye(7)[0]
    change = light_change(drift.astype(np.float32), poses)
    assert change is not None
    assert change.amount < 3
    for last in (4, 21, 50):
        step = still + 20 * (np.arange(60) > last)[:, None] * np.eye(7)[3]
        change = light_change(step.astype(np.float32), poses)
        assert change is not None
        assert (change.last, change.first, round(change.amount)) == (last, last + 1, 20)
    turning = head_rotations(np.stack([turned(20 * (i > 30), 0, 0) for i in range(60)]))
    step = still + 20 * (np.arange(60) > 30)[:, None] * np.eye(7)[3]
    change = light_change(step.astype(np.float32), turning)
    assert change is not None
    assert change.amount < 1, "a face that turns by 20 degrees is lit otherwise"
    assert light_change(still[:5], poses[:5]) is None


def test_one_frame_can_be_measured(good):
    clip, frames, marks = good["talk"]
    one = replace(marks, points=marks.points[:1], found=marks.found[:1], confidence=marks.confidence[:1])
    measured = measure_frames(clip, one, frames[:1])
    model = compare([measured], {})
    assert (measured.frames, measured.change, measured.loop.landmarks_pct) == (1, None, 0.0)
    assert advice_lines(model) == []
    assert ranking_lines(model) == []
    assert clip_plot(model).shape[1] == WIDTH_PX


def test_sampled_light_is_the_light_of_all_pixels(good):
    _, frames, marks = good["talk"]
    for index in (0, 25, 51):
        one = replace(
            marks, points=marks.points[index : index + 1], found=marks.found[:1], confidence=marks.confidence[:1]
        )
        whole = measure_appearance(lambda _, index=index: frames[index], one)
        assert frame_light(frames[index], marks.at(index)) == pytest.approx(whole, abs=0.5)


def test_light_of_a_face_at_the_edge_or_outside_is_unknown_and_no_error(good):
    _, frames, marks = good["talk"]
    moved = replace(marks, points=marks.points + np.float32(5000)).at(0)
    light = frame_light(frames[0], moved)
    assert np.isnan(light[:4]).all()
    half = replace(marks, points=marks.points - np.float32([160, 0])).at(0)
    assert np.isfinite(frame_light(frames[0], half)).any()


# Ranking


def test_the_more_is_wrong_the_lower_the_score(good, silence):
    for make in (lambda a: relit(lambda i: 1 - a / 4), lambda a: warped(lambda i: around(1, 12 * a)),
                 lambda a: warped(lambda i: around(1 + a / 3))):  # fmt: skip
        scores = [compare([silence, spoiled(good, make(a))], {}).clips[1].score for a in (0.0, 0.4, 1.0)]
        assert scores[0] > scores[1] > scores[2] - 1e-6
        assert 0 <= scores[2] < scores[0] - 3


def test_ranking_puts_the_best_first_and_says_what_others_lost(good, talk, silence):
    dark = replace(spoiled(good, relit(lambda i: 0.7)), name="dark talk")
    model = compare([dark, talk, silence], {"take": silence.usual_light})
    assert model.lead == "silence"
    assert [one.name for one in model.ranking][-1] == "dark talk"
    lines = ranking_lines(model)
    assert lines[3].startswith(" 3. dark talk")
    assert "light -20" in lines[3]
    assert "up to 20 points" in lines[-1]
    assert "up to 25 points" in ranking_lines(compare([dark, silence], {}))[-1]
    for one in model.clips:
        assert one.score == pytest.approx(100 - sum(one.parts.values()))
        assert set(one.parts) == {"pose", "light", "quality", "loop", "training"}
        assert all(0 <= off <= 20 for off in one.parts.values())
    with pytest.raises(ValueError, match="at least one clip"):
        compare([], {})


def test_training_light_counts_the_face_not_the_wall(talk, silence):
    elsewhere = silence.usual_light.copy()
    elsewhere[4:] += 40
    assert "training" not in topics(compare([silence, talk], {"take": elsewhere}))
    elsewhere[3] -= 30
    model = compare([silence, talk], {"take": elsewhere})
    assert "training" in topics(model)
    assert "unlike the training footage (by 30)" in "\n".join(advice_lines(model))
    assert "--include-core-clips" in "\n".join(advice_lines(model))
    assert not any("--" in str(found) for one in model.clips for found in one.findings)  # what the page says
    assert "training" not in topics(compare([silence, talk], {"a": elsewhere, "b": silence.usual_light}))


# Table and picture


def test_the_table_is_aligned_and_can_be_of_one_clip(talk, silence):
    model = compare([silence, talk], {})
    rows = assessment_table(model).splitlines()[:3]
    assert len({len(row) for row in rows}) == 1
    assert [row.split("  ")[0] for row in rows] == ["clip", "silence", "02,08s talk"]
    assert "silence " not in "\n".join(assessment_table(model, ["02,08s talk"]).splitlines()[:2])
    assert "says nothing of its training light" in assessment_table(model)
    assert spans([1, 2, 3, 7, 9, 10]) == "1-3, 7, 9-10"
    assert spans([*range(0, 20, 2)]) == "0, 2, 4, 6, 8, .."


def test_the_plot_is_neutral_holds_every_clip_and_is_the_same_again(good, talk, silence, tmp_path):
    model = compare([silence, spoiled(good, without_face)], {})
    plot = clip_plot(model)
    assert plot.shape[1:] == (WIDTH_PX, 3)
    assert np.array_equal(plot, clip_plot(model))
    for edge in (plot[:10], plot[-8:], plot[:, :12], plot[:, -12:]):
        assert (edge == 99).all()
    taller = clip_plot(compare([silence, talk, spoiled(good, relit(lambda i: 0.7))], {}))
    assert taller.shape[0] > plot.shape[0]
    path = tmp_path / "made" / "plot.png"
    write_picture(path, plot)
    assert np.array_equal(cv2.imread(str(path)), plot)
    assert [p.name for p in path.parent.iterdir()] == ["plot.png"]


def test_pictures_with_bad_names_and_too_many_clips_are_refused(silence, tmp_path):
    for name, said in (("plot.txt", "must end in one of .png"), ("plot", "must end in"), ("", "must end in")):
        with pytest.raises(ClipError, match=said):
            check_picture_name(Path(name))
    (tmp_path / "folder.png").mkdir()
    with pytest.raises(ClipError, match="is a folder"):
        check_picture_name(tmp_path / "folder.png")
    one = compare([silence], {})
    with pytest.raises(ClipError, match=f"at most {MOST_CLIPS} clips"):
        clip_plot(replace(one, clips=one.clips * (MOST_CLIPS + 1)))
