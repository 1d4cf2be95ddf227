"""Dissolves: both sides drawn and blended by themselves, then mixed; the preview is the render."""

import threading
from itertools import pairwise

import numpy as np
import pytest

from blending import BlendSettings, seam_score
from clips.core_clips_processor import CoreClipsProcessor
from clips.dissolve import mix
from clips.edit_list import Cut, EditList, Source
from clips.edit_settings import EditSettings
from clips.errors import ClipError
from clips.timeline import FrameRange
from clips.video import VideoWriter, probe

pytestmark = pytest.mark.usefixtures("one_torch_thread")

FRAMES = 4


@pytest.fixture(scope="module")
def dissolving(workspace):
    editing = EditSettings(vad="energy", dissolve_frames=FRAMES)
    return CoreClipsProcessor("tiny", workspace=workspace, editing=editing, device="cpu")


@pytest.fixture(scope="module")
def passage(speech):
    """Speech, a pause, speech; 63 frames."""
    return speech[35_200:75_200]


@pytest.fixture(scope="module")
def performance(dissolving, passage):
    return dissolving.prepare(passage)


def mixed_frames(performance):
    return [i for i in range(performance.frames) if performance.edits.dissolve_at(i)]


def test_joins_dissolve_and_cuts_stay_as_they_are(performance, processor, passage):
    cuts = performance.edits.cuts
    assert len(cuts) > 2
    assert all(0 < cut.dissolve <= FRAMES for cut in cuts[1:])
    plain = processor.prepare(passage).edits
    assert [cut.dissolve for cut in plain.cuts] == [0] * len(cuts)
    assert [(c.place, c.clip, c.first, c.span, c.phase) for c in plain.cuts] == [
        (c.place, c.clip, c.first, c.span, c.phase) for c in cuts
    ]


def test_a_mixed_frame_is_the_mix_of_both_blends(dissolving, performance):
    for index in mixed_frames(performance)[::3]:
        going, share = performance.edits.dissolve_at(index)
        shot = dissolving.shot(performance, index)
        sides = [dissolving._cut_shot(performance, cut, index) for cut in (going, performance.edits.at(index))]
        assert [side.generated is not None for side in sides] == [going.driven, shot.cut.driven]
        blended = [dissolving.blend_shot(side).frame.astype(float) for side in sides]
        result = dissolving.blend_shot(shot)
        assert np.abs(result.frame - (blended[0] + share * (blended[1] - blended[0]))).max() <= 0.501
        pasted = [side.unblended.astype(float) for side in sides]
        unblended = dissolving.generate_frame(performance, index)
        assert np.abs(unblended - (pasted[0] + share * (pasted[1] - pasted[0]))).max() <= 0.501
        assert "dissolve" in result.limits[0]
        # What the page puts together: the patch over the plate. Nothing lies outside of it.
        shown = shot.plate.copy()
        shown[result.rows, result.columns] = result.patch
        assert np.array_equal(shown, result.frame)
        assert np.array_equal(result.frame[result.matte == 0], shot.plate[result.matte == 0])
        assert 0 < result.matte.max() <= 1
    score = seam_score(shot.plate, result.frame, result.generated_matched, shot.box, shot.landmarks)
    assert np.isfinite(score.score)


def test_the_preview_is_the_render_in_any_order(workspace, dissolving, performance, passage, tmp_path, monkeypatch):
    handed = []
    write = VideoWriter.write
    monkeypatch.setattr(VideoWriter, "write", lambda w, frame: (handed.append(frame.copy()), write(w, frame))[1])
    settings = BlendSettings(registration="smoothed")
    report = dissolving.generate_video(performance, tmp_path / "out.mp4", settings)
    assert probe(report.path).frames == performance.frames == len(handed)
    editing = EditSettings(vad="energy", dissolve_frames=FRAMES)
    again = CoreClipsProcessor("tiny", workspace=workspace, editing=editing, device="cpu")
    other = again.prepare(passage)
    mixed = mixed_frames(performance)
    order = [*mixed[::-1], mixed[0] - 1, mixed[-1] + 1, 0, performance.frames - 1, *mixed[:2]]
    for index in order:
        assert np.array_equal(again._generate_frame_with_blending(other, index, settings).frame, handed[index]), index
    frames = []
    thread = threading.Thread(
        target=lambda: frames.append(again._generate_frame_with_blending(other, mixed[1], settings).frame)
    )
    thread.start()
    thread.join()
    assert np.array_equal(frames[0], handed[mixed[1]])


