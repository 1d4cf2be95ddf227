"""Time in whole frames: rates are fractions, seconds live at the edges."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

FPS = Fraction(25)
"""Frame rate of the timeline: what core clips are read at and what is rendered."""


COMMON_RATES = [Fraction(n) for n in (10, 12, 15, 20, 24, 25, 30, 48, 50, 60, 100, 120)] + [
    Fraction(n * 1000, 1001) for n in (24, 30, 48, 60, 120)
]
"""Rates to recognise behind rounded numbers: time stamps in milliseconds (mkv, webm), "29.97"."""


def frame_count(samples: int, sample_rate: int, fps: Fraction = FPS) -> int:
    """Frames that cover a sound: max(1, floor(samples * fps / sample_rate + 1/2)), in integers.

    samples >= 0 and sample_rate > 0 in Hz, fps > 0; anything else is a ValueError.
    """
    if samples < 0:
        raise ValueError(f"samples must be 0 or more; got {samples}")
    if sample_rate <= 0:
        raise ValueError(f"sample_rate must be above 0 Hz; got {sample_rate}")
    if fps <= 0:
        raise ValueError(f"fps must be above 0; got {fps}")
    fps = Fraction(fps)
    return max(1, (2 * samples * fps.numerator + sample_rate * fps.denominator) // (2 * sample_rate * fps.denominator))


def ping_pong(index: int, length: int) -> int:
    """Frame of a clip of `length` frames shown at place `index`: 0, 1, .., n-1, n-2, .., 1, 0, 1, ..

    The ends are shown once per turn. index >= 0, length >= 1; else ValueError.
    """
    if length < 1:
        raise ValueError(f"length must be at least 1 frame; got {length}")
    if index < 0:
        raise ValueError(f"index must be 0 or more; got {index}")
    if length == 1:
        return 0
    place = index % (2 * length - 2)
    return place if place < length else 2 * length - 2 - place


def counted(count: int, noun: str) -> str:
    """A number with its noun: "1 frame", "2 frames"."""
    return f"{count} {noun}{'' if count == 1 else 's'}"


def spans(frames: Iterable[int], most: int = 5) -> str:
    """Ascending frame numbers as "40-59, 71"; the first `most` spans, then "..". Empty for no frame."""
    runs: list[list[int]] = []
    for frame in frames:
        if runs and frame == runs[-1][1] + 1:
            runs[-1][1] = frame
        else:
            runs.append([frame, frame])
    names = [str(first) if first == last else f"{first}-{last}" for first, last in runs]
    return ", ".join(names[:most]) + (", .." if len(names) > most else "")


def frames_named(frames: Sequence[int] | NDArray[np.integer]) -> str:
    """ "frame 7", "frames 3-5, 9": `spans` with their noun."""
    return f"frame{'s' if len(frames) > 1 else ''} {spans(frames)}"


@dataclass(frozen=True, order=True)
class FrameRange:
    """Frames start .. stop - 1; 0 <= start <= stop, whole numbers, else ValueError."""

    start: int
    stop: int

    def __post_init__(self) -> None:
        for name in ("start", "stop"):
            value = getattr(self, name)
            if isinstance(value, bool) or not hasattr(value, "__index__"):
                raise ValueError(f"FrameRange {name} must be a whole number of frames; got {value!r}")
            object.__setattr__(self, name, int(value))
        if not 0 <= self.start <= self.stop:
            raise ValueError(f"FrameRange must have 0 <= start <= stop; got start {self.start}, stop {self.stop}")

    def __len__(self) -> int:
        return self.stop - self.start

    def __iter__(self) -> Iterator[int]:
        return iter(range(self.start, self.stop))

    def __contains__(self, index: object) -> bool:
        return isinstance(index, int) and self.start <= index < self.stop
