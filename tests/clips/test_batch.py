"""python -m clips batch: every mistake before any work, what is finished is skipped, what fails is passed over."""

from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path

import pytest
import toy
import yaml

from clips import batch
from clips.__main__ import main
from clips.audio import load_audio, save_wav
from clips.batch import load_jobs
from clips.errors import ClipError
from clips.library import SAMPLE_SPEECH
from clips.recipe import read_recipe
from clips.video import probe


@pytest.fixture
def folder(tmp_path) -> Path:
    sound = load_audio(SAMPLE_SPEECH)
    save_wav(tmp_path / "one.wav", sound[40_000:50_000])
    save_wav(tmp_path / "two.wav", sound[50_000:58_000])
    return tmp_path


@pytest.fixture
def run(folder, toy_workspace, toy_processor):
    """Writes the jobs and runs them; the exit code."""

    def run_jobs(jobs: object, **defaults: object) -> int:
        given = {"model": toy.MODEL, "editing": {"vad": "energy"}, "quality": "draft"} | defaults
        content = {"defaults": given, "jobs": jobs}
        (folder / "jobs.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
        return main(["batch", str(folder / "jobs.yaml"), "--workspace", str(toy_workspace)])

    return run_jobs


ONE = {"audio": "one.wav", "output": "one.mp4", "settings": {"feather_amount": 20}}
TWO = {"audio": "two.wav", "output": "two.mp4", "clip": "silence", "unblended": "two plain.mp4"}


def test_jobs_are_rendered_as_they_say_and_then_skipped(run, folder, capsys):
    assert run([ONE, TWO]) == 0
    said = capsys.readouterr().out
    assert "2 done, 0 skipped, 0 failed" in said
    assert len(re.findall(r"mean seam score \d\.\d\d \(worst frame's \d\.\d\d, at frame \d+; every fifth", said)) == 1
    assert read_recipe(folder / "one.mp4").settings["feather_amount"] == 20
    assert read_recipe(folder / "two.mp4").base == "silence"
    assert (folder / "two plain.mp4").is_file()
    before = {path: path.stat().st_mtime_ns for path in folder.glob("*.mp4")}
    assert run([ONE, TWO]) == 0
    assert "0 done, 2 skipped, 0 failed" in capsys.readouterr().out
    assert {path: path.stat().st_mtime_ns for path in folder.glob("*.mp4")} == before


@pytest.mark.parametrize("change", ["settings", "sound", "quality", "gone", "another file", "unblended gone"])
def test_what_changed_is_rendered_again_and_only_that(run, folder, capsys, change):
    assert run([ONE, TWO]) == 0
    capsys.readouterr()
    one, two = dict(ONE), dict(TWO)
    match change:
        case "settings":
            one["settings"] = {"feather_amount": 21}
        case "sound":
            save_wav(folder / "one.wav", load_audio(SAMPLE_SPEECH)[10_000:20_000])
        case "quality":
            one["quality"] = "high"
        case "gone":
            (folder / "one.mp4").unlink()
        case "another file":
            (folder / "one.mp4").write_bytes(b"something else")
        case "unblended gone":
            (folder / "two plain.mp4").unlink()
    assert run([one, two]) == 0
    said = capsys.readouterr().out
    assert "1 done, 1 skipped, 0 failed" in said
    assert ("done     two.mp4" in said) == (change == "unblended gone")


def test_a_job_that_fails_is_reported_and_the_rest_is_rendered(run, folder, capsys):
    (folder / "text.mp3").write_text("no sound")
    jobs = [
        {"audio": "text.mp3", "output": "a.mp4"},
        {"audio": "missing.wav", "output": "b.mp4"},
        {"audio": "one.wav", "output": "c.mp4", "clip": "nobody"},
        {"audio": "one.wav", "output": "no such folder/d.mp4"},
        {"audio": "one.wav", "output": "e.avi"},
        ONE,
    ]
    assert run(jobs) == 1
    said = capsys.readouterr().out
    at_once, told = said.split("1 done, 0 skipped, 5 failed")
    assert [line.split()[:2] for line in at_once.split("\n") if line] == [
        *(["failed", f"{name}"] for name in ("a.mp4", "b.mp4", "c.mp4", "d.mp4", "e.avi")), ["done", "one.mp4"],
    ]  # fmt: skip
    for reason in (
        "a.mp4: expected a sound or video file; text.mp3 cannot be read", "check the name", "'nobody' does not exist",
        "create it first", "named .mp4",
    ):  # fmt: skip
        assert told.count(reason) == said.count(reason) == 1
    assert sorted(path.name for path in folder.glob("*.mp4")) == ["one.mp4"]


def test_a_damaged_sound_is_used_as_far_as_it_goes_and_told_in_the_summary(run, folder, capsys):
    whole = (folder / "one.wav").read_bytes()
    (folder / "cut.wav").write_bytes(whole[: len(whole) // 2])
    cut = ONE | {"audio": "cut.wav"}
    for state in ("done", "skipped"):
        assert run([cut, TWO]) == 0
        told = capsys.readouterr().out.split("0 failed\n")[1]
        assert re.search(
            r"note on one\.mp4: the sound cut\.wav is damaged soon after 0\.3 s: .* 0\.3 s of the 0\.6 s", told
        )
        assert probe(folder / "one.mp4").frames == 8, state


def test_a_batch_that_is_stopped_goes_on_where_it_was(run, folder, capsys, monkeypatch):
    original, calls = batch.run_jobs, []

    def stop_after_one(*arguments, **choices):
        for result in original(*arguments, **choices):
            yield result
            calls.append(result)
            raise KeyboardInterrupt

    monkeypatch.setattr(batch, "run_jobs", stop_after_one)
    assert run([ONE, TWO]) == 130
    assert sorted(path.name for path in folder.glob("*.mp4")) == ["one.mp4"]
    monkeypatch.undo()


NESTED = [f", &{new} [{', '.join([f'*{old}'] * 10)}]" for old, new in pairwise("abcdefghij")]
BOMB = f"jobs: [&a [x, x, x, x, x, x, x, x, x, x]{''.join(NESTED)}]"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("jobs: [{audio: a.wav, output: a.mp4, qualty: high}]", "job 1: 'qualty' is not known; did you mean quality?"),
        ("job: []", "did you mean jobs?"),
        ("shots: []", "'shots' is not known; there are defaults, jobs"),
        ("jobs: [{audio: a.wav, output: a.mp4, 1: 2}]", "job 1: '1' is not known; there are audio, output"),
        ('jobs: [{audio: "a\\0", output: a.mp4}]', "job 1: audio must not hold a NUL character"),
        ("jobs: [{audio: s, output: &a [*a]}]", "too much once its aliases"),
        (BOMB, "too much once its aliases"),
        ("jobs: []", "1 to 10000 jobs"),
        ("jobs: 3", "jobs must be a list"),
        ("- a", "must hold 'jobs:'"),
        ("jobs: [a.wav]", "job 1: a job must be"),
        ("jobs: [{output: a.mp4}]", "job 1: audio is missing"),
        ("jobs: [{audio: a.wav}]", "job 1: output is missing"),
        ("jobs: [{audio: 3, output: a.mp4}]", "audio must be a text; got '3'"),
        ("jobs: [{audio: a, output: a.mp4, settings: {fether_amount: 3}}]", "did you mean feather_amount"),
        ("jobs: [{audio: a, output: a.mp4, settings: 3}]", "settings must be"),
        ("jobs: [{audio: a, output: a.mp4, quality: best}]", "there are: draft"),
        ("jobs: [{audio: a, output: a.mp4, editing: {vad: loud}}]", "vad must be one of"),
        ("jobs: [{audio: a, output: a.mp4, preset: klassik}]", "preset 'klassik' does not exist"),
        ("jobs: [{audio: a, output: a.mp4}, {audio: b, output: ./a.mp4}]", "written twice: a.mp4"),
        ("jobs: [{audio: a, output: a.mp4, unblended: a.mp4}]", "written twice: a.mp4"),
        ("defaults: 3\njobs: [{audio: a, output: a.mp4}]", "defaults must be"),
        ("jobs: !!python/object/apply:os.system ['true']", "cannot be read as YAML"),
        ("jobs: [", "cannot be read as YAML"),
        ("\x00", "cannot be read as YAML"),
        ("[" * 20_000, "cannot be read as YAML"),
    ],
)
def test_mistakes_are_named_before_any_work(tmp_path, text, said):
    path = tmp_path / "jobs.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ClipError) as refusal:
        load_jobs(path)
    assert said in str(refusal.value)
    assert "jobs.yaml" in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_all_mistakes_are_named_at_once(tmp_path):
    (tmp_path / "jobs.yaml").write_text("jobs: [{audio: a}, {output: b.mp4}, {audio: c, output: c.mp4}]")
    with pytest.raises(ClipError, match=r"job 1: output is missing; job 2: audio is missing$"):
        load_jobs(tmp_path / "jobs.yaml")


def test_a_missing_list_and_a_huge_one_are_refused(tmp_path, capsys):
    assert main(["batch", str(tmp_path / "none.yaml")]) == 2
    assert "check the name" in capsys.readouterr().err
    (tmp_path / "huge.yaml").write_text("#" * (batch.MAX_FILE_BYTES + 1))
    with pytest.raises(ClipError, match="more than 1 MB"):
        load_jobs(tmp_path / "huge.yaml")


def test_defaults_and_settings_are_laid_over_each_other(tmp_path):
    (tmp_path / "jobs.yaml").write_text(
        "defaults: {preset: classic, quality: high, settings: {feather_amount: 12, texture: 0.5}}\n"
        "jobs:\n- {audio: a.wav, output: a.mp4, settings: {texture: 0.25}}\n"
        "- {audio: b.wav, output: b.mp4, quality: draft}\n"
    )
    one, two = load_jobs(tmp_path / "jobs.yaml")
    assert (one.settings.feather_amount, one.settings.texture, one.settings.colour) == (12, 0.25, "histogram")
    assert (two.settings.texture, one.quality, two.quality) == (0.5, "high", "draft")
    assert one.audio == tmp_path / "a.wav"
