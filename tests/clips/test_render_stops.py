"""Renders that are stopped, whose encoder breaks or whose disk is full: an answer soon, and nothing left."""

from __future__ import annotations

import os
import resource
import stat
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import toy

from clips.errors import ClipError
from clips.ffmpeg import ffmpeg_exe
from clips.pipeline import RenderCancelled, Stages, cancellable, stop_when
from clips.video import VideoWriter, probe

ANSWER_S = 1.0
# A machine that is busy with other things answers later.
PATIENCE_S = ANSWER_S * max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1)) if hasattr(os, "getloadavg") else 3.0


def answer_s(cancel: threading.Event, work, after_s: float = 0.3) -> float:
    """Seconds between the wish to stop, `after_s` after the start, and RenderCancelled."""
    asked: list[float] = []

    def ask() -> None:
        asked.append(time.monotonic())
        cancel.set()

    timer = threading.Timer(after_s, ask)
    timer.start()
    with pytest.raises(RenderCancelled):
        work()
    return time.monotonic() - asked[0]


@pytest.mark.parametrize("part", ["prepare", "features", "recipe"])
def test_stopping_during_start_up_is_answered_soon(toy_processor, tmp_path, monkeypatch, part):
    released = threading.Event()

    def slow(*_, **__):
        released.wait(20)
        raise RuntimeError("nobody waits for this")

    if part == "features":
        monkeypatch.setattr(toy_processor.model, "features", slow)
    elif part == "prepare":
        monkeypatch.setattr(toy_processor, "prepare", slow)
    else:
        monkeypatch.setattr("clips.render.recipe_of", slow)
    cancel = threading.Event()
    took = answer_s(cancel, lambda: toy_processor.generate_video(toy.speech(1), tmp_path / "a.mp4", cancel=cancel))
    released.set()
    assert took < PATIENCE_S
    assert list(tmp_path.iterdir()) == []


def test_stopping_while_the_first_frame_is_made_is_answered_soon(toy_processor, tmp_path, monkeypatch):
    released = threading.Event()
    monkeypatch.setattr(toy_processor, "shot", lambda *_: released.wait(20))
    cancel = threading.Event()
    took = answer_s(cancel, lambda: toy_processor.generate_video(toy.speech(1), tmp_path / "a.mp4", cancel=cancel))
    released.set()
    assert took < PATIENCE_S
    assert list(tmp_path.iterdir()) == []


def test_stopping_in_the_middle_is_answered_soon(toy_processor, tmp_path):
    cancel = threading.Event()
    sound = toy.speech(120)
    took = answer_s(cancel, lambda: toy_processor.generate_video(sound, tmp_path / "a.mp4", cancel=cancel), 1.5)
    assert took < PATIENCE_S
    assert list(tmp_path.iterdir()) == []


def script(path: Path, text: str) -> str:
    path.write_text(f"#!{sys.executable}\n{text}")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return str(path)


@pytest.fixture
def encoder(monkeypatch, tmp_path):
    """Puts a program in the place of ffmpeg where frames are encoded."""

    def replace(text: str) -> None:
        program, real = script(tmp_path / "encoder", text), ffmpeg_exe()
        import clips.ffmpeg

        class Picky(clips.ffmpeg.FfmpegProcess):
            def __init__(self, arguments, *, write=False):
                monkeypatch.setattr(clips.ffmpeg, "ffmpeg_exe", lambda: program if write else real)
                super().__init__(arguments, write=write)
                monkeypatch.setattr(clips.ffmpeg, "ffmpeg_exe", lambda: real)

        monkeypatch.setattr("clips.video.FfmpegProcess", Picky)

    (tmp_path / "out").mkdir()
    return replace


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("import sys; sys.stdin.buffer.read(50_000); sys.exit('the encoder has had enough')", "has had enough"),
        ("import os, sys; sys.stdin.buffer.read(50_000); os.kill(os.getpid(), 11)", "stopped after"),
        ("import sys; sys.exit('no such encoder')", "no such encoder"),
        ("import sys; sys.stdin.buffer.read(); sys.exit('no trailer')", "no trailer"),
        ("import sys; sys.stdin.buffer.read()", "not complete"),
        ("import sys; sys.stdin.buffer.read(50_000)", "stopped after"),
    ],
)  # fmt: skip
def test_an_encoder_that_breaks_is_told_and_nothing_is_left(toy_processor, tmp_path, encoder, text, said):
    encoder(text)
    with pytest.raises(ClipError, match=said) as refusal:
        toy_processor.generate_video(toy.speech(1), tmp_path / "out" / "a.mp4")
    assert "again" in str(refusal.value)
    assert list((tmp_path / "out").iterdir()) == []


