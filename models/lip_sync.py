"""LipSyncModel: the one door to the network. numpy in, numpy out.

Geometry, for a network of size s: the crop is resized to s + 8 (bicubic), the network sees
[4, s + 4); of the second half of its input rows 5 .. s - 11 and columns 5 .. s - 6 are black.
What comes back is the whole (s + 8)-square, original rim included: it covers exactly the CropBox.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import yaml
from numpy.typing import NDArray

from blending.types import CropBox, Frame
from models.audio_features import (
    FEATURE_WIDTHS,
    PADDINGS,
    SAMPLE_RATE,
    WINDOW_STEPS,
    AudioEncoder,
    SoundFeatures,
    check_wav,
    feature_context,
)
from models.cache import ByteCache
from models.checkpoint import latest_checkpoint, load_audio_encoder, load_unet
from models.errors import ModelError
from models.folding import fold_batch_norm
from models.runtime import SOUND_BATCH, Kept, make_runtime
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
VIDEO_FPS = 25
LENGTH_TOLERANCE = 5
"""Steps by which a feature file may be longer or shorter than its sound: extractors round the ends differently."""

PICTURE_CACHE_BYTES = 1 << 29
"""Memory for encoded plate frames: 34 of the full network at 320 px (15.6 MB each), 205 of LS1."""
SOUND_CACHE_BYTES = 32 << 20
ROWS_AT_ONCE = 1024


Features = NDArray[np.float32] | SoundFeatures
"""Feature rows (rows, D) of a sound."""


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


def find_model(name: str, workspace: Path | None = None) -> ModelFiles:
    """The model of that name; ModelError that lists the known ones."""
    models = list_models(workspace)
    if name not in models:
        raise ModelError(f"model {name!r} does not exist; there are: {', '.join(models) or 'none'}")
    return models[name]


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

    Attributes: name, mode, size (px of the network's picture), card (the model card's entries), runtime
    (its name and `about` say what draws the pictures), pictures (the cache of encoded plate frames), sha256 (of its
    files, "unet" and "encoder"; {} where it was made of networks).
    """

    def __init__(
        self,
        name: str,
        network: UNet,
        encoder: AudioEncoder | None,
        *,
        card: dict[str, Any] | None = None,
        device: str = "auto",
        runtime: str = "auto",
        threads: int | None = None,
        cache_bytes: int = PICTURE_CACHE_BYTES,
    ) -> None:
        """cache_bytes: memory for encoded plate frames; 0 keeps none. runtime, threads: see make_runtime."""
        self.name, self.mode, self.size, self.card = name, network.mode, network.size, card or {}
        self.padding, self.feature_fps = _padding(name, self.card), _feature_fps(name, self.card, self.mode)
        self.runtime, self._device = make_runtime(network, runtime, device, threads=threads)
        self._encoder = fold_batch_norm(encoder).to(self._device) if encoder is not None else None
        self.sha256: dict[str, str] = {}
        self.pictures = ByteCache[Kept](cache_bytes)
        self._sounds = ByteCache[Kept](SOUND_CACHE_BYTES)

    @classmethod
    def load(
        cls,
        name: str,
        workspace: Path | None = None,
        *,
        mode: str | None = None,
        device: str = "auto",
        runtime: str = "auto",
        threads: int | None = None,
        cache_bytes: int = PICTURE_CACHE_BYTES,
    ) -> LipSyncModel:
        """A bundled model or one of the workspace, by name.

        mode: instead of the card's; without either the weights tell wenet from the others, and "ave" is taken.
        Raises ModelError for an unknown name (listing the known ones) or files that do not fit.
        """
        files = find_model(name, workspace)
        return cls.from_files(
            files, mode=mode, device=device, runtime=runtime, threads=threads, cache_bytes=cache_bytes
        )

    @classmethod
    def from_files(
        cls,
        files: ModelFiles,
        *,
        mode: str | None = None,
        device: str = "auto",
        runtime: str = "auto",
        threads: int | None = None,
        cache_bytes: int = PICTURE_CACHE_BYTES,
    ) -> LipSyncModel:
        network, encoder = load_networks(files, mode=mode)
        model = cls(
            files.name, network, encoder, card=files.card, device=device, runtime=runtime, threads=threads,
            cache_bytes=cache_bytes,
        )  # fmt: skip
        used = {"unet": files.checkpoint} | ({"encoder": files.encoder} if encoder and files.encoder else {})
        model.sha256 = {part: file_sha256(path) for part, path in used.items()}
        return model

    def features(self, wav: NDArray[np.float32], sound_path: Path | None = None) -> Features:
        """Audio features (rows, D) of a 16 kHz mono sound.

        ave: computed where they are looked at, in constant memory. hubert and wenet: read from the files SyncTalk_2D
        keeps beside the sound, since their extractors are not part of this tool; the rows stay in the file.
        Raises ModelError saying what is missing, ValueError for an empty sound or one that is not finite.
        """
        wav = np.asarray(wav)
        check_wav(wav)
        if self.mode != "ave":
            return self._features_beside(sound_path, len(wav))
        if self._encoder is None:
            raise ModelError(
                f"model {self.name} has no audio encoder; put audio_encoder.pth beside its checkpoint or "
                "audio_visual_encoder.pth into the workspace's model/checkpoints/"
            )
        return SoundFeatures(wav, self._encoder, device=self._device)

    def _features_beside(self, sound_path: Path | None, samples: int) -> NDArray[np.float32]:
        if sound_path is None:
            raise ModelError(
                f"model {self.name} runs in mode {self.mode} and needs its feature file beside a sound file: "
                "give the sound as a file"
            )
        names = [pattern.format(stem=sound_path.stem) for pattern in FEATURE_FILES[self.mode]]
        path = next((sound_path.parent / n for n in names if (sound_path.parent / n).is_file()), None)
        if path is None:
            raise ModelError(
                f"model {self.name} runs in mode {self.mode}: put {' or '.join(names)} beside {sound_path.name} "
                f"(made by SyncTalk_2D's {self.mode} extractor)"
            )
        rows = read_features(path, self.mode)
        steps = float(samples * self.feature_fps / SAMPLE_RATE)
        if abs(len(rows) - steps) > LENGTH_TOLERANCE:
            raise ModelError(
                f"{path.name} has {len(rows)} steps ({float(len(rows) / self.feature_fps):.1f} s), but "
                f"{sound_path.name} lasts {samples / SAMPLE_RATE:.1f} s ({steps:.0f} steps at {self.feature_fps} a "
                "second): it belongs to another sound; make the features again from this one"
            )
        return rows

    def generate(self, plate: Frame, box: CropBox, features: Features, index: int) -> Frame:
        """The crop with its mouth redrawn for output frame `index` (25 fps): uint8 (size + 8, size + 8, 3).

        A pure function of its arguments, bit for bit: what is kept of earlier calls is found by its content and is
        what the same part of the network would give again. ValueError for features of another width.
        """
        return self.generate_many([plate], [box], features, [index])[0]

    def generate_many(
        self, plates: Sequence[Frame], boxes: Sequence[CropBox], features: Features, indices: Sequence[int]
    ) -> list[Frame]:
        """Several frames at once, which pays on a GPU only. On the CPU equal to `generate` bit for bit with OpenVINO;
        else a level may fall the other way here and there."""
        width = FEATURE_WIDTHS[self.mode]
        if features.ndim != 2 or features.shape[1] != width:
            raise ValueError(f"features for mode {self.mode} must have shape (rows, {width}); got {features.shape}")
        crops = [crop_for_network(plate, box, self.size) for plate, box in zip(plates, boxes, strict=True)]
        pictures = [self._encoded(np.ascontiguousarray(crop[RIM_PX:-RIM_PX, RIM_PX:-RIM_PX])) for crop in crops]
        maps = [self._audio_map(features, int(index * self.feature_fps / VIDEO_FPS)) for index in indices]
        drawn = self.runtime.draw(pictures, maps)
        for crop, picture in zip(crops, drawn, strict=True):
            levels = np.clip(np.rint(picture * 255), 0, 255).astype(np.uint8)
            crop[RIM_PX:-RIM_PX, RIM_PX:-RIM_PX] = levels
        return crops

    def _encoded(self, inner: Frame) -> Kept:
        """The encoder's pictures of a plate frame; clips loop, so the same ones come again."""

        def encode() -> Kept:
            picture = np.concatenate([inner, inner], axis=2).astype(np.float32) / np.float32(255)
            mask_lower_face(picture[:, :, 3:])
            return self.runtime.encode_picture(picture)

        return self.pictures.get(_digest(inner), encode)

    def _audio_map(self, features: Features, row: int) -> Any:
        """Audio map of feature row `row`, computed with the others of its block of SOUND_BATCH rows."""
        first = row - row % SOUND_BATCH
        context = feature_context(features, first, SOUND_BATCH, padding=self.padding)

        def encode() -> Kept:
            windows = np.stack([context[i : i + WINDOW_STEPS] for i in range(SOUND_BATCH)])
            return self.runtime.encode_sound(windows.reshape(SOUND_BATCH, *AUDIO_SHAPES[self.mode]))

        return self._sounds.get(_digest(context), encode).parts[row - first]


