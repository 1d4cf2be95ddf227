"""What a model is and whether it is whole: read off its files, checked by running it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from blending.types import CropBox
from models.audio_features import FEATURE_WIDTHS
from models.errors import ModelError
from models.lip_sync import BUNDLED, LipSyncModel, ModelFiles, file_sha256, load_networks
from models.runtime import RUNTIMES, SOUND_BATCH, pick_device
from models.unet import AUDIO_SHAPES, FULL_CHANNELS, HALF_CHANNELS, UNet

EXACT_LEVELS = 0.01
"""Largest difference between a runtime and the plain network, in 8-bit levels of 255."""


@dataclass(frozen=True)
class ModelInfo:
    """Facts about a model's files.

    step: the number in the checkpoint's name, which SyncTalk_2D counts in epochs. trained_steps: as the card says.
    sha256: of each file, by its name. encoder: the audio encoder's file, None where there is none or none is needed.
    """

    name: str
    bundled: bool
    mode: str
    mode_from: str
    size: int
    channels: tuple[int, ...]
    parameters: int
    step: int
    trained_steps: int | None
    checkpoint: Path
    encoder: Path | None
    sha256: dict[str, str]

    @property
    def plan(self) -> str:
        return "full" if self.channels == FULL_CHANNELS else "half" if self.channels == HALF_CHANNELS else "own"


def describe(files: ModelFiles) -> ModelInfo:
    """Facts about a model; its weights are read and checked. Raises ModelError when they cannot be used."""
    network, encoder = load_networks(files)
    mode_from = "the card" if "mode" in files.card else "the weights" if network.mode == "wenet" else "assumed"
    used = [files.checkpoint] + ([files.encoder] if encoder is not None and files.encoder else [])
    steps = _entry(files, "training").get("steps")
    return ModelInfo(
        files.name, files.checkpoint.parent.parent == BUNDLED, network.mode, mode_from, network.size,
        tuple(network.channels), sum(p.numel() for p in network.parameters()), int(files.checkpoint.stem),
        steps if isinstance(steps, int) else None, files.checkpoint, files.encoder if encoder is not None else None,
        {path.name: file_sha256(path) for path in used},
    )  # fmt: skip


def verify(files: ModelFiles) -> Iterator[str]:
    """What holds, line by line, in the order it is checked. Raises ModelError with the cure at the first that does not.

    Weights fit and are finite; hashes and channels are those of the card, where it has them; each runtime draws
    what the plain network draws; a frame comes out the same when it is drawn again; the sound moves the picture.
    """
    network, encoder = load_networks(files)
    yield f"weights: {files.checkpoint.name} fits a network of mode {network.mode}, {network.size} px, all finite"
    if network.mode == "ave":
        if encoder is None:
            raise ModelError(f"{files.name} has no audio encoder; put audio_encoder.pth beside its checkpoint")
        yield "audio encoder: fits, all finite"
    else:
        yield f"audio encoder: none needed, features of mode {network.mode} come from files beside the sound"
    yield _check_card(files, network)
    for name in RUNTIMES if pick_device().type == "cpu" else ["torch"]:
        yield _check_runtime(files, network, name)


def _entry(files: ModelFiles, name: str) -> dict[str, object]:
    entry = files.card.get(name, {})
    return entry if isinstance(entry, dict) else {}


def _check_card(files: ModelFiles, network: UNet) -> str:
    channels = files.card.get("channels")
    if channels is not None and list(channels) != list(network.channels):
        raise ModelError(
            f"{files.name}: the card says channels {channels}, the weights have {list(network.channels)}; "
            "card and checkpoint belong to different models: copy both again"
        )
    recorded = _entry(files, "sha256")
    paths = {path.name: path for path in (files.checkpoint, files.encoder) if path is not None}
    for name, expected in recorded.items():
        if name not in paths:
            raise ModelError(f"{files.name}: the card lists {name}, which is not there; copy the model again")
        if file_sha256(paths[name]) != expected:
            raise ModelError(f"{files.name}: {name} is not the file the card was written for; copy the model again")
    if recorded:
        return f"card: {len(recorded)} hashes agree"
    return "card: records no hashes" if files.card else "card: none; nothing to compare with"


def _check_runtime(files: ModelFiles, network: UNet, runtime: str) -> str:
    model = LipSyncModel(files.name, network, None, card=files.card, runtime=runtime, cache_bytes=0)
    rng = np.random.default_rng(0)
    picture = rng.random((network.size, network.size, 6), np.float32)
    windows = rng.random((SOUND_BATCH, *AUDIO_SHAPES[network.mode]), np.float32)
    kept, maps = model.runtime.encode_picture(picture), model.runtime.encode_sound(windows).parts
    drawn = model.runtime.draw([kept], maps[:1])[0]
    with torch.inference_mode():
        image = torch.from_numpy(picture[None]).permute(0, 3, 1, 2).contiguous()
        plain = network(image, torch.from_numpy(windows[:1]))[0].permute(1, 2, 0).numpy()
    difference = float(np.abs(drawn - plain).max()) * 255
    if model.runtime.exact and not difference < EXACT_LEVELS:
        raise ModelError(
            f"{files.name}: {model.runtime.about} is {difference:.3f} levels off; choose another --runtime"
        )
    _check_door(model)
    return f"{model.runtime.about}: within {max(difference, 1e-4):.4f} of a level of the plain network"


def _check_door(model: LipSyncModel) -> None:
    """A frame drawn twice is the same, and another sound gives another picture."""
    rng = np.random.default_rng(1)
    plate = rng.integers(0, 256, (300, 300, 3), np.uint8)
    box = CropBox(20, 20, 240)
    width = FEATURE_WIDTHS[model.mode]
    loud, silent = np.abs(rng.normal(0, 2, (25, width))).astype(np.float32), np.zeros((25, width), np.float32)
    first = model.generate(plate, box, loud, 12)
    if not np.array_equal(model.generate(plate, box, loud, 12), first):
        raise ModelError(f"{model.name}: {model.runtime.about} draws a frame differently each time; choose another one")
    if np.array_equal(model.generate(plate, box, silent, 12), first):
        raise ModelError(f"{model.name}: the sound does not move the picture; it was not trained, use an earlier one")
