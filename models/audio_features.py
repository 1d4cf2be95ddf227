"""Sound to audio features: mel spectrogram, AVE audio encoder, 16-step feature windows.

The constants are those of the public SyncTalk_2D format, which took them from Wav2Lip
(Prajwal et al. 2020): 16 kHz, 80 mel bands, 80 columns a second, 200 ms windows.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import DTypeLike, NDArray
from torch import Tensor, nn

from models.spectrum import magnitudes, mel_filters

SAMPLE_RATE = 16_000
N_FFT = 800
HOP = 200
MEL_BANDS = 80
MEL_RANGE_HZ = (55.0, 7600.0)
PRE_EMPHASIS = 0.97
SILENCE_DB = -100.0
MEL_CEILING = 4.0
"""Normalised mels lie in -4 .. 4; one unit is 12.5 dB; digital silence is -4."""
COLUMNS_PER_SECOND = SAMPLE_RATE // HOP
WINDOW_COLUMNS = 16
FEATURE_FPS = 25
WINDOW_STEPS = 16
FEATURE_WIDTHS = {"ave": 512, "hubert": 2048, "wenet": 8192}
"""Numbers per feature step (one video frame) in each mode."""
BLOCK_COLUMNS = 4096
"""Columns of the spectrogram made at once: 51 s."""

LAZY_WINDOWS = 16
"""Windows that SoundFeatures encodes together: a sixth of a second of CPU time for LS1."""
LAZY_BLOCKS_KEPT = 64
"""41 s of sound, 2 MB: what a page's frames around each other look at."""


@lru_cache(maxsize=1)
def _mel_basis() -> NDArray[np.float32]:
    return mel_filters(SAMPLE_RATE, N_FFT, MEL_BANDS, MEL_RANGE_HZ)


def check_wav(wav: NDArray[np.floating]) -> None:
    """ValueError unless wav is a float array (samples,) with at least one sample."""
    if wav.ndim != 1 or len(wav) == 0 or not np.issubdtype(wav.dtype, np.floating):
        raise ValueError(
            f"wav must be float (samples,) with at least one sample; got {wav.dtype} {wav.shape}; "
            "record or export the sound again"
        )


def mel_spectrogram(wav: NDArray[np.floating]) -> NDArray[np.float32]:
    """Normalised log-mel spectrogram, float32 (80, T) in -4 .. 4, T = 1 + floor(samples / 200).

    wav: mono, 16 kHz, float, (samples,), at least one sample, finite; else ValueError. Column k is
    centred at k * 12.5 ms. The picture's edges are padded with zeros.
    """
    wav = np.asarray(wav)
    check_wav(wav)
    columns = column_count(len(wav))
    mel = np.empty((MEL_BANDS, columns), np.float32)
    for start in range(0, columns, BLOCK_COLUMNS):
        stop = min(start + BLOCK_COLUMNS, columns)
        mel[:, start:stop] = mel_columns(wav, start, stop)
    return mel


def column_count(samples: int) -> int:
    """Columns of the spectrogram of a sound of that many samples."""
    return 1 + samples // HOP


def mel_columns(wav: NDArray[np.floating], start: int, stop: int) -> NDArray[np.float32]:
    """Columns start .. stop - 1 of mel_spectrogram(wav), (80, stop - start), from the samples they look at only."""
    first, last = start * HOP - N_FFT // 2, (stop - 1) * HOP + N_FFT // 2
    before = int(first > 0)  # the pre-emphasis looks one sample back
    samples = np.asarray(wav[max(first, 0) - before : last], np.float64)
    if not np.isfinite(samples).all():
        raise ValueError("wav must be finite; got NaN or infinity; export the sound again as 16-bit wav")
    emphasised = (samples - PRE_EMPHASIS * np.concatenate([[0.0], samples[:-1]]))[before:]
    left = max(-first, 0)
    padded = np.pad(emphasised, (left, last - first - left - len(emphasised)))
    mel = _mel_basis() @ magnitudes(padded, N_FFT, HOP)
    level_db = 20 * np.log10(np.maximum(10 ** (SILENCE_DB / 20), mel)) - 20
    normalised = 2 * MEL_CEILING * ((level_db - SILENCE_DB) / -SILENCE_DB) - MEL_CEILING
    return np.clip(normalised, -MEL_CEILING, MEL_CEILING).astype(np.float32)


def window_count(columns: int) -> int:
    """Number of mel windows of a spectrogram with that many columns, at least 1."""
    return max(1, int((columns - WINDOW_COLUMNS) / COLUMNS_PER_SECOND * FEATURE_FPS) + 2)


