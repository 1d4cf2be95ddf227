"""python -m models list | info NAME | verify NAME: which models there are, what they are, whether they are whole."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from blending.types import CropBox
from clips.errors import ClipError
from clips.library import ClipLibrary, CoreClip, workspace_folder
from clips.timeline import counted
from models.errors import ModelError
from models.inspection import ModelInfo, describe, verify
from models.lip_sync import RIM_PX, ModelFiles, find_model, list_models

COMMANDS = {
    "list": "the models there are, bundled and in the workspace",
    "info": "what a model is, and the clips it suits",
    "verify": "whether a model is whole",
}


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m models", description="Lip-sync models at the command line.")
    commands = parser.add_subparsers(dest="command", required=True)
    for name, text in COMMANDS.items():
        command = commands.add_parser(name, help=text)
        if name != "list":
            command.add_argument("name", metavar="NAME", help="name of the model")
        command.add_argument(
            "--workspace",
            type=workspace_folder,
            default="",
            help="a SyncTalk_2D folder (default: SEAMLINE_WORKSPACE or ./workspace)",
        )
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """The command line. Exit code: 0 fine, 2 something cannot be used."""
    args = build_parser().parse_args(argv)
    try:
        if args.command == "list":
            return list_command(args.workspace)
        files = find_model(args.name, args.workspace)
        for line in info_lines(files, args.workspace) if args.command == "info" else verify(files):
            print(line if args.command == "info" else f"ok    {line}", flush=True)
    except (ModelError, ClipError) as e:
        print(f"error: {' '.join(str(e).split())}", file=sys.stderr)
        return 2
    return 0


def list_command(workspace: Path) -> int:
    """One line per model; one that cannot be used says why, and makes the exit code 2."""
    code = 0
    print(f"{'name':16} {'mode':7} {'size':>7}  {'plan':5} {'step':>6}  where")
    for name, files in list_models(workspace).items():
        try:
            info = describe(files)
        except ModelError as e:
            print(f"{name:16} cannot be used: {e}")
            code = 2
            continue
        where = "bundled" if info.bundled else str(info.checkpoint.parent)
        print(f"{name:16} {info.mode:7} {info.size:4} px  {info.plan:5} {_step(info):>6}  {where}")
    return code


def _step(info: ModelInfo) -> str:
    return str(info.trained_steps if info.trained_steps is not None else info.step)


def info_lines(files: ModelFiles, workspace: Path) -> Iterator[str]:
    """A model's facts, line by line."""
    info = describe(files)
    about = files.card.get("about")
    yield f"{info.name}: {about or ('bundled' if info.bundled else 'of the workspace')}"
    yield (
        f"mode        {info.mode} (from {info.mode_from})"
        if info.mode_from != "assumed"
        else (f"mode        {info.mode} (assumed: write `mode: hubert` into card.yaml if it is that)")
    )
    yield f"size        {info.size} px; it draws a square of {info.size + 2 * RIM_PX} px"
    yield f"plan        {info.plan}: channels {', '.join(map(str, info.channels))}; {info.parameters:,} parameters"
    trained = f", {counted(info.trained_steps, 'step')}" if info.trained_steps is not None else ""
    yield f"step        {info.checkpoint.name}{trained}"
    for name, digest in info.sha256.items():
        yield f"sha256      {digest}  {name}"
    if info.mode == "ave" and info.encoder is None:
        yield "encoder     missing: put audio_encoder.pth beside the checkpoint"
    yield from _clip_lines(info, workspace)


def _clip_lines(info: ModelInfo, workspace: Path) -> Iterator[str]:
    """The core clips of the model's name, and how large the face's square is in each."""
    try:
        clips = ClipLibrary(workspace).clips(info.name)
    except ClipError as e:
        yield f"clips       none: {e}"
        return
    for clip in clips:
        yield f"clip        {clip.name} ({clip.kind}): {_fit(clip, info.size + 2 * RIM_PX)}"


def _fit(clip: CoreClip, drawn_px: int) -> str:
    try:
        landmarks = clip.landmarks()
    except ClipError as e:
        return f"cannot be used: {e}"
    found = np.flatnonzero(landmarks.found)
    side = float(np.median([CropBox.from_landmarks(landmarks.at(int(i))).side for i in found[:: len(found) // 8 + 1]]))
    frames = counted(len(landmarks), "frame")
    return f"{frames}, face square {side:.0f} px, drawn at {drawn_px / side:.2f} of its size"


if __name__ == "__main__":
    sys.exit(main())
