"""Spectrum and mel filters against librosa and scipy, which the format's own code uses."""

import librosa
import numpy as np
import pytest
from scipy.signal import lfilter

from models.audio_features import HOP, MEL_BANDS, MEL_RANGE_HZ, N_FFT, PRE_EMPHASIS, SAMPLE_RATE, mel_columns
from models.spectrum import magnitudes, mel_filters


@pytest.mark.parametrize("samples", [N_FFT, N_FFT + HOP - 1, 16_123, 100_000])
def test_magnitudes_are_librosas(samples):
    wave = np.random.default_rng(samples).standard_normal(samples)
    theirs = np.abs(librosa.stft(y=wave, n_fft=N_FFT, hop_length=HOP, win_length=N_FFT, center=False))
    ours = magnitudes(wave, N_FFT, HOP)
    assert ours.shape == theirs.shape
    assert np.abs(ours - theirs).max() < 1e-12


@pytest.mark.parametrize(
    ("rate", "size", "bands", "low", "high"),
    [
        (SAMPLE_RATE, N_FFT, MEL_BANDS, *MEL_RANGE_HZ),
        (22_050, 1024, 40, 0.0, 11_025.0),
        (8000, 512, 20, 1200.0, 4000.0),
    ],
)
def test_mel_filters_are_librosas(rate, size, bands, low, high):
    theirs = librosa.filters.mel(sr=rate, n_fft=size, n_mels=bands, fmin=low, fmax=high)
    ours = mel_filters(rate, size, bands, (low, high))
    assert ours.dtype == np.float32
    assert np.array_equal(ours, theirs)


def test_pre_emphasis_is_scipys_filter():
    wave = np.random.default_rng(0).standard_normal(3000).astype(np.float32)
    emphasised = lfilter([1.0, -PRE_EMPHASIS], [1.0], wave.astype(np.float64))
    spectrum = magnitudes(np.pad(emphasised, (N_FFT // 2, N_FFT)), N_FFT, HOP)[:, :5]
    mel = mel_filters(SAMPLE_RATE, N_FFT, MEL_BANDS, MEL_RANGE_HZ) @ spectrum
    level = 8 * ((20 * np.log10(np.maximum(1e-5, mel)) - 20 + 100) / 100) - 4
    assert np.array_equal(mel_columns(wave, 0, 5), np.clip(level, -4, 4).astype(np.float32))
