"""The contact sheet over two settings: tiles are renders of the frame, values are checked, whole or not at all."""

import json
from base64 import b64decode

import cv2
import numpy as np
import pytest
from fastapi import FastAPI
from fastapi.responses import JSONResponse
from fastapi.testclient import TestClient

from blending import BlendSettings, seam_score
from clips.core_clips_processor import AUTOMATIC
from clips.errors import ClipError
from clips.library import SAMPLE_SPEECH
from studio.routes import sweep_routes
from studio.sessions import Session, Sessions
from studio.sweep import MAX_VALUES, axis_values, close_up, jaw, place_of, read_axes, sweep, sweep_steps, sweepable
from studio.timeline import SeamScans

pytestmark = pytest.mark.usefixtures("one_torch_thread")

EVENING = "05,20s talk evening"


@pytest.fixture(scope="module")
def session(processor, speech):
    return Session("token", processor, processor.prepare(speech[8000:20_800], EVENING))


def test_tiles_show_the_render_and_its_score(session):
    settings = BlendSettings(texture=0.5)
    made = sweep(session, 9, settings, ("expansion_ratio", [1.0, 1.3]), ("colour", ["none", "mean_std", "membrane"]))
    assert len(made.tiles) == 6
    shot = session.processor.shot(session.performance, 9)
    for tile in made.tiles:
        result = session.processor.blend_shot(shot, BlendSettings.parse(settings.model_dump() | tile.values))
        x, y, width, height = tile.place
        assert np.array_equal(made.sheet[y : y + height, x : x + width], close_up(shot).show(result.frame))
        score = seam_score(shot.plate, result.frame, result.generated_matched, shot.box, shot.landmarks).score
        assert tile.score == score
    assert [list(tile.values.values()) for tile in made.tiles[:3]] == [
        [1.0, "none"],
        [1.0, "mean_std"],
        [1.0, "membrane"],
    ]
    places = [tile.place for tile in made.tiles]
    assert len({place[:2] for place in places}) == 6
    assert all(x + w <= made.sheet.shape[1] and y + h <= made.sheet.shape[0] for x, y, w, h in places)


def test_every_setting_can_be_swept():
    for control in BlendSettings.controls():
        values = axis_values(control.name, None)
        assert 2 <= len(set(values)) == len(values) <= MAX_VALUES
        for value in values:
            BlendSettings.parse({control.name: value})


@pytest.mark.parametrize(
    ("down", "across", "said"),
    [
        (("texture", None), ("texture", None), "two settings"),
        (("textur", None), ("texture", None), "did you mean texture"),
        (("texture", [0.5]), ("colour", None), "2 to 5 values of texture; got 1"),
        (("texture", [0.5, float("nan")]), ("colour", None), "texture must be between"),
        (("texture", [0.5, True]), ("colour", None), "texture must be between"),
        (("texture", [0.5, 0.5]), ("colour", None), "must differ"),
        (("texture", "0.5"), ("colour", None), "must be a list"),
        (("texture", None), ("colour", ["none", ["x"]]), "colour must be one of"),
    ],
)
def test_wrong_values_are_named(session, down, across, said):
    with pytest.raises(ValueError, match=said):
        sweep(session, 9, BlendSettings(), down, across)


def test_frames_without_a_blend_and_sweeps_without_time_are_told(session, processor, speech):
    axes = ("texture", None), ("colour", None)
    with pytest.raises(ValueError, match=r"frame must lie in 0 .. 19"):
        sweep(session, 20, BlendSettings(), *axes)
    with pytest.raises(ValueError, match="longer than 0 s after 0 of 25 tiles"):
        sweep(session, 9, BlendSettings(), *axes, max_seconds=0)
    quiet = Session("quiet", processor, processor.prepare(np.zeros(6400, np.float32), AUTOMATIC))
    with pytest.raises(ValueError, match=r"is not blended .*; choose a frame with speech"):
        sweep(quiet, 3, BlendSettings(), *axes)


def picture_of(step):
    return cv2.imdecode(np.frombuffer(b64decode(step["picture"]), np.uint8), cv2.IMREAD_COLOR)


def test_the_page_gets_each_tile_lossless_with_its_score(session):
    axes = read_axes(("texture", [0.0, 1.0]), ("colour", ["none", "membrane"]))
    first, *tiles, last = sweep_steps(session, 9, BlendSettings(), axes, SeamScans())
    whole = sweep(session, 9, BlendSettings(), ("texture", [0.0, 1.0]), ("colour", ["none", "membrane"]))
    assert [tile["values"] for tile in tiles] == [tile.values for tile in whole.tiles] == axes.pairs()
    assert [tile["score"] for tile in tiles] == [round(tile.score, 3) for tile in whole.tiles]
    assert last["best"] == int(np.argmin([tile.score for tile in whole.tiles]))
    assert (first["down"]["label"], first["across"]["values"]) == ("Texture", ["none", "membrane"])
    shot = session.processor.shot(session.performance, 9)
    x, y, width, height = first["place"]
    for tile in tiles:
        frame = session.processor.blend_shot(shot, BlendSettings.parse(tile["values"])).frame
        assert np.array_equal(picture_of(tile), frame[y : y + height, x : x + width])
    chin_x, chin_y = shot.landmarks.anchor("chin")
    assert x < chin_x < x + width
    assert y + height / 2 < chin_y < y + 0.75 * height
    assert (width, height) == pytest.approx((0.9 * shot.box.side, 0.66 * shot.box.side), abs=2)


