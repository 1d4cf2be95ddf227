"""CoreClipsProcessor and render: the preview is the render, plates stay plates, nothing half-made is left."""

import os
import shutil
import struct
import threading
from dataclasses import replace

import numpy as np
import pytest

from blending import BlendSettings
from clips.audio import SAMPLE_RATE, load_audio, save_wav
from clips.core_clips_processor import AUTOMATIC, CoreClipsProcessor
from clips.errors import ClipError
from clips.landmarks import ClipLandmarks
from clips.library import ClipLibrary
from clips.render import RenderCancelled
from clips.video import VideoWriter, probe, read_frames
from models import ModelError

pytestmark = pytest.mark.usefixtures("one_torch_thread")

EVENING = "05,20s talk evening"
HIDDEN = range(10, 20)


@pytest.fixture(scope="module")
def passage(speech):
    """2.5 s out of the sample: the end of a sentence, the pause, the start of the next one; 63 frames."""
    return speech[35_200:75_200]


@pytest.fixture(scope="module")
def performance(processor, passage):
    prepared = processor.prepare(passage)
    assert 10 < len(driven_frames(prepared)) < prepared.frames - 10, "needs speech and a pause"
    return prepared


@pytest.fixture(scope="module")
def rendered(processor, performance, tmp_path_factory):
    """(blended file, unblended file, frames handed to the encoder by path, report, progress calls)."""
    folder = tmp_path_factory.mktemp("render")
    blended, plain = folder / "blended.mp4", folder / "plain.mp4"
    handed, calls = {blended: [], plain: []}, []
    write = VideoWriter.write

    def capture(writer, frame):
        handed[writer.path].append(frame.copy())
        write(writer, frame)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(VideoWriter, "write", capture)
        report = processor.generate_video(performance, blended, progress=calls.append, unblended=plain)
    return blended, plain, handed, report, calls


@pytest.fixture(scope="module")
def awkward(workspace, tmp_path_factory):
    """A workspace whose silence clip has frames without a face, beside a talk clip of another frame size."""
    root = tmp_path_factory.mktemp("awkward")
    (root / "core_clips" / "tiny").mkdir(parents=True)
    os.symlink(workspace / "checkpoint", root / "checkpoint")
    source = ClipLibrary(workspace).clip("tiny", "silence")
    os.symlink(source.path, root / "core_clips" / "tiny" / "silence.mp4")
    marks = source.landmarks()
    found = marks.found.copy()
    found[list(HIDDEN)] = False
    library = ClipLibrary(root)
    replace(marks, found=found).save(library.clip("tiny", "silence").landmarks_path)
    with VideoWriter(root / "core_clips" / "tiny" / "small talk.mp4", 320, 320) as writer:
        for frame in read_frames(source.path, 0, 5):
            writer.write(np.ascontiguousarray(frame[::2, ::2]))
    small = library.clip("tiny", "small talk")
    ClipLandmarks(
        marks.points[:5] / 2, marks.found[:5], marks.confidence[:5], (320, 320), small.sha256, "facemesh",
        marks.appearance,
    ).save(small.landmarks_path)  # fmt: skip
    return CoreClipsProcessor("tiny", workspace=root, vad_method="energy", device="cpu")


def driven_frames(performance):
    return [i for i in range(performance.frames) if performance.edits.at(i).driven]


# The preview is the render


def test_preview_is_the_render_bit_for_bit_in_any_order(workspace, passage, rendered):
    blended, plain, handed, _, _ = rendered
    other = CoreClipsProcessor("tiny", workspace=workspace, vad_method="energy", device="cpu")
    performance = other.prepare(passage)
    assert len(handed[blended]) == len(handed[plain]) == performance.frames
    order = np.random.default_rng(0).permutation(performance.frames)[:24]
    assert {performance.edits.at(int(i)).driven for i in order} == {True, False}
    for index in map(int, [*order, *order[:3]]):
        result = other._generate_frame_with_blending(performance, index)
        assert np.array_equal(result.frame, handed[blended][index]), f"frame {index}"
        assert np.array_equal(other.generate_frame(performance, index), handed[plain][index]), f"frame {index}"


def test_preview_from_another_thread_is_the_same(processor, performance, rendered):
    index = driven_frames(performance)[3]
    again = processor.prepare(performance.wav)
    frames = []
    thread = threading.Thread(target=lambda: frames.append(processor._generate_frame_with_blending(again, index).frame))
    thread.start()
    thread.join()
    assert np.array_equal(frames[0], rendered[2][rendered[0]][index])


