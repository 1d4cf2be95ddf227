"""A video given to the page: what its recipe restores, what is missing in words, and nothing believed or kept of it."""

import json
import struct
import subprocess

import pytest
from fastapi import FastAPI
from fastapi.responses import JSONResponse
from fastapi.testclient import TestClient

import studio.recipes as recipes_module
from blending import BlendSettings
from clips.audio import save_wav
from clips.core_clips_processor import AUTOMATIC
from clips.errors import ClipError
from clips.ffmpeg import ffmpeg_exe
from clips.library import ClipLibrary
from clips.metadata import escape_metadata
from clips.recipe import read_recipe
from clips.timeline import FrameRange
from studio.layout import _restorer
from studio.recipes import read_given, recipe_routes, restored
from studio.sessions import Session, Sessions
from studio.uploaded_video import shown_name

pytestmark = pytest.mark.usefixtures("one_torch_thread")

EVENING = "05,20s talk evening"
SETTINGS = BlendSettings(expansion_ratio=1.22, feather_amount=18, colour="mean_std")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("recipes")


@pytest.fixture(scope="module")
def sound(speech, folder):
    """32 frames."""
    save_wav(folder / "my speech.wav", speech[8000:28_480])
    return folder / "my speech.wav"


@pytest.fixture(scope="module")
def performance(processor, sound):
    return processor.prepare(sound, EVENING)


@pytest.fixture(scope="module")
def film(processor, performance, folder):
    """Its first 25 frames but two, rendered."""
    path = folder / "film.mp4"
    processor.generate_video(performance, path, SETTINGS, frames=FrameRange(2, 27), quality="draft")
    return path


@pytest.fixture(scope="module")
def sessions(workspace):
    return Sessions(workspace, device="cpu")


def head_of(video):
    """ftyp and moov, which are what the page sends."""
    content, start, parts = video.read_bytes(), 0, b""
    while start < len(content):
        size, name = struct.unpack(">I4s", content[start : start + 8])
        parts += content[start : start + size] if name in (b"ftyp", b"moov") else b""
        start += size
    return parts


def with_recipe(film, target, change):
    """The film with its recipe's JSON changed; change(recipe) returns what stands there then."""
    told = change(json.loads(read_recipe(film).model_dump_json()))
    text = told if isinstance(told, str) else json.dumps(told, separators=(",", ":"))
    listed = target.with_suffix(".txt")
    listed.write_text(f";FFMETADATA1\nsynopsis={escape_metadata(text)}\n", encoding="utf-8")
    subprocess.run(
        [ffmpeg_exe(), "-v", "error", "-y", "-i", str(film), "-f", "ffmetadata", "-i", str(listed),
         "-map_metadata", "1", "-c", "copy", str(target)], check=True,
    )  # fmt: skip
    return target


def put(key, **values):
    return lambda recipe: recipe | {key: recipe[key] | values}


def opened(processor, performance, owner=""):
    return Session("token", processor, performance, owner=owner)


def test_all_of_it_comes_back_where_all_is_here(film, sessions, processor, performance):
    found = restored(read_recipe(film), sessions, opened(processor, performance))
    assert found.settings == SETTINGS
    assert (found.model, found.base, found.quality) == ("tiny", EVENING, "draft")
    assert (found.frame, found.loop_s) == (14, 1)
    assert found.what == (
        "settings", "quality draft", "model tiny", f"base {EVENING}", "loop over its frames 2 to 26",
    )  # fmt: skip
    assert found.missing == ()
    json.dumps(found.describe(), allow_nan=False)


def test_what_is_missing_is_said(film, sessions, processor, performance, tmp_path):
    def found(change, session=None):
        return restored(read_recipe(with_recipe(film, tmp_path / "other.mp4", change)), sessions, session)

    told = found(lambda recipe: recipe)
    assert told.missing == (
        "its sound, my speech.wav, is not the one that is open: upload it at the top left for the same mouth",
        "it shows frames 2 to 26 of that sound",
    )
    assert (told.frame, told.loop_s) == (None, None)
    told = found(put("model", name="..."))
    assert (told.model, told.base, told.settings) == (None, None, SETTINGS)
    assert told.missing[0] == "its model '...' is not here: model and base stay as they are"
    assert "other weights" in found(put("model", sha256={"unet": "0" * 64})).missing[0]
    told = found(lambda recipe: recipe | {"base": "me.mp4"})
    assert (told.model, told.base) == ("tiny", None)
    assert "not among the clips of tiny" in told.missing[0]
    told = found(lambda recipe: recipe | {"clips": [recipe["clips"][0] | {"sha256": "0" * 64}]})
    assert told.missing[0] == f"the clip '{EVENING}' has other content here"
    told = found(lambda recipe: recipe | {"base": AUTOMATIC, "clips": [recipe["clips"][0] | {"name": "gone talk"}]})
    assert told.missing[0] == "its clip 'gone talk' is not here: other clips stand in its place"
    assert told.missing[1].startswith("it was cut with other settings of editing")
    told = found(put("versions", seamline="0.0.9"))
    assert "made by Seamline 0.0.9" in told.missing[0]
    told = found(lambda recipe: recipe | {"part": [2, 12]}, opened(processor, performance))
    assert (told.frame, told.loop_s, told.what[-1]) == (7, None, "frame 7, the middle of its frames 2 to 11")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (put("settings", feather_amount=99), "damaged .feather_amount must be between 0 and 60; got 99"),
        (put("settings", feather_amount=float("nan")), "damaged .*feather_amount"),
        (put("settings", feather_amount=True), "damaged .*feather_amount"),
        (put("settings", shine=1), "damaged .shine is not a setting"),
        (put("model", name="../../etc"), "damaged .model.name"),
        (lambda recipe: recipe | {"base": "a/b"}, "damaged .base"),
        (lambda recipe: recipe | {"part": [5, 2]}, "damaged .part"),
        (lambda recipe: recipe | {"format": 2}, "recipe of format 1; my film.mp4 has 2"),
        (lambda recipe: [recipe], "damaged"),
        (lambda recipe: '{"made_by":"Seamline"' + "[" * 100_000, "damaged"),
        (lambda recipe: "a holiday", "my film.mp4 carries no recipe"),
    ],
)
def test_recipes_that_cannot_be_are_told(film, tmp_path, change, said):
    with pytest.raises(ClipError, match=f"^expected a .*{said}") as error:
        read_given(with_recipe(film, tmp_path / "upload.mp4", change), "my film.mp4")
    assert "upload" not in str(error.value)


