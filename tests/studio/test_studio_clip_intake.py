"""Clips that people add, rename and remove: usable at once, told in words when they are not, whole or not at all."""

import errno
import json
import shutil
import threading

import numpy as np
import pytest
from fastapi import FastAPI
from fastapi.responses import JSONResponse
from fastapi.testclient import TestClient

import studio.clip_rows as clip_rows
import studio.preparing as preparing_module
import studio.uploaded_video as uploaded_video
from clips.errors import ClipError
from clips.ffmpeg import FfmpegProcess
from clips.library import ClipLibrary
from clips.video import VideoWriter, read_frames
from studio.bases import OWN_VIDEO
from studio.clip_intake import ClipIntake
from studio.clip_routes import clip_routes, own_video_routes
from studio.clip_rows import clip_plots, clip_table
from studio.own_videos import MOST, OwnVideos
from studio.preset_shelf import PresetShelf
from studio.sessions import Sessions
from studio.uploaded_video import check_video, shown_name

FRAMES = 12


def actor(path, frames=FRAMES, size_wh=(320, 320)):
    """The bundled actor's first frames, every second pixel, cut to a size."""
    with VideoWriter(path, *size_wh) as writer:
        for frame in read_frames(ClipLibrary().clip("LS1", "silence").path, 0, frames):
            writer.write(np.ascontiguousarray(frame[::2, ::2][: size_wh[1], : size_wh[0]]))
    return path


def ffmpeg(*arguments):
    with FfmpegProcess(["-y", *map(str, arguments)]) as running:
        assert running.process.wait(60) == 0, running.tail()


@pytest.fixture(scope="module")
def talk(tmp_path_factory):
    """12 frames of the bundled actor at 320 px."""
    return actor(tmp_path_factory.mktemp("clip") / "upload.mp4")