def test_generate_frame_is_the_unblended_paste(processor, performance):
    for index in driven_frames(performance)[::7]:
        shot = processor.shot(performance, index)
        drawn = processor.model.generate(shot.plate, shot.box, performance.features, index)
        assert np.array_equal(processor.generate_frame(performance, index), shot.box.paste(shot.plate, drawn))


def test_hard_compositor_without_colour_is_the_paste(processor, performance):
    index = driven_frames(performance)[0]
    settings = BlendSettings(compositor="hard", colour="none")
    result = processor._generate_frame_with_blending(performance, index, settings)
    assert np.array_equal(result.frame, processor.generate_frame(performance, index))


def test_pauses_show_the_clip_untouched(processor, performance, workspace):
    source = list(read_frames(ClipLibrary(workspace).clip("tiny", "silence").path))
    quiet = [i for i in range(performance.frames) if not performance.edits.at(i).driven]
    for index in quiet:
        cut = performance.edits.at(index)
        assert cut.clip == "silence"
        result = processor._generate_frame_with_blending(performance, index)
        assert np.array_equal(result.frame, source[cut.clip_frame(index)])
        assert not result.matte.any()
        assert "silence" in result.limits[0]


def test_plate_is_bit_exact_outside_the_matte_and_changed_inside(processor, performance):
    for index in driven_frames(performance)[::5]:
        shot = processor.shot(performance, index)
        result = processor.blend_shot(shot)
        outside = result.matte == 0
        assert 0.5 < outside.mean() < 1
        assert np.array_equal(result.frame[outside], shot.plate[outside])
        assert not np.array_equal(result.frame, shot.plate)


def test_settings_of_the_call_win_over_those_of_the_processor(processor, performance):
    index = driven_frames(performance)[0]
    own = processor._generate_frame_with_blending(performance, index)
    wide = processor._generate_frame_with_blending(performance, index, BlendSettings(expansion_ratio=1.3))
    assert np.array_equal(own.frame, processor._generate_frame_with_blending(performance, index, BlendSettings()).frame)
    assert (wide.matte >= own.matte).all()
    assert wide.matte.sum() > own.matte.sum()


# Names and choice of clips


def test_clips_in_other_light_are_left_out_and_named(performance):
    assert EVENING not in {cut.clip for cut in performance.edits.cuts}
    assert any(EVENING in note and "light" in note for note in performance.notes)


def test_the_evening_clip_works_as_the_one_base(processor, passage):
    performance = processor.prepare(passage[:4000], EVENING)
    assert [(cut.clip, cut.first, cut.driven) for cut in performance.edits.cuts] == [(EVENING, 0, True)]
    assert performance.notes == ()
    assert processor._generate_frame_with_blending(performance, 2).matte.max() == 1


def test_clips_of_another_size_are_left_out_and_named(awkward, passage):
    performance = awkward.prepare(passage)
    assert {cut.clip for cut in performance.edits.cuts} == {"silence"}
    assert any("small talk" in note and "frame size" in note for note in performance.notes)
    assert any("driven under speech" in note for note in performance.notes)
    assert driven_frames(performance)


def test_without_a_silence_clip_talk_clips_stand_in_undriven(processor, passage, monkeypatch):
    monkeypatch.setattr(processor, "clips", {n: c for n, c in processor.clips.items() if c.kind == "talk"})
    performance = processor.prepare(passage)
    quiet = [cut for cut in performance.edits.cuts if not cut.driven]
    assert quiet
    assert {processor.clips[cut.clip].kind for cut in performance.edits.cuts} == {"talk"}
    assert any("no silence clip" in note for note in performance.notes)


@pytest.mark.parametrize("name", ["nobody", "../tiny/silence", "silence.mp4", "", "../silence", "Silence"])
def test_unknown_bases_are_refused_with_what_there_is(processor, speech, name):
    with pytest.raises(ClipError, match=r"does not exist.*'silence'"):
        processor.prepare(speech, name)


@pytest.mark.parametrize("name", ["nobody", "../tiny", "", "."])
def test_unknown_models_are_refused_with_what_there_is(workspace, name):
    with pytest.raises((ModelError, ClipError), match="tiny"):
        CoreClipsProcessor(name, workspace=workspace, device="cpu")


def test_workspace_comes_from_the_environment(workspace, monkeypatch):
    monkeypatch.setenv("SEAMLINE_WORKSPACE", str(workspace))
    assert "silence" in CoreClipsProcessor("tiny", device="cpu").clips


