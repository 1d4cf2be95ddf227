"""The viewer's endpoint and the render service, without a browser."""

import json
import struct
import threading

import cv2
import numpy as np
import pytest
from fastapi.testclient import TestClient

from blending import BlendSettings
from clips.core_clips_processor import AUTOMATIC
from clips.errors import ClipError
from clips.render import RenderCancelled
from clips.video import probe
from studio.layout import SAMPLE_SPEECH
from studio.preview import PreviewRequest, preview
from studio.renders import Renders
from studio.server import build_app
from studio.sessions import SESSIONS_KEPT, Sessions

EVENING = "05,20s talk evening"


@pytest.fixture(scope="module")
def sessions(tmp_path_factory):
    return Sessions(tmp_path_factory.mktemp("workspace"), device="cpu")


@pytest.fixture(scope="module")
def session(sessions):
    return sessions.open("LS1", SAMPLE_SPEECH, EVENING)


def unpack(body: bytes) -> tuple[dict, dict[str, np.ndarray]]:
    length = struct.unpack_from("<I", body)[0]
    header = json.loads(body[4 : 4 + length])
    layers, offset = {}, 4 + length
    for layer in header["layers"]:
        blob = np.frombuffer(body[offset : offset + layer["bytes"]], np.uint8)
        layers[layer["name"]] = cv2.imdecode(blob, cv2.IMREAD_UNCHANGED)
        offset += layer["bytes"]
    assert offset == len(body)
    return header, layers


def ask(session, frame=30, **settings):
    wanted = PreviewRequest(token=session.token, frame=frame, settings=settings)
    return unpack(preview(session, wanted))


@pytest.mark.parametrize("frame", [0, 30, 150])
def test_layers_put_together_are_the_rendered_frame(session, frame):
    header, layers = ask(session, frame, expansion_ratio=1.22, feather_amount=18)
    x, y, width, height = header["roi"]
    shown = layers["plate"].copy()
    shown[y : y + height, x : x + width] = layers["composite"]
    settings = BlendSettings(expansion_ratio=1.22, feather_amount=18)
    rendered = session.processor._generate_frame_with_blending(session.performance, frame, settings)
    assert np.array_equal(shown, rendered.frame)
    assert np.array_equal(layers["matte"], np.rint(rendered.matte[y : y + height, x : x + width] * 255))
    unblended = layers["plate"].copy()
    unblended[y : y + height, x : x + width] = layers["unblended"]
    assert np.array_equal(unblended, session.processor.generate_frame(session.performance, frame))


def test_every_control_changes_the_picture(session):
    _, start = ask(session)
    for changed in (
        {"expansion_ratio": 1.3}, {"feather_amount": 5}, {"feather_unit": "px"}, {"compositor": "hard"},
        {"colour": "none"}, {"colour": "histogram"}, {"colour_amount": 0.3},
    ):  # fmt: skip
        _, layers = ask(session, **changed)
        assert not np.array_equal(layers["composite"], start["composite"]), changed


def test_the_blend_scores_better_than_the_paste(session):
    header, _ = ask(session)
    assert 0 < header["score"] < header["unblended_score"] / 2
    assert set(header["sectors"]) == {"left_cheek", "chin", "neck", "right_cheek"}


def test_automatic_base_shows_silence_unchanged(sessions):
    session = sessions.open("LS1", SAMPLE_SPEECH, AUTOMATIC)
    cuts = session.performance.edits.cuts
    assert {cut.driven for cut in cuts} == {True, False}
    silent = next(cut for cut in cuts if not cut.driven)
    header, layers = ask(session, silent.place.start)
    assert not header["driven"]
    assert not layers["matte"].any()
    assert "silence" in header["limits"][0]
    assert EVENING in session.performance.notes[0]


