"""Auto-tune: three candidates that are the best of their range, under a floor for the mouth, on the worst frames."""

from base64 import b64decode

import cv2
import numpy as np
import pytest

from blending import BlendSettings, seam_score
from blending.metrics import mouth_fidelity
from clips.core_clips_processor import AUTOMATIC
from clips.errors import ClipError
from studio import tune as module
from studio.sessions import Session
from studio.timeline import SeamScans
from studio.tune import APART, LOOKS, MOUTH_FLOOR, Measured, best_of, tune_steps, worst_frames

pytestmark = pytest.mark.usefixtures("one_torch_thread")

SETTINGS = BlendSettings(texture=0.5, colour="mean_std")


class Scans(SeamScans):
    """A timeline whose scan is done. held: what is more urgent, until it is asked so many times."""

    def __init__(self, scores, held=0):
        super().__init__()
        self.scores, self.held, self.asked_for = scores, held, 0

    def ask(self, session, settings):
        self.asked_for += 1
        return {"scores": dict(self.scores), "done": True, "error": ""}

    def held_by(self):
        self.held -= 1
        return "a render runs" if self.held >= 0 else ""


@pytest.fixture(scope="module")
def session(processor, speech):
    return Session("token", processor, processor.prepare(speech[8000:20_800], "05,20s talk evening"))


@pytest.fixture(scope="module")
def steps(session):
    return list(tune_steps(session, SETTINGS, Scans({4: 0.3, 5: 0.6, 6: 0.9, 12: 0.8, 18: 0.1})))


def test_worst_frames_come_worst_first_and_apart():
    rng = np.random.default_rng(1)
    scores = {int(frame): float(score) for frame, score in enumerate(rng.random(60))}
    found = worst_frames(scores)
    assert len(found) == 4
    assert found[0] == max(scores, key=scores.get)
    assert [scores[frame] for frame in found] == sorted((scores[frame] for frame in found), reverse=True)
    assert min(abs(a - b) for a in found for b in found if a != b) >= APART
    assert worst_frames({7: 0.2}) == [7]
    assert worst_frames({}) == []


def test_looks_are_apart_and_valid():
    for look in LOOKS:
        settings = look.settings(SETTINGS)
        assert len(settings) == 9
        for one in settings:
            assert BlendSettings.parse(one.model_dump()) == one
            assert one.model_copy(update={"expansion_ratio": 1.15, "feather_amount": 30}) == SETTINGS
    tight, balanced, soft = LOOKS
    assert max(tight.expansions) < min(balanced.expansions) <= max(balanced.expansions) < min(soft.expansions)
    assert max(tight.feathers) <= min(balanced.feathers) <= max(balanced.feathers) <= min(soft.feathers)


def test_the_mouth_goes_before_the_seam():
    lost, kept, more = (Measured(SETTINGS, seam, seam, mouth) for seam, mouth in ((0.1, 0.97), (0.4, 0.99), (0.5, 1.0)))
    assert best_of([lost, kept, more]) is kept
    assert best_of([lost]) is None


def test_each_candidate_is_the_best_of_its_range(session, steps):
    (told,) = [step for step in steps if "candidates" in step]
    assert told["frames"] == [6, 12, 18]
    assert (told["measured"], told["of"], told["floor"], told["missing"]) == (5, 20, MOUTH_FLOOR, {})
    shots = [session.processor.shot(session.performance, frame) for frame in told["frames"]]

    def measured(settings):
        seams, mouths = [], []
        for shot in shots:
            result = session.processor.blend_shot(shot, settings)
            seen = (result.generated_matched, shot.box, shot.landmarks)
            seams.append(seam_score(shot.plate, result.frame, *seen).score)
            mouths.append(mouth_fidelity(result.frame, *seen).correlation)
        return np.mean(seams), max(seams), min(mouths)

    assert [one["name"] for one in told["candidates"]] == ["tight", "balanced", "soft"]
    for look, one in zip(LOOKS, told["candidates"], strict=True):
        found = {(s.expansion_ratio, s.feather_amount): measured(s) for s in look.settings(SETTINGS)}
        best = min((pair for pair in found if found[pair][2] >= MOUTH_FLOOR), key=lambda pair: found[pair][0])
        assert tuple(one["values"].values()) == best
        assert (one["seam"], one["worst"], one["mouth"]) == pytest.approx(found[best], abs=1e-3)
    assert told["present"]["seam"] == pytest.approx(measured(SETTINGS)[0], abs=1e-3)


