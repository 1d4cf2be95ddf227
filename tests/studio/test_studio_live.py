"""The viewer's WebSocket: same pixels as the render, latest wins, hostile messages get an answer."""

import json
import struct
import threading
import time

import pytest
from fastapi.testclient import TestClient
from starlette.websockets import WebSocketDisconnect

from blending import BlendSettings
from clips.errors import ClipError
from clips.library import SAMPLE_SPEECH
from studio import live as live_module
from studio.access import COOKIE, Access, Guard
from studio.live import MAX_MESSAGE_BYTES, Live, is_foreign
from studio.preview import PreviewRequest, preview
from studio.routes import timeline_routes
from studio.sessions import Sessions
from studio.timeline import SeamScans

EVENING = "05,20s talk evening"


@pytest.fixture(scope="module")
def sessions(tmp_path_factory):
    return Sessions(tmp_path_factory.mktemp("workspace"), device="cpu")


@pytest.fixture(scope="module")
def session(sessions):
    return sessions.open("LS1", SAMPLE_SPEECH, EVENING)


@pytest.fixture(scope="module")
def client(sessions):
    from fastapi import FastAPI, WebSocket

    app, live = FastAPI(), Live(sessions)

    @app.websocket("/studio/live")
    async def talk(socket: WebSocket) -> None:
        await live.serve(socket)

    with TestClient(app) as client:
        yield client


def ask(token, seq=1, frame=30, settings=None, **more):
    return json.dumps({"token": token, "seq": seq, "frame": frame, "settings": settings or {}, **more})


def header_of(body):
    length = struct.unpack_from("<I", body)[0]
    return json.loads(body[4 : 4 + length])


def test_answers_are_those_of_the_preview(client, session):
    with client.websocket_connect("/studio/live") as socket:
        socket.send_text(ask(session.token, 7, plate=False, score=False))
        body = socket.receive_bytes()
    wanted = PreviewRequest(token=session.token, frame=30, settings={}, plate=False, score=False)
    same = preview(session, wanted)
    assert header_of(body)["seq"] == 7
    start, other = (struct.unpack_from("<I", one)[0] + 4 for one in (body, same))
    assert body[start:] == same[other:]


def test_the_latest_message_wins(client, session, monkeypatch):
    """While one is answered, all but the last of those that come are dropped."""
    answered, first = [], threading.Event()

    def slow(_session, request):
        answered.append(request.seq)
        first.set()
        time.sleep(0.3)
        return struct.pack("<I", 2) + b"{}"

    monkeypatch.setattr(live_module, "preview", slow)
    with client.websocket_connect("/studio/live") as socket:
        socket.send_text(ask(session.token, 1))
        assert first.wait(5)
        for seq in range(2, 40):
            socket.send_text(ask(session.token, seq))
        socket.receive_bytes()
        socket.receive_bytes()
    assert answered == [1, 39]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "wrong at its start"),
        (json.dumps({"token": 3}), "wrong at token"),
        (ask("somebody else's"), "reload the page"),
        (ask("TOKEN", frame=10_000), "frame must lie in 0"),
        (ask("TOKEN", settings={"feather": 3}), "did you mean"),
        (ask("TOKEN", settings={"expansion_ratio": 9}), "expansion_ratio must be"),
        (ask("TOKEN", settings={"expansion_ratio": float("nan")}), "expansion_ratio must be"),
        (ask("TOKEN", settings={"feather_amount": True}), "feather_amount must be"),
        (ask("TOKEN", path="../../etc/passwd"), "wrong at path"),
        (ask("TOKEN", seq=-1), "wrong at seq"),
    ],
)
def test_wrong_messages_are_explained_and_the_connection_goes_on(client, session, text, message):
    with client.websocket_connect("/studio/live") as socket:
        socket.send_text(text.replace("TOKEN", session.token))
        told = json.loads(socket.receive_text())
        assert message in told["error"]
        assert "Traceback" not in told["error"]
        socket.send_text(ask(session.token, 5, plate=False, score=False))
        assert header_of(socket.receive_bytes())["seq"] == 5


def test_an_unforeseen_fault_is_no_end(client, session, monkeypatch):
    def broken(_session, _request):
        raise RuntimeError("a secret path")

    monkeypatch.setattr(live_module, "preview", broken)
    with client.websocket_connect("/studio/live") as socket:
        socket.send_text(ask(session.token, 3))
        told = json.loads(socket.receive_text())
    assert told["seq"] == 3
    assert "secret" not in told["error"]


def test_foreign_pages_large_and_binary_messages_are_refused(client, session):
    with (
        pytest.raises(WebSocketDisconnect),
        client.websocket_connect("/studio/live", headers={"Origin": "http://elsewhere.example"}) as socket,
    ):
        socket.receive_text()
    for send in (lambda s: s.send_text("x" * (MAX_MESSAGE_BYTES + 1)), lambda s: s.send_bytes(b"\0" * 10)):
        with client.websocket_connect("/studio/live") as socket:
            send(socket)
            with pytest.raises(WebSocketDisconnect):
                socket.receive_text()
    assert is_foreign("http://elsewhere.example", "127.0.0.1:7860")
    assert is_foreign("null", "127.0.0.1:7860")
    assert not is_foreign("http://127.0.0.1:7860", "127.0.0.1:7860")
    assert not is_foreign(None, "127.0.0.1:7860")


def test_layers_come_on_request_and_for_alpha_only(session):
    def header(**more):
        settings = BlendSettings(compositor=more.pop("compositor", "alpha")).model_dump()
        return header_of(preview(session, PreviewRequest(token="", frame=30, settings=settings, score=False, **more)))

    assert "local" not in header()
    assert "local" not in header(layers=True, compositor="multiband")
    told = header(layers=True)
    side = told["local"]["side"]
    sizes = {layer["name"]: layer["bytes"] for layer in told["layers"]}
    assert sizes["local_plate"] == sizes["local_generated"] == 3 * side * side
    assert sizes["local_distance"] == 4 * told["local"]["cells"] ** 2


def test_a_session_is_its_owners_wherever_it_is_asked_for(sessions):
    from fastapi import FastAPI, WebSocket
    from fastapi.responses import JSONResponse

    app, live = FastAPI(), Live(sessions)
    app.add_middleware(Guard, access=Access())
    app.include_router(timeline_routes(sessions, SeamScans(lambda: False)))
    app.exception_handler(ClipError)(lambda request, error: JSONResponse({"error": str(error)}, 422))

    @app.websocket("/studio/live")
    async def talk(socket: WebSocket) -> None:
        await live.serve(socket)

    people = ("a" * 20, "b" * 20)
    token = sessions.open("LS1", SAMPLE_SPEECH, EVENING, owner=people[0]).token
    for person in people:
        client = TestClient(app, cookies={COOKIE: person})
        asked = {"token": token, "frame": 30, "settings": {}}
        answers = [
            client.get(f"/studio/timeline/{token}"), client.get(f"/studio/thumbnail/{token}/0"),
            client.post("/studio/scan", json={"token": token, "settings": {}}),
            client.post("/studio/advice", json=asked),
        ]  # fmt: skip
        with client.websocket_connect("/studio/live") as socket:
            socket.send_text(ask(token))
            message = socket.receive()
        if person == people[0]:
            assert [answer.status_code for answer in answers] == [200] * 4
            assert message.get("bytes")
        else:
            assert [answer.status_code for answer in answers] == [422] * 4
            assert all("another person" in answer.json()["error"] for answer in answers)
            assert "another person" in json.loads(message["text"])["error"]
