"""Hand-off: recomposed from its files alone a frame is the rendered one; the folder is whole or not there."""

from __future__ import annotations

import hashlib
import itertools
import json
import shutil
import threading
from collections import namedtuple

import cv2
import numpy as np
import pytest

from blending import BlendSettings
from blending.colour import COLOUR_METHODS
from blending.composite import COMPOSITORS
from blending.settings import REGISTRATIONS
from clips import handoff
from clips.__main__ import main
from clips.audio import load_audio, save_wav
from clips.errors import ClipError
from clips.handoff import Window, frame_span, hand_off, new_folder, read_sidecar, recompose
from clips.render import RenderCancelled
from clips.timeline import FrameRange

pytestmark = pytest.mark.usefixtures("one_torch_thread")


@pytest.fixture(scope="module")
def performance(processor, speech):
    """1.25 s: the last words before a pause, the pause; 31 frames, with a ramp between."""
    prepared = processor.prepare(speech[38_000:58_000])
    driven = [prepared.edits.at(i).driven for i in range(prepared.frames)]
    assert any(driven)
    assert not all(driven)
    return prepared


@pytest.fixture(scope="module")
def made(processor, performance, tmp_path_factory):
    folder = tmp_path_factory.mktemp("handoff") / "for the compositor"
    said: list[str] = []
    calls: list[tuple[int, int]] = []
    report = hand_off(processor, performance, folder, progress=lambda *step: calls.append(step), say=said.append)
    return folder, report, said, calls


def rendered(processor, performance, index, settings=None):
    return processor.blend_shot(processor.shot(performance, index), settings).frame


def difference(one, other):
    return int(np.abs(one.astype(int) - other).max())


def test_every_frame_comes_back_from_the_files_alone(processor, performance, made):
    folder, report, said, calls = made
    assert report.frames == FrameRange(0, performance.frames)
    assert calls == [(k + 1, performance.frames) for k in range(performance.frames)]
    assert len(said) == 1
    assert said[0].startswith(f"{performance.frames} frames will take about ")
    for index in range(performance.frames):
        assert difference(recompose(folder, index), rendered(processor, performance, index)) <= 1, f"frame {index}"
    assert sorted(p.name for p in folder.parent.iterdir()) == [folder.name]
    assert report.size_bytes == sum(p.stat().st_size for p in folder.iterdir())


@pytest.mark.parametrize("compositor", COMPOSITORS)
def test_it_holds_for_every_compositor_colour_and_registration(processor, performance, tmp_path, compositor):
    choices = itertools.product(COLOUR_METHODS, REGISTRATIONS)
    for number, (colour, registration) in enumerate(choices):
        settings = BlendSettings(compositor=compositor, colour=colour, registration=registration)
        index = number % 6  # driven, and on the ramp
        folder = tmp_path / f"{colour} {registration}"
        report = hand_off(processor, performance, folder, settings, frames=FrameRange(index, index + 1))
        wanted = rendered(processor, performance, index, settings)
        assert difference(wanted, processor.shot(performance, index).plate) > 3, "the network drew something"
        assert difference(recompose(folder, index), wanted) <= 1, f"{colour} {registration}"
        assert (report.solved_frames == 1) == (compositor in ("poisson", "multiband"))
        note = read_sidecar(folder)["compositor_note"]
        assert ("solved" in note) == (report.solved_frames == 1)