def window_start(index: int, columns: int) -> int:
    """First column of window `index`; near the end the window is the last 16 columns."""
    return max(min(COLUMNS_PER_SECOND * index // FEATURE_FPS, columns - WINDOW_COLUMNS), 0)


def mel_window(mel: NDArray[np.float32], index: int) -> NDArray[np.float32]:
    """Window (80, 16) of video frame `index`: 200 ms from index * 40 ms on. Near the end the last 16
    columns; a spectrogram shorter than that is continued with silence."""
    return _window_at(mel, window_start(index, mel.shape[1]))


def _window_at(mel: NDArray[np.float32], start: int) -> NDArray[np.float32]:
    window = mel[:, start : start + WINDOW_COLUMNS]
    missing = WINDOW_COLUMNS - window.shape[1]
    return np.pad(window, ((0, 0), (0, missing)), constant_values=-MEL_CEILING) if missing else window


class ConvBlock(nn.Module):
    """3x3 or 1x1 convolution with bias, batch norm, optional addition of the input, ReLU."""

    def __init__(
        self, inputs: int, outputs: int, kernel: int, stride: int | tuple[int, int], padding: int, *, residual: bool
    ) -> None:
        super().__init__()
        self.conv_block = nn.Sequential(nn.Conv2d(inputs, outputs, kernel, stride, padding), nn.BatchNorm2d(outputs))
        self.residual = residual

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv_block(x)
        return torch.relu(y + x if self.residual else y)


FULL_ENCODER_CHANNELS = (32, 64, 128, 256)
NARROW_ENCODER_CHANNELS = (16, 32, 128, 256)
"""Narrow where the spectrogram is fine: follows an unheard voice better (.884 of its opening against .848 taught on the
same three takes) in half of the time."""


class AudioEncoder(nn.Module):
    """AVE audio encoder: mel window (B, 1, 80, 16) to a feature vector (B, 512), values >= 0.

    channels: widths of the four stages; the default is the public format's (2.8 M parameters).
    """

    def __init__(self, channels: Sequence[int] = FULL_ENCODER_CHANNELS) -> None:
        super().__init__()
        if len(channels) != 4 or min(channels) < 1:
            raise ValueError(f"channels must be four positive numbers; got {list(channels)}")
        self.channels = tuple(channels)
        a, b, c, d = channels

        def plain(inputs: int, outputs: int, stride: int | tuple[int, int], padding: int = 1) -> ConvBlock:
            return ConvBlock(inputs, outputs, 3, stride, padding, residual=False)

        def same(width: int) -> ConvBlock:
            return ConvBlock(width, width, 3, 1, 1, residual=True)

        self.audio_encoder = nn.Sequential(
            plain(1, a, 1), same(a), same(a),
            plain(a, b, (3, 1)), same(b), same(b),
            plain(b, c, 3), same(c), same(c),
            plain(c, d, (3, 2)), same(d),
            plain(d, FEATURE_WIDTHS["ave"], 1, 0),
            ConvBlock(FEATURE_WIDTHS["ave"], FEATURE_WIDTHS["ave"], 1, 1, 0, residual=False),
        )  # fmt: skip

    def forward(self, mel: Tensor) -> Tensor:
        if mel.ndim != 4 or tuple(mel.shape[1:]) != (1, MEL_BANDS, WINDOW_COLUMNS):
            raise ValueError(f"mel must have shape (B, 1, {MEL_BANDS}, {WINDOW_COLUMNS}); got {tuple(mel.shape)}")
        return self.audio_encoder(mel).flatten(1)


def encode_mel(
    mel: NDArray[np.float32], encoder: AudioEncoder, *, device: str | torch.device = "cpu", batch: int = 64
) -> NDArray[np.float32]:
    """Feature rows (window_count + 2, 512) of a mel spectrogram (80, T): row i belongs to mel window i - 1, the first
    and the last vector stand twice, as the public format has it."""
    columns = mel.shape[1]
    count = window_count(columns)
    vectors = []
    for first in range(0, count, batch):
        starts = [window_start(i, columns) for i in range(first, min(first + batch, count))]
        vectors.append(_encode_windows(lambda start, stop: mel[:, start:stop], starts, columns, encoder, device))
    return np.concatenate([vectors[0][:1], *vectors, vectors[-1][-1:]])


def _encode_windows(
    piece: Callable[[int, int], NDArray[np.float32]],
    starts: Sequence[int],
    columns: int,
    encoder: AudioEncoder,
    device: str | torch.device,
) -> NDArray[np.float32]:
    """Feature vectors of the mel windows that begin at those columns, ascending."""
    part = piece(starts[0], min(starts[-1] + WINDOW_COLUMNS, columns))
    windows = np.stack([_window_at(part, start - starts[0]) for start in starts])[:, None]
    with torch.inference_mode():
        return encoder(torch.from_numpy(windows).to(device)).cpu().numpy()


class SoundFeatures:
    """Feature rows of a 16 kHz mono sound as `encode_mel` makes them, but where they are looked at: the first frame of
    an hour waits no longer than that of a second, and memory stays constant. Rows, shape and length as of an array
    (rows, 512); np.asarray gives all.

    A row's numbers do not depend on what was asked for before. Safe to use from several threads.
    """

    ndim = 2

    def __init__(self, wav: NDArray[np.floating], encoder: AudioEncoder, *, device: str | torch.device = "cpu") -> None:
        """wav: mono 16 kHz float (samples,), finite; else ValueError."""
        self._wav = np.asarray(wav)
        check_wav(self._wav)
        if not np.isfinite(self._wav).all():
            raise ValueError("wav must be finite; got NaN or infinity; export the sound again as 16-bit wav")
        self._encoder, self._device = encoder, device
        self._columns = column_count(len(self._wav))
        self._windows = window_count(self._columns)
        self.shape = (self._windows + 2, FEATURE_WIDTHS["ave"])
        self._blocks: OrderedDict[int, NDArray[np.float32]] = OrderedDict()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: NDArray[np.integer]) -> NDArray[np.float32]:
        """Rows by their numbers, an array 0 .. len - 1."""
        windows = np.clip(np.asarray(rows) - 1, 0, self._windows - 1)  # the first and the last stand twice
        blocks, places = np.divmod(windows, LAZY_WINDOWS)
        with self._lock:
            made = {int(block): self._block(int(block)) for block in np.unique(blocks)}
        return np.stack([made[int(block)][place] for block, place in zip(blocks, places, strict=True)])

    def __array__(self, dtype: DTypeLike = None, copy: bool | None = None) -> NDArray[np.floating]:
        return self[np.arange(len(self))].astype(dtype or np.float32)

    def _block(self, number: int) -> NDArray[np.float32]:
        if number not in self._blocks:
            first = number * LAZY_WINDOWS
            starts = [window_start(i, self._columns) for i in range(first, min(first + LAZY_WINDOWS, self._windows))]
            self._blocks[number] = _encode_windows(
                lambda start, stop: mel_columns(self._wav, start, stop), starts, self._columns, self._encoder,
                self._device,
            )  # fmt: skip
            while len(self._blocks) > LAZY_BLOCKS_KEPT:
                self._blocks.popitem(last=False)
        self._blocks.move_to_end(number)
        return self._blocks[number]


PADDINGS = ("zeros", "edge")


def feature_window(
    features: NDArray[np.float32] | SoundFeatures, index: int, *, padding: str = "zeros"
) -> NDArray[np.float32]:
    """Rows index - 8 .. index + 7 of features (rows, D) as float32 (16, D).

    Rows outside are zeros ("zeros": as every SyncTalk_2D network is trained) or copies of the
    nearest row ("edge"). index may lie anywhere from 0 on; far past the end all rows are outside.
    """
    return feature_context(features, index, 1, padding=padding)


def feature_context(
    features: NDArray[np.float32] | SoundFeatures, index: int, count: int, *, padding: str = "zeros"
) -> NDArray[np.float32]:
    """What feature_window looks at for the frames index .. index + count - 1: float32 (count + 15, D);
    the window of frame index + k is its rows k .. k + 15."""
    if features.ndim != 2 or len(features) == 0:
        raise ValueError(f"features must have shape (rows, D) with at least one row; got {features.shape}")
    if padding not in PADDINGS:
        raise ValueError(f"padding must be one of {list(PADDINGS)}; got {padding!r}")
    if index < 0:
        raise ValueError(f"index must be 0 or more; got {index}")
    first = index - WINDOW_STEPS // 2
    rows = np.arange(first, first + WINDOW_STEPS - 1 + count)
    context = np.array(features[np.clip(rows, 0, len(features) - 1)], np.float32)
    if padding == "zeros":
        context[(rows < 0) | (rows >= len(features))] = 0
    return context
