"""Qualities: lossless gives back what was converted, each next one is larger; colours, index and length are right."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import cv2
import numpy as np
import pytest

from clips.audio import SAMPLE_RATE
from clips.errors import ClipError
from clips.ffmpeg import ffmpeg_exe
from clips.library import BUNDLED
from clips.quality import QUALITIES, quality_named
from clips.video import VideoWriter, bgr_to_i420, read_frames

FRAMES = 30


@pytest.fixture(scope="module")
def frames() -> list[np.ndarray]:
    clip = read_frames(BUNDLED / "LS1" / "04,16s talk.mp4", 0, FRAMES)
    return [cv2.resize(frame, (320, 320), interpolation=cv2.INTER_AREA) for frame in clip]


@pytest.fixture(scope="module")
def written(frames, tmp_path_factory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("quality")
    # 30.4 frames of sound: rounded to 30, so that sound and picture differ by less than one.
    sound = np.sin(np.arange(round(1.216 * SAMPLE_RATE)) * 0.2).astype(np.float32) * 0.3
    for name, quality in QUALITIES.items():
        with VideoWriter(folder / f"{name}.mp4", 320, 320, sound=sound, crf=quality.crf, preset=quality.preset) as out:
            for frame in frames:
                out.write(frame)
    return {name: folder / f"{name}.mp4" for name in QUALITIES}


def ffmpeg(*arguments: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run([ffmpeg_exe(), "-hide_banner", "-nostdin", *arguments], capture_output=True)


def planes(path: Path) -> np.ndarray:
    """What the file holds, undecoded to RGB: (frames, 480, 320)."""
    raw = ffmpeg("-v", "error", "-i", str(path), "-f", "rawvideo", "-pix_fmt", "yuv420p", "-").stdout
    return np.frombuffer(raw, np.uint8).reshape(-1, 480, 320)


def test_lossless_gives_back_every_value(written, frames):
    assert np.array_equal(planes(written["lossless"]), np.stack([bgr_to_i420(frame) for frame in frames]))


def test_each_next_quality_is_closer_and_larger(written, frames):
    made = np.stack([bgr_to_i420(frame) for frame in frames]).astype(int)
    off = [np.abs(planes(written[name]) - made).mean() for name in ("draft", "standard", "high", "lossless")]
    assert off == sorted(off, reverse=True)
    assert off[0] > off[1] > off[2] > off[3] == 0
    assert off[1] < 1
    sizes = [written[name].stat().st_size for name in QUALITIES]
    assert sizes == sorted(sizes)


@pytest.mark.parametrize("name", list(QUALITIES))
def test_tags_keyframes_and_length(written, name):
    said = ffmpeg("-i", str(written[name]), "-map", "0:v", "-f", "null", "-").stderr.decode()
    assert "yuv420p(tv, smpte170m/bt709/bt709" in said
    keys = ffmpeg("-v", "error", "-skip_frame", "nokey", "-i", str(written[name]), "-map", "0:v", "-fps_mode",
                  "passthrough", "-f", "framecrc", "-").stdout.decode()  # fmt: skip
    places = [int(line.split(",")[2]) for line in keys.splitlines() if line and line[0] != "#"]
    time_base = re.search(r"#tb 0: (\d+)/(\d+)", keys)
    assert time_base is not None
    step = int(time_base.group(2)) // int(time_base.group(1)) // 25
    assert np.diff(np.array(places) // step).max() <= 12
    assert places[0] == 0
    content = written[name].read_bytes()
    assert content.index(b"moov") < content.index(b"mdat")


@pytest.mark.parametrize("name", list(QUALITIES))
def test_sound_and_picture_end_within_a_frame(written, name):
    sound = ffmpeg("-v", "error", "-i", str(written[name]), "-map", "0:a", "-f", "f32le", "-ar", "48000", "-").stdout
    assert len(planes(written[name])) == FRAMES
    assert abs(len(sound) / 4 / 48000 - FRAMES / 25) <= 1 / 25


def test_unknown_qualities_are_refused_with_what_there_is():
    with pytest.raises(ClipError, match="there are: draft, standard, high, lossless"):
        quality_named("best")
    assert all(quality.help for quality in QUALITIES.values())