def test_a_newer_version_is_named(film, tmp_path):
    def newer(recipe):
        return put("settings", shine=1)(put("versions", seamline="9.1")(recipe))

    with pytest.raises(ClipError, match=r"^f was made by Seamline 9.1, this is 0.1.0: .*shine is not a setting"):
        read_given(with_recipe(film, tmp_path / "upload.mp4", newer), "f")


def test_over_http_the_head_is_enough_and_nothing_stays(film, sessions, sound, workspace, monkeypatch):
    app = FastAPI()

    @app.exception_handler(ClipError)
    def explain(_request, error):
        return JSONResponse({"error": str(error)}, 422)

    app.include_router(recipe_routes(sessions))
    client = TestClient(app)

    def ask(content, name="film.mp4", token="", **more):
        answer = client.post("/studio/recipe", params={"name": name, "token": token}, content=content, **more)
        left = [path for path in (workspace / "cache").rglob("*") if path.is_file()]
        assert left == []
        return answer.status_code, answer.json()

    head = head_of(film)
    assert len(head) < 20_000 < len(film.read_bytes())
    for content in (head, film.read_bytes()):
        status, told = ask(content)
        assert (status, told["settings"], told["model"], told["frame"]) == (200, SETTINGS.model_dump(), "tiny", None)
    own, other = (sessions.open("tiny", sound, EVENING, owner=owner).token for owner in ("", "ann"))
    assert ask(head, token=own)[1]["frame"] == 14
    for token in (other, "", "../x", "x" * 5000):
        assert "my speech.wav" in ask(head, token=token)[1]["missing"][0]

    clip = ClipLibrary().clip("LS1", EVENING).path
    odd = "../../<b>\n" + "x" * 300 + ".mp4"
    for content, name, said in (
        (b"", "a.mp4", "'a.mp4' is empty"),
        (b"not a video at all", "notes.mp4", "'notes.mp4' is no mp4"),
        (head[:200], "a.mp4", "'a.mp4' carries no recipe"),
        (head[:32], "a.mp4", "expected a"),
        (head_of(clip), "clip.mp4", "'clip.mp4' carries no recipe"),
        (b"#EXTM3U\nhttp://127.0.0.1:1/a.ts\n", "list.mp4", "'list.mp4' is no mp4"),
        (b"no", odd, shown_name(odd)),
    ):
        status, told = ask(content, name)
        assert (status, said in told["error"]) == (422, True), (said, told)
        assert str(workspace) not in told["error"]
    monkeypatch.setattr(recipes_module, "MAX_HEAD_BYTES", 2**20)
    for body in (bytes(2**20 + 1), iter([bytes(2**20), b"x"])):
        assert "may have 1 MB" in ask(body)[1]["error"]


def test_the_page_puts_back_known_names_only(sessions):
    restore = _restorer(sessions, ["feather_amount"])
    told = {"model": "tiny", "base": EVENING, "quality": "high", "range": "loop", "frame": 5}
    model, base, quality, part, frame, feather = restore(json.dumps(told | {"settings": {"feather_amount": 7}}), None)
    assert (model, quality, part, frame, feather) == ("tiny", "high", "loop", 5, 7)
    assert (base.value, EVENING in str(base.choices)) == (EVENING, True)
    for wrong in ({"model": "../x"}, {"model": [1]}, {"quality": "best"}, {"quality": []}, {"settings": {"shine": 1}}):
        with pytest.raises((ClipError, ValueError)):
            restore(json.dumps(wrong), None)
    for odd in ({"frame": -1}, {"frame": True}, {"frame": "5"}, {"range": "all"}, {"base": 5}, {}):
        assert all(isinstance(one, dict) and "value" not in one for one in restore(json.dumps(odd), None))
