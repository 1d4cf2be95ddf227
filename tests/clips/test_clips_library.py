"""Which clips there are, names that never become paths, and light."""

from __future__ import annotations

import argparse
import os
import shutil
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from clips.__main__ import main as clips_main
from clips.errors import ClipError
from clips.inspect import main as statistics
from clips.landmarks import ClipLandmarks
from clips.library import (
    BUNDLED,
    SAME_LIGHT,
    ClipLibrary,
    appearance_distance,
    clip_kind,
    default_workspace,
    measure_appearance,
    new_workspace_folder,
    workspace_folder,
)
from clips.preprocess import main as preprocess
from clips.video import VideoWriter, read_frames
from models.__main__ import main as models_main
from models.train import main as train

LS1 = BUNDLED / "LS1"


@pytest.fixture
def library(tmp_path: Path) -> ClipLibrary:
    """A workspace with the model Ada: two real clips, and files that are none."""
    folder = tmp_path / "core_clips" / "Ada"
    folder.mkdir(parents=True)
    shutil.copyfile(LS1 / "silence.mp4", folder / "Silence 4s.mp4")
    shutil.copyfile(LS1 / "02,08s talk.mp4", folder / "AD2_Talk_2s.mp4")
    for name in ("walk.mp4", "talk.txt", ".hidden talk.mp4"):
        (folder / name).write_bytes(b"x")
    (folder / "folder talk.mp4").mkdir()
    return ClipLibrary(tmp_path)


def test_the_bundled_model_is_complete() -> None:
    library = ClipLibrary()
    assert "LS1" in library.models()
    clips = library.clips("LS1")
    assert [clip.name for clip in clips] == [
        "silence", "02,08s talk", "04,16s talk", "05,20s talk evening", "07,20s talk",
    ]  # fmt: skip
    assert [clip.kind for clip in clips] == ["silence", "talk", "talk", "talk", "talk"]
    assert [clip.info.frames for clip in clips] == [100, 52, 104, 130, 180]
    for clip in clips:
        landmarks = clip.landmarks()
        assert len(landmarks) == clip.info.frames
        assert landmarks.size_wh == clip.info.size_wh
        assert landmarks.found.all()


def test_workspace_clips_stand_beside_the_bundled_ones(library: ClipLibrary) -> None:
    assert library.models() == ["Ada", "LS1"]
    silence, talk = library.clips("Ada")
    assert (silence.name, silence.kind, talk.name, talk.kind) == ("Silence 4s", "silence", "AD2_Talk_2s", "talk")
    assert silence.landmarks_path == library.workspace / "landmarks" / "Ada" / "Silence 4s.landmarks.npz"
    assert len(talk.frames()) == 52
    assert library.clip("Ada", "AD2_Talk_2s") == talk


def test_a_workspace_clip_wins_over_a_bundled_one_of_its_name(library: ClipLibrary) -> None:
    mine = library.workspace / "core_clips" / "LS1"
    mine.mkdir()
    shutil.copyfile(LS1 / "02,08s talk.mp4", mine / "silence.mp4")
    clips = {clip.name: clip for clip in library.clips("LS1")}
    assert len(clips) == 5
    assert clips["silence"].path.parent == mine
    assert clips["07,20s talk"].path.parent == LS1


@pytest.mark.parametrize(
    ("name", "kind"),
    [("silence", "silence"), ("My SILENCE talk", "silence"), ("02,08s Talk", "talk"), ("walk", None), ("", None)],
)
def test_kind_follows_the_name(name: str, kind: str | None) -> None:
    assert clip_kind(name) == kind


def test_a_model_without_clips_is_known(library: ClipLibrary) -> None:
    (library.workspace / "checkpoint" / "New").mkdir(parents=True)
    assert library.any_clips("New") == []
    assert "New" not in library.models()
    with pytest.raises(ClipError, match=r"expected core clips of the model 'New'; .*; put clips into .*New, or use a"):
        library.clips("New")


def test_unknown_names_say_what_exists(library: ClipLibrary) -> None:
    with pytest.raises(ClipError, match="no model is called 'LS2'; did you mean 'LS1'\\? there are: 'Ada', 'LS1'"):
        library.clips("LS2")
    with pytest.raises(ClipError, match="did you mean 'silence'"):
        library.clip("LS1", "Silense")
    with pytest.raises(ClipError, match="there are: 'AD2_Talk_2s', 'Silence 4s'"):
        library.clip("Ada", "entirely different")


@pytest.mark.parametrize(
    "name", ["../LS1", "..", ".", "", "/etc", "LS1/", "LS1/../LS1", "a\\b", "..\\LS1", "LS1\0", ".hidden", "~"]
)
def test_names_never_become_paths(name: str, library: ClipLibrary) -> None:
    (library.workspace / "core_clips" / ".hidden").mkdir()
    with pytest.raises(ClipError, match="there are: "):
        library.clips(name)
    with pytest.raises(ClipError, match="there are: "):
        library.clip("Ada", name)


def test_a_model_without_clips_says_where_to_put_them(library: ClipLibrary) -> None:
    (library.workspace / "core_clips" / "Empty").mkdir()
    with pytest.raises(ClipError, match=r"no \.mp4 file with 'silence' or 'talk'.*put clips into"):
        library.clips("Empty")


