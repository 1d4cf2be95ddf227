"""python -m clips render, as a person runs it."""

import os
import re
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from clips.__main__ import main
from clips.audio import save_wav
from clips.edit_files import load_edits
from clips.recipe import read_recipe
from clips.video import probe

REPO = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def sound(speech, tmp_path_factory):
    """0.4 s of speech in a file with a space in its name."""
    path = tmp_path_factory.mktemp("sound") / "a sentence.wav"
    save_wav(path, speech[16_000:22_400])
    return path


def run(workspace, sound, output, *more, **environment):
    return subprocess.run(
        [
            sys.executable, "-m", "clips", "render", "--workspace", str(workspace), "--audio", str(sound),
            "--output", str(output), *more,
        ],
        cwd=REPO, env=os.environ | {"OMP_NUM_THREADS": "1"} | environment, capture_output=True, text=True, timeout=300,
    )  # fmt: skip


def assert_refused(done, said, folder):
    """Exit code 2, one line that says `said`, nothing written."""
    assert done.returncode == 2, done.stderr
    assert done.stdout == ""
    lines = done.stderr.strip().splitlines()
    assert len(lines) == 1, done.stderr
    assert lines[0].startswith("error: ")
    assert re.search(said, lines[0]), lines[0]
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--set", "expansion_ratio=2"], r"expansion_ratio must be between 1\.0 and 1\.3; got 2\.0"),
        (["--set", "feather_amount=nan"], "feather_amount must be between 0 and 60; got nan"),
        (["--set", "fether_amount=20"], "did you mean feather_amount"),
        (["--dissolve-frames", "9"], "dissolve_frames must be a whole number between 0 and 6; got 9"),
        (["--clip", ""], "--clip needs a name; got an empty one"),
        (["--model", ""], "--model needs a name; got an empty one"),
        (["--preset", "klassik"], "preset 'klassik' does not exist; there are: default, classic"),
    ],
)
def test_bad_settings_are_refused(workspace, sound, tmp_path, more, said):
    assert_refused(run(workspace, sound, tmp_path / "out.mp4", "--model", "tiny", *more), said, tmp_path)


def test_a_text_file_is_no_sound(workspace, tmp_path, tmp_path_factory):
    text = tmp_path_factory.mktemp("text") / "notes.wav"
    text.write_text("this is not a sound\n" * 50, encoding="utf-8")
    done = run(workspace, text, tmp_path / "out.mp4", "--model", "tiny")
    assert_refused(done, r"notes\.wav cannot be read.*export it again", tmp_path)


