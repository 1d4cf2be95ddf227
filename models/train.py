"""Training: footage with sound in, a checkpoint that opens in the studio out.

    python -m models.train --name ME --footage me.mp4 [more.mp4 ...]

Two stages, as measured to be what decides: the audio encoder is first taught on lip distances (no
pictures), then frozen while the U-Net learns to draw. An interrupted run goes on with --resume.
This module is a program on top of the packages: it reads video and landmarks, `teach` does the rest.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from numpy.typing import NDArray

from blending.types import CropBox, Landmarks
from clips.audio import load_audio
from clips.errors import ClipError
from clips.landmarks import ClipLandmarks, detect_landmarks
from clips.library import ClipLibrary, default_workspace
from clips.timeline import FPS
from clips.training_light import KEY as LIGHT_KEY
from clips.training_light import footage_light
from clips.video import probe, read_frames
from models.audio_features import NARROW_ENCODER_CHANNELS, AudioEncoder, window_count
from models.checkpoint import load_audio_encoder, load_unet, save_state_dict
from models.dataset import Take, crop_and_mouth, lip_distances, pitch_variants, pose_points, tempo_variants
from models.errors import ModelError
from models.figures import rounded
from models.inspection import file_sha256
from models.lip_sync import ModelFiles, list_models
from models.runtime import pick_device
from models.teach import RUN_FRAMES, Progress, Schedule, feature_variants, teach_encoder, teach_unet
from models.unet import FULL_CHANNELS, HALF_CHANNELS, UNet

CHANNEL_PLANS = {"full": FULL_CHANNELS, "half": HALF_CHANNELS}
RATE = 2e-3
RATE_FROM_INIT = 1e-3
"""Learning rate at its highest: of fresh weights, and of weights that know something already."""
PREPARED_VERSION = 4


def prepare_take(path: Path, size: int, holdout: float, cache: Path) -> Take:
    """Crops, lip distances and sound variants of one video; kept in the run's folder by content.

    The sound is the .wav of the same name beside the video, else the video's own. Exact landmarks
    beside it (NAME.landmarks.npz with `points` (T, 68, 2), pixel centres at .5) replace the detected
    ones as lip distances; the crop always comes from the detector, as it does at inference.
    ModelError: not 25 fps, no sound, too short; ClipError: no video, no face.
    """
    sound = _sound_of(path)
    key = hashlib.sha256(f"{file_sha256(path)} {file_sha256(sound)} {size} {PREPARED_VERSION}".encode()).hexdigest()
    stored = cache / f"{path.stem}-{key[:16]}.npz"
    if not stored.exists():
        wav = load_audio(sound)
        print(f"preparing {path.name}: landmarks, crops", flush=True)
        marks = detect_landmarks(read_frames(path))
        crops, mouths, lips, pose = _crops(path, marks, size)
        exact = path.with_name(f"{path.stem}.landmarks.npz")
        if exact.is_file():
            with np.load(exact, allow_pickle=False) as truth:
                lips = np.stack([lip_distances(Landmarks(points - 0.5)) for points in truth["points"][: len(lips)]])
        print(f"preparing {path.name}: sound variants", flush=True)
        sounds = {f"mel_{i}": mel for i, mel in enumerate(pitch_variants(wav))}
        retimed = tempo_variants(wav)
        sounds |= {f"retimed_{i}": mel for i, (mel, _) in enumerate(retimed)}
        tempos = np.array([tempo for _, tempo in retimed])
        cache.mkdir(parents=True, exist_ok=True)
        partial = stored.with_name(f".{stored.stem}.partial.npz")
        np.savez(partial, crops=crops, mouths=mouths, lips=lips, pose=pose, tempos=tempos, **sounds)
        partial.replace(stored)
    return _read_take(path, stored, holdout)


def _sound_of(path: Path) -> Path:
    """Where the footage's sound is. ModelError for footage that cannot be trained on, before any work is done."""
    info = probe(path)
    if info.fps != FPS or not info.regular:
        raise ModelError(
            f"footage must run at {FPS} frames a second; {path.name} has {float(info.fps):.5g}"
            f"{'' if info.regular else ' on average, unevenly'}; convert it: ffmpeg -i IN -r {FPS} OUT.mp4"
        )
    beside = path.with_suffix(".wav")
    if not beside.is_file() and not info.has_sound:
        raise ModelError(
            f"footage must have sound; {path.name} has no sound track: export it with sound, or put the sound beside "
            f"it as {beside.name}"
        )
    return beside if beside.is_file() else path


