"""Sources of any rate on the timeline of 25 fps: by time, to the frame."""

from __future__ import annotations

import random
import subprocess
from fractions import Fraction
from pathlib import Path

import pytest
from test_clips_video import number_of, write_numbered

from clips.ffmpeg import ffmpeg_exe
from clips.timeline import FPS
from clips.video import ClipFrames, VideoInfo, probe, read_frames

RATES = [Fraction(24000, 1001), Fraction(30000, 1001), Fraction(30), Fraction(50), Fraction(60000, 1001)]


def shown_at(times: list[Fraction], frame: int) -> int:
    """Number of the source frame on the screen in the middle of a frame at 25 fps, the slow way."""
    middle = (frame + Fraction(1, 2)) / FPS
    return max(index for index, start in enumerate(times[:-1]) if start <= middle)


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_each_frame_is_the_one_on_the_screen(rate: Fraction, suffix: str, tmp_path: Path) -> None:
    path = write_numbered(tmp_path / "made.mp4", 77, rate)
    if suffix == ".mkv":  # its time stamps are whole milliseconds: the rate is told from them
        copied = tmp_path / "made.mkv"
        subprocess.run([ffmpeg_exe(), "-v", "error", "-i", path, "-c", "copy", copied], check=True)
        path = copied
    info = probe(path)
    assert (info.fps, info.regular, info.frames) == (rate, True, 77)
    times = [k / rate for k in range(78)]
    expected = [shown_at(times, k) for k in range(int(77 / rate * FPS + Fraction(1, 2)))]
    assert [number_of(frame) for frame in read_frames(path, fps=FPS)] == expected
    with ClipFrames(path, fps=FPS) as frames:
        assert [number_of(frames[k]) for k in (len(expected) - 1, 0, 17)] == [expected[k] for k in (-1, 0, 17)]
    assert info.at(FPS).frames == len(expected)


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
@pytest.mark.parametrize("seed", [1, 2])
def test_frames_of_uneven_length_are_followed_exactly(suffix: str, seed: int, tmp_path: Path) -> None:
    dice = random.Random(seed)
    lasts_ms = [dice.choice([8, 17, 33, 40, 41, 67, 120, 400]) for _ in range(40)]
    starts_ms = [sum(lasts_ms[:k]) for k in range(41)]
    made = write_numbered(tmp_path / "made.mp4", 40)
    path = tmp_path / f"uneven{suffix}"
    stamps = "+".join(f"eq(N,{k})*{start}" for k, start in enumerate(starts_ms[:-1]))
    subprocess.run(
        [
            ffmpeg_exe(), "-v", "error", "-i", made, "-vf", f"settb=1/1000,setpts='{stamps}'",
            "-enc_time_base", "1/1000", "-fps_mode", "vfr", "-video_track_timescale", "1000", path,
        ],
        check=True,
    )  # fmt: skip
    info = probe(path)
    assert (info.frames, info.regular) == (40, False)
    assert [time * 1000 for time in info.times_s[:-1]] == starts_ms[:-1]
    shown = [number_of(frame) for frame in read_frames(path, fps=FPS)]
    assert shown == [shown_at(list(info.times_s), k) for k in range(len(shown))]
    assert len(shown) == max(1, int(info.times_s[-1] * FPS + Fraction(1, 2)))
    # How long the last frame lasts is the container's guess; what comes before is exact.
    assert abs(len(shown) - starts_ms[-1] / 40) <= 1 + 400 / 40


@pytest.mark.parametrize("rate", RATES)
def test_an_hour_does_not_drift(rate: Fraction) -> None:
    frames = int(3600 * rate)
    times = tuple(k / rate for k in range(frames + 1))
    info = VideoInfo(Path("x"), 2, 2, frames, rate, 3600.0, False, "", None, 0, times_s=times)
    indices = info.source_indices(FPS)
    assert len(indices) == int(times[-1] * FPS + Fraction(1, 2))
    for k in [*range(0, len(indices), 997), len(indices) - 1]:
        assert indices[k] == min(frames - 1, int((k + Fraction(1, 2)) / FPS * rate))
