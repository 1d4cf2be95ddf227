"""python -m models.benchmark: what a frame of the network costs, against plain eager PyTorch in the same run.

A network with random weights, so that every machine measures the same. CPU time of the process per frame, the ways
taken in turns; ratios are within a round, so that other work on the machine weighs on both sides alike. Beside them
the machine's floor: the same multiplications at the speed of its best matrix product. Records; never gates anything
on time.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from blending.types import CropBox, Frame
from models.audio_features import AudioEncoder, SoundFeatures, feature_window
from models.errors import ModelError
from models.folding import fold_batch_norm
from models.lip_sync import (
    RIM_PX,
    LipSyncModel,
    crop_for_network,
    find_model,
    load_networks,
    mask_lower_face,
)
from models.runtime import SOUND_BATCH, Runtime, leave_cores_free, make_runtime
from models.unet import AUDIO_SHAPES, FULL_CHANNELS, HALF_CHANNELS, UNet

PLANS = {"full": FULL_CHANNELS, "half": HALF_CHANNELS}
EAGER_FRAMES = 2
"""Frames a slow way draws in one round; the fast ones draw a block of SOUND_BATCH."""
MATRIX = 1024
GPU_BATCHES = (1, 4, 16)

Pictures = NDArray[np.float32]
Way = Callable[[], Pictures]
"""Draws some frames, (B, s, s, 3)."""


@dataclass(frozen=True)
class Row:
    """One way to draw a frame. ms: CPU time per frame, median; ratio: eager's over its own, median of the rounds;
    levels: largest difference from eager, in 8-bit levels."""

    name: str
    ms: float
    ratio: float
    levels: float


def random_network(plan: str, size: int) -> UNet:
    """A network in eval mode whose batch norms have seen something, so that activations keep their size and the
    picture shows every part of the input."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = UNet("ave", channels=PLANS[plan], size=size)
        for module in network.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                module.momentum = None  # the statistics are those of what it sees
        with torch.no_grad():
            network(torch.rand(2, 6, size, size), torch.rand(2, *AUDIO_SHAPES["ave"]))
            network.outc.conv.weight *= 0.1  # keeps the sigmoid out of saturation
    return network.eval()


def giga_macs(network: UNet) -> float:
    """Multiplications of one frame, in 10^9, counted at the convolutions of the network as the format has it."""
    counted = 0

    def count(layer: torch.nn.Module, _: object, output: torch.Tensor) -> None:
        nonlocal counted
        assert isinstance(layer, torch.nn.Conv2d)
        counted += output.numel() * layer.weight[0].numel()

    hooks = [m.register_forward_hook(count) for m in network.modules() if isinstance(m, torch.nn.Conv2d)]
    with torch.inference_mode():
        network(torch.zeros(1, 6, network.size, network.size), torch.zeros(1, *AUDIO_SHAPES[network.mode]))
    for hook in hooks:
        hook.remove()
    return counted / 1e9


def gigaflops(threads: int) -> float:
    """Float32 operations a second, in 10^9, of the best matrix product here: torch's and OpenVINO's, best of 12."""
    from models.openvino_graph import ops, ov

    a, b = torch.rand(MATRIX, MATRIX), torch.rand(MATRIX, MATRIX)
    left = ops.parameter([MATRIX, MATRIX], np.float32)
    graph = ov.Model([ops.matmul(left, ops.constant(b.numpy()), False, False)], [left])
    options = {"INFERENCE_NUM_THREADS": threads, "INFERENCE_PRECISION_HINT": "f32"}
    request = ov.Core().compile_model(graph, "CPU", options).create_infer_request()
    request.set_input_tensor(ov.Tensor(a.numpy()))
    leave_cores_free(threads)
    fastest_s = min(_seconds(product) for product in (lambda: torch.mm(a, b), request.infer) for _ in range(12))
    return 2 * MATRIX**3 / fastest_s / 1e9


