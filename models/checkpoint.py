"""Checkpoints in the SyncTalk_2D format: plain state dicts, loaded as data, checked before use."""

from __future__ import annotations

import os
import pickle
import struct
import zipfile
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from models.audio_features import AudioEncoder
from models.errors import ModelError
from models.unet import AUDIO_SHAPES, FORMAT_SIZE, UNet

ENCODER_PREFIX = "audio_encoder."
NET_PREFIX = "audio_model.net."
AUDIO_LAYERS = ("conv1", "conv2", "conv3", "bn3", "conv4", "conv5", "bn5", "conv6", "conv7")
"""The audio branch's layers that have weights, in order."""
UNREADABLE = (
    pickle.UnpicklingError, RuntimeError, EOFError, OSError, ValueError, LookupError, AttributeError, TypeError,
    AssertionError, MemoryError, OverflowError, struct.error, zipfile.BadZipFile,
)  # fmt: skip
"""What torch.load raises on damaged files, found by damaging some."""


def read_state_dict(path: Path) -> dict[str, Tensor]:
    """The tensors of a .pth file by key. Nothing in the file is ever executed.

    Raises ModelError when the file is missing, is no torch checkpoint, holds anything but named
    tensors, or has values that are not finite.
    """
    if not path.is_file():
        raise ModelError(f"checkpoint {path} does not exist; put it there, or choose another model")
    try:
        loaded = torch.load(path, map_location="cpu", weights_only=True)
    except UNREADABLE as e:
        raise ModelError(
            f"{_shown(path)} is not a checkpoint of plain weights, or it is truncated; expected a state dict saved "
            "with torch.save (code in a file is never run): copy it again, or choose an earlier one"
        ) from e
    if not isinstance(loaded, Mapping) or not loaded or not all(isinstance(v, Tensor) for v in loaded.values()):
        raise ModelError(
            f"{_shown(path)} must hold a plain state dict (names to tensors), as SyncTalk_2D saves it; "
            f"got {type(loaded).__name__}; save its weights alone with torch.save(network.state_dict(), ...)"
        )
    for key, value in loaded.items():
        if value.is_floating_point() and not torch.isfinite(value).all():
            raise ModelError(
                f"{_shown(path)}: weights of {key} are not finite; the training run diverged, use an earlier one"
            )
    return {str(key): value for key, value in loaded.items()}


def load_unet(path: Path, mode: str | None = None, *, size: int = FORMAT_SIZE) -> UNet:
    """U-Net in eval mode from a checkpoint; its channel plan is read off the weights.

    mode: "ave", "hubert" or "wenet"; None takes wenet where the weights are of that shape, else ave. ave and
    hubert weights have the same shapes, so a mix-up of those two cannot be seen here. The audio branch may be
    keyed as one `net`, as a fork saves it. Raises ModelError naming what does not fit.
    """
    if mode is not None and mode not in AUDIO_SHAPES:
        raise ModelError(f"mode must be one of {', '.join(AUDIO_SHAPES)}; got {mode!r}; correct it in card.yaml")
    weights = _named_audio_branch(read_state_dict(path), _shown(path))
    mode = mode or _mode_by_shape(weights)
    network = UNet(mode, channels=_unet_plan(weights, _shown(path), mode), size=size)
    _fill(network, weights, f"{_shown(path)} as a {mode} U-Net")
    return network.eval()


def _mode_by_shape(weights: Mapping[str, Tensor]) -> str:
    first = weights.get("audio_model.conv1.conv.0.weight")
    wide = first is not None and first.ndim == 4 and first.shape[1] == AUDIO_SHAPES["wenet"][0]
    return "wenet" if wide else "ave"


def _named_audio_branch(weights: dict[str, Tensor], name: str) -> dict[str, Tensor]:
    """Keys `audio_model.net.N...` by the names of the public format; others as they are.

    N counts the layers in order, those without weights (ReLU) too, so that only the order of N tells what is what.
    """
    numbers = {key.split(".")[2] for key in weights if key.startswith(NET_PREFIX)}
    if not numbers:
        return weights
    if not all(number.isascii() and number.isdigit() for number in numbers) or len(numbers) != len(AUDIO_LAYERS):
        raise ModelError(
            f"{name}: the audio branch {NET_PREFIX}N must have {len(AUDIO_LAYERS)} layers with weights; "
            f"got {len(numbers)}; it was made by another network"
        )
    layers = dict(zip(sorted(numbers, key=int), AUDIO_LAYERS, strict=True))

    def renamed(key: str) -> str:
        if not key.startswith(NET_PREFIX):
            return key
        number, rest = key.removeprefix(NET_PREFIX).split(".", 1)
        return f"audio_model.{layers[number]}.{rest}"

    return {renamed(key): value for key, value in weights.items()}


