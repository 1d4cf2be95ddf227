"""The endpoints as gradio_client sees them, and the server as an enemy does."""

import http.client
import json
import os
import threading
import time
from urllib.parse import quote

import cv2
import httpx
import numpy as np
import pytest
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from studio_server import serve

from blending import BlendSettings
from clips.audio import save_wav
from clips.video import probe
from studio.access import MAX_BODY, hosts_of

EVENING = "05,20s talk evening"


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """Address and workspace of a studio for people on this machine."""
    workspace = tmp_path_factory.mktemp("studio")
    with serve(workspace, hosts=hosts_of("127.0.0.1")) as address:
        yield address, workspace


@pytest.fixture(scope="module")
def client(server, tmp_path_factory):
    return Client(server[0], verbose=False, download_files=tmp_path_factory.mktemp("downloads"))


@pytest.fixture(scope="module")
def sound(speech, tmp_path_factory):
    """0.8 s of speech."""
    path = tmp_path_factory.mktemp("sound") / "mein Ton.wav"
    save_wav(path, speech[8000:20_800])
    return path


def test_endpoints_are_named_typed_and_explained(client, server):
    shown = client.view_api(return_format="dict")
    assert set(shown["named_endpoints"]) == {"/preview", "/render", "/sweep", "/verify"}
    assert shown["unnamed_endpoints"] == {}
    info = httpx.get(f"{server[0]}/gradio_api/info").json()["named_endpoints"]
    for name, results in (("/preview", 2), ("/render", 3), ("/sweep", 2), ("/verify", 1)):
        endpoint = info[name]
        assert len(endpoint["returns"]) == results, name
        assert all(p["parameter_has_default"] and p["python_type"]["type"] != "Any" for p in endpoint["parameters"])
        assert endpoint["description"], name


def test_preview_is_the_render_of_that_frame(client, sound):
    from clips.core_clips_processor import CoreClipsProcessor

    picture, told = client.predict(
        handle_file(sound), base=EVENING, frame=7, settings={"feather_amount": 18}, api_name="/preview"
    )
    assert (told["frame"], told["frames"], told["clip"]) == (7, 20, EVENING)
    assert 0 < told["score"] < told["unblended_score"]
    assert told["settings"] == BlendSettings(feather_amount=18).model_dump()
    processor = CoreClipsProcessor("LS1", device="cpu")
    frame = processor._generate_frame_with_blending(
        processor.prepare(sound, EVENING), 7, BlendSettings(feather_amount=18)
    )
    assert np.array_equal(cv2.imread(picture), frame.frame)


def test_preview_without_a_sound_takes_the_sample_and_presets_apply(client):
    _, told = client.predict(frame=30, preset="classic", settings={"texture": 0.5}, api_name="/preview")
    assert (told["frames"], told["settings"]["colour"], told["settings"]["texture"]) == (180, "histogram", 0.5)


def test_render_tells_progress_and_hands_out_both_videos(client, server, sound):
    job = client.submit(handle_file(sound), base=EVENING, start_s=0.2, stop_s=0.6, api_name="/render")
    *running, (video, unblended, told) = list(job)
    assert all(state[0] is None and state[2]["total"] == 10 for state in running)
    assert (told["frames"], told["first_frame"], told["blended_frames"]) == (10, 5, 10)
    assert told["seam_worst"] >= told["seam_mean"] > 0
    assert [probe(path).frames for path in (video, unblended)] == [10, 10]
    (shown,) = httpx.get(f"{server[0]}/studio/renders").json()
    assert (shown["id"], shown["range"], shown["sound"]) == (told["id"], [5, 15], "mein Ton.wav")
    base = f"{server[0]}/studio/renders/{told['id']}"
    assert httpx.get(f"{base}/thumbnail").content[:3] == b"\xff\xd8\xff"
    assert httpx.get(f"{base}/settings").json() == told["settings"]
    assert "settings" in httpx.get(f"{base}/recipe").json()
    part = httpx.get(f"{base}/video?unblended=true", headers={"Range": "bytes=0-99"})
    assert (part.status_code, len(part.content)) == (206, 100)
    assert httpx.delete(base).json() == {"deleted": told["id"]}
    assert httpx.get(f"{server[0]}/studio/renders").json() == []
    assert httpx.get(f"{base}/video").status_code == 422


