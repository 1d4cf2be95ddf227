"""Every VAD method makes the same promises. Speech: the actor's test sound."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from clips.audio import SAMPLE_RATE, load_audio
from clips.vad import VAD_METHODS, SampleRange, find_speech

ACTOR = Path(__file__).parents[2] / ".." / "shared" / "actor"
METHODS = sorted(VAD_METHODS)


@pytest.fixture(scope="module")
def speech() -> np.ndarray:
    """7.2 s: speech, a pause of 1.2 s, speech."""
    path = ACTOR / "test_speech_a.wav"
    if not path.is_file():
        pytest.skip("the actor's speech is not beside this checkout")
    return load_audio(path)


@pytest.mark.parametrize("method", METHODS)
def test_speech_around_a_pause_is_two_ranges(method: str, speech: np.ndarray) -> None:
    first, second = find_speech(speech, method)
    assert 0 <= first.start < 0.25 * SAMPLE_RATE
    assert abs(first.stop / SAMPLE_RATE - 2.9) < 0.2
    assert abs(second.start / SAMPLE_RATE - 3.95) < 0.1
    assert second.stop <= len(speech)
    (whole,) = find_speech(speech, method, min_silence_s=2.0)
    assert whole == SampleRange(first.start, second.stop)
    assert find_speech(speech, method, min_speech_s=5.0) == []


@pytest.mark.parametrize("method", METHODS)
def test_one_loud_click_changes_little(method: str, speech: np.ndarray) -> None:
    quiet = speech * 0.1
    clicked = quiet.copy()
    clicked[int(3.4 * SAMPLE_RATE) : int(3.4 * SAMPLE_RATE) + 40] = 1.0  # in the pause, 40 dB above the speech
    with_click, without = find_speech(clicked, method), find_speech(quiet, method)
    covered = [sum(len(part) for part in ranges) / SAMPLE_RATE for ranges in (with_click, without)]
    assert covered[0] >= covered[1] - 0.1
    assert covered[0] <= covered[1] + 1.3


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("samples", [0, 1, 160, 511, 512, 513, 48000])
def test_silence_of_any_length_has_no_speech(method: str, samples: int) -> None:
    assert find_speech(np.zeros(samples, np.float32), method) == []


@pytest.mark.parametrize("method", METHODS)
def test_ranges_lie_in_order_inside_the_sound_for_any_setting(method: str, speech: np.ndarray) -> None:
    part = speech[: 4 * SAMPLE_RATE]
    for threshold, silence, shortest, pad in ((0.5, 0.0, 0.0, 0.0), (0.3, 0.05, 0.0, 3.0), (0.9, 0.2, 0.1, 0.1)):
        ranges = find_speech(part, method, threshold=threshold, min_silence_s=silence, min_speech_s=shortest, pad_s=pad)
        edges = [edge for one in ranges for edge in (one.start, one.stop)]
        assert ranges
        assert all(a < b for a, b in pairwise(edges))
        assert edges[0] >= 0
        assert edges[-1] <= len(part)


def test_energy_needs_no_network_and_hears_a_tone_between_quiet_noise() -> None:
    random = np.random.default_rng(0)
    sound = random.normal(0, 0.003, 4 * SAMPLE_RATE).astype(np.float32)
    sound[SAMPLE_RATE : 2 * SAMPLE_RATE] += 0.3 * np.sin(np.arange(SAMPLE_RATE) * 0.2).astype(np.float32)
    (found,) = find_speech(sound, "energy", pad_s=0.0)
    assert abs(found.start - SAMPLE_RATE) <= 400
    assert abs(found.stop - 2 * SAMPLE_RATE) <= 400


def test_silero_does_not_take_a_tone_or_noise_for_speech() -> None:
    random = np.random.default_rng(0)
    assert find_speech(random.normal(0, 0.1, 2 * SAMPLE_RATE).astype(np.float32)) == []
    assert find_speech((0.3 * np.sin(np.arange(2 * SAMPLE_RATE) * 0.2)).astype(np.float32)) == []


@pytest.mark.parametrize(
    "wrong",
    [
        {"method": "magic"}, {"threshold": 0.0}, {"threshold": float("nan")}, {"min_silence_s": -1.0},
        {"pad_s": float("inf")}, {"min_speech_s": float("nan")},
    ],
)  # fmt: skip
def test_settings_out_of_range_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="must be"):
        find_speech(np.zeros(1000, np.float32), **wrong)  # type: ignore[arg-type]


def test_samples_of_another_shape_are_refused() -> None:
    for samples in (np.zeros((100, 2), np.float32), np.full(100, np.nan, np.float32)):
        with pytest.raises(ValueError, match="samples must be"):
            find_speech(samples)
