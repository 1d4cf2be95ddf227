"""Clips that are broken, misplaced, too short or not ready: each is told, none stops the others."""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import unicodedata
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from test_clips_preprocess import StillFace, short_clip
from test_clips_video import number_of, write_numbered

from clips import clip_findings
from clips.__main__ import main
from clips.audio import SAMPLE_RATE, load_audio, save_wav
from clips.clip_statistics import ClipStatistics, measure_statistics
from clips.core_clips_processor import CoreClipsProcessor
from clips.describe import describe_clip, describe_model
from clips.edit_files import save_edits
from clips.edit_list import Source, single_clip
from clips.errors import ClipError
from clips.ffmpeg import check_source, ffmpeg_exe
from clips.handoff import new_folder
from clips.inspect import main as statistics
from clips.library import ClipLibrary, CoreClip, workspace_folder
from clips.preprocess import main as preprocess
from clips.preprocess import preprocess_clip, verify_clip
from clips.render import check_outputs
from clips.timeline import FPS, frame_count
from clips.video import ClipFrames, FrameCache, probe, read_frames
from models.lip_sync import LipSyncModel

REPO = Path(__file__).parents[2]
RIDDLES = ['it\'s "a" talk', "ü 漢 talk", "two\nlines talk", "100% talk $HOME `x`", "talk;rm -rf", "  talk  "]