def test_a_cancelled_render_leaves_nothing(client, server):
    job = client.submit(base=EVENING, api_name="/render")
    for _ in job:
        job.cancel()
        break
    deadline = time.monotonic() + 20
    while any(thread.name == "render" for thread in threading.enumerate()):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert list((server[1] / "renders").glob("*.mp4")) == []


def test_sweep_shows_every_pair_with_its_score(client, sound):
    sheet, tiles = client.predict(
        handle_file(sound), base=EVENING, frame=7, down_values=[1.1, 1.2], across="colour",
        across_values=["membrane", "none"], api_name="/sweep",
    )  # fmt: skip
    assert [list(tile["values"].values()) for tile in tiles] == [
        [1.1, "membrane"], [1.1, "none"], [1.2, "membrane"], [1.2, "none"],
    ]  # fmt: skip
    picture = cv2.imread(sheet)
    for tile in tiles:
        x, y, width, height = tile["place"]
        assert picture[y : y + height, x : x + width].shape == (height, width, 3)
        assert picture[y : y + height, x : x + width].std() > 5
        _, told = client.predict(
            handle_file(sound), base=EVENING, frame=7, settings=tile["values"], api_name="/preview"
        )
        assert tile["score"] == pytest.approx(told["score"], abs=1e-3)


def test_verify_gives_the_table(client):
    rows = client.predict(api_name="/verify")
    assert len(rows) == 5
    assert all(row["passed"] for row in rows)
    (row,) = client.predict(clip=EVENING, api_name="/verify")
    assert (row["name"], row["kind"], row["found_pct"]) == (EVENING, "talk", 100.0)


WRONG = [
    ("/preview", {"frame": 180}, "frame must be a whole number in 0 .. 179; got 180"),
    ("/preview", {"frame": -1}, "frame must be a whole number"),
    ("/preview", {"frame": 1.5}, "frame must be a whole number"),
    ("/preview", {"frame": True}, "frame must be a whole number"),
    ("/preview", {"frame": "3"}, "frame must be a whole number"),
    ("/preview", {"frame": None}, "frame must be a whole number"),
    ("/preview", {"frame": [3]}, "frame must be a whole number"),
    ("/preview", {"model": None}, "model must be a name"),
    ("/preview", {"model": ["LS1"]}, "model must be a name"),
    ("/preview", {"model": "../LS1"}, "plain name of a model"),
    ("/preview", {"model": "LS2"}, "no model is called 'LS2'; did you mean 'LS1'?"),
    ("/preview", {"base": "nothing"}, "no clip of LS1 is called 'nothing'"),
    ("/preview", {"base": {}}, "base must be a name"),
    ("/preview", {"base": "x" * 400}, "base must be a name"),
    ("/preview", {"preset": "../classic"}, "does not exist; there are: default, classic"),
    ("/preview", {"preset": True}, "preset must be a name"),
    ("/preview", {"settings": [1]}, "settings must be names with values"),
    ("/preview", {"settings": "soft"}, "settings must be names with values"),
    ("/preview", {"settings": {"feather_amount": "NaN"}}, "feather_amount must be between"),
    ("/preview", {"settings": {"feather_amount": True}}, "feather_amount must be between"),
    ("/preview", {"settings": {"feather_amount": None}}, "feather_amount must be between"),
    ("/preview", {"settings": {"colour": ["none"]}}, "colour must be one of"),
    ("/preview", {"settings": {"fether_amount": 3}}, "did you mean feather_amount"),
    ("/preview", {"audio": "sample.wav"}, "audio must be an uploaded file"),
    ("/preview", {"audio": 5}, "audio must be an uploaded file"),
    ("/render", {"start_s": -1}, r"start_s and stop_s must lie in 0 .. 7.2 s"),
    ("/render", {"start_s": 7.2}, "start_s and stop_s must lie"),
    ("/render", {"start_s": 2, "stop_s": 2}, "start_s and stop_s must lie"),
    ("/render", {"stop_s": 900}, "start_s and stop_s must lie"),
    ("/render", {"stop_s": "2"}, "stop_s must be a number"),
    ("/render", {"start_s": None}, "start_s must be a number"),
    ("/render", {"start_s": 1e300}, "start_s must be a number"),
    ("/sweep", {"frame": 30, "down": "feather_amount"}, "needs two settings"),
    ("/sweep", {"frame": 30, "down": "fether_amount"}, "did you mean feather_amount"),
    ("/sweep", {"frame": 30, "down": ["feather_amount"]}, "down must be a name"),
    ("/sweep", {"frame": 30, "down_values": [1.1]}, "2 to 5 values of expansion_ratio; got 1"),
    ("/sweep", {"frame": 30, "down_values": [1.1] * 6}, "2 to 5 values of expansion_ratio; got 6"),
    ("/sweep", {"frame": 30, "down_values": [1.1, 1.1]}, "must differ"),
    ("/sweep", {"frame": 30, "down_values": [1.1, 9]}, "expansion_ratio must be between"),
    ("/sweep", {"frame": 30, "down_values": "many"}, "must be a list"),
    ("/sweep", {"frame": 30, "across_values": {"a": 1}}, "must be a list"),
    ("/verify", {"model": "nobody"}, "no model is called"),
    ("/verify", {"clip": "nothing"}, "no clip of LS1"),
    ("/verify", {"clip": None}, "clip must be a name"),
]  # fmt: skip