def test_frames_without_a_face_are_unchanged_and_reported(awkward, passage):
    performance = awkward.prepare(passage, "silence")
    for index in range(8, 22):
        shot = awkward.shot(performance, index)
        result = awkward.blend_shot(shot)
        assert (shot.generated is None) == (index in HIDDEN)
        assert np.array_equal(result.frame, shot.plate) == (index in HIDDEN)
        assert any("no face was found" in limit for limit in result.limits) == (index in HIDDEN)
        if index in HIDDEN:
            assert np.array_equal(awkward.generate_frame(performance, index), shot.plate)


# Sounds


def test_ten_milliseconds_are_one_frame(processor, speech, tmp_path):
    for base in (AUTOMATIC, "silence"):
        performance = processor.prepare(speech[20_000:20_160], base)
        assert performance.frames == 1
        report = processor.generate_video(performance, tmp_path / "short.mp4")
        assert (report.frames, probe(report.path).frames) == (1, 1)
        assert np.isfinite(processor._generate_frame_with_blending(performance, 0).matte).all()


def test_total_silence_shows_the_silence_clip_and_says_so(processor, tmp_path):
    performance = processor.prepare(np.zeros(SAMPLE_RATE, np.float32))
    assert {(cut.clip, cut.driven) for cut in performance.edits.cuts} == {("silence", False)}
    assert any("no speech was found" in note for note in performance.notes)
    report = processor.generate_video(performance, tmp_path / "quiet.mp4")
    assert (report.frames, report.blended_frames, report.seam_mean, report.worst_frame) == (25, 0, None, None)


def test_total_silence_drives_a_single_clip(processor):
    performance = processor.prepare(np.zeros(3200, np.float32), "silence")
    assert driven_frames(performance) == list(range(5))
    assert processor._generate_frame_with_blending(performance, 3).matte.any()


@pytest.mark.parametrize(
    "samples", [np.zeros(0, np.float32), np.zeros((2, 400), np.float32), np.full(400, np.nan, np.float32)]
)
def test_samples_that_are_no_sound_are_refused(processor, samples):
    with pytest.raises(ValueError, match="audio must be finite samples"):
        processor.prepare(samples)


def test_too_long_a_sound_is_refused(processor, speech, monkeypatch):
    monkeypatch.setattr("clips.core_clips_processor.MAX_SOUND_S", 5)
    with pytest.raises(ClipError, match="at most"):
        processor.prepare(speech)


def test_a_file_gives_the_same_as_its_samples(processor, passage, performance, tmp_path):
    save_wav(tmp_path / "a b.wav", passage)
    again = processor.prepare(tmp_path / "a b.wav")
    assert np.array_equal(again.wav, passage)
    assert again.edits == performance.edits
    assert np.array_equal(again.features, performance.features)


# The finished file


def top_level_atoms(path):
    content, at, names = path.read_bytes(), 0, []
    while at < len(content):
        size, name = struct.unpack(">I4s", content[at : at + 8])
        names.append(name.decode("ascii"))
        if size == 1:
            size = struct.unpack(">Q", content[at + 8 : at + 16])[0]
        at += size
    return names


def test_files_are_h264_yuv420p_with_the_index_first(rendered):
    for path in rendered[:2]:
        info = probe(path)
        assert (info.pixel_format, info.fps, info.size_wh, info.has_sound) == ("yuv420p", 25, (640, 640), True)
        atoms = top_level_atoms(path)
        assert atoms.index("moov") < atoms.index("mdat")
        assert b"avc1" in path.read_bytes()
    assert b"AI-generated" in rendered[0].read_bytes()


def test_picture_and_sound_are_as_long_as_the_speech(rendered, performance, passage):
    for path in rendered[:2]:
        assert probe(path).frames == performance.frames
        sound = load_audio(path)
        assert abs(len(sound) / SAMPLE_RATE - performance.frames / 25) <= 1 / 25
        shared = min(len(sound), len(passage))
        assert np.corrcoef(sound[:shared], passage[:shared])[0, 1] > 0.9


def test_file_shows_the_frames_that_were_handed_over(rendered):
    for path, frames in rendered[2].items():
        for index, shown in enumerate(read_frames(path)):
            assert np.abs(shown.astype(int) - frames[index]).mean() < 3


def test_report_says_what_was_made(rendered, performance):
    blended, _, _, report, calls = rendered
    assert report.path == blended
    assert (report.frames, report.blended_frames) == (performance.frames, len(driven_frames(performance)))
    assert 0 < report.seam_mean <= report.seam_worst
    assert report.worst_frame in driven_frames(performance)
    assert report.notes == performance.notes
    assert [(p.done, p.total) for p in calls] == [(i + 1, performance.frames) for i in range(performance.frames)]
    assert [p.seconds for p in calls] == sorted(p.seconds for p in calls)
    assert calls[-1].frames_per_second > 0
    assert (calls[-1].seconds_left, calls[0].seconds_left > 0) == (0, True)