def test_the_files_are_what_the_sidecar_says(processor, performance, made, workspace):
    folder, _, _, _ = made
    sidecar = read_sidecar(folder)
    assert sidecar["ai_generated"] is True
    window, size = sidecar["window"], sidecar["frame_size"]
    for index in (0, performance.frames - 1):
        plate, crop, matte = (
            cv2.imread(str(folder / (sidecar["files"][layer] % index)), cv2.IMREAD_UNCHANGED)
            for layer in ("plate", "crop", "matte")
        )
        assert plate.dtype == crop.dtype == matte.dtype == np.uint16
        assert plate.shape == (size["height"], size["width"], 3)
        assert crop.shape == (window["height"], window["width"], 3)
        assert matte.shape == (window["height"], window["width"])
        assert np.array_equal(plate, processor.shot(performance, index).plate.astype(np.uint16) * 257)
    assert [entry["frame"] for entry in sidecar["per_frame"]] == list(range(performance.frames))
    assert not matte.any(), "the last frame is a pause: nothing lies over the plate"
    assert window["width"] % 2 == window["height"] % 2 == 0
    assert sidecar["transform"]["bottom_left_origin"] == [
        window["x0"], size["height"] - window["y0"] - window["height"]
    ]  # fmt: skip
    for entry in sidecar["per_frame"]:
        shot = processor.shot(performance, entry["frame"])
        assert entry["box"] == {"x0": shot.box.x0, "y0": shot.box.y0, "side": shot.box.side}
        assert (entry["clip"], entry["clip_frame"]) == (shot.cut.clip, shot.clip_frame)
        assert entry["generated"] == (shot.generated is not None)
    for name, digest in sidecar["clips"].items():
        assert digest == processor.clip(name).sha256
    weights = workspace / "checkpoint" / "tiny" / "1.pth"
    assert sidecar["model"]["sha256"]["1.pth"] == hashlib.sha256(weights.read_bytes()).hexdigest()
    assert BlendSettings.parse(sidecar["settings"]) == processor.settings
    assert len(load_audio(folder / "sound.wav")) == performance.frames * 640
    text = (folder / "README.txt").read_text(encoding="utf-8")
    for word in (
        "AI-generated",
        "Nuke",
        "After Effects",
        "plate.0000.png .. plate.0030.png",
        sidecar["formula"].split(",")[0],
    ):
        assert word in text
    assert max(map(len, text.splitlines())) <= 120


def test_a_part_keeps_its_frame_numbers_and_its_sound(processor, performance, tmp_path):
    hand_off(processor, performance, tmp_path / "part", frames=FrameRange(3, 6))
    names = sorted(p.name for p in (tmp_path / "part").glob("plate*"))
    assert names == ["plate.0003.png", "plate.0004.png", "plate.0005.png"]
    assert np.abs(load_audio(tmp_path / "part" / "sound.wav") - performance.wav[3 * 640 : 6 * 640]).max() < 1e-4
    with pytest.raises(ClipError, match=r"holds frames 3 \.\. 5; got 6"):
        recompose(tmp_path / "part", 6)


def test_a_face_over_the_edge_of_the_frame_fits_its_window():
    window = Window(10, 0, 4, 6)
    placed = window.place(np.ones((2, 3), np.uint16), 0, 11)
    assert placed.shape == (6, 4)
    assert placed.sum() == 6
    assert placed[:2, 1:].all()
    for row, column in ((0, 9), (0, 12), (5, 10), (-1, 10)):
        with pytest.raises(ValueError, match="must lie in"):
            window.place(np.ones((2, 3), np.uint16), row, column)


# Whole or not at all


def test_an_existing_folder_is_refused_and_left_alone(processor, performance, made, tmp_path):
    (tmp_path / "kept").mkdir()
    for taken in (made[0], tmp_path / "kept"):
        before = sorted(taken.iterdir())
        with pytest.raises(ClipError, match="exists already"):
            hand_off(processor, performance, taken)
        assert sorted(taken.iterdir()) == before
    with pytest.raises(ClipError, match="does not exist; create it first"):
        hand_off(processor, performance, tmp_path / "no" / "folder")


def test_cancel_leaves_nothing(processor, performance, tmp_path):
    cancel = threading.Event()
    with pytest.raises(RenderCancelled, match="stopped at frame 2"):
        hand_off(
            processor, performance, tmp_path / "out", cancel=cancel,
            progress=lambda done, total: cancel.set() if done == 2 else None,
        )  # fmt: skip
    assert list(tmp_path.iterdir()) == []


