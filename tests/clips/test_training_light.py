"""The light a model was trained in: into the card, out of it, and nothing else of the card touched."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import yaml

from clips.__main__ import main
from clips.clip_light import median_light
from clips.clip_statistics import measure_statistics
from clips.errors import ClipError
from clips.library import ClipLibrary
from clips.training_light import distance_to_training, find_card, footage_light, training_light, with_card_light
from clips.video import VideoWriter, read_frames

CARD = """mode: ave
# a remark that must stay
size: 96
appearance:
  "old.mp4": [1, 2, 3, 4, 5, 6, 7]
figures:
  deep: {a: 1}
"""


@pytest.fixture
def model(tmp_path):
    """A workspace with the card of the model Ada."""
    folder = tmp_path / "checkpoint" / "Ada"
    folder.mkdir(parents=True)
    (folder / "card.yaml").write_text(CARD, encoding="utf-8")
    return tmp_path


@pytest.fixture(scope="module")
def footage(tmp_path_factory):
    """A few bundled frames, small and a little darker, as mp4."""
    path = tmp_path_factory.mktemp("footage") / 'take "one", naïve.mp4'
    source = ClipLibrary().clip("LS1", "silence").path
    with VideoWriter(path, 320, 320) as writer:
        for frame in read_frames(source, 0, 6):
            writer.write(np.asarray(cv2.resize(frame, (320, 320), interpolation=cv2.INTER_AREA) * 0.8, np.uint8))
    return path


def test_a_card_keeps_every_other_line():
    light = {"a.mp4": [1.0] * 7, 'b "c".mp4': [2.5] * 7}
    text = with_card_light(CARD, light)
    kept = [line for line in CARD.splitlines() if "appearance" not in line and "old.mp4" not in line]
    assert text.splitlines()[: len(kept)] == kept
    assert yaml.safe_load(text) == {"mode": "ave", "size": 96, "figures": {"deep": {"a": 1}}, "appearance": light}
    assert with_card_light(text, light) == text
    assert yaml.safe_load(with_card_light("mode: ave", light))["appearance"] == light
    block_style = yaml.safe_dump({"mode": "ave", "appearance": {"x.mp4": [1.0] * 7}, "log": "a"}, sort_keys=False)
    assert yaml.safe_load(with_card_light(block_style, light)) == {"mode": "ave", "log": "a", "appearance": light}


def test_the_command_writes_what_the_comparison_reads(model, footage, capsys):
    assert main(["training-light", "--model", "Ada", "--footage", str(footage), "--workspace", str(model)]) == 0
    assert "left less right" in capsys.readouterr().out
    known = training_light("Ada", model)
    assert list(known) == [footage.name]
    assert known[footage.name].tolist() == footage_light(footage)
    silence = measure_statistics(ClipLibrary().clip("LS1", "silence"))
    away = distance_to_training(silence.usual_light, known)
    assert 5 < away < 20, "a fifth darker"
    assert distance_to_training(median_light(np.stack([known[footage.name]] * 2)), known) == pytest.approx(0)


def test_the_bundled_models_card_knows_its_light(tmp_path):
    known = training_light("LS1", tmp_path)
    assert len(known) == 4
    clips = {clip.name: clip.landmarks().appearance for clip in ClipLibrary().clips("LS1")}
    away = {name: distance_to_training(light, known) for name, light in clips.items()}
    assert max(away, key=away.__getitem__) == "05,20s talk evening"
    assert sorted(away.values())[-2] < 2
    assert away["05,20s talk evening"] > 40


def test_no_card_is_no_light_and_nonsense_is_told(model):
    assert training_light("nobody", model) == {}
    assert training_light("../Ada", model) == {}
    assert find_card("../checkpoint/Ada", model) is None
    assert np.isnan(distance_to_training(np.zeros(7), {}))
    card = model / "checkpoint" / "Ada" / "card.yaml"
    for text in ("appearance: 3", "appearance: {a: [1, 2]}", "appearance: {a: [1, 2, x, 4, 5, 6, 7]}"):
        card.write_text(text, encoding="utf-8")
        with pytest.raises(ClipError, match=r"seven numbers .*python -m clips training-light --model Ada"):
            training_light("Ada", model)
    card.write_text("a: [", encoding="utf-8")
    with pytest.raises(ClipError, match="cannot be read as YAML"):
        training_light("Ada", model)
    card.write_text("mode: ave", encoding="utf-8")
    assert training_light("Ada", model) == {}


def test_bad_input_is_one_line_and_the_card_stays(model, tmp_path, capsys):
    wall = tmp_path / "wall.mp4"
    with VideoWriter(wall, 64, 64) as writer:
        for _ in range(3):
            writer.write(np.full((64, 64, 3), 90, np.uint8))
    cases = (("Ada", wall, "expected a face in wall.mp4"), ("Ada", tmp_path / "no.mp4", "cannot be opened"),
             ("nobody", wall, "expected the card of the model 'nobody'"))  # fmt: skip
    for name, video, said in cases:
        assert main(["training-light", "--model", name, "--footage", str(video), "--workspace", str(model)]) == 2
        error = capsys.readouterr().err
        assert error.count("\n") == 1
        assert said in error
    assert (model / "checkpoint" / "Ada" / "card.yaml").read_text(encoding="utf-8") == CARD