def left_behind(folder):
    return list(folder.iterdir()), [t.name for t in threading.enumerate() if t.name in ("shots", "blend")]


def test_cancelling_leaves_nothing(processor, performance, tmp_path):
    cancel, done = threading.Event(), []

    def stop_after_five(progress):
        done.append(progress.done)
        if progress.done == 5:
            cancel.set()

    with pytest.raises(RenderCancelled, match="stopped"):
        processor.generate_video(
            performance, tmp_path / "a.mp4", progress=stop_after_five, unblended=tmp_path / "b.mp4", cancel=cancel
        )
    assert done == [1, 2, 3, 4, 5]
    assert left_behind(tmp_path) == ([], [])


@pytest.mark.parametrize("part", ["blend_shot", "shot", "progress"])
def test_an_error_in_the_middle_leaves_nothing(processor, performance, tmp_path, monkeypatch, part):
    calls = iter(range(1000))

    def fail_at_the_sixth(*args, **kwargs):
        if next(calls) >= 5:
            raise RuntimeError("the lamp fell over")
        return original(*args, **kwargs)

    original = (lambda progress: None) if part == "progress" else getattr(processor, part)
    if part != "progress":
        monkeypatch.setattr(processor, part, fail_at_the_sixth)
    with pytest.raises(RuntimeError, match="the lamp fell over"):
        processor.generate_video(
            performance, tmp_path / "a.mp4", unblended=tmp_path / "b.mp4",
            progress=fail_at_the_sixth if part == "progress" else None,
        )  # fmt: skip
    assert left_behind(tmp_path) == ([], [])


def test_a_failed_render_keeps_the_file_that_was_there(processor, performance, tmp_path, monkeypatch):
    output = tmp_path / "a.mp4"
    output.write_bytes(b"the last good render")

    def fail(*_):
        raise RuntimeError("no")

    monkeypatch.setattr(processor, "blend_shot", fail)
    with pytest.raises(RuntimeError, match="no"):
        processor.generate_video(performance, output)
    assert output.read_bytes() == b"the last good render"
    assert list(tmp_path.iterdir()) == [output]


def test_a_folder_that_may_not_be_written_is_refused(processor, performance, tmp_path, monkeypatch):
    monkeypatch.setattr(os, "access", lambda *_: False)  # as root every folder may be written
    with pytest.raises(ClipError, match="nothing may be written"):
        processor.generate_video(performance, tmp_path / "a.mp4")


def test_bad_output_names_are_refused_before_any_work(processor, speech, tmp_path, monkeypatch):
    monkeypatch.setattr(processor, "prepare", lambda *_: pytest.fail("the name must be looked at first"))
    (tmp_path / "folder.mp4").mkdir()
    sound = tmp_path / "sound.mp4"
    sound.write_bytes(b"x")
    for output, unblended, said in (
        ("a.avi", None, "named .mp4"),
        ("a", None, "named .mp4"),
        ("missing/a.mp4", None, "does not exist"),
        ("folder.mp4", None, "is a folder"),
        ("a.mp4", "a.mp4", "two names"),
        ("a.mp4", "b.mov", "named .mp4"),
        ("sound.mp4", None, "overwrite sound.mp4"),
    ):
        with pytest.raises(ClipError, match=said):
            processor.generate_video(sound, tmp_path / output, unblended=tmp_path / unblended if unblended else None)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["folder.mp4", "sound.mp4"]


def test_a_clip_that_cannot_be_used_is_left_out_by_name(workspace, speech, tmp_path):
    own = tmp_path / "workspace"
    shutil.copytree(workspace, own)
    (own / "core_clips" / "tiny" / "a broken talk.mp4").write_text("no video")
    processor = CoreClipsProcessor("tiny", workspace=own, vad_method="energy", device="cpu")
    performance = processor.prepare(speech)
    assert "a broken talk is left out, since it is not ready: expected landmarks" in performance.notes[0]
    assert "a broken talk" not in {cut.clip for cut in performance.edits.cuts}
    with pytest.raises(ClipError, match="or remove the clip"):
        processor.prepare(speech, "a broken talk")


def test_the_first_driven_frames_blend_in(processor, speech):
    performance = processor.prepare(np.concatenate([np.zeros(SAMPLE_RATE, np.float32), speech[:40_000]]))
    first = next(cut.place.start for cut in performance.edits.cuts if cut.driven)
    assert first > 0
    peaks = [processor._generate_frame_with_blending(performance, first + i).matte.max() for i in range(4)]
    assert peaks == pytest.approx([0.25, 0.5, 0.75, 1.0], abs=0.01)
