"""The contact sheet over two settings: tiles are renders of the frame, values are checked, whole or not at all."""

import numpy as np
import pytest

from blending import BlendSettings, seam_score
from clips.core_clips_processor import AUTOMATIC
from studio.sessions import Session
from studio.sweep import MAX_VALUES, axis_values, close_up, sweep

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
