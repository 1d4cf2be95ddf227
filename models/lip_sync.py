"""LipSyncModel: the one door to the network. numpy in, numpy out.

Geometry, for a network of size s: the crop is resized to s + 8 (bicubic), the network sees
[4, s + 4); of the second half of its input rows 5 .. s - 11 and columns 5 .. s - 6 are black.
What comes back is the whole (s + 8)-square, original rim included: it covers exactly the CropBox.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
import yaml
from numpy.typing import NDArray

from blending.types import CropBox, Frame
from models.audio_features import FEATURE_WIDTHS, AudioEncoder, encode_sound, feature_window
from models.checkpoint import latest_checkpoint, load_audio_encoder, load_unet
from models.errors import ModelError
from models.runtime import fold_batch_norm, leave_cores_free, pick_device
from models.unet import AUDIO_SHAPES, FORMAT_SIZE, UNet

RIM_PX = 4
"""Pixels around the network's picture that stay original."""

BUNDLED = Path(__file__).parent / "library"
ENCODER_FILES = (
    "checkpoint/{name}/audio_encoder.pth",
    "model/checkpoints/audio_visual_encoder.pth",
    "data_utils/ave/checkpoints/audio_encoder.pth",
)
"""Where an AVE encoder is looked for in a SyncTalk_2D folder, in this order."""
FEATURE_FILES = {
    "hubert": ("{stem}_hu.npy", "aud_hu.npy", "aud_hubert.npy"),
    "wenet": ("{stem}_wenet.npy", "aud_wenet.npy"),
}
MODE_FPS = {"ave": Fraction(25), "hubert": Fraction(25), "wenet": Fraction(20)}


def crop_for_network(frame: Frame, box: CropBox, size: int, *, interpolation: int = cv2.INTER_CUBIC) -> Frame:
    """The box's pixels at the (size + 8)-square the network's geometry is declared on."""
    crop = box.extract(frame)
    side = size + 2 * RIM_PX
    return np.asarray(cv2.resize(crop, (side, side), interpolation=interpolation), np.uint8)


def mask_lower_face(picture: NDArray[Any]) -> None:
    """Black out, in place, what the network must redraw: rows 5 .. s-11, columns 5 .. s-6 of (..., s, s, C)."""
    size = picture.shape[-2]
    picture[..., 5 : size - 10, 5 : size - 5, :] = 0


@dataclass(frozen=True)
class ModelFiles:
    """Where a model's parts are."""

    name: str
    checkpoint: Path
    encoder: Path | None

    @cached_property
    def card(self) -> dict[str, Any]:
        """Entries of card.yaml beside the checkpoint, {} without one; ModelError when it cannot be read."""
        return _read_card(self.checkpoint.parent)


def list_models(workspace: Path | None = None) -> dict[str, ModelFiles]:
    """Models by name: the bundled ones and WORKSPACE/checkpoint/NAME/N.pth (the latest N)."""
    found: dict[str, ModelFiles] = {}
    roots = [(BUNDLED, None)] + ([(workspace / "checkpoint", workspace)] if workspace else [])
    for root, space in roots:
        if not root.is_dir():
            continue
        for folder in sorted(p for p in root.iterdir() if p.is_dir()):
            checkpoint = latest_checkpoint(folder)
            if checkpoint is not None:
                found[folder.name] = ModelFiles(folder.name, checkpoint, _find_encoder(folder, space))
    return found


def _find_encoder(folder: Path, workspace: Path | None) -> Path | None:
    places = [folder / "audio_encoder.pth"]
    if workspace is not None:
        places += [workspace / pattern.format(name=folder.name) for pattern in ENCODER_FILES]
    return next((place for place in places if place.is_file()), None)


def _read_card(folder: Path) -> dict[str, Any]:
    path = folder / "card.yaml"
    if not path.is_file():
        return {}
    try:
        card = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as e:
        raise ModelError(f"model card {path} cannot be read as YAML; mend or remove it") from e
    if not isinstance(card, dict):
        raise ModelError(f"model card {path} must be a mapping; got {type(card).__name__}")
    return card