def load_audio_encoder(path: Path) -> AudioEncoder:
    """Audio encoder in eval mode; keys with and without the prefix `audio_encoder.` are accepted."""
    weights = {
        key if key.startswith(ENCODER_PREFIX) else ENCODER_PREFIX + key: value
        for key, value in read_state_dict(path).items()
    }
    stages = [weights.get(f"{ENCODER_PREFIX}{i}.conv_block.0.weight") for i in (0, 3, 6, 9)]
    if any(stage is None or stage.ndim != 4 for stage in stages):
        raise ModelError(
            f"{_shown(path)} is not an AVE audio encoder: it lacks {ENCODER_PREFIX}0/3/6/9.conv_block.0.weight"
        )
    encoder = AudioEncoder([len(stage) for stage in stages if stage is not None])
    _fill(encoder, weights, f"{_shown(path)} as an audio encoder")
    return encoder.eval()


def save_state_dict(network: nn.Module, path: Path, *, strip_prefix: str = "") -> None:
    """Write plain fp32 weights; the file appears under its name only when complete."""
    weights = {
        key.removeprefix(strip_prefix): value.detach().cpu().contiguous() for key, value in network.state_dict().items()
    }
    partial = path.with_name(f".{path.name}.partial")
    torch.save(weights, partial)
    os.replace(partial, path)


def latest_checkpoint(folder: Path) -> Path | None:
    """The N.pth with the largest N; files with other names are ignored."""
    numbered = [(int(p.stem), p) for p in folder.glob("*.pth") if p.stem.isascii() and p.stem.isdigit()]
    return max(numbered)[1] if numbered else None


def _shown(path: Path) -> str:
    """File with its folder, which is the model's name."""
    return f"{path.parent.name}/{path.name}"


def _unet_plan(weights: Mapping[str, Tensor], name: str, mode: str) -> list[int]:
    """Channel plan from the widths of down1 .. down5."""
    plan = []
    for stage, key in enumerate(
        ("inc.inconv.0.conv.6.weight", *(f"down{i}.maxpool_conv.0.double_conv.0.conv.6.weight" for i in (2, 3, 4, 5)))
    ):
        if key not in weights or weights[key].ndim != 4:
            raise ModelError(f"{name} is not a SyncTalk_2D U-Net: it lacks {key} (stage {stage})")
        plan.append(len(weights[key]))
    first = weights.get("audio_model.conv1.conv.0.weight")
    if first is not None and first.ndim == 4 and first.shape[1] != AUDIO_SHAPES[mode][0]:
        fits = [m for m, shape in AUDIO_SHAPES.items() if shape[0] == first.shape[1]]
        raise ModelError(
            f"{name} was not trained in mode {mode}: its audio branch takes {first.shape[1]} channels, {mode} has "
            f"{AUDIO_SHAPES[mode][0]}; "
            + (f"try mode {' or '.join(fits)} (mode: in card.yaml)" if fits else "no known mode fits")
        )
    return plan


def _fill(network: nn.Module, weights: Mapping[str, Tensor], what: str) -> None:
    expected = network.state_dict()
    missing = [key for key in expected if key not in weights]
    surplus = [key for key in weights if key not in expected]
    if missing or surplus:
        parts = [
            f"{len(keys)} keys {label} (first: {', '.join(keys[:3])})"
            for keys, label in ((missing, "missing"), (surplus, "too many"))
            if keys
        ]
        raise ModelError(f"cannot load {what}: {'; '.join(parts)}; it was made by another network")
    for key, value in expected.items():
        if weights[key].shape != value.shape:
            raise ModelError(
                f"cannot load {what}: {key} must have shape {tuple(value.shape)}; got {tuple(weights[key].shape)}; "
                "it was made by another network"
            )
    network.load_state_dict(dict(weights))
