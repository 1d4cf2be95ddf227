"""Training: footage with sound in, a checkpoint that opens in the studio out.

    python -m models.train --name ME --footage me.mp4 [more.mp4 ...]

Two stages, as measured to be what decides: the audio encoder is first taught on lip distances (no
pictures), then frozen while the U-Net learns to draw. An interrupted run goes on with --resume.
This module is a program on top of the packages: it alone in models/ reads video and landmarks.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import json
import math
import pickle
import shlex
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
import torch.nn.functional as F
import yaml
from numpy.typing import NDArray
from torch import Tensor, nn

from blending.types import Landmarks
from clips.audio import load_audio
from clips.errors import ClipError
from clips.landmarks import ClipLandmarks, detect_landmarks
from clips.library import ClipLibrary, default_workspace
from clips.video import read_frames
from models.audio_features import FEATURE_WIDTHS, WINDOW_STEPS, AudioEncoder, encode_mel, mel_window, window_count
from models.checkpoint import save_state_dict
from models.dataset import (
    LIP_DISTANCES,
    Take,
    crop_and_mouth,
    disturb_mel,
    lip_distances,
    network_batch,
    pitch_variants,
)
from models.errors import ModelError
from models.losses import mouth_psnr_db, weighted_loss
from models.runtime import pick_device
from models.unet import FULL_CHANNELS, HALF_CHANNELS, UNet

CHANNEL_PLANS = {"full": FULL_CHANNELS, "half": HALF_CHANNELS}
RUN_FRAMES = 25
RUNS_PER_BATCH = 4
LEARNING_RATE = 2e-3
SAMPLE_COLUMNS = 8
STATE = "state.pt"


class LipHead(nn.Module):
    """16 feature steps to the four lip distances; only used while the encoder is taught."""

    def __init__(self) -> None:
        super().__init__()
        self.squeeze = nn.Conv1d(FEATURE_WIDTHS["ave"], 64, 1)
        self.look = nn.Conv1d(64, 64, WINDOW_STEPS)
        self.tell = nn.Conv1d(64, LIP_DISTANCES, 1)

    def forward(self, features: Tensor) -> Tensor:
        """features (B, rows, 512) to distances (B, rows - 15, 4)."""
        x = torch.relu(self.squeeze(features.transpose(1, 2)))
        return self.tell(torch.relu(self.look(x))).transpose(1, 2)


@dataclass
class Progress:
    """Prints one line per `every` steps with the time left, and keeps the loss log."""

    log: Path
    stage: str
    total: int
    started: float
    done_before: int = 0

    def __call__(self, step: int, values: dict[str, float]) -> None:
        spent = time.monotonic() - self.started
        fresh = max(step - self.done_before, 1)
        left = spent / fresh * (self.total - step)
        shown = "  ".join(f"{key} {value:.4f}" for key, value in values.items())
        print(f"{self.stage}  {step}/{self.total}  {shown}  {left / 60:.1f} min left", flush=True)
        new = not self.log.exists()
        with self.log.open("a", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            if new:
                writer.writerow(["stage", "step", "seconds", "name", "value"])
            writer.writerows([self.stage, step, f"{spent:.1f}", key, f"{value:.6f}"] for key, value in values.items())


def file_sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def prepare_take(path: Path, size: int, holdout: float, cache: Path) -> Take:
    """Crops, lip distances and sound variants of one video; kept in the run's folder by content.

    The sound is the .wav of the same name beside the video, else the video's own. Exact landmarks
    beside it (NAME.landmarks.npz with `points` (T, 68, 2), pixel centres at .5) replace the detected
    ones as lip distances; the crop always comes from the detector, as it does at inference.
    """
    sound = path.with_suffix(".wav") if path.with_suffix(".wav").is_file() else path
    key = hashlib.sha256(f"{file_sha256(path)} {file_sha256(sound)} {size} 2".encode()).hexdigest()[:16]
    stored = cache / f"{path.stem}-{key}.npz"
    if not stored.exists():
        print(f"preparing {path.name}: landmarks, crops, sound variants", flush=True)
        marks = detect_landmarks(read_frames(path))
        crops, mouths, lips = _crops(path, marks, size)
        exact = path.with_name(f"{path.stem}.landmarks.npz")
        if exact.is_file():
            with np.load(exact, allow_pickle=False) as truth:
                lips = np.stack([lip_distances(Landmarks(points - 0.5)) for points in truth["points"][: len(lips)]])
        mels = pitch_variants(load_audio(sound))
        cache.mkdir(parents=True, exist_ok=True)
        partial = stored.with_name(f".{stored.stem}.partial.npz")
        np.savez(partial, crops=crops, mouths=mouths, lips=lips, **{f"mel_{i}": mel for i, mel in enumerate(mels)})
        partial.replace(stored)
    with np.load(stored, allow_pickle=False) as kept:
        mels = tuple(kept[f"mel_{i}"] for i in range(sum(name.startswith("mel_") for name in kept.files)))
        frames = min(len(kept["crops"]), *(window_count(mel.shape[1]) for mel in mels))
        if frames < 4 * RUN_FRAMES:
            raise ModelError(f"{path.name} must have at least {4 * RUN_FRAMES} frames with sound; got {frames}")
        return Take(
            path.stem, kept["crops"][:frames], kept["mouths"][:frames], kept["lips"][:frames], mels,
            split=frames - round(frames * holdout),
        )  # fmt: skip


def _crops(
    path: Path, marks: ClipLandmarks, size: int
) -> tuple[NDArray[np.uint8], NDArray[np.int32], NDArray[np.float32]]:
    crops, mouths, lips = [], [], []
    smoothed = marks.smoothed()
    for index, frame in enumerate(read_frames(path)):
        points = smoothed.at(index)
        crop, mouth = crop_and_mouth(frame, points, size)
        crops.append(crop)
        mouths.append(mouth)
        lips.append(lip_distances(marks.at(index).to_scheme(68)))
    return np.stack(crops), np.stack(mouths), np.stack(lips)


def core_clip_takes(model: str, size: int, workspace: Path | None) -> list[Take]:
    """The core clips' frames as extra material: they have no sound, so talk clips teach everything but the mouth, and
    the silence clip a mouth at rest."""
    takes = []
    for clip in ClipLibrary(workspace).clips(model):
        crops, mouths, lips = _crops(clip.path, clip.landmarks(), size)
        known = clip.kind == "silence"
        takes.append(Take(clip.name, crops, mouths, lips, (), split=len(crops), mouth_known=known))
    return takes


def teach_encoder(
    takes: Sequence[Take], steps: int, *, seed: int, device: torch.device, progress: Progress, minutes: float | None
) -> tuple[AudioEncoder, dict[str, float]]:
    """Audio encoder taught on lip distances; returns it in eval mode with held-out correlations."""
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    encoder, head = AudioEncoder().to(device), LipHead().to(device)
    encoder.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    seen = np.concatenate([take.lips[: take.split] for take in takes])
    mean, spread = seen.mean(axis=0), seen.std(axis=0) + 1e-6
    optimiser = torch.optim.AdamW([*encoder.parameters(), *head.parameters()], lr=LEARNING_RATE, weight_decay=1e-3)
    weights = np.array([take.split for take in takes], float)
    reach = WINDOW_STEPS // 2
    started, running = time.monotonic(), 0.0
    for step in range(steps):
        share = step / steps if minutes is None else max(step / steps, (time.monotonic() - started) / 60 / minutes)
        if share >= 1:
            break
        _set_rate(optimiser, step, share, warm_up=50)
        windows: list[NDArray[np.float32]] = []
        wanted: list[NDArray[np.float32]] = []
        for _ in range(RUNS_PER_BATCH):
            take = takes[rng.choice(len(takes), p=weights / weights.sum())]
            mel = take.mels[0 if rng.random() < 0.5 else int(rng.integers(1, len(take.mels)))]
            if rng.random() < 0.5:
                mel = disturb_mel(mel, rng)
            first = int(rng.integers(reach + 1, take.split - RUN_FRAMES - reach))
            rows = range(first - reach - 1, first + RUN_FRAMES + reach - 2)
            windows.extend(mel_window(mel, row) for row in rows)
            wanted.append((take.lips[first : first + RUN_FRAMES] - mean) / spread)
        batch = torch.from_numpy(np.stack(windows)[:, None]).to(device, memory_format=torch.channels_last)
        features = encoder(batch)
        told = head(features.view(RUNS_PER_BATCH, -1, features.shape[1]))
        loss = F.smooth_l1_loss(told, torch.from_numpy(np.stack(wanted).astype(np.float32)).to(device))
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
        running = loss.item() if step == 0 else 0.95 * running + 0.05 * loss.item()
        if step % 50 == 0:
            progress(step, {"loss": running})
    encoder.eval()
    head.eval()
    figures = _lip_correlations(takes, encoder, head, device)
    progress(steps, {"loss": running, **figures})
    return encoder, figures


def _lip_correlations(
    takes: Sequence[Take], encoder: AudioEncoder, head: LipHead, device: torch.device
) -> dict[str, float]:
    """Correlation of told and true opening and width over all held-out frames."""
    told, true = [], []
    for take in takes:
        if take.split == len(take.lips):
            continue
        rows = torch.from_numpy(encode_mel(take.mels[0], encoder, device=device)).to(device)
        padded = F.pad(rows, (0, 0, WINDOW_STEPS // 2, WINDOW_STEPS // 2))
        with torch.inference_mode():
            answer = head(padded[None])[0].cpu().numpy()
        told.append(answer[take.split : len(take.lips)])
        true.append(take.lips[take.split :])
    if not told:
        return {}
    a, b = np.concatenate(told), np.concatenate(true)
    return {name: float(np.corrcoef(a[:, i], b[:, i])[0, 1]) for i, name in enumerate(("opening_r", "width_r"))}


def _set_rate(optimiser: torch.optim.Optimizer, step: int, share: float, *, warm_up: int) -> None:
    rate = LEARNING_RATE * min(1.0, (step + 1) / warm_up) * 0.5 * (1 + math.cos(math.pi * min(share, 1.0)))
    for group in optimiser.param_groups:
        group["lr"] = rate


@dataclass
class DrawSettings:
    """How the U-Net is trained."""

    steps: int
    batch: int
    seed: int
    minutes: float | None
    sample_every: int = 500
    save_every: int = 250


def teach_unet(
    network: UNet,
    takes: Sequence[Take],
    features: Sequence[Sequence[NDArray[np.float32]]],
    settings: DrawSettings,
    run: Path,
    *,
    device: torch.device,
    progress: Progress,
    resume: bool,
) -> dict[str, float]:
    """Train the U-Net in place on frozen features; returns held-out figures."""
    network.to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimiser = torch.optim.AdamW(network.parameters(), lr=LEARNING_RATE, weight_decay=1e-3)
    step, spent = _load_state(run / STATE, network, optimiser) if resume else (0, 0.0)
    progress.started, progress.done_before = time.monotonic(), step
    started, running = time.monotonic() - spent, math.nan
    weights = np.array([take.split for take in takes], float)
    while step < settings.steps:
        share = step / settings.steps
        if settings.minutes is not None:
            share = max(share, (time.monotonic() - started) / 60 / settings.minutes)
        if share >= 1:
            break
        _set_rate(optimiser, step, share, warm_up=100)
        rng = np.random.default_rng([settings.seed, step])
        which = rng.choice(len(takes), settings.batch, p=weights / weights.sum())
        picks = [(int(t), int(rng.integers(takes[t].split)), int(rng.integers(takes[t].split))) for t in which]
        variants = [_variant(len(features[t]), rng) for t in which]
        batch = network_batch(takes, picks, features, variants, rng=rng)
        loss = _draw_step(network, optimiser, [tensor.to(device) for tensor in batch])
        running = loss if math.isnan(running) else 0.98 * running + 0.02 * loss
        step += 1
        if not math.isfinite(running):
            raise ModelError(f"training diverged at step {step}; go on from the last saved step with --resume")
        if step % 50 == 0:
            progress(step, {"loss": running})
        if step % settings.save_every == 0:
            _save_state(run / STATE, network, optimiser, step, time.monotonic() - started)
        if step % settings.sample_every == 0:
            progress(step, validate(network, takes, features, device=device, sheet=run / "samples.png"))
    _save_state(run / STATE, network, optimiser, step, time.monotonic() - started)
    figures = validate(network, takes, features, device=device, sheet=run / "samples.png")
    progress(step, figures)
    return {**figures, "steps": step, "minutes": round((time.monotonic() - started) / 60, 1)}


def _draw_step(network: UNet, optimiser: torch.optim.Optimizer, batch: Sequence[Tensor]) -> float:
    image, audio, target, weight = batch
    network.train()
    try:
        loss = weighted_loss(network(image, audio), target, weight)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
    except torch.OutOfMemoryError as e:
        raise ModelError(f"out of memory at batch {len(image)}; try --batch {max(len(image) // 2, 2)}") from e
    optimiser.step()
    return loss.item()


def _save_state(path: Path, network: UNet, optimiser: torch.optim.Optimizer, step: int, seconds: float) -> None:
    partial = path.with_name(f".{path.name}.partial")
    state = {"network": network.state_dict(), "optimiser": optimiser.state_dict(), "step": step, "seconds": seconds}
    torch.save(state, partial)
    partial.replace(path)


def _load_state(path: Path, network: UNet, optimiser: torch.optim.Optimizer) -> tuple[int, float]:
    """Steps done and seconds spent; 0 where nothing was saved yet."""
    if not path.is_file():
        return 0, 0.0
    try:
        state = torch.load(path, weights_only=True)
        network.load_state_dict(state["network"])
        optimiser.load_state_dict(state["optimiser"])
    except (RuntimeError, KeyError, pickle.UnpicklingError, EOFError) as e:
        raise ModelError(
            f"{path} does not fit this run (another --size or --plan, or damaged); start without --resume"
        ) from e
    print(f"resuming at step {state['step']}", flush=True)
    return int(state["step"]), float(state["seconds"])


def _variant(count: int, rng: np.random.Generator) -> int:
    """Half of the draws take the sound as it is (0), the others any variant."""
    return 0 if rng.random() < 0.5 else int(rng.integers(count))


def validate(
    network: UNet,
    takes: Sequence[Take],
    features: Sequence[Sequence[NDArray[np.float32]]],
    *,
    device: torch.device,
    sheet: Path,
) -> dict[str, float]:
    """Mouth PSNR and L1 on held-out time, the frame itself as reference (as at inference); writes a
    sheet: true row over drawn row."""
    network.eval()
    drawn_all, target_all, weight_all = [], [], []
    for t, take in enumerate(takes):
        if take.split == len(take.crops):
            continue
        frames = np.linspace(take.split, len(take.crops) - 1, 8).astype(int)
        picks = [(t, int(f), int(f)) for f in frames]
        image, audio, target, weight = network_batch(takes, picks, features, [0] * len(picks))
        with torch.inference_mode():
            drawn_all.append(network(image.to(device), audio.to(device)).cpu())
        target_all.append(target)
        weight_all.append(weight)
    if not drawn_all:
        return {}
    drawn, target, weight = torch.cat(drawn_all), torch.cat(target_all), torch.cat(weight_all)
    keep = np.linspace(0, len(drawn) - 1, SAMPLE_COLUMNS).astype(int)
    rows = [torch.cat(list(pictures[keep]), dim=2) for pictures in (target, drawn)]
    picture = torch.cat(rows, dim=1).permute(1, 2, 0).numpy()
    cv2.imwrite(str(sheet), np.clip(np.rint(picture * 255), 0, 255).astype(np.uint8))
    return {
        "held_out_l1": (drawn - target).abs().mean().item(),
        "mouth_psnr_db": mouth_psnr_db(drawn, target, weight),
    }


def feature_variants(
    takes: Sequence[Take], encoder: AudioEncoder, seed: int, device: torch.device
) -> list[list[NDArray[np.float32]]]:
    """Feature rows per take: every pitch variant, and each once more with gain, tilt and noise; a take
    without sound gets the features of silence."""
    rng = np.random.default_rng(seed + 2)
    result = []
    for take in takes:
        mels = take.mels or (np.full((80, 4 * len(take.crops)), -4.0, np.float32),)
        result.append(
            [encode_mel(mel, encoder, device=device) for mel in (*mels, *(disturb_mel(m, rng) for m in mels))]
        )
    return result


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m models.train", description="Train a lip-sync model on footage with sound."
    )
    parser.add_argument(
        "--footage",
        nargs="+",
        type=Path,
        required=True,
        help="videos at 25 fps; sound from NAME.wav beside, else the video's own",
    )
    parser.add_argument("--name", required=True, help="name of the model; its folder is WORKSPACE/checkpoint/NAME")
    parser.add_argument("--workspace", type=Path, default=default_workspace())
    parser.add_argument(
        "--size", type=int, default=160, help="side of the network's picture in px, a multiple of 32 (default 160)"
    )
    parser.add_argument("--plan", choices=sorted(CHANNEL_PLANS), default="half", help="channel widths (default half)")
    parser.add_argument("--encoder-steps", type=int, default=1500)
    parser.add_argument("--encoder-minutes", type=float, help="end the encoder's schedule by then at the latest")
    parser.add_argument("--steps", type=int, default=9000, help="U-Net steps (default 9000)")
    parser.add_argument("--minutes", type=float, help="end the U-Net's schedule by then at the latest")
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument(
        "--holdout", type=float, default=0.12, help="last share of every take kept for validation (default 0.12)"
    )
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--threads", type=int, help="CPU threads (default: all)")
    parser.add_argument("--include-core-clips", metavar="MODEL", help="add the frames of this model's core clips")
    parser.add_argument("--resume", action="store_true", help="go on with an interrupted run")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    args = build_parser().parse_args(argv)
    try:
        train(args)
    except (ModelError, ClipError, ValueError, OSError) as e:
        print(f"error: {e}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\nstopped; the last saved step is kept, go on with --resume", file=sys.stderr)
        return 130
    return 0


def _check(args: argparse.Namespace) -> None:
    for path in args.footage:
        if not path.is_file():
            raise ModelError(f"footage {path} does not exist")
    if args.size < 32 or args.size % 32:
        raise ValueError(f"--size must be a multiple of 32 px; got {args.size}")
    if not 0 < args.holdout < 0.5:
        raise ValueError(f"--holdout must lie between 0 and 0.5; got {args.holdout}")
    if args.batch < 2 or args.steps < 1 or args.encoder_steps < 1:
        raise ValueError("--batch must be at least 2, --steps and --encoder-steps at least 1")
    if not args.name or args.name != Path(args.name).name or args.name.startswith("."):
        raise ValueError(f"--name must be a plain folder name; got {args.name!r}")


def train(args: argparse.Namespace) -> Path:
    """Run both stages; returns the model's folder."""
    _check(args)
    device = pick_device(args.device)
    if args.threads:
        torch.set_num_threads(args.threads)
    run = args.workspace / "training" / args.name
    run.mkdir(parents=True, exist_ok=True)
    takes = [
        prepare_take(path, args.size, args.holdout, args.workspace / "training" / "prepared") for path in args.footage
    ]
    folder = args.workspace / "checkpoint" / args.name
    folder.mkdir(parents=True, exist_ok=True)
    encoder, heard = _encoder_stage(args, takes, run, device)
    if args.include_core_clips:
        takes += core_clip_takes(args.include_core_clips, args.size, args.workspace)
    features = feature_variants(takes, encoder, args.seed, device)
    torch.manual_seed(args.seed + 1)
    network = UNet("ave", channels=CHANNEL_PLANS[args.plan], size=args.size)
    settings = DrawSettings(args.steps, args.batch, args.seed, args.minutes)
    progress = Progress(run / "loss.csv", "unet", args.steps, time.monotonic())
    seen = teach_unet(network, takes, features, settings, run, device=device, progress=progress, resume=args.resume)
    save_state_dict(encoder, folder / "audio_encoder.pth", strip_prefix="audio_encoder.")
    save_state_dict(network, folder / "0.pth")
    _write_card(args, takes, heard, seen, folder)
    print(f"wrote {folder}")
    return folder