@pytest.mark.parametrize(("endpoint", "given", "said"), WRONG)
def test_wrong_input_is_named(client, endpoint, given, said):
    with pytest.raises(AppError, match=said):
        client.predict(**given, api_name=endpoint)


@pytest.mark.parametrize("path", ["README.md", "a\0b"])
def test_a_file_that_was_not_uploaded_is_refused_before_gradio_sees_it(client, path):
    with pytest.raises(httpx.HTTPStatusError, match="403"):
        client.predict(audio={"path": path}, api_name="/preview")


@pytest.mark.parametrize("name", ["text.wav", "text.mp4", "text.mp3"])
def test_a_text_as_sound_is_told(client, tmp_path, name):
    (tmp_path / name).write_text("This is no sound.\n" * 50)
    with pytest.raises(AppError, match="cannot be read"):
        client.predict(handle_file(tmp_path / name), api_name="/preview")


def test_a_sound_that_is_too_long_is_told_before_it_is_read(client, tmp_path):
    save_wav(tmp_path / "long.wav", np.zeros(601 * 16000, np.float32))
    with pytest.raises(AppError, match=r"may last 10 minutes; got 10\.0"):
        client.predict(handle_file(tmp_path / "long.wav"), api_name="/render")


# As an enemy does


def raw(server, method, path, body=None, **headers):
    """A request exactly as it is written, and the answer."""
    connection = http.client.HTTPConnection(server[0].removeprefix("http://"), timeout=30)
    connection.request(method, path, body, {key.replace("_", "-"): value for key, value in headers.items()})
    answer = connection.getresponse()
    text = answer.read().decode("utf-8", "replace")
    connection.close()
    return answer.status, text


JSON = {"Content_Type": "application/json"}


def test_numbers_that_are_none_are_refused(server):
    call = '{"data": [null, "LS1", "core clips", %s, null, "default"], "session_hash": "x"}'
    for number in ("NaN", "Infinity", "1e999", "-1e999"):
        status, text = raw(server, "POST", "/gradio_api/run/preview", call % number, **JSON)
        assert status in (400, 404, 422, 500), text
        assert "Traceback" not in text
    status, text = raw(server, "POST", "/studio/presets", '{"name": "n", "settings": {"feather_amount": NaN}}', **JSON)
    assert (status, "feather_amount must be between" in text) == (422, True)


