"""How a network is run: chosen by name, always the same three parts.

A runtime splits the network where it may be split: the image encoder looks at the plate only and can be kept per
plate frame, the audio branch looks at the sound only and is run for several frames at once, the decoder joins
them. Kept or not, a part always runs on the same shapes, so that a frame's numbers do not depend on what was
asked for before.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from models.errors import ModelError
from models.folding import fold_batch_norm
from models.unet import AUDIO_SHAPES, UNet

SOUND_BATCH = 8
"""Output frames whose audio maps are computed together."""

HALF_LEVELS = 0.5
"""Half precision is used where it changes a picture by less than this, in 8-bit levels."""


@dataclass(frozen=True, eq=False)
class Kept:
    """What one part of the network gave, in the runtime's own form, and how much memory it takes."""

    parts: Sequence[Any]
    nbytes: int


class Runtime(Protocol):
    """Runs the parts of one network. Safe to call from several threads.

    name: as in RUNTIMES. about: device, precision and threads, in words. exact: whether it computes in float32.
    """

    name: str
    about: str
    exact: bool

    def encode_picture(self, picture: NDArray[np.float32]) -> Kept:
        """The encoder's pictures of (s, s, 6), BGR 0..1: crop, then masked crop."""

    def encode_sound(self, windows: NDArray[np.float32]) -> Kept:
        """Audio maps of SOUND_BATCH windows (B, *AUDIO_SHAPES[mode]): one part per window."""

    def draw(self, pictures: Sequence[Kept], audio_maps: Sequence[Any]) -> NDArray[np.float32]:
        """Drawn pictures (B, s, s, 3), BGR 0..1, of B kept pictures and as many audio maps."""


def pick_device(device: str = "auto") -> torch.device:
    """ "auto" is CUDA where there is one, else the CPU. Raises ModelError for a device that is not there."""
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        chosen = torch.device(device)
    except RuntimeError as e:
        raise ModelError(f"device must be auto, cpu, cuda or cuda:N; got {device!r}") from e
    if chosen.type not in ("cpu", "cuda"):
        raise ModelError(f"device must be auto, cpu, cuda or cuda:N; got {device!r}")
    if chosen.type == "cuda" and not torch.cuda.is_available():
        raise ModelError(f"device {device} was asked for, but this machine offers no CUDA GPU; use --device cpu")
    if chosen.type == "cuda" and (chosen.index or 0) >= torch.cuda.device_count():
        count = torch.cuda.device_count()
        raise ModelError(f"device {device} was asked for, but there are {count} GPUs; use cuda:0 to cuda:{count - 1}")
    return chosen


