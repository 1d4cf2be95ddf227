"""Render history: the video and the record beside it are found again, settings come back, nobody sees another's."""

import json
import os
import subprocess
import threading
import time

import cv2
import numpy as np
import pytest

from blending import BlendSettings
from clips.errors import ClipError
from clips.ffmpeg import ffmpeg_exe
from clips.header import read_header
from clips.render import RenderCancelled, render
from clips.timeline import FrameRange
from clips.video import VideoWriter, probe
from studio.history import RenderHistory
from studio.renders import Renders
from studio.sessions import Session

pytestmark = pytest.mark.usefixtures("one_torch_thread")

EVENING = "05,20s talk evening"
SETTINGS = BlendSettings(expansion_ratio=1.22, feather_amount=18, colour="mean_std")


@pytest.fixture(scope="module")
def session(processor, speech):
    """24 frames on one clip."""
    return Session(
        "token", processor, processor.prepare(speech[8000:23_360], EVENING), sound="A=B; #Hallo.wav", owner="ann"
    )


@pytest.fixture(scope="module")
def made(session, tmp_path_factory):
    """A workspace with one finished render by "ann", and its last state."""
    folder = tmp_path_factory.mktemp("made")
    states = list(Renders(folder, RenderHistory(folder, shared=False)).run(session, SETTINGS))
    return folder, states[-1]


def copy(made, tmp_path):
    subprocess.run(["cp", "-a", f"{made[0]}/.", tmp_path], check=True)
    return tmp_path


def test_a_render_is_found_again_after_a_restart(made, session):
    folder, state = made
    (entry,) = RenderHistory(folder).entries()
    told = entry.describe()
    assert told["id"] == state.id
    assert (told["model"], told["base"], told["sound"]) == ("tiny", EVENING, "A=B; #Hallo.wav")
    assert (told["frames"], told["seconds"], told["range"], told["unblended"]) == (24, 0.96, None, True)
    assert told["seam"] == state.report.seam_mean
    assert told["seam_unblended"] > told["seam"]
    box = session.processor.shot(session.performance, told["worst_frame"]).box
    assert told["face"] == (box.x0, box.y0, box.side)
    assert told["settings"] == SETTINGS.model_dump()
    assert told["notes"] == list(state.report.notes)
    assert json.loads(json.dumps(told))["date"][:4].isdigit()
    assert RenderHistory(folder).settings(state.id) == SETTINGS.model_dump()
    recipe = json.loads(RenderHistory(folder).recipe(state.id))
    assert recipe["settings"] == SETTINGS.model_dump()
    assert recipe["render"]["seam_worst"] == state.report.seam_worst
    assert "ann" not in json.dumps(recipe)


def test_the_thumbnail_shows_the_worst_frame_and_is_kept(made, tmp_path):
    history = RenderHistory(copy(made, tmp_path))
    path = history.thumbnail(made[1].id)
    shown = cv2.imread(str(path)).astype(int)
    assert shown.shape[0] == 120
    entry = history.get(made[1].id)
    frames = list(cv2_frames(entry.path, shown.shape))
    nearest = int(np.argmin([np.abs(shown - frame).mean() for frame in frames]))
    assert nearest == made[1].report.worst_frame
    before = path.stat().st_mtime_ns
    assert history.thumbnail(made[1].id) == path
    assert path.stat().st_mtime_ns == before


def cv2_frames(path, shape):
    from clips.video import read_frames

    for frame in read_frames(path):
        yield cv2.resize(frame, (shape[1], shape[0]), interpolation=cv2.INTER_AREA).astype(int)


