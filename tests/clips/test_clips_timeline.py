"""Frames, rates and ping-pong: integer arithmetic against fractions."""

from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest

from clips.timeline import FPS, FrameRange, counted, frame_count, frames_named, ping_pong


def test_frame_count_is_the_rounded_duration_for_any_length() -> None:
    random = np.random.default_rng(5)
    for samples in [0, 1, 319, 320, 321, 160, 959, 960, *random.integers(0, 10**9, 500)]:
        for rate, fps in ((16000, FPS), (44100, Fraction(30000, 1001)), (8000, Fraction(20))):
            exact = Fraction(int(samples)) * fps / rate + Fraction(1, 2)
            assert frame_count(int(samples), rate, fps) == max(1, exact.numerator // exact.denominator)


@pytest.mark.parametrize("frames", [1, 2, 29, 57, 58, 113, 114, 100_001])
def test_whole_frames_of_sound_give_exactly_those_frames(frames: int) -> None:
    assert frame_count(frames * 640, 16000) == frames
    assert frame_count(frames * 640 - 320, 16000) == frames  # half a frame rounds up
    assert frame_count(frames * 640 + 319, 16000) == frames


@pytest.mark.parametrize(("samples", "rate", "fps"), [(-1, 16000, FPS), (1, 0, FPS), (1, 16000, Fraction(0))])
def test_frame_count_refuses_what_is_no_sound(samples: int, rate: int, fps: Fraction) -> None:
    with pytest.raises(ValueError, match="must be"):
        frame_count(samples, rate, fps)


def test_ping_pong_goes_there_and_back_without_showing_an_end_twice() -> None:
    assert [ping_pong(i, 4) for i in range(13)] == [0, 1, 2, 3, 2, 1, 0, 1, 2, 3, 2, 1, 0]
    assert [ping_pong(i, 1) for i in range(3)] == [0, 0, 0]
    assert [ping_pong(i, 2) for i in range(4)] == [0, 1, 0, 1]
    for length in (2, 3, 7, 100):
        places = [ping_pong(i, length) for i in range(5 * length)]
        assert set(places) == set(range(length))
        assert all(abs(a - b) == 1 for a, b in pairwise(places))


@pytest.mark.parametrize(("index", "length"), [(-1, 5), (0, 0)])
def test_ping_pong_refuses_impossible_places(index: int, length: int) -> None:
    with pytest.raises(ValueError, match="must be"):
        ping_pong(index, length)


def test_frame_range_is_a_checked_half_open_range() -> None:
    frames = FrameRange(3, 6)
    assert (len(frames), list(frames)) == (3, [3, 4, 5])
    assert 5 in frames
    assert 6 not in frames
    assert len(FrameRange(2, 2)) == 0
    for start, stop in ((-1, 2), (3, 2), (0.5, 2), (True, 2)):
        with pytest.raises(ValueError, match="FrameRange"):
            FrameRange(start, stop)  # type: ignore[arg-type]


def test_one_is_singular() -> None:
    assert [counted(n, "turn") for n in (0, 1, 2)] == ["0 turns", "1 turn", "2 turns"]
    assert (frames_named([7]), frames_named([3, 4, 5, 9])) == ("frame 7", "frames 3-5, 9")