@pytest.mark.parametrize(
    ("stretch", "shares"), [(1, (0.9, 0.66)), (2.5, (1.4, 0.66)), (0.8, (0.9, 0.825)), (0.4, (0.9, 1.05))]
)
def test_tiles_show_more_where_there_is_room(session, stretch, shares):
    shot = session.processor.shot(session.performance, 9)
    whole, more = (place_of(*jaw(shot, times)) for times in (1, stretch))
    assert more[2:] == pytest.approx([share * shot.box.side for share in shares], abs=2)
    assert more[0] <= whole[0]
    assert more[1] <= whole[1]
    assert more[1] + more[3] == whole[1] + whole[3]


def test_settings_that_change_nothing_are_named(session):
    axes = read_axes(("expansion_ratio", [1.0, 1.3]), ("colour", ["none", "membrane"]))
    *_, last = sweep_steps(session, 9, BlendSettings(compositor="hard"), axes, SeamScans())
    assert last["still"] == ["Expansion"]


def test_sliders_have_as_many_values_as_asked_for_and_choices_all():
    axes = read_axes(("expansion_ratio", None), ("colour", None), 3)
    assert axes.rows == (1.0, 1.15, 1.3)
    assert len(axes.columns) == 5


def test_what_the_page_may_sweep_are_settings(session):
    names = [one["name"] for one in sweepable(session)]
    assert {"expansion_ratio", "feather_amount", "colour"} <= set(names) < {c.name for c in BlendSettings.controls()}
    assert not {"feather_unit", "use_parsing"} & set(names)  # a unit; and these clips have no masks


@pytest.fixture(scope="module")
def asked(workspace):
    """POST to /studio/sweep or /studio/tune; status and lines of the answer. Beside it a token of one's own and one of
    somebody else."""
    sessions = Sessions(workspace, device="cpu")
    app = FastAPI()
    for kind in (ClipError, ValueError):
        app.exception_handler(kind)(lambda _request, error: JSONResponse({"error": str(error)}, 422))
    app.include_router(sweep_routes(sessions, SeamScans()))
    client = TestClient(app)
    mine = sessions.open("tiny", SAMPLE_SPEECH, EVENING).token
    others = sessions.open("tiny", SAMPLE_SPEECH, EVENING, owner="somebody else").token

    def ask(path, **body):
        answer = client.post(f"/studio/{path}", content=json.dumps(body), headers={"Content-Type": "application/json"})
        return answer.status_code, [json.loads(line) for line in answer.text.splitlines()]

    ask.mine, ask.others, ask.get = mine, others, client.get
    return ask


def test_tiles_come_as_lines(asked):
    status, lines = asked("sweep", token=asked.mine, frame=20, settings={}, values=2)
    assert status == 200, lines
    assert [sorted(line) for line in lines[1:-1]] == [["picture", "score", "values"]] * 4
    assert lines[-1]["best"] in range(4)
    assert {"name": "texture", "label": "Texture"} in asked.get(f"/studio/sweep/{asked.mine}").json()
    status, lines = asked("sweep", token=asked.mine, frame=100_000, settings={})
    assert (status, len(lines)) == (200, 1)
    assert "frame must lie in 0" in lines[0]["error"]


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"token": "nobody"}, "no longer open"),
        ({"token": "../../etc"}, "no longer open"),
        ({"settings": {"feather_amount": float("nan")}}, "feather_amount must be between"),
        ({"settings": {"feather_amount": "12px"}}, "feather_amount must be between"),
        ({"settings": {"feather": 3}}, "did you mean"),
        ({"down": "textur"}, "did you mean texture"),
        ({"down": "feather_amount"}, "two settings"),
        ({"frame": 1.5}, "frame"),
        ({"frame": True}, "frame"),
        ({"values": 50}, "values"),
        ({"settings": None}, "settings"),
        ({"more": 1}, "more"),
        ({"token": ["x"]}, "token"),
    ],
)
def test_hostile_requests_are_refused(asked, wrong, said):
    status, lines = asked("sweep", **({"token": asked.mine, "frame": 20, "settings": {}} | wrong))
    assert status == 422
    assert said in json.dumps(lines)


def test_sessions_of_others_are_closed(asked):
    for path, more in (("sweep", {"frame": 20}), ("tune", {})):
        status, (line,) = asked(path, token=asked.others, settings={}, **more)
        assert (status, "another person" in line["error"]) == (422, True)
    assert asked.get(f"/studio/sweep/{asked.others}").status_code == 422


def test_tune_requests_are_checked(asked):
    assert asked("tune", token="nobody", settings={})[0] == 422
    assert asked("tune", token=asked.mine, settings={"texture": float("inf")})[0] == 422
    assert asked("tune", token=asked.mine, settings=[])[0] == 422
    status, (line,) = asked("tune", token=asked.mine, settings={"compositor": "hard"})
    assert (status, "choose alpha" in line["error"]) == (200, True)