@pytest.fixture
def few(processor: CoreClipsProcessor, workspace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A workspace of the tiny model with silence and one talk clip, ready, whose files may be changed."""
    for kind, ending in (("core_clips", ".mp4"), ("landmarks", ".landmarks.npz")):
        (tmp_path / kind / "tiny").mkdir(parents=True)
        for name in ("silence", "02,08s talk"):
            shutil.copy(workspace / kind / "tiny" / (name + ending), tmp_path / kind / "tiny")
    (tmp_path / "checkpoint").symlink_to(workspace / "checkpoint")
    monkeypatch.setattr(LipSyncModel, "load", lambda *args, **kwargs: processor.model)
    return tmp_path


def driver(workspace: Path) -> CoreClipsProcessor:
    return CoreClipsProcessor("tiny", workspace=workspace, vad_method="energy", device="cpu")


def damaged(path: Path, packet: int, how: str) -> Path:
    """A numbered video of 90 frames with key frames every 12, one of whose packets is overwritten."""
    write_numbered(path, 90)
    listed = subprocess.run(
        [ffmpeg_exe(), "-v", "error", "-i", path, "-map", "0:v", "-c", "copy", "-f", "framecrc", "-"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    sizes = [int(line.split(",")[4]) for line in listed.stdout.splitlines() if line[0] != "#"]
    content = bytearray(path.read_bytes())
    start = content.index(b"mdat") + 4 + sum(sizes[:packet])
    stop = start + sizes[packet]
    if how == "zeroed":
        content[start:stop] = bytes(stop - start)
    else:
        content[start + 20 : stop] = np.random.default_rng(1).bytes(stop - start - 20)
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("how", ["zeroed", "garbled"])
@pytest.mark.parametrize("packet", [40, 48])
def test_damage_in_the_middle_is_told_and_reading_stays_in_step(packet: int, how: str, tmp_path: Path) -> None:
    path = damaged(tmp_path / "damaged talk.mp4", packet, how)
    info = probe(path)
    assert len(info.damaged) == 1
    assert packet - 6 <= info.damaged[0] <= packet
    assert f"the file is damaged soon after frame {info.damaged[0]}:" in info.notes[0]
    in_order = list(read_frames(path))
    assert len(in_order) == info.frames
    with ClipFrames(path, cache=FrameCache(0)) as frames:
        for index in (80, 3, packet + 1, 30, packet - 3, info.frames - 1):
            assert np.array_equal(frames[index], in_order[index]), index
    shown = [number_of(frame) for frame in read_frames(path, fps=FPS)]
    assert len(shown) == 90  # lost frames leave time, the one before is held
    assert shown[:34] == list(range(34))
    assert shown[60:] == list(range(60, 90))


def test_a_whole_file_is_not_called_damaged(tmp_path: Path) -> None:
    info = probe(write_numbered(tmp_path / "whole.mp4", 30))
    assert (info.damaged, info.notes) == ((), ())


def test_verify_fails_a_damaged_clip(tmp_path: Path) -> None:
    (tmp_path / "core_clips" / "Ada").mkdir(parents=True)
    path = damaged(tmp_path / "core_clips" / "Ada" / "damaged talk.mp4", 40, "garbled")
    clip = ClipLibrary(tmp_path).clip("Ada", path.stem)
    preprocess_clip(clip, detector=StillFace())
    report = verify_clip(clip)
    assert not report.passed
    assert report.reasons[0].startswith("the file is damaged soon after frame 3")


def test_a_file_that_is_cut_off_plays_what_is_there_and_says_so(tmp_path: Path) -> None:
    whole = short_clip(tmp_path / "whole.mp4", frames=20)
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size * 2 // 3])
    info = probe(cut)
    assert 1 <= info.frames < 20
    assert "damaged" in info.notes[0]
    assert len(list(read_frames(cut))) == info.frames


def test_empty_and_frameless_clips_are_refused_and_do_not_stop_the_others(
    few: Path, speech: np.ndarray, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = few / "core_clips" / "tiny"
    (folder / "a empty talk.mp4").touch()
    whole = write_numbered(few / "whole.mp4", 3)
    subprocess.run([ffmpeg_exe(), "-v", "error", "-ss", "5", "-i", whole, folder / "b no frame talk.mp4"], check=True)
    (folder / "c gone talk.mp4").symlink_to(few / "nowhere.mp4")
    assert preprocess(["--model", "tiny", "--workspace", str(few)]) == 2
    said = capsys.readouterr()
    assert said.err.count("error: ") == 2
    assert "a empty talk.mp4 is empty (0 bytes)" in said.err
    assert "b no frame talk.mp4" in said.err
    assert "'c gone talk.mp4' is ignored: it points to a file that is not there" in said.out
    performance = driver(few).prepare(speech)
    assert {cut.clip for cut in performance.edits.cuts} == {"silence", "02,08s talk"}
    told = [note for note in performance.notes if "not ready" in note]
    assert [note.split(" is left out")[0] for note in told] == ["a empty talk", "b no frame talk"]


def test_statistics_and_verify_measure_the_others_and_tell_of_a_broken_clip(
    few: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (few / "core_clips" / "tiny" / "a empty talk.mp4").touch()
    arguments = ["--model", "tiny", "--workspace", str(few)]
    assert statistics([*arguments, "--stats"]) == 2
    said = capsys.readouterr()
    assert said.out.count("all 2 clips") == 1
    assert " 1. " in said.out
    assert said.err.startswith("error: a empty talk cannot be measured: ")
    assert "is empty (0 bytes)" in said.err
    assert statistics([*arguments, "--stats", "--clip", "silence"]) == 2
    assert "all 2 clips" in capsys.readouterr().out
    assert statistics([*arguments, "--stats", "--clip", "a empty talk"]) == 2
    assert capsys.readouterr().out == ""

    def unreadable(clip: CoreClip, progress: object = None) -> ClipStatistics:
        if clip.name == "02,08s talk":
            raise ClipError("reading stopped at frame 9")
        return measure_statistics(clip)

    monkeypatch.setattr(clip_findings, "measure_statistics", unreadable)
    assert preprocess([*arguments, "--verify"]) == 2
    said = capsys.readouterr()
    assert "tiny / 02,08s talk: FAIL: cannot be measured: reading stopped at frame 9" in said.out
    assert "tiny   silence" in said.out
    assert statistics([*arguments, "--stats"]) == 2
    said = capsys.readouterr()
    assert "the only clip" in said.out
    assert "02,08s talk cannot be measured: reading stopped" in said.err
    (few / "core_clips" / "tiny" / "a empty talk.mp4").unlink()
    assert preprocess([*arguments, "--verify"]) == 1


def test_a_model_without_clips_is_told_with_the_cure(few: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (few / "core_clips" / "Empty").mkdir()
    (few / "core_clips" / "Texts").mkdir()
    (few / "core_clips" / "Texts" / "notes talk.txt").write_text("a talk")
    assert preprocess(["--workspace", str(few)]) == 0
    said = capsys.readouterr().out
    for name in ("Empty", "Texts"):
        assert f"note: expected core clips of the model '{name}'; there is no .mp4 file with 'silence'" in said
        assert f"put clips into {few / 'core_clips' / name}" in said
    assert preprocess(["--workspace", str(few), "--clip", "silence"]) == 0
    assert "note" not in capsys.readouterr().out


def test_a_clip_that_lies_is_left_out_and_refused_by_name(few: Path, speech: np.ndarray) -> None:
    short_clip(few / "core_clips" / "tiny" / "a talk.mp4")
    lying = StillFace()
    lying.face = lying.face[:, ::-1] * np.float32([1, -1]) + np.float32([0, 640])
    preprocess_clip(ClipLibrary(few).clip("tiny", "a talk"), detector=lying)
    processor = driver(few)
    performance = processor.prepare(speech)
    assert {cut.clip for cut in performance.edits.cuts} == {"silence", "02,08s talk"}
    (note,) = [note for note in performance.notes if "a talk is left out" in note]
    assert "'a talk': the face is not upright: it is turned 89 degrees counter-clockwise" in note
    assert "-vf transpose=clock" in note
    with pytest.raises(ClipError, match="'a talk': the face is not upright"):
        processor.prepare(speech, "a talk")
    with pytest.raises(ClipError, match="'a talk': the face is not upright"):
        processor.prepare(speech[:640], edits=single_clip(Source("a talk", "talk", 4), 1))


def test_a_clip_of_one_frame_works_everywhere(few: Path, speech: np.ndarray) -> None:
    short_clip(few / "core_clips" / "tiny" / "a talk.mp4", frames=1)
    clip = ClipLibrary(few).clip("tiny", "a talk")
    assert (clip.info.frames, clip.info.duration_s) == (1, 0.04)
    preprocess_clip(clip, detector=StillFace())
    assert verify_clip(clip).passed
    processor = driver(few)
    alone = processor.prepare(speech[:3200], "a talk")
    assert {processor.shot(alone, k).clip_frame for k in range(alone.frames)} == {0}
    assert processor.prepare(speech).frames == 180


def test_new_clips_are_told_until_they_are_ready_and_then_used(few: Path, speech: np.ndarray) -> None:
    processor = driver(few)
    name = "01,00s talk new"
    path = short_clip(few / "core_clips" / "tiny" / f"{name}.mp4", frames=3)
    cure = f'python preprocess_core_clips.py --model "tiny" --clip "{name}" --workspace "{few}"'
    with pytest.raises(ClipError, match="there are none; run") as refusal:
        processor.prepare(speech, name)  # dropped in while the program runs
    assert cure in str(refusal.value)
    told = next(note for note in processor.prepare(speech).notes if "not ready" in note)
    assert cure in told
    clip = ClipLibrary(few).clip("tiny", name)
    lines = describe_clip(clip)
    assert lines[0] == f"{name}: talk, mp4, 640 x 640 px, 3 frames at 25 fps, 0.12 s"
    assert lines[1].startswith("  not ready: expected landmarks")
    assert lines[2] == "  its name says 01,00s, its file lasts 0.12 s"
    preprocess_clip(clip, detector=StillFace())
    assert describe_clip(clip)[1] == "  ready: landmarks detected"
    assert "its name says 01,00s, its file lasts 0.12 s" in verify_clip(clip).notes
    assert not any("not ready" in note for note in processor.prepare(speech).notes)
    assert processor.prepare(speech, name).base == name
    path.unlink()
    assert "01,00s" not in "".join(driver(few).clips)


def test_misplaced_files_are_told(few: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = few / "core_clips" / "tiny"
    source = folder / "silence.mp4"
    (folder / "deeper").mkdir()
    for wrong in (folder / "walk.mp4", folder / "deeper" / "talk.mp4", folder.parent / "talk.mp4"):
        shutil.copyfile(source, wrong)
    (folder / "talk.mov").write_bytes(b"x")
    (folder / "notes on talk.txt").write_text("fine")
    (few / "dataset" / "tiny" / "core_clips" / "walk" / "full_body_img").mkdir(parents=True)
    strays = ClipLibrary(few).strays("tiny")
    assert strays == [
        "'talk.mp4' is ignored: it lies in the folder 'deeper'; move it up",
        "'talk.mov' is ignored: clips are .mp4 files; export it as one, or render with it as --base-video",
        "'walk.mp4' is ignored: neither 'silence' nor 'talk' is in its name",
        "'walk' is ignored: neither 'silence' nor 'talk' is in its name",
        "'talk.mp4' is ignored: it lies beside the models' folders; move it into one of them",
    ]
    assert main(["describe", "--model", "tiny", "--workspace", str(few)]) == 0
    said = capsys.readouterr().out
    assert all(f"note: {stray}" in said for stray in strays)
    assert "02,08s talk: talk, mp4, 640 x 640 px, 52 frames at 25 fps, 2.08 s" in said


def test_describe_of_an_unknown_model_is_one_line(few: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["describe", "--model", "../tiny", "--workspace", str(few)]) == 2
    assert "without folders" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("missing", "says", "driven", "still"),
    [
        ("silence", "there is no silence clip: talk clips are shown unchanged in pauses", "02,08s talk", "02,08s talk"),
        ("02,08s talk", "there is no talk clip beside it: the silence clip is driven", "silence", "silence"),
    ],
)
def test_a_missing_kind_is_replaced_and_said(
    missing: str, says: str, driven: str, still: str, few: Path, speech: np.ndarray
) -> None:
    (few / "core_clips" / "tiny" / f"{missing}.mp4").unlink()
    performance = driver(few).prepare(speech)
    assert any(says in note for note in performance.notes)
    assert {cut.clip for cut in performance.edits.cuts if cut.driven} == {driven}
    assert {cut.clip for cut in performance.edits.cuts if not cut.driven} == {still}


def test_no_clip_at_all_and_none_ready_are_refused(few: Path, speech: np.ndarray) -> None:
    shutil.rmtree(few / "landmarks")
    with pytest.raises(ClipError, match="expected landmarks of the clip 'silence'"):
        driver(few).prepare(speech)
    for file in (few / "core_clips" / "tiny").iterdir():
        file.unlink()
    with pytest.raises(ClipError, match="put clips into"):
        driver(few).prepare(speech)


def test_landmarks_without_measured_light_do_not_stop_the_others(few: Path, speech: np.ndarray) -> None:
    clip = ClipLibrary(few).clip("tiny", "02,08s talk")
    replace(clip.landmarks(), appearance=None).save(clip.landmarks_path)
    notes = driver(few).prepare(speech).notes
    assert any("hold none; run `python preprocess_core_clips.py" in note and "--force" in note for note in notes)


@pytest.mark.parametrize("name", RIDDLES)
def test_names_of_any_kind_stay_in_their_folder(name: str, few: Path, speech: np.ndarray) -> None:
    short_clip(few / "core_clips" / "tiny" / f"{name}.mp4", frames=2)
    processor = driver(few)
    clip = processor.clip(name)
    preprocess_clip(clip, detector=StillFace())
    assert clip.landmarks_path.parent == few / "landmarks" / "tiny"
    assert clip.landmarks_path.is_file()
    assert processor.prepare(speech[:3200], name).frames == 5
    report = processor.generate_video(speech[:1280], few / "out.mp4", base=name)
    assert report.frames == 2
    assert len(describe_clip(clip)) >= 2


@pytest.mark.parametrize("name", ["../tiny/silence", "..", "", "silence/../silence", "/etc/passwd", "silence\0"])
def test_names_from_outside_never_leave_their_folder(name: str, few: Path, speech: np.ndarray) -> None:
    with pytest.raises(ClipError, match="does not exist for tiny; there are"):
        driver(few).prepare(speech, name)
    with pytest.raises(ClipError, match="there are: "):
        ClipLibrary(few).clip(name, "silence")


def test_a_workspace_that_cannot_be_written_is_told_before_the_work(few: Path) -> None:
    clip = ClipLibrary(few).clip("tiny", "silence")
    shutil.rmtree(few / "landmarks")
    (few / "landmarks").write_text("in the way")
    faces = StillFace()
    with pytest.raises(ClipError, match="folder for the landmarks that can be written to"):
        preprocess_clip(clip, detector=faces)
    assert faces.seen == -1


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="permissions do not bind this user")
def test_closed_folders_and_files_are_told(few: Path, speech: np.ndarray) -> None:
    clip = ClipLibrary(few).clip("tiny", "silence")
    clip.landmarks_path.parent.chmod(0o500)
    try:
        with pytest.raises(ClipError, match="can be written to"):
            preprocess_clip(clip, force=True, detector=StillFace())
    finally:
        clip.landmarks_path.parent.chmod(0o700)
    talk = ClipLibrary(few).clip("tiny", "02,08s talk")
    talk.path.chmod(0)
    assert any("02,08s talk" in note for note in driver(few).prepare(speech).notes)


def test_what_cannot_be_opened_for_its_hash_is_a_clip_error(few: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clip = ClipLibrary(few).clip("tiny", "silence")

    def closed(*args: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("builtins.open", closed)
    with pytest.raises(ClipError, match=r"silence\.mp4; it cannot be opened \(Permission denied\)"):
        CoreClip.sha256.fget(replace(clip, path=clip.path.with_name("silence.mp4")))  # type: ignore[attr-defined]


def test_describe_goes_on_after_a_clip_that_cannot_be_read(few: Path) -> None:
    (few / "core_clips" / "tiny" / "a broken talk.mp4").write_bytes(b"no video")
    lines = describe_model(ClipLibrary(few), "tiny")
    assert lines[lines.index("a broken talk: talk, cannot be used") + 1].startswith("  expected a video file")
    assert any(line.startswith("02,08s talk") for line in lines)


# Names


def test_names_that_no_file_can_have_are_refused(tmp_path: Path) -> None:
    loop = tmp_path / "loop.mp4"
    loop.symlink_to(loop)
    long = tmp_path / ("a" * 300 + ".mp4")
    for use in (check_source, lambda path, what: probe(path)):
        for path in (loop, long, tmp_path / ("b" * 300) / "a.mp4"):
            with pytest.raises(ClipError, match="cannot be opened"):
                use(path, "video")
    check_outputs(
        loop, None, keep=[loop.with_name("other.wav"), tmp_path / "a.mp4"]
    )  # a link is replaced, not followed
    with pytest.raises(ClipError, match="would overwrite"):
        check_outputs(loop, None, keep=[loop])
    for path, said in ((long, "at most 255 bytes"), (tmp_path / ("b" * 300) / "a.mp4", "does not exist")):
        with pytest.raises(ClipError, match=said):
            check_outputs(path, None)
        with pytest.raises(ClipError, match=r"cannot|does not exist|at most"), new_folder(path):
            pass
    (tmp_path / "file").touch()
    with pytest.raises(ClipError, match=r"the output's folder .*file is a file; choose another place"):
        check_outputs(tmp_path / "file" / "a.mp4", None)
    with pytest.raises(argparse.ArgumentTypeError, match="expected a folder"):
        workspace_folder(str(long))


@pytest.mark.skipif(os.name != "posix", reason="names are bytes there only")
def test_a_name_that_is_no_text_is_printed_as_it_is(tmp_path: Path) -> None:
    named = Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff"))
    folder = named / "core_clips" / "Ada"
    short_clip(folder / "silence.mp4")
    with open(os.fsencode(folder) + b"/talk \xff.mp4", "wb") as file:
        file.write(b"no video")
    done = subprocess.run(
        [sys.executable, "-m", "clips", "describe", "--model", "Ada", "--workspace", str(named)],
        cwd=REPO, env=os.environ | {"PYTHONIOENCODING": "utf-8:strict"}, capture_output=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert b"/\xff" in done.stdout
    assert rb"note: 'talk \udcff.mp4' is ignored: its name is no text (not UTF-8); rename it" in done.stdout


def through_everything(folder: Path, name: str, sound: Path) -> None:
    """A clip of the tiny model through --verify, edit, render of a part, recipe and hand-off at the command line."""
    where = ["--model", "tiny", "--workspace", str(folder)]
    common = [*where, f"--audio={sound}", "--vad", "energy"]
    assert preprocess([*where, f"--clip={name}", "--verify"]) in (0, 1)
    listed, out = folder / f"{name[:180]}.json", folder / f"{name[:180]}.mp4"
    assert main(["edit", *common, f"--output={listed}", f"--edl={listed.with_suffix('.edl')}"]) == 0
    save_edits(single_clip(Source(name, "talk", 2), frame_count(len(load_audio(sound)), SAMPLE_RATE)), listed)
    assert (
        main(["render", *common, f"--edits={listed}", "--frames", "0-1", f"--output={out}", "--quality", "draft"]) == 0
    )
    assert probe(out).frames == 2
    assert main(["recipe", str(out)]) == 0
    hand = ["handoff", *common[:-2], f"--clip={name}", "--frames", "0-0", f"--output={folder / 'shots'}"]
    assert main(hand) == 0


@pytest.mark.parametrize(
    "name",
    [
        'it\'s "a" %d %03d [0-9]* talk', "two\nlines talk", "--model talk", "a..b concat:a|b talk\\back..",
        unicodedata.normalize("NFC", "é talk\x1b[31m"), unicodedata.normalize("NFD", "é talk"), "x" * 200 + "talk",
    ],
)  # fmt: skip
def test_names_of_any_kind_go_through_every_command(
    name: str, few: Path, speech: np.ndarray, capsys: pytest.CaptureFixture[str]
) -> None:
    short_clip(few / "core_clips" / "tiny" / f"{name}.mp4", frames=2)
    preprocess_clip(ClipLibrary(few).clip("tiny", name), detector=StillFace())
    sound = few / f"{name[:200]}.wav"
    save_wav(sound, speech[35_200:41_600])
    through_everything(few, name, sound)
    assert "Traceback" not in capsys.readouterr().err


@pytest.mark.skipif(os.name != "posix", reason="names are bytes there only")
def test_a_sound_whose_name_is_no_text_goes_through_every_command(few: Path, speech: np.ndarray) -> None:
    sound = few / os.fsdecode(b"\xff.wav")
    save_wav(sound, speech[35_200:41_600])
    through_everything(few, "silence", sound)


@pytest.mark.parametrize(
    ("name", "said"), [("ü" * 120 + "talk", "too long"), (os.fsdecode(b"\xff talk"), "is no text")]
)
def test_names_that_no_clip_can_have_are_told_and_do_not_stop_the_others(
    name: str, said: str, few: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copy(few / "core_clips" / "tiny" / "silence.mp4", few / "core_clips" / "tiny" / f"{name}.mp4")
    assert preprocess(["--model", "tiny", "--workspace", str(few)]) == 0
    (note,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("note: ")]
    assert f"{name + '.mp4'!r} is ignored: its name" in note
    assert said in note
    assert [clip.name for clip in ClipLibrary(few).clips("tiny")] == ["silence", "02,08s talk"]
