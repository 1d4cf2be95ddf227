"""What a clip brings to the blend beside its frames: parsing masks, smoothed registration, the floor of its score."""

import os
import shutil

import cv2
import numpy as np
import pytest

from blending import BlendSettings, smooth_registrations
from clips.core_clips_processor import REGISTRATION_REACH, REGISTRATION_SIGMA_FRAMES, CoreClipsProcessor
from clips.errors import ClipError

pytestmark = pytest.mark.usefixtures("one_torch_thread")

CLIP = "silence"
SMOOTHED = BlendSettings(registration="smoothed")


@pytest.fixture
def parsed(workspace, tmp_path):
    """A workspace like the shared one, and the folder of the silence clip's parsing masks: clothes below, all else
    face."""
    for name in ("checkpoint", "core_clips", "landmarks"):
        os.symlink(workspace / name, tmp_path / name)
    processor = CoreClipsProcessor("tiny", workspace=tmp_path, vad_method="energy", device="cpu")
    info = processor.clip(CLIP).info
    folder = tmp_path / "dataset" / "tiny" / "core_clips" / CLIP / "parsing"
    folder.mkdir(parents=True)
    mask = np.full((info.height, info.width, 3), (255, 0, 0), np.uint8)
    marks = processor.landmarks_of(CLIP)[1].at(0)
    mask[round(float(marks.anchor("chin")[1])) - 20 :] = (0, 0, 255)
    for number in range(info.frames):
        cv2.imwrite(str(folder / f"{number}.png"), mask)
    (folder / "notes.txt").write_text("not a mask")
    return tmp_path, folder


def opened(root, sound):
    processor = CoreClipsProcessor("tiny", workspace=root, vad_method="energy", device="cpu")
    return processor, processor.prepare(sound, CLIP)


@pytest.fixture(scope="module")
def sound(speech):
    return speech[35_200:52_000]


def test_parsing_masks_keep_the_plate_are_reported_and_can_be_switched_off(parsed, sound):
    root, _ = parsed
    processor, performance = opened(root, sound)
    assert processor.has_parsing
    assert performance.notes == ("silence has parsing masks",)
    shot = processor.shot(performance, 12)
    on, off = (processor.blend_shot(shot, BlendSettings(use_parsing=switch)) for switch in ("on", "off"))
    kept = shot.masks.at(shot.clip_frame)
    assert on.matte[kept].max() == 0
    assert off.matte[kept].max() > 0.5
    assert np.array_equal(on.frame[kept], shot.plate[kept])
    assert any(limit.startswith("parsing mask keeps the plate in") for limit in on.limits)
    assert not any("parsing" in limit for limit in off.limits)


def test_masks_of_the_data_set_are_taken_for_a_clip_of_as_many_frames_only(parsed, sound):
    root, folder = parsed
    moved = root / "dataset" / "tiny" / "parsing"
    shutil.move(folder, moved)
    processor, performance = opened(root, sound)
    assert processor.shot(performance, 3).masks is not None
    (moved / "0.png").unlink()
    processor, performance = opened(root, sound)
    assert processor.shot(performance, 3).masks is None
    assert not processor.has_parsing
    assert "parsing masks are left aside: there are" in performance.notes[0]


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda path: path.write_bytes(b"no picture"), "cannot be read"),
        (lambda path: cv2.imwrite(str(path), np.zeros((8, 8, 3), np.uint8)), "px, as its clip is"),
    ],
)
def test_damaged_masks_are_named(parsed, sound, damage, message):
    root, folder = parsed
    damage(folder / "3.png")
    processor, performance = opened(root, sound)
    with pytest.raises(ClipError, match=message):
        processor._generate_frame_with_blending(performance, 3)
    without = processor._generate_frame_with_blending(performance, 3, BlendSettings(use_parsing="off"))
    assert (without.frame != without.plate).any()


def test_without_masks_nothing_is_said(processor, sound):
    performance = processor.prepare(sound, CLIP)
    assert performance.notes == ()
    assert processor.shot(performance, 3).masks is None
    assert not processor.has_parsing


def test_smoothed_registration_is_that_of_a_pass_over_the_whole_cut_in_any_order(processor, sound):
    performance = processor.prepare(sound, CLIP)
    shots = [processor.shot(performance, index) for index in range(performance.frames)]
    assert len(shots) > 3 * REGISTRATION_REACH
    alone = [processor.blend_shot(shot).registration for shot in shots]
    whole = smooth_registrations(alone, REGISTRATION_SIGMA_FRAMES)
    again = processor.prepare(sound, CLIP)
    for index in (performance.frames // 2, 0, performance.frames - 1, 5):
        result = processor._generate_frame_with_blending(again, index, SMOOTHED)
        one, other = (np.array([r.gain, r.dx, r.dy, r.scale]) for r in (result.registration, whole[index]))
        np.testing.assert_allclose(one, other, atol=2e-4)  # the Gaussian's tail beyond four sigma
    steps = [np.abs(np.diff([r.dy for r in found])).mean() for found in (alone, whole)]
    assert steps[1] < steps[0]


def test_smoothing_stops_at_cuts(processor, speech):
    performance = processor.prepare(speech[35_200:75_200])
    cut = next(cut for cut in performance.edits.cuts if cut.driven and cut.place.start > 0)
    alone = [
        processor.blend_shot(processor.shot(performance, index)).registration
        for index in range(cut.place.start, min(cut.place.stop, cut.place.start + 2 * REGISTRATION_REACH))
    ]
    inside = smooth_registrations(alone, REGISTRATION_SIGMA_FRAMES)[0]
    found = processor._generate_frame_with_blending(performance, cut.place.start, SMOOTHED).registration
    assert found.dy == pytest.approx(inside.dy, abs=1e-3)


def test_floor_is_small_and_known_once_measured(processor):
    assert processor.known_floor(CLIP) is None or processor.known_floor(CLIP) > 0
    floor = processor.floor_of(CLIP)
    assert 0 < floor < 0.5
    assert processor.known_floor(CLIP) == floor
