"""The recipe in the video: complete, read as data, and enough to make the same frames again."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import toy
import yaml

import clips
from blending import BlendSettings
from clips.__main__ import main
from clips.audio import load_audio, save_wav
from clips.core_clips_processor import CoreClipsProcessor
from clips.errors import ClipError
from clips.ffmpeg import ffmpeg_exe
from clips.library import SAMPLE_SPEECH
from clips.metadata import MAX_METADATA_BYTES, escape_metadata, read_metadata
from clips.recipe import (
    SEAM_PLACEHOLDER,
    Recipe,
    Seam,
    cuts_to_rows,
    edits_of,
    read_recipe,
    recipe_of,
    rows_to_edits,
    seam_text,
)
from clips.video import VideoWriter, read_frames

REPO = Path(__file__).parents[2]
ODD_NAME = 'it\'s a "talk"; #1 = 50 %\nüé 说.wav'


@pytest.fixture(scope="module")
def made(toy_workspace, tmp_path_factory) -> Path:
    """A folder with a sound and the film made of it."""
    folder = tmp_path_factory.mktemp("made")
    save_wav(folder / ODD_NAME, load_audio(SAMPLE_SPEECH)[40_000:66_000])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("models.lip_sync.LipSyncModel.load", lambda *_, **__: toy.ToyModel(64))
        processor = CoreClipsProcessor(toy.MODEL, workspace=toy_workspace, vad_method="energy")
    settings = BlendSettings(feather_amount=41, colour="mean_std")
    processor.generate_video(folder / ODD_NAME, folder / "film.mp4", settings, quality="draft")
    return folder


@pytest.fixture
def sound(made, tmp_path) -> Path:
    return Path(shutil.copy(made / ODD_NAME, tmp_path))


@pytest.fixture
def film(made, sound, tmp_path) -> Path:
    return Path(shutil.copy(made / "film.mp4", tmp_path))


@pytest.fixture
def command(toy_workspace, toy_processor):
    """`python -m clips render` in this process, over the toy."""
    return lambda *more: main(["render", "--workspace", str(toy_workspace), *map(str, more)])


def same_frames(one: Path, other: Path) -> bool:
    pairs = zip(read_frames(one), read_frames(other), strict=True)
    return all(np.array_equal(a, b) for a, b in pairs)


def with_tags(source: Path, target: Path, **tags: str) -> Path:
    """The same video with other tags."""
    lines = "".join(f"{key}={escape_metadata(value)}\n" for key, value in tags.items())
    listed = target.with_suffix(".txt")
    listed.write_text(f";FFMETADATA1\n{lines}", encoding="utf-8")
    subprocess.run(
        [ffmpeg_exe(), "-v", "error", "-y", "-i", str(source), "-f", "ffmetadata", "-i", str(listed),
         "-map_metadata", "1", "-c", "copy", str(target)], check=True,
    )  # fmt: skip
    return target


def test_everything_is_in_it(film, sound, toy_processor):
    recipe = read_recipe(film)
    assert recipe.sound.file == ODD_NAME
    assert recipe.sound.sha256 == hashlib.sha256(sound.read_bytes()).hexdigest()
    assert recipe.settings == BlendSettings(feather_amount=41, colour="mean_std").model_dump()
    assert (recipe.quality, recipe.base, recipe.editing["vad"]) == ("draft", "core clips", "energy")
    assert recipe.model.sha256 == {"unet": "0" * 64}
    performance = toy_processor.prepare(sound)
    assert edits_of(recipe) == performance.edits
    for clip in recipe.clips:
        assert clip.sha256 == hashlib.sha256(toy_processor.clip(clip.name).path.read_bytes()).hexdigest()
    assert recipe.versions["seamline"] == clips.VERSION
    assert {"torch", "openvino", "opencv-contrib-python", "ffmpeg"} <= recipe.versions.keys()
    assert read_metadata(film)["comment"] == "AI-generated"


def test_the_seam_scores_are_those_of_the_report(toy_processor, sound, tmp_path):
    report = toy_processor.generate_video(sound, tmp_path / "a.mp4", unblended=tmp_path / "b.mp4")
    seam = read_recipe(tmp_path / "a.mp4").seam
    assert seam is not None
    assert (seam.mean, seam.worst) == pytest.approx((report.seam_mean, report.seam_worst), abs=1e-4)
    assert seam.worst_frame == report.worst_frame
    assert read_metadata(tmp_path / "b.mp4")["comment"] == "AI-generated"
    with pytest.raises(ClipError, match="carries no recipe"):
        read_recipe(tmp_path / "b.mp4")


def test_the_version_is_that_of_the_project():
    assert f'version = "{clips.VERSION}"' in (REPO / "pyproject.toml").read_text()


def test_scores_fit_into_their_place():
    for seam in (Seam(mean=None, worst=None, worst_frame=None), Seam(mean=123.45678, worst=9999.9, worst_frame=90_000)):
        assert len(seam_text(seam)) == len(SEAM_PLACEHOLDER)
        assert set(json.loads(seam_text(seam))) == {"mean", "worst", "worst_frame"}


def test_a_copy_keeps_the_recipe(film, tmp_path):
    for name in ("copy.mp4", "copy.mkv"):
        subprocess.run([ffmpeg_exe(), "-v", "error", "-i", str(film), "-c", "copy", str(tmp_path / name)], check=True)
        assert read_recipe(tmp_path / name) == read_recipe(film)


def test_rows_and_cuts_are_inverse(toy_processor):
    edits, _ = toy_processor.edit_list(toy.speech(9))
    names = sorted({cut.clip for cut in edits.cuts})
    assert len(names) > 1
    assert rows_to_edits(cuts_to_rows(edits, names), names, edits.ramp_frames) == edits


@pytest.mark.parametrize(
    "row", [[], [1, 0, 0, 1, 0, 0], [0, 0, 0, 1, 0, 0, 0], [1, 1, 0, 1, 0, 0, 0], [1, -1, 0, 1, 0, 0, 0],
            [1, 0, -1, 1, 0, 0, 0], [1, 0, 0, 0, 0, 0, 0], [1, 0, 0, 1, 2, 0, 0], [1, 0, 0, 1, 0, 0, 0, 0],
            [1, 0, 0, 1, 0, 1, 0], [1, 0, 0, 2, 0, 2, 0], [1, 0, 0, 1, 0, 0, 1]],
)  # fmt: skip
def test_rows_that_are_no_cuts_are_refused(row):
    with pytest.raises(ValueError, match="a cut must be"):
        rows_to_edits([row], ["a"], 3)


# Again


def test_like_gives_the_same_frames_without_naming_the_sound(command, film, tmp_path, capsys):
    assert command("--like", film, "--output", tmp_path / "again.mp4") == 0
    assert same_frames(film, tmp_path / "again.mp4")
    assert "not as in" not in capsys.readouterr().out
    ours, theirs = read_recipe(tmp_path / "again.mp4"), read_recipe(film)
    assert ours == theirs


def test_the_recorded_cuts_are_used(command, film, tmp_path):
    """Not cuts that happen to be made the same way again."""
    content = read_recipe(film).model_dump()
    content["cuts"] = [[content["frames"], 0, 3, 7, 1, 0, 0]]
    other = with_tags(film, tmp_path / "other.mp4", synopsis=json.dumps(content, separators=(",", ":")))
    assert command("--like", other, "--output", tmp_path / "again.mp4") == 0
    assert read_recipe(tmp_path / "again.mp4").cuts == content["cuts"]


def test_flags_change_the_recipe(command, film, tmp_path):
    output = tmp_path / "again.mp4"
    assert command("--like", film, "--output", output, "--set", "feather_amount=10", "--quality", "high",
                   "--clip", "silence") == 0  # fmt: skip
    recipe = read_recipe(output)
    assert recipe.settings["feather_amount"] == 10
    assert recipe.settings["colour"] == "mean_std"
    assert (recipe.quality, recipe.base) == ("high", "silence")
    assert [clip.name for clip in recipe.clips] == ["silence"]


def test_another_sound_makes_the_cuts_anew_and_says_so(command, film, tmp_path, capsys):
    save_wav(tmp_path / "other.wav", load_audio(SAMPLE_SPEECH)[:20_000])
    assert command("--like", film, "--audio", tmp_path / "other.wav", "--output", tmp_path / "again.mp4") == 0
    assert "another sound than that of film.mp4" in capsys.readouterr().out
    assert read_recipe(tmp_path / "again.mp4").frames == 31


def test_a_sound_that_is_gone_is_asked_for(command, film, sound, tmp_path, capsys):
    sound.rename(tmp_path / "moved.wav")
    assert command("--like", film, "--output", tmp_path / "again.mp4") == 2
    assert "name the sound with --audio" in capsys.readouterr().err
    assert command("--like", film, "--audio", tmp_path / "moved.wav", "--output", tmp_path / "again.mp4") == 0
    assert same_frames(film, tmp_path / "again.mp4")


def test_other_weights_are_an_error_unless_asked_for(command, film, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("models.lip_sync.LipSyncModel.load", lambda *_, **__: toy.ToyModel(64, weights="1"))
    assert command("--like", film, "--output", tmp_path / "again.mp4") == 2
    assert 'other weights now; put those back, or give --model "toy"' in capsys.readouterr().err
    assert command("--like", film, "--output", tmp_path / "again.mp4", "--model", "toy") == 0
    assert "the model toy has other weights" in capsys.readouterr().out


def test_other_clips_are_an_error(film, toy_workspace, tmp_path, capsys, monkeypatch):
    own = tmp_path / "own"
    shutil.copytree(toy_workspace, own)
    monkeypatch.setattr("models.lip_sync.LipSyncModel.load", lambda *_, **__: toy.ToyModel(64))
    arguments = ["render", "--workspace", str(own), "--like", str(film), "--output", str(tmp_path / "again.mp4")]
    shown = read_recipe(film).clips[-1].name
    clip = own / "core_clips" / "toy" / f"{shown}.mp4"
    clip.write_bytes(clip.read_bytes() + b"\0")
    assert main(arguments) == 2
    assert f"the clip '{shown}' has other content now" in capsys.readouterr().err
    clip.unlink()
    assert main(arguments) == 2
    assert f"there is no clip '{shown}'" in capsys.readouterr().err


def test_other_versions_are_notes(command, film, tmp_path, capsys):
    content = read_recipe(film).model_dump()
    content["versions"] |= {"torch": "1.0", "ffmpeg": "4.2"}
    other = with_tags(film, tmp_path / "other.mp4", synopsis=json.dumps(content, separators=(",", ":")))
    assert command("--like", other, "--output", tmp_path / "again.mp4") == 0
    said = capsys.readouterr().out
    assert "torch is 2" in said
    assert "it was 1.0" in said
    assert "it was 4.2" in said


def test_recipe_prints_yaml(film, capsys):
    assert main(["recipe", str(film)]) == 0
    said = capsys.readouterr().out
    assert Recipe.model_validate(yaml.safe_load(said)) == read_recipe(film)
    assert max(map(len, said.splitlines())) < 200


# Foreign and hostile files


def damaged(**changes):
    def change(content):
        for path, value in changes.items():
            at = content
            *way, last = path.split("__")
            for step in way:
                at = at[step]
            at[last] = value
        return content

    return change


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (damaged(format=2), "expected a recipe of format 1"),
        (damaged(surprise=1), "damaged (surprise"),
        (damaged(sound__file="../../secret.wav"), "damaged (sound.file"),
        (damaged(model__name="/etc/passwd"), "damaged (model.name"),
        (damaged(sound__sha256="0"), "damaged (sound.sha256"),
        (damaged(settings={"compositor": "rm -rf"}), "compositor must be"),
        (damaged(settings={"feather_amount": 1e400}), "damaged"),
        (damaged(quality="best"), "damaged (quality"),
        (damaged(cuts=[[1, 0, 0, 1, 0, 0, 0]]), "cuts must cover"),
        (damaged(cuts=[[10**9, 0, 0, 1, 0, 0, 0]]), "cuts must cover"),
        (damaged(cuts=[[True, 0, 0, 1, 0]]), "damaged (cuts"),
        (damaged(frames=-1), "damaged (frames"),
        (damaged(clips=[]), "damaged (clips"),
        (damaged(versions={"torch": "x" * 5000}), "damaged (versions"),
        (lambda content: [content], "damaged"),
    ],
)  # fmt: skip
def test_recipes_that_cannot_be_are_refused(film, tmp_path, change, said):
    text = json.dumps(change(read_recipe(film).model_dump()), separators=(",", ":"))
    with pytest.raises(ClipError) as refusal:
        read_recipe(with_tags(film, tmp_path / "other.mp4", synopsis=text))
    assert said in str(refusal.value)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    "text", ['{"made_by":"Seamline"', '{"made_by":"Seamline","a":' + "[" * 100_000, "", "a film about {}", "\0\x1b[31m"]
)
def test_text_that_is_no_recipe_is_refused(film, tmp_path, text):
    with pytest.raises(ClipError, match=r"carries no recipe|damaged"):
        read_recipe(with_tags(film, tmp_path / "other.mp4", synopsis=text.replace("\0", "")))


def test_names_in_a_recipe_are_never_opened(command, film, tmp_path, capsys):
    """A clip or model that is a path below the workspace, and a sound outside."""
    for field, name in (("model", ".."), ("clip", "..")):
        content = read_recipe(film).model_dump()
        if field == "model":
            content["model"]["name"] = name
        else:
            content["clips"][0]["name"] = name
        other = with_tags(film, tmp_path / f"{field}.mp4", synopsis=json.dumps(content, separators=(",", ":")))
        assert command("--like", other, "--output", tmp_path / "again.mp4") == 2
        assert "there is no clip" in capsys.readouterr().err or field == "model"


def test_a_cut_beyond_its_clip_is_refused(command, film, tmp_path, capsys):
    content = read_recipe(film).model_dump()
    content["cuts"] = [[content["frames"], 0, 500, 100, 1, 0, 0]]
    other = with_tags(film, tmp_path / "other.mp4", synopsis=json.dumps(content, separators=(",", ":")))
    assert command("--like", other, "--output", tmp_path / "again.mp4") == 2
    assert "shows frame 599" in capsys.readouterr().err


def test_foreign_files_are_refused(tmp_path, capsys):
    with VideoWriter(tmp_path / "plain.mp4", 64, 64, metadata={"synopsis": "a holiday"}) as writer:
        writer.write(np.zeros((64, 64, 3), np.uint8))
    (tmp_path / "text.mp4").write_text("no video")
    (tmp_path / "huge.mp4").write_bytes((tmp_path / "plain.mp4").read_bytes())
    with_tags(tmp_path / "plain.mp4", tmp_path / "huge.mp4", synopsis="x" * (MAX_METADATA_BYTES + 10))
    for name, said in (
        ("plain.mp4", "carries no recipe"), ("text.mp4", "cannot be read"), ("huge.mp4", "MB of tags"),
        ("missing.mp4", "check the name"),
    ):  # fmt: skip
        assert main(["recipe", str(tmp_path / name)]) == 2
        said_now = capsys.readouterr().err
        assert said in said_now
        assert said_now.count("\n") == 1


def test_samples_without_a_file_have_no_name(toy_processor):
    recipe = recipe_of(toy_processor, toy_processor.prepare(toy.speech(1)), BlendSettings(), "standard")
    assert (recipe.sound.file, recipe.sound.sha256) == (None, None)