@pytest.mark.parametrize(
    ("frame", "settings", "message"),
    [
        (10_000, {}, "frame must lie in 0"),
        (-1, {}, "frame must lie in 0"),
        (0, {"expansion_ratio": 9}, "expansion_ratio must be"),
        (0, {"expansion_ratio": float("nan")}, "expansion_ratio must be"),
        (0, {"feather": 3}, "did you mean"),
        (0, {"colour": ["none"]}, "colour must be"),
        (0, {"feather_amount": True}, "feather_amount must be"),
    ],
)
def test_bad_requests_name_what_is_wrong(session, frame, settings, message):
    with pytest.raises(ValueError, match=message):
        ask(session, frame, **settings)


def test_sessions_are_kept_apart_and_bounded(sessions, session):
    with pytest.raises(ClipError, match="reload the page"):
        sessions.get("somebody else's", "me")
    opened = [sessions.open("LS1", SAMPLE_SPEECH, EVENING).token for _ in range(3)]
    assert len(set(opened)) == 3
    assert len(sessions._sessions) <= SESSIONS_KEPT
    assert sessions.get(session.token, "me") is session


def test_render_reports_and_leaves_both_videos(session, tmp_path):
    short = sessions_short(session)
    renders = Renders(tmp_path)
    states = list(renders.run(short, BlendSettings()))
    last = states[-1]
    assert last.report is not None
    assert [s.done for s in states] == sorted(s.done for s in states)
    for path in (last.report.path, last.unblended):
        info = probe(path)
        assert info.frames == short.performance.frames
        assert info.has_sound
    assert len(list(renders.folder.glob("*.mp4"))) == 2


def test_a_cancelled_render_leaves_nothing(session, tmp_path):
    renders = Renders(tmp_path)
    running = renders.run(session, BlendSettings())
    next(running)
    threading.Timer(0.5, session.cancel.set).start()
    with pytest.raises(RenderCancelled):
        list(running)
    assert list(renders.folder.iterdir()) == []


def test_a_render_that_nobody_waits_for_stops(session, tmp_path):
    renders = Renders(tmp_path)
    running = renders.run(session, BlendSettings())
    next(running)
    running.close()
    assert list(renders.folder.iterdir()) == []
    assert not any(thread.name in ("render", "shots") for thread in threading.enumerate())


def sessions_short(session):
    """The same session with a sound of 0.4 s."""
    from studio.sessions import Session

    performance = session.processor.prepare(session.performance.wav[:6400], EVENING)
    return Session("short", session.processor, performance)


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    with TestClient(build_app(tmp_path_factory.mktemp("workspace"), device="cpu")) as client:
        yield client


def test_page_and_its_files_come_from_here(client):
    page = client.get("/")
    assert page.status_code == 200
    assert "/studio/static/studio.js" in page.text
    assert client.get("/studio/static/studio.js").status_code == 200


def test_hostile_requests_get_an_answer(client):
    def post(body, **headers):
        return client.post("/studio/preview", content=body, headers={"Content-Type": "application/json", **headers})

    unknown = post(json.dumps({"token": "x", "frame": 0, "settings": {}}))
    assert (unknown.status_code, "reload the page" in unknown.json()["error"]) == (422, True)
    assert post("{").status_code == 422
    assert post(json.dumps({"token": 3, "frame": "a", "settings": []})).status_code == 422
    assert post(json.dumps({"token": "x", "frame": 0, "settings": {}, "more": 1})).status_code == 422
    foreign = post(json.dumps({"token": "x", "frame": 0, "settings": {}}), Origin="http://elsewhere.example")
    assert foreign.status_code == 403
    assert client.get("/studio/renders/..%2f..%2fREADME.md/video").status_code in (404, 422)
    assert client.get("/studio/static/../server.py").status_code == 404


def test_header_tells_the_feather_that_was_used_and_the_floor_once_it_is_measured(session):
    header, _ = ask(session, 30)
    result = session.processor._generate_frame_with_blending(session.performance, 30, BlendSettings())
    assert header["feather_px"] == pytest.approx(result.feather_px, abs=0.05)
    assert header["feather_share"] == pytest.approx(result.chosen["feather_share"], abs=5e-4)
    floor = session.processor.floor_of(EVENING)
    header, _ = ask(session, 30)
    assert header["floor"] == pytest.approx(floor, abs=5e-4)
    assert header["floor"] < header["score"] < header["unblended_score"]
