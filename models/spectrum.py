"""Short-time spectrum and mel filters, as librosa 0.11 makes them (the filters to the bit, the spectrum within 1e-13):
importing librosa, with the parts of scipy that it needs, took a third of the time to a render's first frame."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

MEL_HZ = 200 / 3
"""Slaney's mel scale (Auditory Toolbox, 1998): so many Hz a mel up to KNEE_HZ, logarithmic above it."""
KNEE_HZ = 1000.0
KNEE_MEL = KNEE_HZ / MEL_HZ
LOG_STEP = np.log(6.4) / 27


def magnitudes(samples: NDArray[np.float64], size: int, hop: int) -> NDArray[np.float64]:
    """Magnitudes of the spectrum, (1 + size / 2, T), under a periodic Hann window that moves by `hop` samples; nothing
    is padded. samples: (size + (T - 1) * hop,) or some more."""
    turn = np.linspace(-np.pi, np.pi, size + 1)[:-1]
    window = (0.5 + 0.5 * np.cos(turn))[:, None]
    frames = np.lib.stride_tricks.sliding_window_view(samples, size)[::hop].T
    return np.abs(np.fft.rfft(window * frames, axis=0))


def mel_filters(rate_hz: int, size: int, bands: int, range_hz: tuple[float, float]) -> NDArray[np.float32]:
    """Triangles of equal area on Slaney's mel scale, float32 (bands, 1 + size / 2)."""
    low, high = (float(_mels(hz)) for hz in range_hz)
    corners = _hertz(np.linspace(low, high, bands + 2))
    away = np.subtract.outer(corners, np.fft.rfftfreq(size, 1 / rate_hz))
    widths = np.diff(corners)
    rising = -away[:-2] / widths[:-1, None]
    falling = away[2:] / widths[1:, None]
    triangles = np.maximum(0, np.minimum(rising, falling)).astype(np.float32)
    triangles *= (2 / (corners[2:] - corners[:-2]))[:, None]
    return triangles


def _mels(hz: float) -> float:
    return KNEE_MEL + np.log(hz / KNEE_HZ) / LOG_STEP if hz >= KNEE_HZ else hz / MEL_HZ


def _hertz(mels: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.where(mels >= KNEE_MEL, KNEE_HZ * np.exp(LOG_STEP * (mels - KNEE_MEL)), MEL_HZ * mels)
