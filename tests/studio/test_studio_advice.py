"""What is tried where a score is not good, and what a page shows before a session is open."""

import json
import struct

import cv2
import numpy as np
import pytest
from fastapi.testclient import TestClient

from blending import BlendSettings
from clips.core_clips_processor import AUTOMATIC
from clips.errors import ClipError
from clips.library import SAMPLE_SPEECH, ClipLibrary
from clips.video import read_frames
from studio.advice import WORTH, advise, neighbours
from studio.first_look import first_plate, warm_studio
from studio.preview import PreviewRequest, preview
from studio.server import build_app
from studio.sessions import Sessions

EVENING = "05,20s talk evening"


@pytest.fixture(scope="module")
def sessions(tmp_path_factory):
    return Sessions(tmp_path_factory.mktemp("workspace"), device="cpu")


@pytest.fixture(scope="module")
def session(sessions):
    return sessions.open("LS1", SAMPLE_SPEECH, EVENING)


def score_of(session, frame, settings):
    request = PreviewRequest(token=session.token, frame=frame, settings=settings.model_dump())
    body = preview(session, request)
    return json.loads(body[4 : 4 + struct.unpack_from("<I", body)[0]])["score"]


def test_neighbours_are_single_allowed_changes():
    for settings in (BlendSettings(), BlendSettings(feather_amount=0, expansion_ratio=1.3, compositor="hard")):
        tried = dict.fromkeys(neighbours(settings))
        assert len(tried) >= 3
        for name, value in tried:
            assert getattr(settings, name) != value
            BlendSettings.parse({**settings.model_dump(), name: value})
    assert ("compositor", "alpha") in dict.fromkeys(neighbours(BlendSettings(compositor="hard")))


@pytest.mark.parametrize("settings", [BlendSettings(compositor="hard"), BlendSettings(feather_amount=0)])
def test_what_is_advised_gives_the_score_it_promises(session, settings):
    advice = advise(session, 22, settings)
    assert advice.score == pytest.approx(score_of(session, 22, settings), abs=1e-3)
    assert advice.better <= WORTH * advice.score
    adopted = settings.model_copy(update={advice.name: advice.value})
    assert score_of(session, 22, adopted) == pytest.approx(advice.better, abs=1e-3)


def test_a_frame_of_silence_and_one_outside_have_no_advice(sessions):
    automatic = sessions.open("LS1", SAMPLE_SPEECH, AUTOMATIC)
    quiet = next(cut for cut in automatic.performance.edits.cuts if not cut.driven)
    assert advise(automatic, quiet.place.start + 3, BlendSettings()).describe()["score"] is None
    with pytest.raises(ValueError, match="frame must lie in"):
        advise(automatic, automatic.performance.frames, BlendSettings())


def test_first_plate_is_the_clips_first_frame(sessions):
    library = ClipLibrary(sessions.workspace)
    shown = cv2.imdecode(np.frombuffer(first_plate(library, "LS1", EVENING), np.uint8), cv2.IMREAD_COLOR)
    clip = next(clip for clip in library.clips("LS1") if clip.name == EVENING)
    [plate] = read_frames(clip.path, 0, 1)
    assert shown.shape == plate.shape
    assert np.abs(shown.astype(int) - plate).mean() < 2
    assert first_plate(library, "LS1", AUTOMATIC)
    for model, base in (("LS1", "../LS1"), ("LS1", ""), ("nobody", EVENING), ("..", EVENING)):
        with pytest.raises(ClipError):
            first_plate(library, model, base)


def test_warming_up_leaves_the_model_loaded_and_survives_what_cannot_be_used(tmp_path):
    sessions = Sessions(tmp_path, device="cpu")
    warm_studio(sessions, "nobody", EVENING)
    assert not sessions.is_loaded("LS1")
    warm_studio(sessions, "LS1", EVENING)
    assert sessions.is_loaded("LS1")


def test_routes_refuse_what_is_not_asked_for_rightly(tmp_path):
    with TestClient(build_app(tmp_path, device="cpu"), base_url="http://127.0.0.1") as client:
        assert client.get("/studio/loaded", params={"model": "LS1"}).json() == {"loaded": False}
        plate = client.get("/studio/plate", params={"model": "LS1", "base": EVENING})
        assert plate.headers["content-type"] == "image/jpeg"
        assert client.get("/studio/plate", params={"model": "LS1", "base": "../../etc/passwd"}).status_code == 422
        for body in (
            {"token": "none", "frame": 0, "settings": {}},
            {"token": "none", "frame": 0.5, "settings": {}},
            {"token": "none", "frame": 0},
            {"token": "x" * 80, "frame": 0, "settings": {}},
        ):
            assert client.post("/studio/advice", json=body).status_code == 422