def files(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def added(intake, source, name="a"):
    return list(intake.add(source, "LS1", name, "'mine.mp4'"))[-1].clip


def test_a_clip_is_there_at_once(talk, tmp_path):
    sessions = Sessions(tmp_path, device="cpu")
    processor = sessions.processor("LS1")
    states = list(ClipIntake(tmp_path).add(talk, "LS1", "Mein Clip"))
    assert [state.done for state in states] == sorted(state.done for state in states)
    last = states[-1]
    assert (last.clip, last.done, last.frames) == ("Mein Clip talk", FRAMES, FRAMES)
    assert (last.row["passed"], last.row["frames"], last.row["width"]) == (True, FRAMES, 320)
    assert json.loads(json.dumps(last.describe()))["row"]["name"] == "Mein Clip talk"
    assert files(tmp_path) == ["core_clips/LS1/Mein Clip talk.mp4", "landmarks/LS1/Mein Clip talk.landmarks.npz"]
    assert "Mein Clip talk" not in processor.clips
    sessions.clips_changed("LS1")
    assert "Mein Clip talk" in sessions.bases("LS1")
    shot = processor.shot(processor.prepare(np.zeros(3200, np.float32), "Mein Clip talk"), 2)
    assert shot.generated is not None
    with pytest.raises(ClipError, match="has a clip 'Mein Clip talk' already"):
        ClipIntake(tmp_path).check("LS1", "mein clip TALK.mp4")


@pytest.mark.parametrize(
    ("name", "stored"),
    [("a", "a talk"), ("a.mp4", "a talk"), ("my silence.MP4", "my silence"), ("Talk 2", "Talk 2"), (" ü ", "ü talk")],
)
def test_names_say_what_a_clip_is_for(tmp_path, name, stored):
    assert ClipIntake(tmp_path).check("LS1", name) == stored


@pytest.mark.parametrize(
    "name",
    ["", "../x", "a/b", "a\\b", ".x", ".mp4", "x" * 60, None, 3, "a\0", "SILENCE", "con", "my talk (own video)"],
)
def test_names_that_cannot_be_are_told(talk, tmp_path, name):
    intake = ClipIntake(tmp_path)
    with pytest.raises(ClipError, match="clip"):
        intake.check("LS1", name)
    added(intake, talk)
    before = files(tmp_path)
    with pytest.raises(ClipError, match="clip"):
        intake.rename("LS1", "a talk", name)
    assert files(tmp_path) == before


@pytest.mark.parametrize("model", ["nobody", "../LS1", "", None, ["LS1"]])
def test_models_are_known_names(tmp_path, model):
    intake = ClipIntake(tmp_path)
    for act in (
        lambda: intake.check(model, "a"),
        lambda: intake.rename(model, "a", "b"),
        lambda: intake.remove(model, "a"),
    ):
        with pytest.raises(ClipError, match="model"):
            act()


def test_what_is_no_clip_is_told_by_its_own_name_and_leaves_nothing(talk, tmp_path):
    workspace, made = tmp_path / "workspace", tmp_path / "made"
    workspace.mkdir()
    made.mkdir()
    with VideoWriter(made / "room.mp4", 160, 160) as writer:
        for _ in range(5):
            writer.write(np.full((160, 160, 3), 90, np.uint8))
    with VideoWriter(made / "small.mp4", 64, 64) as writer:
        writer.write(np.zeros((64, 64, 3), np.uint8))
    ffmpeg("-f", "lavfi", "-i", "sine=duration=1", made / "sound.m4a")
    ffmpeg("-i", talk, "-c", "copy", made / "clip.mkv")
    ffmpeg("-i", talk, "-frames:v", "1", made / "picture.png")
    whole = talk.read_bytes()
    start = whole.index(b"mdat")
    for content, said in (
        (b"", "is empty"),
        (b"This is no video.\n" * 1000, "is a text file"),
        ("Größe: ü\n".encode() * 1000, "is a text file"),
        (bytes(range(256)) * 50, "damaged"),
        (whole[: len(whole) // 3], "damaged"),
        (whole[: start + 60] + bytes(len(whole) - start - 60), "damaged"),
        ((made / "room.mp4").read_bytes(), "none was found in 5 frames"),
        ((made / "small.mp4").read_bytes(), "export it larger"),
        ((made / "sound.m4a").read_bytes(), "has no picture"),
        ((made / "clip.mkv").read_bytes(), "add it as your own video"),
        ((made / "picture.png").read_bytes(), "is a picture"),
        (b"#EXTM3U\n#EXTINF:10,\nhttp://127.0.0.1:1/a.ts\n", "is a text file"),
    ):
        given = tmp_path / "upload"
        given.write_bytes(content)
        with pytest.raises(ClipError, match=said) as told:
            list(ClipIntake(workspace).add(given, "LS1", "a", "'Mein Dreh.mp4'"))
        assert "'Mein Dreh.mp4'" in str(told.value)
        assert not any(inner in str(told.value) for inner in ("upload", ".part", "moov", "Invalid data"))
        assert list(workspace.iterdir()) == [], said


@pytest.mark.parametrize(
    ("limit", "value", "said"),
    [("MAX_BYTES", 100, "MB"), ("MAX_CLIP_S", 0.1, "cut it shorter"), ("FREE_BYTES", 2**60, "free some")],
)
def test_limits_are_told(talk, monkeypatch, limit, value, said):
    monkeypatch.setattr(uploaded_video, limit, value)
    with pytest.raises(ClipError, match=said):
        check_video(talk, "'a.mp4'", only_mp4=True)


def test_rotated_odd_and_very_short_videos_are_taken(talk, tmp_path):
    odd, turned = tmp_path / "odd.mp4", tmp_path / "turned.mp4"
    ffmpeg("-i", talk, "-vf", "crop=317:319:0:0", "-c:v", "libx264rgb", odd)
    ffmpeg("-i", talk, "-vf", "transpose=1", tmp_path / "lying.mp4")
    ffmpeg("-display_rotation:v", "90", "-i", tmp_path / "lying.mp4", "-c", "copy", turned)
    intake = ClipIntake(tmp_path / "workspace")
    for source, name, frames in (
        (odd, "odd", FRAMES),
        (turned, "turned", FRAMES),
        (actor(tmp_path / "three.mp4", 3), "three", 3),
        (actor(tmp_path / "one.mp4", 1), "one", 1),
    ):
        last = list(intake.add(source, "LS1", name))[-1]
        assert (last.clip, last.row["frames"], last.row["found_pct"]) == (f"{name} talk", frames, 100.0)
        json.dumps(last.describe(), allow_nan=False)
    json.dumps(clip_plots(tmp_path / "workspace", "LS1"), allow_nan=False)


def test_a_full_disk_is_told_and_leaves_nothing(talk, tmp_path, monkeypatch):
    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    own = OwnVideos(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "copyfile", full)
        for adding in (
            ClipIntake(tmp_path).add(talk, "LS1", "a", "'mine.mp4'"),
            own.add(talk, "me", "a", "'mine.mp4'", ".mp4", "LS1"),
        ):
            with pytest.raises(ClipError, match=r"'mine\.mp4' cannot be stored \(No space left"):
                list(adding)
    assert files(tmp_path) == []
    monkeypatch.setattr("clips.landmarks.np.savez_compressed", full)
    with pytest.raises(ClipError, match=r"'mine\.mp4' cannot be stored \(No space left") as told:
        list(ClipIntake(tmp_path).add(talk, "LS1", "a", "'mine.mp4'"))
    assert str(tmp_path) not in str(told.value)
    assert files(tmp_path) == []


def test_stopping_leaves_nothing(talk, tmp_path):
    adding = ClipIntake(tmp_path).add(talk, "LS1", "a")
    next(adding)
    assert next(adding).frames == FRAMES
    assert len(files(tmp_path)) == 1
    adding.close()
    assert list(tmp_path.iterdir()) == []
    adding = OwnVideos(tmp_path).add(talk, "me", "a", "'a'", ".mp4", "LS1")
    next(adding), next(adding)
    adding.close()
    assert files(tmp_path) == []
    assert not any(thread.name == "preprocess" for thread in threading.enumerate())


def test_uploads_wait_for_each_other_and_names_are_taken_at_once(talk, tmp_path, monkeypatch):
    monkeypatch.setattr(preparing_module, "WAIT_S", 0.02)
    monkeypatch.setattr(preparing_module, "MAX_WAITING", 2)
    intake = ClipIntake(tmp_path)
    first = intake.add(talk, "LS1", "a")
    next(first), next(first)
    with pytest.raises(ClipError, match="'A talk' is being added to LS1 right now"):
        list(intake.add(talk, "LS1", "A"))
    second, third = intake.add(talk, "LS1", "b"), intake.add(talk, "LS1", "c")
    for waiting in (second, third):
        next(waiting)
        assert next(waiting).waiting
    with pytest.raises(ClipError, match="2 uploads wait"):
        list(intake.add(talk, "LS1", "d"))
    third.close()
    first.close()
    assert list(second)[-1].clip == "b talk"
    assert added(intake, talk, "a") == "a talk"


def test_a_clip_is_renamed_with_all_that_is_its_own(talk, tmp_path):
    intake, shelf = ClipIntake(tmp_path), PresetShelf(tmp_path)
    added(intake, talk)
    masks = tmp_path / "dataset" / "LS1" / "core_clips" / "a talk" / "parsing"
    masks.mkdir(parents=True)
    for number in range(FRAMES):
        (masks / f"{number}.png").write_bytes(b"")
    shelf.save("soft", {"feather_amount": 50}, model="LS1", clip="a talk")
    before = clip_table(tmp_path, "LS1")
    assert intake.rename("LS1", "a talk", "b") == ("b talk", "Its folder of the data set and its presets went along.")
    after = {row["name"]: row for row in clip_table(tmp_path, "LS1")}
    assert "a talk" not in after
    assert after["b talk"] == {**next(row for row in before if row["name"] == "a talk"), "name": "b talk"}
    assert (after["b talk"]["parsing"], after["silence"]["parsing"]) == ("found", "none")
    assert after["b talk"]["passed"]
    assert shelf.load("soft", "LS1", "b talk").feather_amount == 50
    assert [path for path in files(tmp_path) if "a talk" in path] == []
    assert intake.rename("LS1", "b talk", "B talk")[0] == "B talk"
    with pytest.raises(ClipError, match="is called 'B talk' already"):
        intake.rename("LS1", "B talk", "B talk.mp4")
    with pytest.raises(ClipError, match="has a clip 'silence' already"):
        intake.rename("LS1", "B talk", "Silence")


def test_a_failed_renaming_changes_nothing(talk, tmp_path, monkeypatch):
    intake = ClipIntake(tmp_path)
    added(intake, talk)
    PresetShelf(tmp_path).save("soft", {}, model="LS1", clip="a talk")
    before = files(tmp_path)
    rename = type(talk).rename

    def stubborn(path, target):
        if path.suffix == ".mp4":
            raise PermissionError(errno.EACCES, "Permission denied")
        return rename(path, target)

    with monkeypatch.context() as patch:
        patch.setattr(type(talk), "rename", stubborn)
        with pytest.raises(ClipError, match=r"cannot be renamed \(Permission denied\); nothing was changed"):
            intake.rename("LS1", "a talk", "b")
    assert files(tmp_path) == before
    (tmp_path / "presets" / "LS1" / "b talk").mkdir()
    with pytest.raises(ClipError, match="its presets cannot go along"):
        intake.rename("LS1", "a talk", "b")
    with pytest.raises(ClipError, match="a render runs"):
        ClipIntake(tmp_path, busy=lambda: True).rename("LS1", "a talk", "c")
    assert files(tmp_path) == before


def test_a_clip_is_removed_and_what_stays_is_told(talk, tmp_path):
    intake = ClipIntake(tmp_path)
    added(intake, talk)
    PresetShelf(tmp_path).save("soft", {}, model="LS1", clip="a talk")
    assert "presets stay for a clip of the same name (1)" in intake.remove("LS1", "a talk")
    assert files(tmp_path) == ["presets/LS1/a talk/soft.yaml"]
    for name, said in (
        ("silence", "comes with Seamline"),
        ("a talk", "no clip of LS1"),
        ("../LS1", "plain name"),
        (7, "must be a name"),
    ):
        with pytest.raises(ClipError, match=said):
            intake.remove("LS1", name)
        with pytest.raises(ClipError, match=said):
            intake.rename("LS1", name, "x")
    own = tmp_path / "core_clips" / "ME"
    own.mkdir(parents=True)
    shutil.copyfile(talk, own / "talk.mp4")
    with pytest.raises(ClipError, match="the only clip of ME"):
        intake.remove("ME", "talk")
    shutil.copyfile(ClipLibrary().clip("LS1", "silence").path, tmp_path / "core_clips" / "LS1" / "silence.mp4")
    assert "bundled clip of the same name" in intake.remove("LS1", "silence")


def test_open_sessions_are_told_what_became_of_their_clip(talk, tmp_path):
    from clips.library import SAMPLE_SPEECH

    sessions, intake = Sessions(tmp_path, device="cpu"), ClipIntake(tmp_path)
    added(intake, talk)
    client = page_of(sessions, intake)
    opened, other = (sessions.open("LS1", SAMPLE_SPEECH, base) for base in ("a talk", "silence"))
    answer = client.post("/studio/clip/rename", json={"model": "LS1", "name": "a talk", "new": "b"})
    assert answer.json() == {"name": "b talk", "said": ""}
    assert sessions.get(other.token, "me") is other
    with pytest.raises(ClipError, match="'a talk' is called 'b talk' now"):
        sessions.get(opened.token, "me")
    opened = sessions.open("LS1", SAMPLE_SPEECH, "b talk")
    assert opened.processor.shot(opened.performance, 30).generated is not None
    assert client.post("/studio/clip/remove", json={"model": "LS1", "name": "b talk"}).json()["removed"] == "b talk"
    with pytest.raises(ClipError, match="was removed; choose another base"):
        sessions.get(opened.token, "me")
    # Another clip under the old name is not taken for the first.
    longer = actor(tmp_path / "longer.mp4", 20)
    assert list(intake.add(longer, "LS1", "b talk"))[-1].frames == 20
    sessions.clips_changed("LS1")
    assert len(sessions.open("LS1", SAMPLE_SPEECH, "b talk").processor.landmarks_of("b talk")[0].found) == 20


def test_the_table_ranks_fit_clips_first_and_tells_of_the_others(talk, tmp_path):
    (tmp_path / "core_clips" / "LS1").mkdir(parents=True)
    (tmp_path / "core_clips" / "LS1" / "raw talk.mp4").write_bytes(talk.read_bytes())
    masks = tmp_path / "dataset" / "LS1" / "core_clips" / "silence" / "parsing"
    masks.mkdir(parents=True)
    (masks / "0.png").write_bytes(b"")
    rows = clip_table(tmp_path, "LS1")
    assert len(rows) == 6
    assert [row["passed"] for row in rows] == [True] * 5 + [False]
    assert [row["rank"] for row in rows] == [1, 2, 3, 4, 5, None]
    assert "preprocess" in rows[-1]["reasons"][0]
    assert {row["name"]: row["origin"] for row in rows}["raw talk"] == "workspace"
    silence = next(row for row in rows if row["name"] == "silence")
    assert (silence["parsing"], silence["origin"]) == ("left aside", "bundled")
    assert any("there are 1, and silence has" in note for note in silence["notes"])
    json.dumps(rows, allow_nan=False)
    plots = clip_plots(tmp_path, "LS1")
    assert [one["name"] for one in plots["clips"]] == [row["name"] for row in rows[:5]]
    assert all(0 < len(one["pose"]["yaw"]) <= 300 for one in plots["clips"])
    assert "Score: 100" in plots["words"]


def test_a_clip_that_goes_while_the_table_is_made_is_left_out(talk, tmp_path, monkeypatch):
    intake = ClipIntake(tmp_path)
    assert added(intake, talk, "b talk") == "b talk"
    verify = clip_rows.verify_clip

    def gone_meanwhile(clip, one):
        if clip.name == "b talk":
            intake.remove("LS1", "b talk")
        return verify(clip, one)

    monkeypatch.setattr(clip_rows, "verify_clip", gone_meanwhile)
    assert "b talk" not in [row["name"] for row in clip_table(tmp_path, "LS1")]


def test_an_own_video_is_a_base_of_one_person_until_it_is_removed(talk, tmp_path):
    from clips.library import SAMPLE_SPEECH

    own = OwnVideos(tmp_path, shared=False)
    sessions = Sessions(tmp_path, device="cpu", own_videos=own)
    ffmpeg("-i", talk, "-c", "copy", tmp_path / "mine.mkv")
    last = list(own.add(tmp_path / "mine.mkv", "me", "mine", "'mine.mkv'", ".mkv", "LS1"))[-1]
    assert (last.clip, last.row["kind"], last.row["frames"]) == ("mine (own video)", "own", FRAMES)
    assert "mine (own video)" in sessions.bases("LS1", "me")
    assert "mine (own video)" not in sessions.bases("LS1", "you")
    session = sessions.open("LS1", SAMPLE_SPEECH, last.clip, owner="me")
    assert session.processor.shot(session.performance, 30).generated is not None
    assert (session.describe()["base"], session.describe()["clip"]) == (last.clip, None)
    with pytest.raises(ClipError, match="add your video again"):
        sessions.open("LS1", SAMPLE_SPEECH, last.clip, owner="you")
    with pytest.raises(ClipError, match="you have a video 'mine' already"):
        own.check("me", "Mine")
    assert own.check("you", "mine") == last.clip
    # Presets of an own video are those of the model.
    PresetShelf(tmp_path).save("soft", {"feather_amount": 50}, model="LS1", clip=last.clip)
    assert (tmp_path / "presets" / "LS1" / "soft.yaml").is_file()
    # Another content under the same name, by somebody else, is another base.
    other = list(own.add(actor(tmp_path / "x.mp4", 5), "you", "mine", "'x'", ".mp4", "LS1"))[-1]
    assert other.clip == last.clip
    theirs = sessions.open("LS1", SAMPLE_SPEECH, other.clip, owner="you")
    assert len(theirs.processor.landmarks_of(theirs.performance.base)[0].found) == 5
    own.remove("me", last.clip)
    assert own.bases("me") == []
    assert own.bases("you") == [other.clip]
    with pytest.raises(ClipError, match="add your video again"):
        own.remove("me", last.clip)


@pytest.mark.parametrize("name", ["", "../x", "a/b", ".x", None, 3, "a\0", "x" * 61])
def test_names_of_own_videos_are_plain(tmp_path, name):
    with pytest.raises(ClipError, match="video"):
        OwnVideos(tmp_path).check("me", name)


def test_a_person_has_so_many_own_videos_and_the_cache_forgets_them(tmp_path):
    from studio.cache import HOUR_S, clean_workspace

    own = OwnVideos(tmp_path)
    for number in range(MOST):
        folder = tmp_path / "cache" / "own_videos" / "everybody" / f"{number}"
        folder.mkdir(parents=True)
        (folder / f"{number}{OWN_VIDEO}.mp4").write_bytes(b"x")
    assert len(own.bases("me")) == MOST
    with pytest.raises(ClipError, match="remove one before"):
        own.check("me", "another")
    import time

    clean_workspace(tmp_path, now=time.time() + 29 * 24 * HOUR_S)
    assert len(own.bases("me")) == MOST
    clean_workspace(tmp_path, now=time.time() + 31 * 24 * HOUR_S)
    assert own.bases("me") == []


@pytest.mark.parametrize(
    ("file", "shown"),
    [
        ("me.mp4", "'me.mp4'"), ("C:\\a\\me.mp4", "'me.mp4'"), ("../../me.mp4", "'me.mp4'"),
        ("a\x00\nb.mp4", "'ab.mp4'"),
        ("", "the file"), (None, "the file"), ("x\u202egpj.mp4", "'xgpj.mp4'"),
    ],
)  # fmt: skip
def test_files_are_called_what_the_person_calls_them(file, shown):
    assert shown_name(file) == shown
    assert len(shown_name("x" * 5000 + ".mp4")) < 90


def page_of(sessions, intake):
    app = FastAPI()

    @app.exception_handler(ClipError)
    def explain(_request, error):
        return JSONResponse({"error": str(error)}, 422)

    app.include_router(clip_routes(sessions, intake))
    app.include_router(own_video_routes(sessions))
    return TestClient(app)


def test_over_http_a_line_per_state(talk, tmp_path):
    client = page_of(Sessions(tmp_path, device="cpu"), ClipIntake(tmp_path))

    def add(content, name, path="/studio/clips"):
        answer = client.post(path, params={"model": "LS1", "name": name, "file": "../mine.mp4"}, content=content)
        return answer.status_code, [json.loads(line) for line in answer.text.splitlines()]

    assert client.get("/studio/clips/name", params={"model": "LS1", "name": "a"}).json() == {"name": "a talk"}
    status, lines = add(talk.read_bytes(), "a")
    assert (status, lines[-1]["clip"], lines[-1]["row"]["passed"]) == (200, "a talk", True)
    assert lines[1]["frames"] == FRAMES
    taken = {"error": "LS1 has a clip 'a talk' already; give this one another name"}
    assert add(talk.read_bytes(), "A Talk") == (422, [taken])
    assert client.get("/studio/clips/name", params={"model": "LS1", "name": "A"}).json() == taken
    assert "'mine.mp4' is a text file" in add(b"no video", "b")[1][-1]["error"]
    assert add(b"", "../x")[0] == 422
    assert "is empty" in add(b"", "b")[1][-1]["error"]
    status, lines = add(talk.read_bytes(), "me", "/studio/clips/own")
    assert (status, lines[-1]["clip"]) == (200, "me (own video)")
    assert [row["name"] for row in client.get("/studio/own_videos", params={"model": "LS1"}).json()] == [
        "me (own video)"
    ]
    assert add(talk.read_bytes(), "me", "/studio/clips/own")[0] == 422
    assert client.post("/studio/own_videos/remove", json={"base": "me (own video)"}).status_code == 200
    assert client.post("/studio/own_videos/remove", json={"base": "me (own video)"}).status_code == 422
    assert [path for path in files(tmp_path) if "cache/landmarks" not in path] == [
        "core_clips/LS1/a talk.mp4", "landmarks/LS1/a talk.landmarks.npz",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "body",
    [{}, {"model": "LS1"}, {"model": 1, "name": "a", "new": "b"}, {"model": "LS1", "name": ["a"], "new": "b"}, [], "x"],
)
def test_hostile_bodies_are_refused(tmp_path, body):
    client = page_of(Sessions(tmp_path, device="cpu"), ClipIntake(tmp_path))
    for path in ("/studio/clip/rename", "/studio/clip/remove", "/studio/own_videos/remove"):
        assert client.post(path, json=body).status_code == 422