def test_people_see_their_own_renders(made, tmp_path):
    folder = copy(made, tmp_path)
    history, id = RenderHistory(folder, shared=False), made[1].id
    assert [len(history.entries(owner)) for owner in ("ann", "bob", "")] == [1, 0, 0]
    for work in (history.get, history.settings, history.recipe, history.delete, history.thumbnail):
        with pytest.raises(ClipError, match="no longer there"):
            work(id, "bob")
    (folder / "renders" / ".history").rename(folder / "renders" / ".gone")
    assert [len(history.entries(owner)) for owner in ("ann", "bob")] == [1, 1]
    with pytest.raises(ClipError, match="not rendered by you"):
        history.delete(id, "bob")
    assert len(RenderHistory(folder).entries("anybody")) == 1


@pytest.mark.parametrize("id", ["", "../..", None, 3, ["a"], "x" * 24])
def test_unknown_renders_are_told(made, id):
    with pytest.raises(ClipError, match="no longer there"):
        RenderHistory(made[0]).get(id)


def test_delete_removes_all_that_belongs_to_it(made, tmp_path):
    folder = copy(made, tmp_path)
    history = RenderHistory(folder)
    history.thumbnail(made[1].id)
    history.delete(made[1].id)
    assert [path for path in folder.rglob("*") if path.is_file()] == []
    assert history.entries() == []


def test_what_is_not_known_is_said(made, tmp_path):
    folder = copy(made, tmp_path)
    renders = folder / "renders"
    (blended,) = [path for path in renders.glob("*.mp4") if "unblended" not in path.name]
    record = renders / ".history" / f"{blended.stem}.json"
    (renders / "text.mp4").write_text("no video")
    os.utime(renders / "text.mp4", (1, 1))
    with VideoWriter(renders / "other.mp4", 64, 64) as writer:
        for _ in range(10):
            writer.write(np.zeros((64, 64, 3), np.uint8))
    history = RenderHistory(folder)
    shown = {entry.path.name: entry for entry in history.entries()}
    assert next(reversed(shown)) == "text.mp4"
    assert "cannot be read" in shown["text.mp4"].notes[1]
    other = shown["other.mp4"]
    assert other.about.frames == 10
    assert "no settings are stored" in other.notes[1]
    with pytest.raises(ClipError, match="holds no settings"):
        history.settings(other.id)
    with pytest.raises(ClipError, match=r"shows no picture|cannot be read"):
        history.thumbnail(shown["text.mp4"].id)
    for broken in (b"{", b'{"frames": "many"}', b"[]", b"\xff"):
        record.write_bytes(broken)
        entry = history.get(made[1].id)
        assert "cannot be read" in entry.notes[0]
        assert (entry.describe()["frames"], entry.describe()["model"]) == (24, "tiny")


def test_settings_of_another_version_are_told(made, tmp_path):
    (source,) = [path for path in (made[0] / "renders").glob("*.mp4") if "unblended" not in path.name]
    (tmp_path / "renders").mkdir()
    for name, recipe in (
        ("range", {"settings": {"feather_amount": 99}}),
        ("key", {"settings": {"fether": 1}}),
        ("list", []),
        ("other", {"a": 1}),
    ):
        subprocess.run(
            [
                ffmpeg_exe(), "-loglevel", "error", "-i", source, "-c", "copy", "-metadata",
                f"synopsis={json.dumps(recipe)}",
                tmp_path / "renders" / f"{name}.mp4",
            ],
            check=True,
        )  # fmt: skip
    history = RenderHistory(tmp_path)
    said = {}
    for entry in history.entries():
        with pytest.raises(ClipError) as caught:
            history.settings(entry.id)
        said[entry.path.stem] = str(caught.value)
    assert "do not fit this version of Seamline: feather_amount must be between" in said["range"]
    assert "fether is not a setting" in said["key"]
    assert "holds no settings" in said["list"]
    assert "holds no settings" in said["other"]


def test_header_tags_come_back_whatever_they_hold(tmp_path):
    path = tmp_path / "a'b ü.mp4"
    tags = {
        "comment": "a=b;c#d\\e\nf [g]\n[h]",
        "synopsis": json.dumps({"name": "ü \\ = ; #", "list": [1, {"a": "\n"}]}),
    }
    with VideoWriter(path, 32, 48, metadata=tags) as writer:
        for _ in range(5):
            writer.write(np.zeros((48, 32, 3), np.uint8))
    header = read_header(path)
    assert {key: header.tags[key] for key in tags} == tags
    assert (header.size_wh, header.duration_s, header.container.split(",")[0]) == ((32, 48), 0.2, "mov")