def _seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def measure(network: UNet, *, threads: int, rounds: int) -> list[Row]:
    """The table on the CPU: eager first, the others with the difference they make."""
    rng = np.random.default_rng(0)
    size = network.size
    picture = rng.random((size, size, 6), np.float32)
    windows = rng.random((SOUND_BATCH, *AUDIO_SHAPES[network.mode]), np.float32)
    leave_cores_free(threads)
    ways = _ways(network, picture, windows, threads)
    drawn = {name: way() for name, way in ways.items()}
    spent: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, way in ways.items():
            started = time.process_time()
            way()
            spent[name].append(1000 * (time.process_time() - started) / len(drawn[name]))
    eager, *_ = ways
    return [
        Row(
            name,
            statistics.median(ms),
            statistics.median(e / m for e, m in zip(spent[eager], ms, strict=True)),
            255 * float(np.abs(drawn[name][:EAGER_FRAMES] - drawn[eager]).max()),
        )
        for name, ms in spent.items()
    ]


def _ways(network: UNet, picture: Pictures, windows: Pictures, threads: int) -> dict[str, Way]:
    folded: UNet = fold_batch_norm(network).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    ways = {
        "torch eager, batch 1": _plain(network, picture, windows),
        "torch, batch norms folded, channels last": _plain(folded, picture, windows),
    }
    for name in ("torch", "openvino"):
        runtime, _ = make_runtime(network, name, "cpu", threads=threads)
        ways[f"runtime {name}"] = _by_runtime(runtime, picture, windows, keep=False)
        ways[f"runtime {name}, plate frame kept"] = _by_runtime(runtime, picture, windows, keep=True)
    return ways


def _plain(network: UNet, picture: Pictures, windows: Pictures) -> Way:
    image = torch.from_numpy(picture[None]).permute(0, 3, 1, 2)
    if not any(isinstance(module, torch.nn.Identity) for module in network.modules()):
        image = image.contiguous()

    def draw() -> Pictures:
        with torch.inference_mode():
            frames = [network(image, torch.from_numpy(windows[i : i + 1])) for i in range(EAGER_FRAMES)]
        return torch.cat(frames).permute(0, 2, 3, 1).numpy()

    return draw


def _by_runtime(runtime: Runtime, picture: Pictures, windows: Pictures, *, keep: bool) -> Way:
    kept = runtime.encode_picture(picture)

    def draw() -> Pictures:
        maps = runtime.encode_sound(windows).parts
        return np.concatenate([runtime.draw([kept if keep else runtime.encode_picture(picture)], [m]) for m in maps])

    return draw


@dataclass(frozen=True)
class EagerModel:
    """A model as the public code runs it: PyTorch as it comes, one frame at a time, nothing kept."""

    network: UNet
    encoder: AudioEncoder

    @classmethod
    def load(cls, name: str, workspace: Path | None = None) -> EagerModel:
        """ModelError for a model without an audio encoder of its own."""
        network, encoder = load_networks(find_model(name, workspace))
        if encoder is None:
            raise ModelError(f"model {name} has no audio encoder; choose one of mode ave")
        return cls(network, encoder)

    def features(self, wav: NDArray[np.float32]) -> NDArray[np.float32]:
        return np.asarray(SoundFeatures(wav, self.encoder))

    def generate(self, plate: Frame, box: CropBox, features: NDArray[np.float32], index: int) -> Frame:
        """As LipSyncModel.generate."""
        crop = crop_for_network(plate, box, self.network.size)
        inner = crop[RIM_PX:-RIM_PX, RIM_PX:-RIM_PX]
        picture = np.concatenate([inner, inner], axis=2).astype(np.float32) / np.float32(255)
        mask_lower_face(picture[:, :, 3:])
        window = feature_window(features, index).reshape(1, *AUDIO_SHAPES[self.network.mode])
        with torch.inference_mode():
            image = torch.from_numpy(np.ascontiguousarray(picture[None].transpose(0, 3, 1, 2)))
            drawn = self.network(image, torch.from_numpy(window))[0].permute(1, 2, 0).numpy()
        crop[RIM_PX:-RIM_PX, RIM_PX:-RIM_PX] = np.clip(np.rint(drawn * 255), 0, 255).astype(np.uint8)
        return crop