def file_sha256(path: Path) -> str:
    """Of a file's content, hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _digest(values: NDArray[Any]) -> bytes:
    """What stands for an array's content: .3 ms per 300 kB."""
    return hashlib.blake2b(values.data, digest_size=16).digest()


def load_networks(files: ModelFiles, *, mode: str | None = None) -> tuple[UNet, AudioEncoder | None]:
    """A model's U-Net, and its audio encoder where it has one and needs it. Raises ModelError for what does not fit."""
    size, card_mode = files.card.get("size", FORMAT_SIZE), files.card.get("mode")
    if isinstance(size, bool) or not isinstance(size, int) or size < 32 or size % 32:
        raise ModelError(f"model card of {files.name}: size must be a multiple of 32 px; got {size!r}")
    network = load_unet(files.checkpoint, mode or (str(card_mode) if card_mode is not None else None), size=size)
    return network, load_audio_encoder(files.encoder) if network.mode == "ave" and files.encoder else None


def read_features(path: Path, mode: str) -> NDArray[np.float32]:
    """Feature rows (T, D) of a .npy file, left in the file. ModelError for another width, no rows, NaN or no array."""
    try:
        rows = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, OSError, EOFError) as e:
        raise ModelError(f"{path.name} is not a numpy array file; make the features again") from e
    width = FEATURE_WIDTHS[mode]
    if not isinstance(rows, np.ndarray) or rows.ndim < 2 or not np.issubdtype(rows.dtype, np.floating):
        raise ModelError(f"{path.name} must hold one array of {width} numbers per frame; make the features again")
    if len(rows) == 0 or int(np.prod(rows.shape[1:])) != width:
        others = [name for name, other in FEATURE_WIDTHS.items() if other == int(np.prod(rows.shape[1:]))]
        hint = f"; its width is that of mode {others[0]}" if others and len(rows) else ""
        raise ModelError(
            f"{path.name} must hold {width} numbers per frame for mode {mode}; got shape {rows.shape}{hint}; "
            "make the features again with the extractor of that mode"
        )
    rows = rows.reshape(len(rows), width)
    for start in range(0, len(rows), ROWS_AT_ONCE):
        if not np.isfinite(rows[start : start + ROWS_AT_ONCE]).all():
            raise ModelError(f"{path.name} holds NaN or infinity; make the features again")
    return rows


def _padding(name: str, card: dict[str, Any]) -> str:
    padding = card.get("padding", PADDINGS[0])
    if padding not in PADDINGS:
        raise ModelError(f"model card of {name}: padding must be one of {', '.join(PADDINGS)}; got {padding!r}")
    return str(padding)


def _feature_fps(name: str, card: dict[str, Any], mode: str) -> Fraction:
    """Feature steps per second: the card's fps, else the mode's."""
    try:
        fps = Fraction(str(card.get("fps", MODE_FPS[mode])))
    except (ValueError, ZeroDivisionError):
        fps = Fraction(0)
    if fps <= 0:
        raise ModelError(f"model card of {name}: fps must be a number above 0; got {card.get('fps')!r}")
    return fps
