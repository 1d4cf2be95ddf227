"""Log-in, the rules of the guard without a network, and accounts."""

import asyncio

import httpx
import pytest
from fastapi import FastAPI, Request, WebSocket
from fastapi.testclient import TestClient
from gradio_client import Client
from starlette.websockets import WebSocketDisconnect
from studio_server import serve

from clips.errors import ClipError
from studio.access import Access, Guard, hosts_of, password_check, read_accounts


def small_app(access):
    app = FastAPI()
    app.add_middleware(Guard, access=access)

    @app.get("/studio/who")
    def who(request: Request):
        return {"person": request.state.person}

    @app.post("/studio/echo")
    async def echo(request: Request):
        return {"bytes": len(await request.body())}

    @app.get("/")
    def page():
        return {}

    @app.websocket("/studio/live")
    async def live(socket: WebSocket):
        await socket.accept()
        await socket.send_text(socket.state.person)

    return TestClient(app)


def test_each_browser_is_a_person_and_stays_one():
    one, other = small_app(Access()), small_app(Access())
    assert one.get("/studio/who").json() == one.get("/studio/who").json()
    assert one.get("/studio/who").json() != other.get("/studio/who").json()
    with one.websocket_connect("/studio/live") as socket:
        assert socket.receive_text() == one.get("/studio/who").json()["person"]
    assert one.post("/studio/echo", content=b"x" * 1000).json() == {"bytes": 1000}
    forged = other.get("/studio/who", headers={"Cookie": "seamline-person=x"}).json()
    assert forged["person"] != "x"


def test_without_log_in_nothing_but_the_log_in_page_is_there():
    client = small_app(Access(user_of=lambda cookies: {"a" * 16: "ann"}.get(cookies.get("token"))))
    assert client.get("/").status_code == 200
    for path in (
        "/studio/who", "/studio/renders", "/gradio_api/upload", "/gradio_api/file=x", "/gradio_api/heartbeat/x",
        "/config", "/monitoring", "/studio", "/static/../studio/who", "/gradio_api/queue/data",
    ):  # fmt: skip
        answer = client.get(path)
        assert (answer.status_code, answer.json()["error"]) == (401, "log in first"), path
    assert client.post("/studio/echo", content=b"x").status_code == 401
    with pytest.raises(WebSocketDisconnect) as caught, client.websocket_connect("/studio/live"):
        pass
    assert (caught.value.code, caught.value.reason) == (1008, "log in first")
    client.cookies.set("token", "a" * 16)
    assert client.get("/studio/who").json() == {"person": "account ann"}
    with client.websocket_connect("/studio/live") as socket:
        assert socket.receive_text() == "account ann"


def test_a_socket_of_another_site_is_refused():
    client = small_app(Access())
    for origin in ("http://elsewhere.example", "null", "http://testserver.elsewhere.example"):
        with pytest.raises(WebSocketDisconnect), client.websocket_connect("/studio/live", headers={"Origin": origin}):
            pass
    with client.websocket_connect("/studio/live", headers={"Origin": "http://testserver"}) as socket:
        assert socket.receive_text()


def test_bound_to_this_machine_it_answers_to_its_names_only():
    assert hosts_of("0.0.0.0") is hosts_of("192.168.1.7") is None
    client = small_app(Access(hosts=hosts_of("127.0.0.1")))
    for host in ("localhost:7860", "127.0.0.1", "[::1]:7860"):
        assert client.get("/", headers={"Host": host}).status_code == 200, host
    for host in ("elsewhere.example", "localhost.elsewhere.example", "", "[::1"):
        assert client.get("/", headers={"Host": host}).status_code == 421, host


def test_accounts_come_from_text_or_a_file(tmp_path):
    assert read_accounts("ann:a:b") == {"ann": "a:b"}
    path = tmp_path / "accounts.txt"
    path.write_text("# people\nann:one\n\nbob: two \n", encoding="utf-8")
    assert read_accounts(str(path)) == {"ann": "one", "bob": " two"}
    for text, said in (("", "must be user:password"), ("ann", "must be"), (":x", "must be"), ("ann:", "must be")):
        with pytest.raises(ClipError, match=said):
            read_accounts(text)
    for text, said in (("", "there are none"), ("ann:secret\nbob", "line 2"), ("ann:1\nann:2", "stands twice")):
        path.write_text(text, encoding="utf-8")
        with pytest.raises(ClipError, match=said) as caught:
            read_accounts(str(path))
        assert "secret" not in str(caught.value)


def test_passwords_are_compared_whole():
    check = password_check({"ann": "one", "Ü": "ß"})

    def right(*given):
        return asyncio.run(check(*given))

    assert right("ann", "one")
    assert right("Ü", "ß")
    assert not right("ann", "One")
    assert not right("nobody", "")


@pytest.mark.usefixtures("one_torch_thread")
def test_log_in_guards_the_whole_studio(tmp_path):
    """The real server: page, Gradio's routes, our own, and gradio_client with auth."""
    with serve(tmp_path, accounts={"ann": "one", "bob": "two"}) as address:
        for path in ("/studio/renders", "/studio/presets", "/config", "/gradio_api/info", "/gradio_api/file=x"):
            assert httpx.get(address + path).status_code == 401, path
        assert httpx.get(address).status_code == 200
        assert "How far the matte reaches" not in httpx.get(address).text
        assert httpx.post(f"{address}/login", data={"username": "ann", "password": "two"}).status_code == 400
        with httpx.Client(base_url=address) as ann:
            assert ann.post("/login", data={"username": "ann", "password": "one"}).status_code == 200
            assert ann.get("/studio/renders").json() == []
            assert "How far the matte reaches" in ann.get("/").text
        with pytest.raises(ValueError, match=r"credentials|401|auth"):
            Client(address, verbose=False)
        rows = Client(address, auth=("bob", "two"), verbose=False).predict(api_name="/verify")
        assert len(rows) == 5