class LipSyncModel:
    """A lip-sync network with its audio front end.

    Attributes: name, mode, size (px of the network's picture), card (the model card's entries).
    """

    def __init__(
        self,
        name: str,
        network: UNet,
        encoder: AudioEncoder | None,
        *,
        card: dict[str, Any] | None = None,
        device: str = "auto",
    ) -> None:
        self.name, self.mode, self.size, self.card = name, network.mode, network.size, card or {}
        self.padding = str(self.card.get("padding", "zeros"))
        self.feature_fps = Fraction(str(self.card.get("fps", MODE_FPS[self.mode])))
        self._device = pick_device(device)
        if self._device.type == "cpu":
            leave_cores_free()
        self._network = fold_batch_norm(network).to(self._device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._encoder = fold_batch_norm(encoder).to(self._device) if encoder is not None else None

    @classmethod
    def load(
        cls, name: str, workspace: Path | None = None, *, mode: str | None = None, device: str = "auto"
    ) -> LipSyncModel:
        """A bundled model or one of the workspace, by name.

        mode: for a checkpoint without a card; "ave" when not given. Raises ModelError for an unknown
        name (listing the known ones) or files that do not fit.
        """
        models = list_models(workspace)
        if name not in models:
            raise ModelError(f"model {name!r} does not exist; there are: {', '.join(models) or 'none'}")
        return cls.from_files(models[name], mode=mode, device=device)

    @classmethod
    def from_files(cls, files: ModelFiles, *, mode: str | None = None, device: str = "auto") -> LipSyncModel:
        size = files.card.get("size", FORMAT_SIZE)
        if isinstance(size, bool) or not isinstance(size, int) or size < 32 or size % 32:
            raise ModelError(f"model card of {files.name}: size must be a multiple of 32 px; got {size!r}")
        network = load_unet(files.checkpoint, mode or str(files.card.get("mode", "ave")), size=size)
        encoder = load_audio_encoder(files.encoder) if network.mode == "ave" and files.encoder else None
        return cls(files.name, network, encoder, card=files.card, device=device)

    def features(self, wav: NDArray[np.float32], sound_path: Path | None = None) -> NDArray[np.float32]:
        """Audio features (rows, D) of a 16 kHz mono sound.

        ave: computed. hubert and wenet: read from the files SyncTalk_2D keeps beside the sound, since
        their extractors are not part of this tool. Raises ModelError saying what is missing.
        """
        if self.mode == "ave":
            if self._encoder is None:
                raise ModelError(
                    f"model {self.name} has no audio encoder; put audio_encoder.pth beside its checkpoint or "
                    "audio_visual_encoder.pth into the workspace's model/checkpoints/"
                )
            return encode_sound(wav, self._encoder, device=self._device)
        if sound_path is None:
            raise ModelError(
                f"model {self.name} runs in mode {self.mode} and needs its feature file beside a sound file"
            )
        names = [pattern.format(stem=sound_path.stem) for pattern in FEATURE_FILES[self.mode]]
        path = next((sound_path.parent / n for n in names if (sound_path.parent / n).is_file()), None)
        if path is None:
            raise ModelError(
                f"model {self.name} runs in mode {self.mode}: put {' or '.join(names)} beside {sound_path.name} "
                f"(made by SyncTalk_2D's {self.mode} extractor)"
            )
        return self._read_features(path)

    def _read_features(self, path: Path) -> NDArray[np.float32]:
        try:
            rows = np.load(path, allow_pickle=False)
        except (ValueError, OSError, EOFError) as e:
            raise ModelError(f"{path.name} is not a numpy array file; make the features again") from e
        width = FEATURE_WIDTHS[self.mode]
        if rows.ndim < 2 or rows[0].size != width or not np.issubdtype(rows.dtype, np.floating):
            raise ModelError(f"{path.name} must hold {width} numbers per frame for mode {self.mode}; got {rows.shape}")
        rows = rows.reshape(len(rows), width).astype(np.float32)
        if not np.isfinite(rows).all():
            raise ModelError(f"{path.name} holds NaN or infinity; make the features again")
        return rows

    def generate(self, plate: Frame, box: CropBox, features: NDArray[np.float32], index: int) -> Frame:
        """The crop with its mouth redrawn for output frame `index` (25 fps): uint8 (size + 8, size + 8, 3).

        A pure function of its arguments: always one frame a call, so that a frame does not depend
        on which others are asked for.
        """
        crop = crop_for_network(plate, box, self.size)
        inner = crop[RIM_PX:-RIM_PX, RIM_PX:-RIM_PX]
        pictures = np.concatenate([inner, inner], axis=2).astype(np.float32) / np.float32(255)
        mask_lower_face(pictures[:, :, 3:])
        row = int(index * self.feature_fps / 25)
        window = feature_window(features, row, padding=self.padding).reshape(1, *AUDIO_SHAPES[self.mode])
        with torch.inference_mode():
            image = torch.from_numpy(pictures[None]).permute(0, 3, 1, 2).to(self._device)
            drawn = self._network(image, torch.from_numpy(window).to(self._device))
        output = drawn[0].permute(1, 2, 0).cpu().numpy()
        crop[RIM_PX:-RIM_PX, RIM_PX:-RIM_PX] = np.clip(np.rint(output * 255), 0, 255).astype(np.uint8)
        return crop