def leave_cores_free(threads: int | None = None) -> int:
    """Let torch use that many threads, by default half of the cores, at least one; returns how many.

    Decoder, blend and encoder run beside the network. With every core taken by torch its threads wait for each
    other: on two busy cores a frame cost 497 ms with two threads and 78 ms with one.
    """
    count = threads or max(1, (os.cpu_count() or 2) // 2)
    torch.set_num_threads(count)
    return count


class TorchRuntime:
    """PyTorch with folded batch norms and channels-last memory, on the CPU or a GPU.

    precision: "float32", "float16" or "auto": half precision on a GPU where a probe shows that it is exact enough.
    """

    name = "torch"

    def __init__(self, network: UNet, device: torch.device, *, threads: int | None = None, precision: str = "auto"):
        if precision not in ("auto", "float32", "float16"):
            raise ValueError(f"precision must be auto, float32 or float16; got {precision!r}")
        self._device, self._mode = device, network.mode
        self._network: UNet = fold_batch_norm(network).to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._dtype = torch.float32
        if device.type == "cuda":
            # One choice of algorithm for one shape, and no shortened factors: the same frame gives the same numbers.
            torch.backends.cudnn.deterministic = True
            torch.backends.cudnn.allow_tf32 = False
            torch.backends.cuda.matmul.allow_tf32 = False
        if precision == "float16" or (precision == "auto" and device.type == "cuda" and self._half_is_exact_enough()):
            self._network, self._dtype = self._network.half(), torch.float16
        used = leave_cores_free(threads) if device.type == "cpu" else 0
        self.exact = self._dtype == torch.float32
        what = str(self._dtype).removeprefix("torch.")
        self.about = f"torch on {device}, {what}" + (f", {_threads(used)}" if used else "")

    def encode_picture(self, picture: NDArray[np.float32]) -> Kept:
        image = torch.from_numpy(picture[None]).permute(0, 3, 1, 2)
        with torch.inference_mode():
            pictures = self._network.encode_image(image.to(self._device, self._dtype))
        return Kept(pictures, sum(p.nbytes for p in pictures))

    def encode_sound(self, windows: NDArray[np.float32]) -> Kept:
        with torch.inference_mode():
            maps = self._network.encode_audio(torch.from_numpy(windows).to(self._device, self._dtype))
        return Kept(maps.split(1), maps.nbytes)

    def draw(self, pictures: Sequence[Kept], audio_maps: Sequence[Any]) -> NDArray[np.float32]:
        with torch.inference_mode():
            levels = zip(*(kept.parts for kept in pictures), strict=True)
            drawn = self._network.decode([_joined(level) for level in levels], _joined(audio_maps))
        return np.asarray(drawn.permute(0, 2, 3, 1).float().cpu().numpy())

    def _half_is_exact_enough(self) -> bool:
        """Whether half precision draws a picture of noise and gradients as full precision does."""
        size, rng = self._network.size, np.random.default_rng(0)
        gradient = np.linspace(0, 1, size, dtype=np.float32)[:, None, None]
        picture = (0.7 * gradient + 0.3 * rng.random((size, size, 6), np.float32)).astype(np.float32)
        window = np.abs(rng.standard_normal((1, *AUDIO_SHAPES[self._mode]), np.float32))
        drawn = [
            TorchRuntime(self._network, self._device, precision=precision)._draw_once(picture, window)
            for precision in ("float32", "float16")
        ]
        return bool(np.abs(drawn[0] - drawn[1]).max() * 255 < HALF_LEVELS)

    def _draw_once(self, picture: NDArray[np.float32], window: NDArray[np.float32]) -> NDArray[np.float32]:
        return self.draw([self.encode_picture(picture)], self.encode_sound(window).parts)


def _joined(tensors: Sequence[Tensor]) -> Tensor:
    return tensors[0] if len(tensors) == 1 else torch.cat(list(tensors))


def _threads(count: int) -> str:
    return f"{count} thread" + ("s" if count > 1 else "")


def _openvino(network: UNet, device: torch.device, *, threads: int | None = None) -> Runtime:
    try:
        from models.openvino_runtime import OpenVinoRuntime
    except ImportError as e:
        raise ModelError(
            f"OpenVINO cannot be used here ({e}); install it with pip install -r requirements.txt, "
            "or choose --runtime torch"
        ) from e
    return OpenVinoRuntime(network, leave_cores_free(threads))


RUNTIMES: dict[str, Callable[..., Runtime]] = {"torch": TorchRuntime, "openvino": _openvino}
RUNTIME_CHOICES = ("auto", *RUNTIMES)


def make_runtime(
    network: UNet, name: str = "auto", device: str = "auto", *, threads: int | None = None
) -> tuple[Runtime, torch.device]:
    """The runtime of that name for a network, and the device it uses.

    auto: OpenVINO on a CPU, torch on a GPU; it never falls back from one to the other. threads: for the CPU, by
    default half of the cores. Raises ModelError for what is not there, with the cure.
    """
    name, chosen = pick_runtime(name, device)
    return RUNTIMES[name](network, chosen, threads=threads), chosen


def pick_runtime(name: str = "auto", device: str = "auto") -> tuple[str, torch.device]:
    """Name of a runtime and the device it uses; see make_runtime."""
    if name not in RUNTIME_CHOICES:
        raise ModelError(f"runtime must be one of {', '.join(RUNTIME_CHOICES)}; got {name!r}")
    chosen = pick_device("cpu" if name == "openvino" and device == "auto" else device)
    if name == "auto":
        name = "openvino" if chosen.type == "cpu" else "torch"
    if name == "openvino" and chosen.type != "cpu":
        raise ModelError(f"runtime openvino runs on the CPU, not on {chosen}; use --device cpu or --runtime torch")
    return name, chosen