def test_stopping_while_the_encoder_finishes_is_answered_soon(toy_processor, tmp_path, encoder):
    encoder("import sys, time; sys.stdin.buffer.read(); time.sleep(30)")
    cancel, written = threading.Event(), threading.Event()

    def ask_at_the_end(progress):
        if progress.done == progress.total:
            written.set()

    def ask() -> None:
        written.wait(60)
        time.sleep(0.3)
        asked.append(time.monotonic())
        cancel.set()

    asked: list[float] = []
    asker = threading.Thread(target=ask)
    asker.start()
    with pytest.raises(RenderCancelled):
        toy_processor.generate_video(
            toy.speech(0.4), tmp_path / "out" / "a.mp4", progress=ask_at_the_end, cancel=cancel
        )
    assert time.monotonic() - asked[0] < PATIENCE_S
    assert list((tmp_path / "out").iterdir()) == []
    asker.join()


def test_a_full_disk_is_told_and_nothing_is_left(toy_processor, tmp_path):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    for limit, sound in ((120_000, toy.speech(3)), (20_000, toy.speech(10))):  # in the video; in the sound beside it
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
        try:
            with pytest.raises(ClipError, match=r"free (some|disk) space"):
                toy_processor.generate_video(sound, tmp_path / "a.mp4", quality="lossless")
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        assert list(tmp_path.iterdir()) == []


def test_a_disk_without_any_room_is_told(toy_processor, tmp_path, monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("clips.scratch.os.open", full)
    with pytest.raises(ClipError, match="No space left on device"):
        toy_processor.generate_video(toy.speech(0.4), tmp_path / "a.mp4")


def test_two_renders_to_one_output_are_both_whole(toy_processor, tmp_path):
    reports, together = [], threading.Barrier(2)

    def work(seconds: float) -> None:
        together.wait()
        reports.append(toy_processor.generate_video(toy.speech(seconds), tmp_path / "a.mp4"))

    threads = [threading.Thread(target=work, args=(seconds,)) for seconds in (1.0, 1.4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(report.frames for report in reports) == [25, 35]
    assert probe(tmp_path / "a.mp4").frames in (25, 35)
    assert [path.name for path in tmp_path.iterdir()] == ["a.mp4"]


def test_a_render_sweeps_what_an_ended_one_left(toy_processor, tmp_path):
    (tmp_path / ".seamline-0123456789ab.mp4").write_text("half a video")
    toy_processor.generate_video(toy.speech(0.1), tmp_path / "a.mp4")
    assert [path.name for path in tmp_path.iterdir()] == ["a.mp4"]


@pytest.mark.parametrize(
    "name", ["a b", 'it\'s "quoted"', "ü 说 🎬", "two\nlines", "50 %d #1;=\\", "-y", "file:x", "ü" * 125]
)
def test_odd_names_are_written_as_they_are(tmp_path, name):
    folder = tmp_path / f"folder {name[:40]}"
    folder.mkdir()
    path = folder / ".." / folder.name / f"{name}.mp4"
    with VideoWriter(path, 64, 64, sound=np.zeros(640, np.float32), metadata={"comment": name}) as writer:
        writer.write(np.zeros((64, 64, 3), np.uint8))
    assert [one.name for one in folder.iterdir()] == [f"{name}.mp4"]
    assert probe(path).frames == 1


# The parts it is made of


def test_stages_keep_order_stay_near_and_pass_errors_on():
    made: list[int] = []

    def numbers():
        for number in range(50):
            made.append(number)
            yield number

    with Stages(stop_when(None)) as stages:
        taken = []
        for number in stages.ahead((2 * n for n in stages.ahead(numbers(), "one")), "two"):
            taken.append(number)
            assert len(made) - len(taken) <= 12
    assert taken == list(range(0, 100, 2))

    def breaks():
        yield 1
        raise KeyError("lamp")

    with pytest.raises(KeyError, match="lamp"), Stages(stop_when(None)) as stages:
        list(stages.ahead(stages.ahead(breaks(), "one"), "two"))


def test_work_that_is_given_up_does_not_hold_anybody():
    cancel = threading.Event()
    cancel.set()
    started = time.monotonic()
    with pytest.raises(RenderCancelled):
        cancellable(lambda: time.sleep(3), stop_when(cancel))
    assert time.monotonic() - started < 1
    assert cancellable(lambda: 7, stop_when(None)) == 7
    with pytest.raises(ValueError, match="no"):
        cancellable(lambda: int("no"), stop_when(None))