def test_frames_outside_of_dissolves_are_as_without(dissolving, performance, processor, passage):
    plain = processor.prepare(passage)
    ramped = {i for i in range(plain.frames) if plain.edits.opacity(i) < 1}
    for index in sorted(set(range(performance.frames)) - set(mixed_frames(performance)) - ramped)[::6]:
        assert np.array_equal(
            dissolving._generate_frame_with_blending(performance, index).frame,
            processor._generate_frame_with_blending(plain, index).frame,
        )


def test_a_dissolve_brings_the_frames_of_a_join_closer(dissolving, performance, processor, passage):
    """The largest step between frames around a join, averaged over the picture, is less than of a cut."""
    edits = EditList(
        (
            Cut(FrameRange(0, 30), "silence", 0, 100, False),
            Cut(FrameRange(30, 63), "05,20s talk evening", 40, 90, True, dissolve=6),
        )
    )
    cut = EditList(tuple(Cut(c.place, c.clip, c.first, c.span, c.driven) for c in edits.cuts))
    steps = []
    for one in (edits, cut):
        made = processor.prepare(passage, edits=one)
        frames = [processor._generate_frame_with_blending(made, i).frame.astype(float) for i in range(28, 38)]
        steps.append(max(np.abs(b - a).mean() for a, b in pairwise(frames)))
    assert steps[0] < 0.3 * steps[1]


def test_a_given_list_is_what_is_shown(processor, passage):
    edits = EditList((Cut(FrameRange(0, 63), "02,08s talk", 10, 20, True, phase=25),))
    made = processor.prepare(passage, edits=edits)
    assert made.edits is edits
    assert made.notes == ("cut by the given edit list",)
    source = processor.frames_of("02,08s talk")
    assert np.array_equal(processor.shot(made, 5).plate, source[edits.cuts[0].clip_frame(5)])


def test_a_held_still_is_told(processor, passage, monkeypatch):
    """A silence clip of one frame leaves no choice: it is held, and the notes say so."""
    lengths = {"silence": 1}
    monkeypatch.setattr(
        "clips.core_clips_processor._source",
        lambda clip: Source(clip.name, clip.kind, lengths.get(clip.name, len(clip.landmarks().found))),
    )
    edits, notes = processor.edit_list(passage)
    (still,) = [cut for cut in edits.cuts if not cut.driven]
    assert (still.clip, still.span) == ("silence", 1)
    assert "held as a still, since it has one frame only: silence" in notes
    assert not any("held" in note for note in processor.edit_list(passage, "02,08s talk")[1])


@pytest.mark.parametrize(
    ("cut", "said"),
    [
        (Cut(FrameRange(0, 63), "nobody", 0, 10, True), r"cuts\[0\]\.clip is 'nobody', which does not exist"),
        (Cut(FrameRange(0, 63), "02,08s talk", 0, 53, True), r"cuts\[0\]\.span shows frames 0 \.\. 52 .* has 52"),
        (Cut(FrameRange(0, 62), "02,08s talk", 0, 52, True), "must cover the sound's 63 frames; it has 62"),
    ],
)
def test_lists_that_do_not_fit_are_refused(processor, passage, cut, said):
    with pytest.raises(ClipError, match=said):
        processor.prepare(passage, edits=EditList((cut,)))


def test_mix_rounds_and_keeps_its_ends():
    a, b = np.array([[[0, 10, 255]]], np.uint8), np.array([[[1, 20, 0]]], np.uint8)
    assert np.array_equal(mix(a, b, 0), a)
    assert np.array_equal(mix(a, b, 1), b)
    assert mix(a, b, 0.5).tolist() == [[[0, 15, 128]]]