def _encoder_stage(
    args: argparse.Namespace, takes: Sequence[Take], run: Path, device: torch.device
) -> tuple[AudioEncoder, dict[str, float]]:
    kept, told = run / "audio_encoder.pth", run / "audio_encoder.json"
    if args.resume and kept.is_file() and told.is_file():
        encoder = AudioEncoder()
        encoder.load_state_dict(torch.load(kept, weights_only=True))
        return encoder.to(device).eval(), json.loads(told.read_text(encoding="utf-8"))
    progress = Progress(run / "loss.csv", "audio", args.encoder_steps, time.monotonic())
    encoder, figures = teach_encoder(
        takes, args.encoder_steps, seed=args.seed, device=device, progress=progress, minutes=args.encoder_minutes
    )
    save_state_dict(encoder, kept)
    told.write_text(json.dumps(figures), encoding="utf-8")
    return encoder, figures


def _write_card(
    args: argparse.Namespace, takes: Sequence[Take], heard: dict[str, float], seen: dict[str, float], folder: Path
) -> None:
    options = [f"--{key.replace('_', '-')} {shlex.quote(str(value))}" for key, value in sorted(vars(args).items())
               if value not in (None, False) and key not in ("footage", "workspace", "resume", "threads")]  # fmt: skip
    names = " ".join(shlex.quote(path.name) for path in args.footage)
    card: dict[str, Any] = {
        "mode": "ave",
        "size": args.size,
        "channels": list(CHANNEL_PLANS[args.plan]),
        "fps": 25,
        "padding": "zeros",
        "command": f"python -m models.train --footage {names} {' '.join(options)}",
        "seed": args.seed,
        "footage": {path.name: {"sha256": file_sha256(path)} for path in args.footage},
        "frames": {take.name: {"trained_on": take.split, "held_out": len(take.crops) - take.split} for take in takes},
        "torch": torch.__version__.split("+")[0],
        "audio_encoder_held_out": {key: round(value, 3) for key, value in heard.items()},
        "training": {key: round(value, 4) for key, value in seen.items()},
    }
    (folder / "card.yaml").write_text(yaml.safe_dump(card, sort_keys=False, width=110), encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
