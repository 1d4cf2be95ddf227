"""Any sound becomes 16 kHz mono float32, or a message with the cure."""

from __future__ import annotations

import subprocess
import wave
from pathlib import Path

import numpy as np
import pytest

from clips.audio import SAMPLE_RATE, load_audio, save_wav
from clips.errors import ClipError
from clips.ffmpeg import ffmpeg_exe
from clips.library import BUNDLED
from clips.timeline import frame_count
from clips.video import VideoWriter


def write_wav(path: Path, levels: np.ndarray, rate: int) -> Path:
    """levels int16 (T,) or (T, channels)."""
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1 if levels.ndim == 1 else levels.shape[1])
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(levels.astype("<i2").tobytes())
    return path


def speechlike(seconds: float, rate: int = SAMPLE_RATE) -> np.ndarray:
    time = np.arange(round(seconds * rate)) / rate
    voice = sum(np.sin(2 * np.pi * 140 * k * time + k) / k for k in range(1, 12))
    return np.asarray(0.15 * voice * (0.6 + 0.4 * np.sin(2 * np.pi * 3 * time)))


def likeness(heard: np.ndarray, sound: np.ndarray, delay: int = 0) -> float:
    """Best correlation with `sound` delayed by `delay` samples, give or take 3 ms: a block that a codec drops."""
    span = min(len(heard) - delay, len(sound)) - 100
    return max(
        float(np.corrcoef(heard[delay + shift + 50 :][:span], sound[50:][:span])[0, 1]) for shift in range(-48, 49)
    )


def convert(source: Path, target: Path, *options: str) -> Path:
    command = [ffmpeg_exe(), "-v", "error", "-y", "-nostdin", "-i", str(source), *options, str(target)]
    subprocess.run(command, check=True, capture_output=True)
    return target


def test_a_16_khz_wav_is_read_bit_exactly(tmp_path: Path) -> None:
    levels = np.random.default_rng(1).integers(-32768, 32768, 5000).astype(np.int16)
    samples = load_audio(write_wav(tmp_path / "a.wav", levels, SAMPLE_RATE))
    assert samples.dtype == np.float32
    assert np.array_equal(samples, levels / np.float32(32768))


def test_stereo_is_averaged(tmp_path: Path) -> None:
    levels = np.random.default_rng(2).integers(-32768, 32768, (4000, 2)).astype(np.int16)
    samples = load_audio(write_wav(tmp_path / "a.wav", levels, SAMPLE_RATE))
    assert np.abs(samples - levels.mean(axis=1) / 32768).max() < 1e-6


def test_stereo_at_96_khz_keeps_its_length_and_its_sound(tmp_path: Path) -> None:
    high = np.round(speechlike(1.5, 96000) * 30000).astype(np.int16)
    samples = load_audio(write_wav(tmp_path / "a.wav", np.stack([high, high], axis=1), 96000))
    assert abs(len(samples) - 24000) <= 1
    expected = speechlike(1.5)[: len(samples)] * 30000 / 32768
    assert np.abs(samples[200:-200] - expected[200 : len(samples) - 200]).max() < 2e-3


@pytest.mark.parametrize("suffix", [".mp3", ".m4a", ".ogg", ".flac", ".opus", ".aac"])
def test_common_kinds_of_sound_are_read_in_step(suffix: str, tmp_path: Path) -> None:
    sound = speechlike(1.0)
    sound[:4000] = 0  # an onset, to see a shift by
    save_wav(tmp_path / "a.wav", sound)
    samples = load_audio(convert(tmp_path / "a.wav", tmp_path / ("a" + suffix), "-ar", "48000"))
    assert np.isfinite(samples).all()
    assert len(samples) >= len(sound) - 16
    # Raw AAC carries no note of the encoder's delay: 1024 samples at 48 kHz.
    assert likeness(samples, sound, 341 if suffix == ".aac" else 0) > 0.99


def test_the_sound_of_a_video_is_taken_and_a_late_start_is_kept(tmp_path: Path) -> None:
    sound = speechlike(1.0).astype(np.float32)
    with VideoWriter(tmp_path / "v.mp4", 64, 64, sound=sound) as writer:
        for _ in range(25):
            writer.write(np.zeros((64, 64, 3), np.uint8))
    samples = load_audio(tmp_path / "v.mp4")
    assert likeness(samples, sound) > 0.99
    convert(tmp_path / "v.mp4", tmp_path / "late.mkv", "-itsoffset", "0.4", "-i", str(tmp_path / "v.mp4"),
            "-map", "0:v", "-map", "1:a", "-c", "copy")  # fmt: skip
    late = load_audio(tmp_path / "late.mkv")
    assert np.abs(late[:6000]).max() < 1e-3
    assert likeness(late, sound, 6400) > 0.99