@pytest.mark.parametrize(
    "path",
    [
        "/gradio_api/file=/etc/hostname", "/gradio_api/file=/etc/../etc/hostname", "/gradio_api/file=app_gradio.py",
        "/gradio_api/file=../../../etc/hostname", "/gradio_api/file=%2e%2e%2f%2e%2e%2fetc/hostname",
        "/gradio_api/file=README.md",
        "/studio/renders/..%2f..%2fREADME.md/video", "/studio/static/..%2f..%2fapp_gradio.py",
        "/studio/renders/x/thumbnail", "/gradio_api/file=http://127.0.0.1:1/x",
    ],
)  # fmt: skip
def test_no_path_leads_out(server, path):
    status, text = raw(server, "GET", path)
    assert status in (400, 403, 404, 422), (status, text[:200])
    assert "Seamline" not in text


def test_models_and_clips_are_no_paths(server):
    for model in ("..", "../LS1", "LS1/../LS1", "/etc", "LS1\\..", ".", "", "LS1\0"):
        for path in (f"/studio/clips?model={quote(model)}", f"/studio/presets?model={quote(model)}"):
            status, text = raw(server, "GET", path)
            assert (status, "error" in text) == (422, True), (path, status, text)


def test_huge_bodies_are_refused_before_they_are_read(server):
    for path in ("/studio/presets", "/studio/preview", "/gradio_api/queue/join", "/gradio_api/run/preview", "/login"):
        status, text = raw(server, "POST", path, b"x" * (MAX_BODY + 1), **JSON)
        assert (status, "4 MB" in text) == (413, True), path
    connection = http.client.HTTPConnection(server[0].removeprefix("http://"), timeout=30)
    parts = iter([b"x" * 2**20] * 6)
    connection.request("POST", "/studio/presets", parts, {"Content-Type": "application/json"}, encode_chunked=True)
    assert connection.getresponse().status == 413


@pytest.mark.parametrize("body", ["", "{", "[]", "null", '"x"', "[" * 50_000, '{"data": 3}', "\xff"])
def test_bodies_that_are_no_calls_get_an_answer(server, body):
    for path in (
        "/studio/presets",
        "/studio/link",
        "/studio/preview",
        "/gradio_api/queue/join",
        "/gradio_api/run/preview",
    ):
        status, text = raw(server, "POST", path, body.encode("latin-1"), **JSON)
        assert 400 <= status <= 500, (path, status)
        assert "Traceback" not in text


def test_other_sites_and_names_are_refused(server):
    for path in ("/studio/presets", "/gradio_api/queue/join", "/gradio_api/upload", "/studio/clips?model=LS1&name=x"):
        status, _ = raw(server, "POST", path, b"{}", Origin="http://elsewhere.example", **JSON)
        assert status == 403, path
        assert raw(server, "POST", path, b"{}", Origin="null", **JSON)[0] == 403
    assert raw(server, "DELETE", "/studio/renders/x", Origin="http://elsewhere.example")[0] == 403
    assert raw(server, "GET", "/", Host="elsewhere.example")[0] == 421
    assert raw(server, "GET", "/", Host=f"localhost:{server[0].rsplit(':', 1)[1]}")[0] == 200


def test_files_that_nobody_uploaded_are_neither_read_nor_copied(server):
    """Neither addresses, which Gradio would fetch, nor files of this machine, which it would copy into its cache."""
    cache = server[1] / "cache" / "gradio"
    before = sorted(cache.rglob("*"))
    for path in (
        "/etc/hostname",
        "app_gradio.py",
        str(cache / ".." / ".." / "x"),
        "..",
        "a\0b",
        "http://127.0.0.1:1/x.wav",
    ):
        given = {"path": path, "meta": {"_type": "gradio.FileData"}}
        for endpoint, body in (
            ("call/preview", {"data": [given]}),
            ("call/v2/preview", {"audio": given}),
            ("run/preview", {"data": [given]}),
            ("api/preview", {"data": [[given]]}),
            ("queue/join", {"data": [given, "LS1", "core clips", "", 0], "fn_index": 0, "session_hash": "x"}),
            ("stream/x", {"data": [{"a": given}]}),
        ):
            status, text = raw(server, "POST", f"/gradio_api/{endpoint}", json.dumps(body), **JSON)
            assert (status, "must be uploaded" in text) == (403, True), (endpoint, path, text)
    assert sorted(cache.rglob("*")) == before


