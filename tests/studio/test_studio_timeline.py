"""What the timeline dock shows: cuts, level, confidence, thumbnails and the scan of seam scores."""

import time

import cv2
import numpy as np
import pytest
from fastapi.testclient import TestClient

from blending import BlendSettings, seam_score
from clips.core_clips_processor import AUTOMATIC
from clips.library import SAMPLE_SPEECH
from studio import timeline as module
from studio.server import build_app
from studio.sessions import Sessions
from studio.timeline import SeamScans, scan_order, thumbnail, timeline

EVENING = "05,20s talk evening"


@pytest.fixture(scope="module")
def sessions(tmp_path_factory):
    return Sessions(tmp_path_factory.mktemp("workspace"), device="cpu")


def finish(scans, session, settings, wanted=None):
    """Poll until done or so many frames are measured."""
    for _ in range(600):
        answer = scans.ask(session, settings)
        if answer["done"] or (wanted is not None and len(answer["scores"]) >= wanted):
            return answer
        time.sleep(0.05)
    raise AssertionError(f"the scan did not end: {answer}")


def test_timeline_covers_every_frame(sessions):
    session = sessions.open("LS1", SAMPLE_SPEECH, AUTOMATIC)
    told = timeline(session)
    frames = session.performance.frames
    assert told["per_bin"] == 1
    assert len(told["level"]) == len(told["confidence"]) == told["frames"] == frames
    assert max(told["level"]) == 1.0
    edges = [0, *(cut["stop"] for cut in told["cuts"])]
    assert [cut["start"] for cut in told["cuts"]] == edges[:-1]
    assert edges[-1] == frames
    for cut in told["cuts"]:
        part = told["confidence"][cut["start"] : cut["stop"]]
        assert all((value is not None) == cut["driven"] for value in part)


def test_long_sounds_come_in_bins(sessions, monkeypatch):
    session = sessions.open("LS1", SAMPLE_SPEECH, EVENING)
    whole = timeline(session)
    monkeypatch.setattr(module, "BINS", 50)
    told = timeline(session)
    per_bin = told["per_bin"]
    assert len(told["level"]) <= 50
    assert told["level"][3] == max(whole["level"][3 * per_bin : 4 * per_bin])
    assert told["confidence"][3] == min(whole["confidence"][3 * per_bin : 4 * per_bin])


def test_thumbnail_is_the_face_of_its_frame(sessions):
    session = sessions.open("LS1", SAMPLE_SPEECH, EVENING)
    small = cv2.imdecode(np.frombuffer(thumbnail(session, 40), np.uint8), cv2.IMREAD_COLOR)
    assert small.shape == (module.THUMBNAIL_PX, module.THUMBNAIL_PX, 3)
    shot = session.processor.shot(session.performance, 40)
    face = cv2.resize(shot.box.extract(shot.unblended), small.shape[:2], interpolation=cv2.INTER_AREA)
    middle = slice(18, 54)
    assert abs(float(small[middle, middle].mean()) - float(face[middle, middle].mean())) < 8
    with pytest.raises(ValueError, match="frame must lie in 0"):
        thumbnail(session, session.performance.frames)


def test_scan_goes_coarse_to_fine():
    order = scan_order(list(range(100, 300)))
    assert order[:4] == [100, 164, 228, 292]
    assert sorted(order) == list(range(100, 300))
    assert len(scan_order(list(range(50_000)))) == module.MEASURED_AT_MOST


def test_scan_measures_what_the_preview_shows(sessions, monkeypatch):
    monkeypatch.setattr(module, "MEASURED_AT_MOST", 4)
    session = sessions.open("LS1", SAMPLE_SPEECH, EVENING)
    settings = BlendSettings(expansion_ratio=1.22)
    answer = finish(SeamScans(), session, settings)
    assert len(answer["scores"]) == 4
    assert not answer["error"]
    for index, score in answer["scores"].items():
        shot = session.processor.shot(session.performance, index)
        result = session.processor.blend_shot(shot, settings)
        exact = seam_score(shot.plate, result.frame, result.generated_matched, shot.box, shot.landmarks).score
        assert score == round(exact, 3)
        plain = seam_score(shot.plate, shot.unblended, shot.generated, shot.box, shot.landmarks).score
        assert answer["unblended"][index] == round(plain, 3)
    assert answer["floors"] == {EVENING: round(session.processor.floor_of(EVENING), 3)}


def test_scan_waits_for_previews_and_renders(sessions):
    session = sessions.open("LS1", SAMPLE_SPEECH, EVENING)
    busy = [True]
    scans = SeamScans(lambda: busy[0])
    scans.ask(session, BlendSettings())
    time.sleep(0.3)
    assert scans.ask(session, BlendSettings())["scores"] == {}
    busy[0] = False
    assert finish(scans, session, BlendSettings(), wanted=2)["scores"]


def test_scan_ends_when_nobody_asks(sessions, monkeypatch):
    monkeypatch.setattr(module, "POLLED_S", 0.2)
    session = sessions.open("LS1", SAMPLE_SPEECH, AUTOMATIC)
    scans = SeamScans(lambda: True)
    scans.ask(session, BlendSettings())
    (scan,) = scans._scans.values()
    scan.worker.join(2)
    assert not scan.worker.is_alive()


def test_routes(tmp_path):
    with TestClient(build_app(tmp_path)) as client:
        assert client.get("/studio/timeline/nobody").status_code == 422
        assert client.get("/studio/thumbnail/nobody/3").status_code == 422
        assert client.post("/studio/scan", json={"token": "nobody", "settings": {}}).status_code == 422
        foreign = client.post(
            "/studio/scan", json={"token": "x", "settings": {}}, headers={"Origin": "https://elsewhere.example"}
        )
        assert foreign.status_code == 403
