"""python -m clips edit: the edit list of a sound as JSON, as a picture and for editing systems."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from clips.audio import SAMPLE_RATE, hear
from clips.core_clips_processor import CoreClipsProcessor
from clips.edit_files import edits_as_text, load_edits, save_edits
from clips.edit_list import speech_segments
from clips.edit_settings import EditSettings
from clips.edl import save_edl
from clips.errors import ClipError
from clips.ffmpeg import atomic_file
from clips.library import workspace_folder
from clips.timeline import FrameRange, frame_count
from clips.timeline_picture import summary, timeline_picture
from clips.waiting import waiting

MOST_CMX_EVENTS = 999


def add_editing_flags(parser: argparse.ArgumentParser) -> None:
    """A flag for each of the EditSettings, with a line of help; checked by `editing_from`."""
    for control in EditSettings.controls():
        unit = f" {control.unit}" if control.unit else ""
        parser.add_argument(
            "--" + control.name.replace("_", "-"),
            type=str if control.kind == "choice" else float,
            metavar="NAME" if control.kind == "choice" else "N",
            help=f"{control.help} {control.expected()} (default {control.default}{unit})".replace("%", "%%"),
        )


def editing_from(args: argparse.Namespace, otherwise: EditSettings | None = None) -> EditSettings:
    """The settings that the flags say, over others or the defaults. ValueError names the one that does not fit."""
    said = {control.name: getattr(args, control.name) for control in EditSettings.controls()}
    given = {name: value for name, value in said.items() if value is not None}
    return EditSettings.parse((otherwise or EditSettings()).model_dump() | given)


def add_commands(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """The command `edit` with its flags."""
    edit = commands.add_parser("edit", help="find speech in a sound and choose clips for it, without rendering")
    edit.add_argument("--model", default="LS1", help="name of the model (default LS1)")
    edit.add_argument("--audio", type=Path, required=True, help="any audio file, or a video with sound")
    edit.add_argument("--output", type=Path, metavar="LIST.json", help="write the list, for `render --edits`")
    edit.add_argument("--timeline", type=Path, metavar="LIST.png", help="write a picture of it")
    edit.add_argument("--edl", type=Path, metavar="LIST.edl", help="write it as CMX 3600, for editing systems")
    edit.add_argument("--edits", type=Path, metavar="LIST.json", help="take this list instead of making one")
    edit.add_argument(
        "--workspace",
        type=workspace_folder,
        default="",
        help="a SyncTalk_2D folder (default: SEAMLINE_WORKSPACE or ./workspace)",
    )
    add_editing_flags(edit)
    edit.set_defaults(run=edit_command)


def edit_command(args: argparse.Namespace) -> int:
    """Make or read the list and write what was asked for; the list itself to stdout where nothing was."""
    for path, suffix in ((args.output, ".json"), (args.timeline, ".png"), (args.edl, ".edl")):
        if path is not None and path.suffix.lower() != suffix:
            raise ClipError(f"expected a name that ends in {suffix}; got {path.name!r}")
    editing = editing_from(args)
    wav, damage = hear(args.audio)
    given = load_edits(args.edits) if args.edits else None
    with waiting(f"loading the model {args.model}"):
        processor = CoreClipsProcessor(args.model, workspace=args.workspace, editing=editing)
    with waiting(f"listening to {args.audio.name}, choosing clips"):
        edits, notes = processor.edit_list(wav) if given is None else (given, processor.notes_on(given, len(wav)))
        joins = processor.joins(edits)
    if args.output:
        save_edits(edits, args.output)
    if args.edl:
        save_edl(edits, args.edl, args.audio.stem)
    if args.timeline:
        picture = timeline_picture(edits, wav, heard(wav, editing), joins, f"{args.model}: {args.audio.name}")
        with atomic_file(args.timeline) as partial:
            partial.write_bytes(cv2.imencode(".png", picture)[1].tobytes())
    written = [str(path) for path in (args.output, args.timeline, args.edl) if path]
    if not written:
        print(edits_as_text(edits), end="")
    for note in (*damage, *notes):
        print(f"note: {note}", file=sys.stdout if written else sys.stderr)
    if not written:
        return 0
    if args.edl and (events := sum(len(cut.runs()) for cut in edits.cuts)) > MOST_CMX_EVENTS:
        print(f"note: {events} events; CMX 3600 counts to {MOST_CMX_EVENTS}: some systems read no more")
    print(f"{summary(edits, joins)}; wrote {', '.join(written)}")
    return 0


def heard(wav: NDArray[np.float32], editing: EditSettings) -> list[FrameRange]:
    """Frames of the sound in which there is speech."""
    segments = speech_segments(editing.find_speech(wav), SAMPLE_RATE, frame_count(len(wav), SAMPLE_RATE))
    return [place for place, spoken in segments if spoken]