def test_messages_do_not_tell_where_uploads_lie(server, client, tmp_path):
    (tmp_path / "text.wav").write_text("This is no sound.\n" * 50)
    with pytest.raises(AppError, match=r"text\.wav") as caught:
        client.predict(handle_file(tmp_path / "text.wav"), api_name="/preview")
    assert str(server[1]) not in str(caught.value)


def test_an_upload_is_its_owners(server):
    """Each with the cookie that the page gives; and one who keeps no cookies."""
    with httpx.Client(base_url=server[0]) as ann, httpx.Client(base_url=server[0]) as bob:
        for person in (ann, bob):
            assert "HttpOnly" in person.get("/").headers["set-cookie"]
        (path,) = ann.post("/gradio_api/upload", files={"files": ("secret.wav", b"RIFF secret")}).json()
        assert ann.get(f"/gradio_api/file={path}").content == b"RIFF secret"
        folder, name = os.path.split(path)
        for way in (path, f"{folder}/../{os.path.basename(folder)}/{name}", f"{folder}//{name}", f"{folder}/./{name}"):
            assert bob.get(f"/gradio_api/file={way}").status_code == 403
            assert httpx.get(f"{server[0]}/gradio_api/file={way}").status_code == 403
            call = {"data": [{"path": way, "meta": {"_type": "gradio.FileData"}}], "session_hash": "b"}
            assert bob.post("/gradio_api/call/preview", json=call).status_code == 403
        assert ann.post("/gradio_api/call/preview", json=call).status_code == 200
    (path,) = httpx.post(f"{server[0]}/gradio_api/upload", files={"files": ("mine.wav", b"RIFF mine")}).json()
    assert httpx.get(f"{server[0]}/gradio_api/file={path}").status_code == 403


def test_presets_and_links_over_http(server):
    def post(path, **body):
        return httpx.post(f"{server[0]}/studio/{path}", json=body)

    assert post("presets", name="weich", settings={"feather_amount": 50}, model="LS1").json() == {"name": "weich"}
    listed = httpx.get(f"{server[0]}/studio/presets?model=LS1").json()
    assert [preset["name"] for preset in listed["presets"]] == ["default", "classic", "weich"]
    again = post("presets", name="Weich", settings={}, model="LS1")
    assert (again.status_code, "already" in again.json()["error"]) == (422, True)
    assert post("presets/rename", name="weich", new="weicher", model="LS1").json() == {"name": "weicher"}
    assert post("presets/delete", name="weicher", model="LS1").json() == {"deleted": "weicher"}
    assert "stays as it is" in post("presets/delete", name="classic").json()["error"]
    assert post("presets", name="x", settings={}, more=1).status_code == 422
    query = post("link", settings={"feather_amount": 12, "colour": "none"}, model="LS1", frame=3).json()["query"]
    read = httpx.get(f"{server[0]}/studio/link?{query}").json()
    assert (read["settings"]["feather_amount"], read["settings"]["colour"], read["frame"]) == (12, "none", 3)
    assert "feather_amount must be" in httpx.get(f"{server[0]}/studio/link?feather_amount=inf").json()["error"]


def test_several_people_at_once(server, sound):
    """Four clients call at the same time; each gets its own answer."""
    outcome = {}

    def call(number):
        client = Client(server[0], verbose=False)
        outcome[number] = client.predict(handle_file(sound), base=EVENING, frame=number, api_name="/preview")[1][
            "frame"
        ]

    threads = [threading.Thread(target=call, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert outcome == {number: number for number in range(4)}


def test_the_page_is_still_up_after_all_this(server, client):
    assert httpx.get(server[0]).status_code == 200
    assert client.predict(frame=30, api_name="/preview")[1]["frame"] == 30