def door_ms(network: UNet, *, threads: int, frames: int = 2 * SOUND_BATCH) -> tuple[float, float]:
    """CPU ms per frame of LipSyncModel.generate, from plate to 8-bit square: first time, and plate frame kept."""
    model = LipSyncModel("benchmark", network, None, device="cpu", threads=threads)
    rng = np.random.default_rng(0)
    plates = rng.integers(0, 256, (frames, 400, 400, 3), dtype=np.uint8)
    features = rng.random((frames, 512), np.float32)
    box = CropBox(20, 20, 360)
    model.generate(plates[0] // 2, box, features, 0)
    spent = []
    for sound in (features, features[::-1]):  # another sound over the same plates
        started = time.process_time()
        for index, plate in enumerate(plates):
            model.generate(plate, box, sound, index)
        spent.append(1000 * (time.process_time() - started) / frames)
    return spent[0], spent[1]


def gpu_rates(network: UNet, *, rounds: int) -> list[tuple[str, int, float]]:
    """What runs on the GPU, batch, and frames per second with the plate frames kept."""
    runtime, _ = make_runtime(network, "torch", "cuda")
    rng = np.random.default_rng(0)
    kept = runtime.encode_picture(rng.random((network.size, network.size, 6), np.float32))
    maps = list(runtime.encode_sound(rng.random((SOUND_BATCH, *AUDIO_SHAPES[network.mode]), np.float32)).parts)
    rates = []
    for batch in GPU_BATCHES:
        sounds = (maps * batch)[:batch]
        runtime.draw([kept] * batch, sounds)
        fastest_s = min(_seconds(lambda b=batch, s=sounds: runtime.draw([kept] * b, s)) for _ in range(4 * rounds))  # type: ignore[misc]
        rates.append((runtime.about, batch, batch / fastest_s))
    return rates


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m models.benchmark", description="What a frame of the network costs."
    )
    parser.add_argument("--plan", choices=sorted(PLANS), default="full", help="channel plan (default full)")
    parser.add_argument("--size", type=int, default=320, help="side of the network's picture in px (default 320)")
    parser.add_argument("--threads", type=int, default=1, help="threads of every way (default 1)")
    parser.add_argument("--rounds", type=int, default=7, help="rounds to take the median of (default 7)")
    args = parser.parse_args(argv)
    try:
        if args.threads < 1 or args.rounds < 1:
            raise ValueError("--threads and --rounds must be at least 1")
        report(random_network(args.plan, args.size), args.plan, args.threads, args.rounds)
    except (ModelError, ValueError) as e:
        print(f"error: {e}", file=sys.stderr)
        return 2
    return 0


def report(network: UNet, plan: str, threads: int, rounds: int) -> None:
    """Print the tables."""
    macs, speed = giga_macs(network), gigaflops(threads)
    print(
        f"{plan} network at {network.size} px, {macs:.3f} GMAC a frame; {threads} thread(s), median of {rounds} rounds"
    )
    print(f"{'':42} {'CPU ms':>8} {'ratio':>7} {'max error, levels':>18}")
    for row in measure(network, threads=threads, rounds=rounds):
        print(f"{row.name:42} {row.ms:8.1f} {row.ratio:6.2f}x {row.levels:18.4f}", flush=True)
    speed = max(speed, gigaflops(threads))
    print(f"{'floor: these multiplications at best speed':42} {2 * macs / speed * 1000:8.1f}  ({speed:.0f} GFLOP/s)")
    first, kept = door_ms(network, threads=threads)
    print(f"{'LipSyncModel.generate, plate to square':42} {first:8.1f}, plate frame kept {kept:.1f}")
    if torch.cuda.is_available():
        for about, batch, rate in gpu_rates(network, rounds=rounds):
            print(f"{about}, batch {batch}: {rate:.0f} frames per second")
    else:
        print("no CUDA GPU here: nothing measured on one")


if __name__ == "__main__":
    sys.exit(main())