def _read_take(path: Path, stored: Path, holdout: float) -> Take:
    with np.load(stored, allow_pickle=False) as kept:
        mels = tuple(kept[f"mel_{i}"] for i in range(sum(name.startswith("mel_") for name in kept.files)))
        retimed = tuple((kept[f"retimed_{i}"], float(tempo)) for i, tempo in enumerate(kept["tempos"]))
        frames = min(len(kept["crops"]), *(window_count(mel.shape[1]) for mel in mels))
        if frames < 4 * RUN_FRAMES:
            raise ModelError(f"{path.name} must have at least {4 * RUN_FRAMES} frames with sound; got {frames}")
        return Take(
            path.stem, kept["crops"][:frames], kept["mouths"][:frames], kept["lips"][:frames], kept["pose"][:frames],
            mels, frames - round(frames * holdout), retimed,
        )  # fmt: skip


def _crops(
    path: Path, marks: ClipLandmarks, size: int
) -> tuple[NDArray[np.uint8], NDArray[np.int32], NDArray[np.float32], NDArray[np.float32]]:
    crops, mouths, lips, pose = [], [], [], []
    smoothed = marks.smoothed()
    for index, frame in enumerate(read_frames(path, fps=FPS)):
        points = smoothed.at(index)
        crop, mouth = crop_and_mouth(frame, points, size)
        crops.append(crop)
        mouths.append(mouth)
        lips.append(lip_distances(marks.at(index).to_scheme(68)))
        pose.append(pose_points(points, CropBox.from_landmarks(points), size))
    return np.stack(crops), np.stack(mouths), np.stack(lips), np.stack(pose)