def test_a_range_is_bit_equal_to_the_same_frames_of_the_whole(session, tmp_path, monkeypatch):
    handed, write = {}, VideoWriter.write

    def capture(writer, frame):
        handed.setdefault(writer.path.stem, []).append(frame.copy())
        write(writer, frame)

    monkeypatch.setattr(VideoWriter, "write", capture)
    calls = []
    for name, frames in (("whole", None), ("part", FrameRange(7, 15)), ("tail", FrameRange(20, 24))):
        report = render(
            session.processor, session.performance, tmp_path / f"{name}.mp4", SETTINGS, frames=frames,
            progress=lambda one: calls.append((one.done, one.total)), unblended=tmp_path / f"{name}0.mp4",
        )  # fmt: skip
        assert calls[-1] == (report.frames, report.frames)
        info = probe(tmp_path / f"{name}.mp4")
        assert (info.frames, info.has_sound) == (report.frames, True)
        if frames is not None:
            assert report.frames == len(frames)
            assert report.worst_frame in frames
            assert json.loads(read_header(info.path).tags["synopsis"])["part"] == [frames.start, frames.stop]
    for suffix in ("", "0"):
        whole = handed[f"whole{suffix}"]
        assert all(map(np.array_equal, handed[f"part{suffix}"], whole[7:15]))
        assert all(map(np.array_equal, handed[f"tail{suffix}"], whole[20:24]))


def test_a_range_has_its_own_part_of_the_sound(session, tmp_path):
    from clips.audio import load_audio

    render(session.processor, session.performance, tmp_path / "part.mp4", SETTINGS, frames=FrameRange(7, 15))
    heard = load_audio(tmp_path / "part.mp4")[: 8 * 640]
    wav = session.performance.wav
    fits = {at: np.corrcoef(heard, wav[at * 640 : (at + 8) * 640])[0, 1] for at in range(16)}
    assert max(fits, key=fits.get) == 7
    assert fits[7] > 0.98


@pytest.mark.parametrize("frames", [FrameRange(0, 0), FrameRange(5, 5), FrameRange(3, 25), FrameRange(24, 26)])
def test_ranges_outside_are_refused_and_leave_nothing(session, tmp_path, frames):
    with pytest.raises(ValueError, match=r"frames must be a part of 0 \.\. 23"):
        list(Renders(tmp_path).run(session, SETTINGS, frames=frames))
    assert list(tmp_path.rglob("*.mp4")) == []


def test_one_render_runs_at_a_time_and_a_waiting_one_can_be_stopped(session, tmp_path):
    renders = Renders(tmp_path)
    first = renders.run(session, SETTINGS)
    next(first)
    other = Session("other", session.processor, session.performance)
    second = renders.run(other, SETTINGS)
    assert next(second).waiting
    other.cancel.set()
    with pytest.raises(RenderCancelled):
        list(second)
    third = renders.run(other, SETTINGS, frames=FrameRange(0, 2))
    assert next(third).waiting
    done = list(first)
    assert done[-1].report is not None
    assert list(third)[-1].report.frames == 2
    assert len(renders.history.entries()) == 2
    assert not any(thread.name == "render" for thread in threading.enumerate())


def test_a_hundred_renders_are_listed_quickly(made, tmp_path):
    folder = copy(made, tmp_path)
    (source,) = [path for path in (folder / "renders").glob("*.mp4") if "unblended" not in path.name]
    for number in range(20):
        os.link(source, source.with_name(f"more {number}.mp4"))
    history = RenderHistory(folder)
    assert len(history.entries()) == 21
    started = time.monotonic()
    assert len(history.entries()) == 21
    assert time.monotonic() - started < 1
