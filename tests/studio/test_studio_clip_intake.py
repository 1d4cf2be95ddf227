"""Clips that people upload: usable at once, told in words when they are not, and nothing left of a failed one."""

import json
import threading

import numpy as np
import pytest
from fastapi import FastAPI
from fastapi.responses import JSONResponse
from fastapi.testclient import TestClient

import studio.clip_intake as intake_module
from clips.errors import ClipError
from clips.library import ClipLibrary
from clips.video import VideoWriter, read_frames
from studio.clip_intake import ClipIntake, check_upload, clip_table
from studio.routes import clip_routes
from studio.sessions import Sessions

FRAMES = 12


@pytest.fixture(scope="module")
def talk(tmp_path_factory):
    """12 frames of the bundled actor at 320 px."""
    path = tmp_path_factory.mktemp("clip") / "upload.mp4"
    source = ClipLibrary().clip("LS1", "silence").path
    with VideoWriter(path, 320, 320) as writer:
        for frame in read_frames(source, 0, FRAMES):
            writer.write(np.ascontiguousarray(frame[::2, ::2]))
    return path


def files(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


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


@pytest.mark.parametrize("name", ["", "../x", "a/b", "a\\b", ".x", ".mp4", "x" * 60, None, 3, "a\0", "SILENCE", "con"])
def test_names_that_cannot_be_are_told(tmp_path, name):
    with pytest.raises(ClipError, match="clip"):
        ClipIntake(tmp_path).check("LS1", name)


@pytest.mark.parametrize("model", ["nobody", "../LS1", "", None, ["LS1"]])
def test_models_are_known_names(tmp_path, model):
    with pytest.raises(ClipError, match="model"):
        ClipIntake(tmp_path).check(model, "a")


def test_what_is_no_clip_is_told_and_leaves_nothing(talk, tmp_path, monkeypatch):
    workspace, given = tmp_path / "workspace", tmp_path / "given.mp4"
    workspace.mkdir()
    with VideoWriter(tmp_path / "empty room.mp4", 160, 160) as writer:
        for _ in range(5):
            writer.write(np.full((160, 160, 3), 90, np.uint8))
    with VideoWriter(tmp_path / "small.mp4", 64, 64) as writer:
        writer.write(np.zeros((64, 64, 3), np.uint8))
    whole = talk.read_bytes()
    for content, said in (
        (b"", "is empty"),
        (b"This is no video.\n" * 100, "cannot be read"),
        (whole[: len(whole) // 3], "cannot be read"),
        ((tmp_path / "empty room.mp4").read_bytes(), "face"),
        ((tmp_path / "small.mp4").read_bytes(), "128 to 4096 px"),
        (b"#EXTM3U\n#EXTINF:10,\nhttp://127.0.0.1:1/a.ts\n", "expected an mp4|cannot be read"),
    ):
        given.write_bytes(content)
        with pytest.raises(ClipError, match=said):
            list(ClipIntake(workspace).add(given, "LS1", "a"))
        assert list(workspace.iterdir()) == [], said
    for limit, value, said in (
        ("MAX_BYTES", 100, "MB"),
        ("MAX_CLIP_S", 0.1, "may last"),
        ("FREE_BYTES", 2**60, "free some"),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(intake_module, limit, value)
            with pytest.raises(ClipError, match=said):
                check_upload(talk)


def test_stopping_leaves_nothing(talk, tmp_path):
    adding = ClipIntake(tmp_path).add(talk, "LS1", "a")
    next(adding)
    assert next(adding).frames == FRAMES
    assert len(files(tmp_path)) == 1
    adding.close()
    assert list(tmp_path.iterdir()) == []
    assert not any(thread.name == "preprocess" for thread in threading.enumerate())


def test_one_clip_is_prepared_at_a_time(talk, tmp_path):
    intake = ClipIntake(tmp_path)
    adding = intake.add(talk, "LS1", "a")
    next(adding), next(adding)
    with pytest.raises(ClipError, match="another clip is being prepared"):
        list(intake.add(talk, "LS1", "b"))
    adding.close()
    assert list(intake.add(talk, "LS1", "b"))[-1].clip == "b talk"


def test_the_table_ranks_fit_clips_first_and_tells_of_the_others(talk, tmp_path):
    (tmp_path / "core_clips" / "LS1").mkdir(parents=True)
    (tmp_path / "core_clips" / "LS1" / "raw talk.mp4").write_bytes(talk.read_bytes())
    rows = clip_table(tmp_path, "LS1")
    assert len(rows) == 6
    assert [row["passed"] for row in rows] == [True] * 5 + [False]
    assert "preprocess" in rows[-1]["reasons"][0]
    json.dumps(rows, allow_nan=False)


def test_over_http_a_line_per_state(talk, tmp_path):
    app = FastAPI()

    @app.exception_handler(ClipError)
    def explain(_request, error):
        return JSONResponse({"error": str(error)}, 422)

    app.include_router(clip_routes(Sessions(tmp_path, device="cpu"), ClipIntake(tmp_path)))
    client = TestClient(app)

    def add(content, name):
        answer = client.post("/studio/clips", params={"model": "LS1", "name": name}, content=content)
        return answer.status_code, [json.loads(line) for line in answer.text.splitlines()]

    status, lines = add(talk.read_bytes(), "a")
    assert (status, lines[-1]["clip"], lines[-1]["row"]["passed"]) == (200, "a talk", True)
    assert lines[1]["frames"] == FRAMES
    assert add(talk.read_bytes(), "A Talk") == (
        422,
        [{"error": "LS1 has a clip 'a talk' already; give this one another name"}],
    )
    assert "cannot be read" in add(b"no video", "b")[1][-1]["error"]
    assert "../" in add(b"", "../x")[1][0]["error"] or add(b"", "../x")[0] == 422
    assert "is empty" in add(b"", "b")[1][-1]["error"]
    assert files(tmp_path) == ["core_clips/LS1/a talk.mp4", "landmarks/LS1/a talk.landmarks.npz"]