def test_missing_and_stale_landmarks_say_what_to_run(library: ClipLibrary) -> None:
    clip = library.clip("Ada", "AD2_Talk_2s")
    with pytest.raises(
        ClipError, match=r'run `python preprocess_core_clips\.py --model "Ada" --clip "AD2_Talk_2s" --workspace'
    ):
        clip.landmarks()
    clip.landmarks_path.parent.mkdir(parents=True)
    shutil.copyfile(LS1 / "02,08s talk.landmarks.npz", clip.landmarks_path)
    assert len(clip.landmarks()) == 52
    shutil.copyfile(LS1 / "silence.mp4", clip.path)
    with pytest.raises(ClipError, match="changed since"):
        clip.landmarks()


def test_clips_of_another_rate_are_counted_at_25_fps(library: ClipLibrary) -> None:
    with VideoWriter(library.workspace / "core_clips" / "Ada" / "fast talk.mp4", 64, 64, Fraction(50)) as writer:
        for level in range(100):
            writer.write(np.full((64, 64, 3), level, np.uint8))
    clip = library.clip("Ada", "fast talk")
    assert (clip.info.frames, clip.info.fps, clip.info.duration_s) == (50, Fraction(25), 2.0)
    with clip.frames() as frames:
        assert len(frames) == 50
        assert abs(int(frames[20][0, 0, 0]) - 41) <= 2


def test_only_the_evening_clip_differs_in_light() -> None:
    silence, *talks = ClipLibrary().clips("LS1")
    matching = [talk.name for talk in talks if talk.matches_light_of(silence)]
    assert matching == ["02,08s talk", "04,16s talk", "07,20s talk"]
    distances = {talk.name: talk.appearance_distance(silence) for talk in talks}
    assert distances.pop("05,20s talk evening") > 3 * SAME_LIGHT
    assert max(distances.values()) < SAME_LIGHT / 3
    assert silence.appearance_distance(silence) == 0


def test_appearance_sees_a_change_of_light_and_leaves_out_what_it_cannot_see() -> None:
    landmarks = ClipLandmarks.load(LS1 / "silence.landmarks.npz")
    frames = list(read_frames(LS1 / "silence.mp4", 0, 2))
    two = ClipLandmarks(landmarks.points[:2], landmarks.found[:2], landmarks.confidence[:2], (640, 640))
    plain = measure_appearance(frames.__getitem__, two)
    dimmed = measure_appearance(lambda i: np.asarray(frames[i] * 0.6, np.uint8), two)
    assert appearance_distance(plain, dimmed) > SAME_LIGHT
    face = two.points[0]
    x0, x1 = int(face[:, 0].min()), int(face[:, 0].max())  # a crop without any background
    moved = ClipLandmarks(two.points - np.float32([x0, 0]), two.found, two.confidence, (x1 - x0, 640))
    tight = measure_appearance(lambda i: np.ascontiguousarray(frames[i][:, x0:x1]), moved)
    assert np.isnan(tight[4:]).all()
    assert np.isfinite(tight[:4]).all()
    assert appearance_distance(plain, tight) < 2


def test_the_workspace_is_named_by_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("SEAMLINE_WORKSPACE", raising=False)
    assert default_workspace() == Path("workspace")
    monkeypatch.setenv("SEAMLINE_WORKSPACE", os.fspath(tmp_path))
    assert ClipLibrary().workspace == tmp_path


@pytest.mark.parametrize("door", ["clips", "models", "preprocess", "statistics", "train"])
@pytest.mark.parametrize("named_by", ["flag", "environment"])
def test_a_workspace_that_is_a_file_is_refused_by_every_command(
    door: str, named_by: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "file"
    path.write_text("no folder")
    flags = ["--workspace", str(path)] if named_by == "flag" else []
    if named_by == "environment":
        monkeypatch.setenv("SEAMLINE_WORKSPACE", str(path))
    try:
        code = {
            "clips": lambda: clips_main(["describe", *flags]),
            "models": lambda: models_main(["list", *flags]),
            "preprocess": lambda: preprocess(flags),
            "statistics": lambda: statistics(["--stats", *flags]),
            "train": lambda: train(["--name", "Ada", "--footage", str(path), *flags]),
        }[door]()
    except SystemExit as stop:
        code = stop.code
    assert code == 2
    said = capsys.readouterr()
    assert said.out == ""
    named = ", named by SEAMLINE_WORKSPACE," if named_by == "environment" and door != "train" else ""
    assert f"{path}{named} is a file; name a folder" in said.err


def test_a_folder_named_by_nobody_may_come_later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SEAMLINE_WORKSPACE", raising=False)
    monkeypatch.chdir(tmp_path)
    assert workspace_folder("") == Path("workspace")
    assert new_workspace_folder(str(tmp_path / "elsewhere")) == tmp_path / "elsewhere"
    with pytest.raises(argparse.ArgumentTypeError, match="there does not exist; create it first"):
        new_workspace_folder(str(tmp_path / "elsewhere" / "there"))
    with pytest.raises(argparse.ArgumentTypeError, match="elsewhere does not exist; create it first"):
        workspace_folder("elsewhere")
