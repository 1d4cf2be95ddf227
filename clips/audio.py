"""Any sound, or the sound of any video, as 16 kHz mono float32."""

from __future__ import annotations

import subprocess
import wave
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from clips.errors import ClipError
from clips.ffmpeg import READ_LOCAL_FILES_ONLY, atomic_file, check_source, ffmpeg_exe, input_url
from clips.sound_damage import STRICT, sound_damage

SAMPLE_RATE = 16000
"""Hz: what the audio encoder, the VAD and the timeline count in."""

# first_pts 0: a late start becomes silence; in a step of its own, as soxr leaves a hole after it (measured).
# rematrix_maxval 1: stereo is (L + R) / 2 and cannot clip.
_TO_16_KHZ_MONO = f"aresample=first_pts=0,aresample={SAMPLE_RATE}:resampler=soxr:rematrix_maxval=1.0:ochl=mono"


def load_audio(path: Path | str, limit_s: int | None = None) -> NDArray[np.float32]:
    """First sound track of a file, float32 (T,) at 16 kHz, mono, -1..1 (lossy files may overshoot a little).

    limit_s: no more than the first so many seconds: a small file of packed silence may last for days.

    What cannot be decoded inside a damaged file is left out or silent: see `hear`.
    Channels are averaged, resampling is soxr's; a 16 kHz mono 16-bit wav comes out as int16 / 32768
    exactly. Sound that starts late in a video is led in with silence, so that it stays in step.
    ClipError: missing, empty, not a sound, no sound track, cut off so that nothing decodes, NaN samples.
    """
    return hear(path, limit_s)[0]


def hear(path: Path | str, limit_s: int | None = None) -> tuple[NDArray[np.float32], tuple[str, ...]]:
    """`load_audio`, and notes in words on a file that is damaged: where, and how much of it is used."""
    path = check_source(path, "sound")
    said = subprocess.run(
        [
            ffmpeg_exe(), "-hide_banner", "-nostats", "-nostdin", *STRICT, *READ_LOCAL_FILES_ONLY,
            "-i", input_url(path), "-map", "0:a:0",
            *(() if limit_s is None else ("-t", str(limit_s))),
            "-af", _TO_16_KHZ_MONO,
            "-f", "f32le", "-c:a", "pcm_f32le", "-",
        ],
        capture_output=True,
    )  # fmt: skip
    stderr = said.stderr.decode("utf-8", "replace")
    if "matches no streams" in stderr:
        raise ClipError(f"expected a file with sound; {path.name} has no sound track; choose another file")
    if said.returncode != 0:
        raise ClipError(
            f"expected a sound or video file; {path.name} cannot be read; "
            "it may be cut off or of another kind: export it again as wav, mp3 or m4a"
        )
    samples = np.frombuffer(said.stdout, "<f4").astype(np.float32)
    if len(samples) == 0:
        raise ClipError(f"expected a file with sound; {path.name} holds no samples; record or export it again")
    if not np.isfinite(samples).all():
        raise ClipError(f"expected finite samples; {path.name} holds NaN or infinity; export it again as 16-bit wav")
    seconds = len(samples) / SAMPLE_RATE
    damage = sound_damage(path, stderr, seconds) if limit_s is None or seconds < limit_s else ""
    return samples, (damage,) if damage else ()


def save_wav(path: Path | str, samples: NDArray[np.floating]) -> None:
    """Write float samples (T,), clipped to -1..1, as a 16 kHz mono 16-bit wav; complete or not at all.

    `load_audio` gives them back within half a 16-bit step. ValueError for another shape or NaN.
    """
    with atomic_file(path) as partial:
        write_wav(partial, np.asarray(samples))


def write_wav(path: Path, samples: NDArray[np.floating], silence: int = 0) -> None:
    """`save_wav` to a file that may be seen unfinished, with `silence` samples after the others."""
    if samples.ndim != 1 or not all(np.isfinite(part).all() for part in _blocks(samples)):
        raise ValueError(f"samples must be finite numbers of shape (T,); got shape {samples.shape}")
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(SAMPLE_RATE)
        for part in _blocks(samples):
            file.writeframes(np.clip(np.rint(part * 32768.0), -32768, 32767).astype("<i2").tobytes())
        file.writeframes(bytes(2 * silence))


def _blocks(samples: NDArray[np.floating]) -> Iterator[NDArray[np.floating]]:
    """The samples a minute at a time, so that no copy of a long sound is made."""
    for start in range(0, len(samples), 60 * SAMPLE_RATE):
        yield samples[start : start + 60 * SAMPLE_RATE]
