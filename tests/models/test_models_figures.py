"""The figures: perfect is perfect, late is late, and what is known in closed form comes out."""

import math

import numpy as np
import pytest

from blending.types import Landmarks
from clips.library import BUNDLED
from clips.video import read_frames
from models.evaluate import main
from models.figures import (
    PictureTally,
    correlation,
    frame_levels_db,
    lip_figures,
    mouth_square,
    rounded,
    sound_figures,
    teeth,
)


def lips(frames=200):
    rng = np.random.default_rng(0)
    opening = np.clip(np.convolve(rng.normal(0.05, 0.1, frames), np.ones(4) / 4, "same"), 0, None)
    return np.stack([opening, 0.6 + 0.1 * rng.normal(size=frames)], axis=1)


def face():
    with np.load(BUNDLED / "LS1" / "02,08s talk.landmarks.npz") as kept:
        return Landmarks(next(kept[name] for name in kept.files if kept[name].ndim == 3)[10]).to_scheme(68)


def test_the_truth_itself_is_perfect():
    truth = lips()
    found = lip_figures(truth, truth)
    assert found.frames == 200
    assert (found.opening_r, found.width_r) == pytest.approx((1, 1))
    assert found.best_offset == 0
    assert found.closed_share == 1
    assert found.closed_gap_p95 < 0.02


def test_a_late_mouth_is_told():
    truth = lips()
    assert lip_figures(np.roll(truth, 2, axis=0), truth).best_offset == 2
    assert lip_figures(np.roll(truth, -1, axis=0), truth).best_offset == -1


def test_frames_without_a_face_are_left_out():
    truth = lips()
    drawn = truth.copy()
    drawn[5:9] = np.nan
    found = lip_figures(drawn, truth)
    assert found.frames == 196
    assert found.opening_r == pytest.approx(1)


def test_an_open_mouth_where_the_truth_is_closed():
    truth = np.tile([0.0, 0.5], (50, 1))
    truth[:10, 0] = 0.2
    drawn = truth + np.array([0.06, 0])
    found = lip_figures(drawn, truth)
    assert found.closed_share == 0
    assert found.closed_gap_p95 == pytest.approx(0.06)


def test_correlation_of_what_does_not_vary_is_none():
    assert correlation(np.ones(9), np.arange(9.0)) == 0
    assert correlation(np.arange(9.0), -np.arange(9.0)) == pytest.approx(-1)


def test_lips_that_follow_the_sound():
    levels = np.full(100, -70.0)
    levels[20:60] = -20 + 10 * np.sin(np.arange(40))
    moving = np.stack([np.maximum((levels + 40) / 100, 0), np.cos(np.arange(100) * 2.0)], axis=1)
    found = sound_figures(moving, levels)
    assert found.speaking == 40
    assert found.opening_energy_r == pytest.approx(1)
    assert abs(found.opening_width_r) < 0.5
    assert found.paused == 20 + 40 - 4 * 3
    assert found.closed_share == 1
    assert sound_figures(moving + np.array([0.1, 0]), levels).closed_share == 0


def test_level_of_a_sine():
    wave = np.sin(np.arange(16000) * 0.5)
    levels = frame_levels_db(wave, 30, 640)
    assert np.allclose(levels[:25], -3, atol=0.1)
    assert (levels[25:] == -100).all()


def test_psnr_teeth_and_flicker_of_known_errors():
    marks = face()
    plate = next(iter(read_frames(BUNDLED / "LS1" / "02,08s talk.mp4", start=10, count=1)))
    same, off = PictureTally(), PictureTally()
    brighter = np.clip(plate.astype(int) + 5, 0, 255).astype(np.uint8)
    for tally, made in ((same, plate), (off, brighter)):
        tally.add_mouth(plate, made, marks)
        for level in (0, 2, 2):
            tally.add_error(np.full((8, 8, 3), level, np.float32), {"cheeks": np.ones((8, 8), bool)})
    assert same.figures().mouth_psnr_db > 100
    assert off.figures().mouth_psnr_db == pytest.approx(20 * math.log10(255 / 5), abs=0.1)
    assert same.figures().flicker == {"cheeks": 1.0}
    same.cut()
    same.add_error(np.full((8, 8, 3), 9, np.float32), {"cheeks": np.ones((8, 8), bool)})
    assert same.figures().flicker == {"cheeks": 1.0}


def test_teeth_are_pale_and_between_the_lips():
    marks = face()
    points = marks.points.copy()
    points[60:68] = [(20, 30), (30, 25), (35, 25), (40, 25), (50, 30), (40, 38), (35, 38), (30, 38)]
    marks = Landmarks(points)
    frame = np.full((64, 64, 3), (100, 110, 155), np.uint8)
    assert not teeth(frame, marks).any()
    frame[28:36, 30:40] = 150
    frame[5:15, 5:15] = 150
    assert teeth(frame, marks).sum() == 80
    frame[28:36, 30:40] = 30
    assert not teeth(frame, marks).any()


def test_mouth_square_holds_the_lips():
    marks = face()
    square, mouth = mouth_square(marks), marks.region("outer_lip")
    assert square.side == round(1.2 * np.ptp(mouth[:, 0]))
    assert (mouth.min(axis=0) > (square.x0, square.y0)).all()
    assert (mouth.max(axis=0) < (square.x0 + square.side, square.y0 + square.side)).all()


def test_figures_are_never_rounded_to_the_better_side():
    kept = rounded({"opening_r": 0.8999, "closed_gap_p95": 0.0391, "frames": 7, "flicker": {"neck": 1.0001}})
    assert kept == {"opening_r": 0.899, "closed_gap_p95": 0.04, "frames": 7, "flicker": {"neck": 1.001}}


def test_bad_arguments_say_what_is_missing(capsys):
    assert main(["--model", "LS1"]) == 2
    assert "--footage or --sound" in capsys.readouterr().err
    assert main(["--model", "LS1", "--sound", "x.wav"]) == 2
    assert "--base" in capsys.readouterr().err


@pytest.mark.slow
def test_evaluation_runs_on_footage_and_on_sound(workspace, tmp_path, capsys):
    import shutil

    from clips.audio import load_audio, save_wav
    from clips.library import SAMPLE_SPEECH

    footage = tmp_path / "take.mp4"
    shutil.copy(BUNDLED / "LS1" / "02,08s talk.mp4", footage)
    save_wav(footage.with_suffix(".wav"), load_audio(SAMPLE_SPEECH)[: 16000 * 2])
    sheet = tmp_path / "sheet.png"
    run = ["--model", "tiny", "--workspace", str(workspace)]
    assert main([*run, "--footage", str(footage), "--holdout", "0.45", "--sheet", str(sheet)]) == 0
    told = capsys.readouterr().out
    for word in ("opening r", "perfect", "one frame late", "wrong", "teeth overlap", "flicker"):
        assert word in told
    assert sheet.is_file()
    assert main([*run, "--sound", str(footage.with_suffix(".wav")), "--base", str(footage)]) == 0
    assert "opening against loudness" in capsys.readouterr().out