def test_an_interruption_leaves_nothing(processor, performance, tmp_path):
    def stop(done, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        hand_off(processor, performance, tmp_path / "out", progress=stop)
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_one_left_goes_at_the_next_start(processor, performance, tmp_path):
    left = tmp_path / ".seamline-0123456789ab.folder"
    left.mkdir()
    (left / "plate.0000.png").write_bytes(b"x" * 1000)
    (tmp_path / ".seamline-0123456789ab.owner").write_bytes(b"")
    hand_off(processor, performance, tmp_path / "out", frames=FrameRange(0, 1))
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_too_little_space_is_told_before_the_bulk_is_written(processor, performance, tmp_path, monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(handoff.shutil, "disk_usage", lambda path: usage(10**9, 0, 3_000_000))
    done = []
    with pytest.raises(ClipError, match=r"not enough space .* 3\.0 MB are free"):
        hand_off(processor, performance, tmp_path / "out", progress=lambda *step: done.append(step))
    assert done == []
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_fills_up_is_one_clear_error(tmp_path):
    def fill(partial):
        (partial / "a.png").write_bytes(b"x")
        raise OSError(28, "No space left on device")

    with (
        pytest.raises(ClipError, match=r"No space left on device.*free some space"),
        new_folder(tmp_path / "out") as it,
    ):
        fill(it)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_came_to_be_meanwhile_is_not_overwritten(tmp_path):
    with pytest.raises(ClipError, match="has come to be meanwhile"), new_folder(tmp_path / "out"):
        (tmp_path / "out").mkdir()
    assert [p.name for p in tmp_path.iterdir()] == ["out"]


def test_what_is_no_handoff_is_told(made, tmp_path):
    with pytest.raises(ClipError, match=r"no readable handoff\.json"):
        recompose(tmp_path, 0)
    broken = tmp_path / "broken"
    shutil.copytree(made[0], broken)
    (broken / "crop.0000.png").write_bytes(b"nothing")
    with pytest.raises(ClipError, match=r"expected a 16-bit picture .*crop\.0000\.png"):
        recompose(broken, 0)
    (broken / "handoff.json").write_text(json.dumps({"version": 9}))
    with pytest.raises(ClipError, match="expected a hand-off of version 1"):
        recompose(broken, 0)


# Command line


def test_the_command_writes_the_folder_and_says_so(workspace, speech, tmp_path, capsys):
    save_wav(tmp_path / "a sound.wav", speech[38_000:58_000])
    folder = tmp_path / "shots"
    arguments = ["handoff", "--model", "tiny", "--workspace", str(workspace), "--vad", "energy", "--device", "cpu",
                 "--audio", str(tmp_path / "a sound.wav"), "--output", str(folder), "--frames", "0-2",
                 "--clip", "silence", "--set", "compositor=multiband"]  # fmt: skip
    assert main(arguments) == 0
    said = capsys.readouterr()
    assert "3 frames will take about" in said.err
    assert f"wrote {folder}: 3 frames" in said.out
    assert "solved for a plain over" in said.out
    assert read_sidecar(folder)["settings"]["compositor"] == "multiband"
    assert main(arguments) == 2
    assert "exists already" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        (["--set", "compositor=magic"], "compositor must be one of"),
        (["--frames", "20-40"], "the video has frames 0 .. 30; got --frames 20-40"),
        (["--clip", "nobody"], "clip 'nobody' does not exist"),
        (["--model", "nobody"], "model 'nobody' does not exist"),
        (["--audio", "missing.wav"], "cannot be opened"),
    ],
)
def test_bad_input_is_one_line_and_leaves_nothing(workspace, speech, tmp_path, capsys, changed, said):
    save_wav(tmp_path / "sound.wav", speech[38_000:58_000])
    arguments = ["handoff", "--model", "tiny", "--workspace", str(workspace), "--vad", "energy", "--device", "cpu",
                 "--audio", str(tmp_path / "sound.wav"), "--output", str(tmp_path / "out"), *changed]  # fmt: skip
    assert main(arguments) == 2
    errors = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1
    assert said in errors[0]
    assert [p.name for p in tmp_path.iterdir()] == ["sound.wav"]


def test_frame_spans():
    assert frame_span("4-9") == FrameRange(4, 10)
    assert frame_span("7") == FrameRange(7, 8)
    for text in ("9-4", "a-b", "-3", "4-", "", "1-2-3"):
        with pytest.raises(handoff.argparse.ArgumentTypeError, match="expected frames as A-B"):
            frame_span(text)