def core_clip_takes(model: str, size: int, workspace: Path | None) -> list[Take]:
    """The core clips' frames as extra material: they have no sound, so talk clips teach everything but the mouth, and
    the silence clip a mouth at rest."""
    takes = []
    for clip in ClipLibrary(workspace).clips(model):
        marks = clip.landmarks()
        if marks.points.shape[1] != 478:
            raise ModelError(
                f"training needs detected landmarks; those of {clip.name!r} come from .lms files: remove these and run "
                f"`python preprocess_core_clips.py --model {model}`"
            )
        crops, mouths, lips, pose = _crops(clip.path, marks, size)
        known = clip.kind == "silence"
        takes.append(Take(clip.name, crops, mouths, lips, pose, (), split=len(crops), mouth_known=known))
    return takes


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
    parser.add_argument("--init", metavar="MODEL", help="start from this model's weights, e.g. LS1; its size and plan")
    parser.add_argument(
        "--fresh-audio",
        action="store_true",
        help="with --init: take what MODEL knows of pictures, learn hearing anew",
    )
    parser.add_argument("--encoder-steps", type=int, default=1500, help="steps of the audio encoder (default 1500)")
    parser.add_argument("--steps", type=int, default=9000, help="U-Net steps (default 9000)")
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument(
        "--holdout", type=float, default=0.12, help="last share of every take kept for validation (default 0.12)"
    )
    parser.add_argument(
        "--patience",
        type=int,
        default=6,
        help="end after so many checks (one every 500 steps) without gain on held-out time; 0 = never (default 6)",
    )
    parser.add_argument(
        "--bf16", action="store_true", help="teach the encoder in bfloat16: twice as fast where the processor has it"
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
    if args.workspace.exists() and not args.workspace.is_dir():
        raise ModelError(f"expected a folder for the workspace; {args.workspace} is a file; name a folder")
    for path in args.footage:
        if not path.is_file():
            raise ModelError(f"footage {path} does not exist")
    if args.size < 32 or args.size % 32:
        raise ValueError(f"--size must be a multiple of 32 px; got {args.size}")
    if not 0 < args.holdout < 0.5:
        raise ValueError(f"--holdout must lie between 0 and 0.5; got {args.holdout}")
    if args.batch < 2 or args.steps < 1 or args.encoder_steps < 1:
        raise ValueError("--batch must be at least 2, --steps and --encoder-steps at least 1")
    if args.fresh_audio and not args.init:
        raise ValueError("--fresh-audio must stand beside --init; without it all is learnt anew")
    if not args.name or args.name != Path(args.name).name or args.name.startswith("."):
        raise ValueError(f"--name must be a plain folder name; got {args.name!r}")


def train(args: argparse.Namespace) -> Path:
    """Run both stages; returns the model's folder."""
    _check(args)
    device = pick_device(args.device)
    if args.threads:
        torch.set_num_threads(args.threads)
    encoder, network, origin = _networks(args)
    run = args.workspace / "training" / args.name
    run.mkdir(parents=True, exist_ok=True)
    if not args.resume:
        (run / "loss.csv").unlink(missing_ok=True)
    for path in args.footage:
        _sound_of(path)
    prepared = args.workspace / "training" / "prepared"
    takes = [prepare_take(path, args.size, args.holdout, prepared) for path in args.footage]
    light = {path.name: footage_light(path) for path in args.footage}
    folder = args.workspace / "checkpoint" / args.name
    folder.mkdir(parents=True, exist_ok=True)
    heard = _encoder_stage(args, encoder, takes, run, device)
    if args.include_core_clips:
        takes += core_clip_takes(args.include_core_clips, args.size, args.workspace)
    features = feature_variants(takes, encoder, args.seed, device)
    rate = RATE_FROM_INIT if args.init else RATE
    schedule = Schedule(args.steps, args.seed, rate, batch=args.batch, patience=args.patience)
    progress = Progress(run / "loss.csv", "unet", args.steps)
    seen = teach_unet(
        network, takes, features, schedule, run / "unet_state.pt", device=device, progress=progress, resume=args.resume
    )
    save_state_dict(encoder, folder / "audio_encoder.pth", strip_prefix="audio_encoder.")
    save_state_dict(network, folder / "0.pth")
    _write_card(args, takes, origin, heard, seen, light, folder)
    print(f"wrote {folder}; samples and curves are in {run}")
    return folder


def _networks(args: argparse.Namespace) -> tuple[AudioEncoder, UNet, dict[str, Any]]:
    """Fresh networks, or those of --init, with what the card says about their origin."""
    if not args.init:
        with torch.random.fork_rng():
            torch.manual_seed(args.seed)
            network = UNet("ave", channels=CHANNEL_PLANS[args.plan], size=args.size)
            return AudioEncoder(NARROW_ENCODER_CHANNELS), network, {}
    known = list_models(args.workspace)
    if args.init not in known:
        raise ModelError(f"--init: model {args.init!r} does not exist; there are: {', '.join(known) or 'none'}")
    return _from_model(known[args.init], args)


def _from_model(files: ModelFiles, args: argparse.Namespace) -> tuple[AudioEncoder, UNet, dict[str, Any]]:
    if files.encoder is None or files.card.get("mode", "ave") != "ave":
        raise ModelError(f"--init: {files.name} has no audio encoder of mode ave; choose another model")
    size = files.card.get("size", 320)
    if size != args.size:
        raise ModelError(f"--init: {files.name} draws {size} px and this run {args.size}; start with --size {size}")
    network = load_unet(files.checkpoint, "ave", size=size)
    if network.channels != CHANNEL_PLANS[args.plan]:
        names = [name for name, plan in CHANNEL_PLANS.items() if plan == network.channels]
        raise ModelError(f"--init: {files.name} has another channel plan; start with --plan {' or '.join(names)}")
    origin = {
        "model": files.name,
        "unet_sha256": file_sha256(files.checkpoint),
        "audio_encoder_sha256": file_sha256(files.encoder),
    }
    if not args.fresh_audio:
        return load_audio_encoder(files.encoder), network, origin
    with torch.random.fork_rng():
        torch.manual_seed(args.seed)
        fresh = UNet("ave", channels=network.channels, size=size)
        network.audio_model, network.fuse_conv = fresh.audio_model, fresh.fuse_conv
        return AudioEncoder(NARROW_ENCODER_CHANNELS), network, {**origin, "taken": "all but what hears"}


def _encoder_stage(
    args: argparse.Namespace, encoder: AudioEncoder, takes: Sequence[Take], run: Path, device: torch.device
) -> dict[str, float]:
    """Teach the encoder, or take the one an interrupted run taught; held-out correlations."""
    kept, told = run / "audio_encoder.pth", run / "audio_encoder.json"
    if args.resume and kept.is_file() and told.is_file():
        encoder.load_state_dict(torch.load(kept, weights_only=True))
        encoder.to(device).eval()
        return dict(json.loads(told.read_text(encoding="utf-8")))
    rate = RATE_FROM_INIT if args.init and not args.fresh_audio else RATE
    schedule = Schedule(args.encoder_steps, args.seed, rate, warm_up=50, bf16=args.bf16)
    progress = Progress(run / "loss.csv", "audio", args.encoder_steps)
    figures = teach_encoder(
        encoder, takes, schedule, run / "audio_state.pt", device=device, progress=progress, resume=args.resume
    )
    save_state_dict(encoder, kept)
    told.write_text(json.dumps(figures), encoding="utf-8")
    return figures


def _write_card(
    args: argparse.Namespace,
    takes: Sequence[Take],
    origin: dict[str, Any],
    heard: dict[str, float],
    seen: dict[str, float],
    light: dict[str, list[float]],
    folder: Path,
) -> None:
    left_out = ("footage", "workspace", "resume", "threads", "bf16", "fresh_audio")
    options = [
        f"--{key.replace('_', '-')} {shlex.quote(str(value))}"
        for key, value in sorted(vars(args).items())
        if value is not None and key not in left_out
    ]
    options += [flag for flag, given in (("--bf16", args.bf16), ("--fresh-audio", args.fresh_audio)) if given]
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
        **({"started_from": origin} if origin else {}),
        "sha256": {name: file_sha256(folder / name) for name in ("0.pth", "audio_encoder.pth")},
        "torch": torch.__version__.split("+")[0],
        "audio_encoder_held_out": rounded(heard),
        "training": rounded(seen),
        LIGHT_KEY: light,
    }
    (folder / "card.yaml").write_text(yaml.safe_dump(card, sort_keys=False, width=110), encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