@pytest.mark.parametrize(
    ("more", "output", "said"),
    [
        (["--model", "../tiny"], "out.mp4", "'../tiny' does not exist; there are: "),
        (["--model", "tiny", "--clip", "../silence"], "out.mp4", "clip '../silence' does not exist for tiny"),
        (["--model", "tiny"], "out.webm", "the output must be named .mp4"),
        (["--model", "tiny", "--device", "cuda:x"], "out.mp4", "device must be auto, cpu, cuda or cuda:N"),
    ],
)
def test_unknown_names_are_refused(workspace, sound, tmp_path, capsys, more, output, said):
    """In this process: starting torch again for each takes seconds."""
    arguments = ["render", "--workspace", str(workspace), "--audio", str(sound), "--output", str(tmp_path / output)]
    assert main([*arguments, *more]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("error: ")
    assert captured.err.count("\n") == 1
    assert said in captured.err
    assert list(tmp_path.iterdir()) == []


def test_edit_writes_list_picture_and_edl_and_render_takes_the_list(workspace, speech, tmp_path, capsys):
    sound, listed = tmp_path / "a sentence.wav", tmp_path / "list.json"
    save_wav(sound, speech[35_200:75_200])
    common = ["--workspace", str(workspace), "--model", "tiny", "--audio", str(sound), "--vad", "energy"]
    assert main(["edit", *common, "--seed", "3", "--dissolve-frames", "2"]) == 0
    listed.write_text(capsys.readouterr().out, encoding="utf-8")
    edits = load_edits(listed)
    assert edits.frames == 63
    assert max(cut.dissolve for cut in edits.cuts) == 2
    names = [tmp_path / f"out.{ending}" for ending in ("json", "png", "edl")]
    flags = [item for pair in zip(("--output", "--timeline", "--edl"), map(str, names), strict=True) for item in pair]
    assert main(["edit", *common, "--edits", str(listed), *flags]) == 0
    said = capsys.readouterr().out
    assert "63 frames, 2.5 s" in said
    assert str(names[2]) in said
    assert load_edits(names[0]) == edits
    picture = cv2.imread(str(names[1]))
    assert picture.shape[1] == 2000
    assert len(np.unique(picture)) > 20
    assert (picture[..., 0] == picture[..., 2]).all()
    assert f"TITLE: {sound.stem}" in names[2].read_text(encoding="utf-8")
    render = ["render", *common, "--edits", str(listed), "--device", "cpu", "--output"]
    assert main([*render, str(tmp_path / "out.mp4")]) == 0
    assert "note: cut by the given edit list" in capsys.readouterr().out
    assert probe(tmp_path / "out.mp4").frames == 63


def test_a_damaged_sound_is_told_by_edit_and_render(workspace, speech, tmp_path, capsys):
    sound, listed = tmp_path / "cut.wav", tmp_path / "list.json"
    save_wav(sound, speech[35_200:48_000])
    sound.write_bytes(sound.read_bytes()[:12_844])
    common = ["--workspace", str(workspace), "--model", "tiny", "--audio", str(sound), "--vad", "energy"]
    note = "note: the sound cut.wav is damaged soon after 0.4 s: what can be decoded is used, 0.4 s of the 0.8 s that"
    assert main(["edit", *common]) == 0
    told = capsys.readouterr()
    listed.write_text(told.out, encoding="utf-8")
    assert load_edits(listed).frames == 10
    assert note in told.err
    assert main(["edit", *common, "--output", str(listed)]) == 0
    assert note in capsys.readouterr().out
    assert main(["render", *common, "--device", "cpu", "--output", str(tmp_path / "out.mp4")]) == 0
    assert note in capsys.readouterr().out


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--output", "list.txt"], "expected a name that ends in .json; got 'list.txt'"),
        (["--edits", "none.json"], "none.json cannot be opened"),
        (["--min-silence-s", "nan"], "min_silence_s must be between 0.1 and 5.0; got nan"),
        (["--vad", "ears"], "vad must be one of silero, energy; got 'ears'"),
    ],
)
def test_edit_refuses_what_does_not_fit(workspace, sound, capsys, more, said):
    assert main(["edit", "--workspace", str(workspace), "--model", "tiny", "--audio", str(sound), *more]) == 2
    assert said in capsys.readouterr().err


def test_renders_without_any_ffmpeg_on_the_path(workspace, sound, tmp_path):
    nothing = tmp_path / "empty"
    nothing.mkdir()
    output = tmp_path / "out.mp4"
    done = run(
        workspace, sound, output, "--model", "tiny", "--clip", "05,20s talk evening", "--preset", "classic",
        "--set", "feather_amount=20", "--unblended", str(tmp_path / "plain.mp4"), PATH=str(nothing),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert f"wrote {output}: 10 frames" in done.stdout
    assert "seam score" in done.stdout
    assert "worst frame's" in done.stdout
    assert "10/10 frames" in done.stderr
    assert sorted(p.name for p in tmp_path.iterdir()) == ["empty", "out.mp4", "plain.mp4"]
    for path in (output, tmp_path / "plain.mp4"):
        info = probe(path)
        assert (info.frames, info.has_sound, info.pixel_format) == (10, True, "yuv420p")
    assert read_recipe(output).settings["feather_amount"] == 20