def test_ten_milliseconds_and_silence_work(tmp_path: Path) -> None:
    tiny = load_audio(write_wav(tmp_path / "tiny.wav", np.full(160, 1000, np.int16), SAMPLE_RATE))
    assert len(tiny) == 160
    assert frame_count(len(tiny), SAMPLE_RATE) == 1
    brief = load_audio(write_wav(tmp_path / "brief.wav", np.full((441, 2), 1000, np.int16), 44100))
    assert 159 <= len(brief) <= 161
    quiet = load_audio(write_wav(tmp_path / "quiet.wav", np.zeros(16000, np.int16), SAMPLE_RATE))
    assert len(quiet) == 16000
    assert not quiet.any()


def test_a_cut_off_wav_gives_what_is_there(tmp_path: Path) -> None:
    whole = write_wav(tmp_path / "whole.wav", np.arange(16000).astype(np.int16), SAMPLE_RATE)
    (tmp_path / "cut.wav").write_bytes(whole.read_bytes()[: 44 + 2 * 8000])
    assert np.array_equal(load_audio(tmp_path / "cut.wav"), np.arange(8000, dtype=np.float32) / 32768)


@pytest.mark.parametrize(
    ("kind", "says"),
    [
        ("missing", "check the name"), ("empty", "empty"), ("folder", "folder"), ("text", "cannot be read"),
        ("noise", "cannot be read"), ("cut off", "cannot be read"), ("no samples", "no samples"),
        ("no sound track", "no sound track"), ("picture", "no sound track"), ("playlist", "cannot be read"),
    ],
)  # fmt: skip
def test_what_is_no_sound_is_refused_with_the_cure(kind: str, says: str, tmp_path: Path) -> None:
    path = tmp_path / "speech.m4a"
    match kind:
        case "empty":
            path.touch()
        case "folder":
            path.mkdir()
        case "text":
            path.write_text("Dear all, the recording follows by separate mail.\n" * 20)
        case "noise":
            path.write_bytes(np.random.default_rng(0).bytes(5000))
        case "cut off":
            save_wav(tmp_path / "a.wav", speechlike(2.0))
            convert(tmp_path / "a.wav", tmp_path / "whole.m4a")
            path.write_bytes((tmp_path / "whole.m4a").read_bytes()[:6000])
        case "no samples":
            path = write_wav(tmp_path / "none.wav", np.zeros(0, np.int16), SAMPLE_RATE)
        case "no sound track":
            path = BUNDLED / "LS1" / "silence.mp4"
        case "picture":
            path = convert(BUNDLED / "LS1" / "silence.mp4", tmp_path / "a.png", "-frames:v", "1")
        case "playlist":
            path.write_text("#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\nhttp://127.0.0.1:9/x.ts\n#EXT-X-ENDLIST\n")
    with pytest.raises(ClipError, match=says) as refusal:
        load_audio(path)
    message = str(refusal.value)
    assert message.startswith("expected")
    assert ";" in message
    assert "\n" not in message


def test_samples_that_are_not_numbers_are_refused(tmp_path: Path) -> None:
    floats = np.full(1000, np.nan, "<f4")
    (tmp_path / "raw").write_bytes(floats.tobytes())
    made = tmp_path / "nan.wav"
    command = [ffmpeg_exe(), "-v", "error", "-f", "f32le", "-ar", "16000", "-ac", "1", "-i", str(tmp_path / "raw")]
    subprocess.run([*command, "-c:a", "pcm_f32le", str(made)], check=True, capture_output=True)
    with pytest.raises(ClipError, match="NaN"):
        load_audio(made)


def test_save_wav_and_load_audio_are_inverse(tmp_path: Path) -> None:
    levels = np.random.default_rng(3).integers(-32768, 32768, 3000) / np.float32(32768)
    save_wav(tmp_path / "a.wav", levels)
    assert np.array_equal(load_audio(tmp_path / "a.wav"), levels)
    save_wav(tmp_path / "loud.wav", np.array([2.0, -2.0, 0.0]))
    assert np.array_equal(load_audio(tmp_path / "loud.wav"), np.float32([32767 / 32768, -1, 0]))
    for wrong in (np.zeros((2, 3)), np.array([np.nan])):
        with pytest.raises(ValueError, match="samples must be"):
            save_wav(tmp_path / "b.wav", wrong)
    assert not (tmp_path / "b.wav").exists()