def test_loops_show_the_render_in_step(session, steps):
    (told,) = [step for step in steps if "candidates" in step]
    begun = next(i for i, step in enumerate(steps) if "loop" in step)
    loop, frames = steps[begun], steps[begun + 1 :]
    assert loop["frames"] == len(frames) == 20  # the cut is shorter than a loop
    assert [step["index"] for step in frames] == list(range(20))
    chosen = {one["name"]: one["values"] for one in [told["present"], *told["candidates"]]}
    x, y, width, height = loop["place"]
    for index in (0, 13):
        shot = session.processor.shot(session.performance, loop["loop"] + index)
        assert frames[index]["pictures"].keys() == chosen.keys()
        for name, values in chosen.items():
            shown = cv2.imdecode(np.frombuffer(b64decode(frames[index]["pictures"][name]), np.uint8), cv2.IMREAD_COLOR)
            frame = session.processor.blend_shot(shot, BlendSettings.parse(SETTINGS.model_dump() | values)).frame
            assert np.array_equal(shown, frame[y : y + height, x : x + width])


def test_progress_is_told_and_what_is_urgent_goes_first(session, monkeypatch):
    monkeypatch.setattr(module, "LOOK_AGAIN_S", 0.01)
    steps = tune_steps(session, SETTINGS, Scans({6: 0.9}, held=3))
    first = [next(steps) for _ in range(5)]
    assert first[0] == {"doing": "settings tried on the worst frames", "done": 0, "total": 28}
    assert first[1:4] == [{"waiting": "a render runs"}] * 3
    assert first[4]["done"] == 1
    steps.close()
    monkeypatch.setattr(module, "PATIENCE_S", 0.02)
    with pytest.raises(ClipError, match="while a render runs; ask again later"):
        list(tune_steps(session, SETTINGS, Scans({6: 0.9}, held=10**6)))


def test_scans_rest_meanwhile_and_go_on_after(session):
    scans = Scans({6: 0.9})
    steps = tune_steps(session, SETTINGS, scans)
    next(steps)
    assert scans._resting == 1
    steps.close()
    assert scans._resting == 0


def test_without_a_look_that_keeps_the_mouth_none_is_offered(session, monkeypatch):
    monkeypatch.setattr(module, "MOUTH_FLOOR", 1.01)
    monkeypatch.setattr(module, "LOOP_FRAMES", 1)
    steps = list(tune_steps(session, SETTINGS, Scans({6: 0.9})))
    (told,) = [step for step in steps if "candidates" in step]
    assert told["candidates"] == []
    assert told["missing"].keys() == {"tight", "balanced", "soft"}
    assert steps[-1]["pictures"].keys() == {"present"}


def test_what_cannot_be_tuned_is_told(session, processor):
    with pytest.raises(ValueError, match="method hard"):
        next(tune_steps(session, BlendSettings(compositor="hard"), Scans({6: 0.9})))
    with pytest.raises(ValueError, match="no frame of this sound is blended"):
        next(tune_steps(session, SETTINGS, Scans({})))
    with pytest.raises(ValueError, match="longer than 0 s; choose method alpha"):
        list(tune_steps(session, SETTINGS, Scans({6: 0.9}), max_seconds=0))
    quiet = Session("quiet", processor, processor.prepare(np.zeros(6400, np.float32), AUTOMATIC))
    with pytest.raises(ValueError, match="choose a sound with speech"):
        list(tune_steps(quiet, SETTINGS, SeamScans()))
