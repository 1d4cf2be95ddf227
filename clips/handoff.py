"""Frames for compositors: plate, foreground and matte as 16-bit PNG, and how they go together."""

from __future__ import annotations

import argparse
import errno
import json
import os
import shutil
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from numpy.typing import NDArray

from blending import BlendResult, BlendSettings, CropBox
from blending.foreground import foreground_of
from blending.types import Frame
from clips.audio import SAMPLE_RATE, save_wav
from clips.errors import ClipError
from clips.library import workspace_folder
from clips.presets import change_settings, load_preset
from clips.render import RenderCancelled
from clips.scratch import scratch_folder, sweep
from clips.timeline import FPS, FrameRange, counted
from clips.waiting import waiting

if TYPE_CHECKING:
    from clips.core_clips_processor import CoreClipsProcessor, Performance, Shot

SIDECAR, README = "handoff.json", "README.txt"
VERSION = 1
LAYERS = ("plate", "crop", "matte")
WHITE = 65535
SPARE = 1.25
"""Frames differ: the space that is asked for, over what the first ones took."""

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Window:
    """The part of the frame that crop and matte cover, the same in every frame: px from the top left."""

    x0: int
    y0: int
    width: int
    height: int

    def place(self, picture: NDArray, row: int, column: int) -> NDArray:
        """A picture whose first pixel lies at (row, column) of the frame, on black of the window's size.

        ValueError when it does not fit in.
        """
        top, left = row - self.y0, column - self.x0
        height, width = picture.shape[:2]
        if top < 0 or left < 0 or top + height > self.height or left + width > self.width:
            raise ValueError(f"picture must lie in {self}; got {width} x {height} px at column {column}, row {row}")
        placed = np.zeros((self.height, self.width, *picture.shape[2:]), picture.dtype)
        placed[top : top + height, left : left + width] = picture
        return placed


@dataclass(frozen=True)
class HandoffReport:
    """What was written: the folder, its frames and its size."""

    folder: Path
    frames: FrameRange
    size_bytes: int
    solved_frames: int


def hand_off(
    processor: CoreClipsProcessor,
    performance: Performance,
    folder: Path,
    settings: BlendSettings | None = None,
    *,
    frames: FrameRange | None = None,
    progress: Progress | None = None,
    cancel: threading.Event | None = None,
    say: Callable[[str], None] | None = None,
) -> HandoffReport:
    """Write the frames (None: all) into a new folder, which appears complete or not at all.

    Each output frame N gives plate.N.png (whole frame), crop.N.png and matte.N.png (the window); with the sidecar, a
    README in words and the sound. `recompose` of a frame is the rendered frame within one level. say: is told the
    space that will be needed before the bulk is written. RenderCancelled within a frame of `cancel`; ClipError: the
    folder exists or cannot be written, frames outside the video, not enough space.
    """
    settings = settings or processor.settings
    frames = frames or FrameRange(0, performance.frames)
    if frames.stop > performance.frames or len(frames) == 0:
        raise ClipError(
            f"the video has frames 0 .. {performance.frames - 1}; got --frames {frames.start}-{frames.stop - 1}"
        )
    digits = max(4, len(str(performance.frames - 1)))
    window = window_of(processor, performance, frames)
    entries: list[dict[str, Any]] = []
    with new_folder(folder) as partial:
        for count, index in enumerate(frames):
            if cancel is not None and cancel.is_set():
                raise RenderCancelled(f"stopped at frame {index}; nothing was written")
            shot = processor.shot(performance, index)
            blend = processor.blend_shot(shot, settings)
            entries.append(_write_frame(partial, shot, blend, settings.compositor, window, digits))
            if count == 0:
                _check_space(partial, folder, len(frames), say)
            if progress is not None:
                progress(count + 1, len(frames))
        save_wav(partial / "sound.wav", _sound(performance, frames))
        sidecar = _sidecar(processor, performance, settings, frames, window, digits, entries)
        text = json.dumps(sidecar, indent=1, ensure_ascii=False) + "\n"
        (partial / SIDECAR).write_text(text, encoding="utf-8", errors="backslashreplace")
        (partial / README).write_text(readme_text(sidecar), encoding="utf-8", errors="backslashreplace")
        size = sum(path.stat().st_size for path in partial.iterdir())
    return HandoffReport(folder, frames, size, sum(bool(entry["solved"]) for entry in entries))


def recompose(folder: Path, index: int) -> Frame:
    """Output frame `index` from the folder's files alone, uint8 (H, W, 3) BGR: what a compositor's *over* makes.

    ClipError for a folder that is no hand-off, and frames that it does not hold.
    """
    sidecar = read_sidecar(folder)
    first, last = sidecar["frames"]["first"], sidecar["frames"]["last"]
    if not first <= index <= last:
        raise ClipError(f"{folder} holds frames {first} .. {last}; got {index}")
    plate, crop, matte = (_read(folder / _name(sidecar, layer, index)).astype(np.float64) / WHITE for layer in LAYERS)
    x0, y0, width, height = (sidecar["window"][key] for key in ("x0", "y0", "width", "height"))
    under = plate[y0 : y0 + height, x0 : x0 + width]
    under += matte[..., None] * (crop - under)
    return np.rint(plate * 255).astype(np.uint8)


def read_sidecar(folder: Path) -> dict[str, Any]:
    """The sidecar's entries. ClipError when there is none of this version."""
    try:
        sidecar = json.loads((folder / SIDECAR).read_text(encoding="utf-8"))
        if sidecar["version"] != VERSION:
            raise ClipError(
                f"expected a hand-off of version {VERSION}; {folder.name} has {sidecar['version']}; make it anew"
            )
    except (OSError, ValueError, KeyError, TypeError) as e:
        raise ClipError(f"expected a folder of `python -m clips handoff`; {folder} has no readable {SIDECAR}") from e
    return dict(sidecar)


def window_of(processor: CoreClipsProcessor, performance: Performance, frames: FrameRange) -> Window:
    """What covers the generated square wherever the clips of these frames have it, inside the frame."""
    width, height = frame_size(processor, performance, frames.start)
    edits = performance.edits
    names = {edits.at(index).clip for index in frames}
    names |= {going[0].clip for index in frames if (going := edits.dissolve_at(index)) is not None}
    squares = [
        box.inside((height, width))
        for name in sorted(names)
        for marks in [processor.landmarks_of(name)[1]]
        for box in (CropBox.from_landmarks(marks.at(index)) for index in range(len(marks)))
    ]
    x0, x1 = min(c.start for _, c in squares), max(c.stop for _, c in squares)
    y0, y1 = min(r.start for r, _ in squares), max(r.stop for r, _ in squares)
    # Even sizes where the frame has room: a layer's centre is then a whole pixel.
    x1 += (x1 - x0) % 2 and x1 < width
    y1 += (y1 - y0) % 2 and y1 < height
    return Window(x0, y0, max(1, x1 - x0), max(1, y1 - y0))


def frame_size(processor: CoreClipsProcessor, performance: Performance, index: int) -> tuple[int, int]:
    """Width and height of an output frame, px."""
    return processor.landmarks_of(performance.edits.at(index).clip)[0].size_wh


def check_new(folder: Path) -> None:
    """ClipError unless a folder of this name can be made."""
    if os.path.lexists(folder):
        what, cure = (
            ("folder", ", or remove it first") if os.path.isdir(folder) else ("file", " for the folder to make")
        )
        raise ClipError(f"the {what} {folder} exists already; give another name{cure}")
    if not os.path.isdir(folder.parent):
        what = "is a file; choose another place" if os.path.exists(folder.parent) else "does not exist; create it first"
        raise ClipError(f"expected the folder {folder.parent} to write into; it {what}")
    if not os.access(folder.parent, os.W_OK):
        raise ClipError(f"nothing may be written into {folder.parent}; choose another place")


@contextmanager
def new_folder(folder: Path) -> Iterator[Path]:
    """A hidden folder beside `folder` to write into; it becomes `folder` on success and is removed on any error. What a
    process that was killed left there is removed first.

    ClipError when `folder` exists, or cannot be made, or the disk is full.
    """
    check_new(folder)
    sweep(folder.parent)
    try:
        with scratch_folder(folder.parent) as partial:
            yield partial
            if folder.exists():  # renaming onto an empty folder would succeed
                raise ClipError(f"the folder {folder} has come to be meanwhile; give another name")
            os.rename(partial, folder)
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        cure = "free some space, or hand off fewer frames with --frames" if full else "choose another place"
        raise ClipError(f"cannot write {folder} ({error.strerror}); {cure}") from error


def _write_frame(
    folder: Path, shot: Shot, blend: BlendResult, compositor: str, window: Window, digits: int
) -> dict[str, Any]:
    """Write the three pictures of a frame; its entry in the sidecar."""
    rows, columns, box = blend.rows, blend.columns, blend.box
    plate = shot.plate[rows, columns]
    # From the whole frame: in a dissolve both clips' squares are covered.
    square = box.paste(shot.plate, blend.generated_matched)[rows, columns]
    foreground, matte, solved = foreground_of(compositor, plate, blend.patch, square, blend.patch_matte)
    if shot.generated is None:
        foreground = np.zeros_like(foreground)
    layers = {
        "plate": shot.plate.astype(np.uint16) * 257,
        "crop": window.place(np.rint(foreground * 257).astype(np.uint16), rows.start, columns.start),
        "matte": window.place(np.rint(matte * np.float64(WHITE)).astype(np.uint16), rows.start, columns.start),
    }
    for layer, picture in layers.items():
        _write(folder / f"{layer}.{shot.index:0{digits}d}.png", picture)
    registration = blend.registration
    return {
        "frame": shot.index,
        "clip": shot.cut.clip,
        "clip_frame": shot.clip_frame,
        "generated": shot.generated is not None,
        "note": shot.reason or "; ".join(blend.limits),
        "box": {"x0": box.x0, "y0": box.y0, "side": box.side},
        "registration": {
            "dx": registration.dx, "dy": registration.dy, "scale": registration.scale, "gain": registration.gain
        },
        "opacity": shot.opacity,
        "feather_px": round(float(blend.feather_px), 2),
        "solved": solved,
    }  # fmt: skip


def _write(path: Path, picture: NDArray[np.uint16]) -> None:
    encoded, content = cv2.imencode(".png", picture, [cv2.IMWRITE_PNG_COMPRESSION, 1])
    if not encoded:
        raise ClipError(f"cannot make the picture {path.name}; choose another place")
    path.write_bytes(content.tobytes())


def _read(path: Path) -> NDArray[np.uint16]:
    picture = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    if picture is None or picture.dtype != np.uint16:
        raise ClipError(f"expected a 16-bit picture {path}; it is missing or another kind; hand off anew")
    return np.asarray(picture, np.uint16)


def _check_space(partial: Path, folder: Path, frames: int, say: Callable[[str], None] | None) -> None:
    """Say what all frames will take, by the first; ClipError where that is not free."""
    needed = frames * sum(path.stat().st_size for path in partial.iterdir())
    free = shutil.disk_usage(partial).free
    if say is not None:
        say(f"{counted(frames, 'frame')} will take about {_size_words(needed)}; {_size_words(free)} are free")
    if needed * SPARE > free:
        raise ClipError(
            f"not enough space for {folder}: {counted(frames, 'frame')}: about {_size_words(needed)}, and "
            f"{_size_words(free)} are free; free some, or hand off fewer frames with --frames"
        )


def _size_words(size: float) -> str:
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{max(size / 1e6, 0.1):.1f} MB"


def _sound(performance: Performance, frames: FrameRange) -> NDArray[np.float32]:
    """The sound under these frames, padded with silence to their end."""
    start, stop = (int(edge * SAMPLE_RATE / FPS) for edge in (frames.start, frames.stop))
    part = performance.wav[start:stop]
    return np.pad(part, (0, stop - start - len(part)))


def _name(sidecar: dict[str, Any], layer: str, index: int) -> str:
    return str(sidecar["files"][layer] % index)


def _sidecar(
    processor: CoreClipsProcessor, performance: Performance, settings: BlendSettings, frames: FrameRange,
    window: Window, digits: int, entries: list[dict[str, Any]],
) -> dict[str, Any]:  # fmt: skip
    width, height = frame_size(processor, performance, frames.start)
    solved = any(entry["solved"] for entry in entries)
    return {
        "what": "Seamline hand-off", "version": VERSION, "ai_generated": True,
        "files": {layer: f"{layer}.%0{digits}d.png" for layer in LAYERS} | {"sound": "sound.wav"},
        "formula": "result = plate + matte * (crop - plate), on the stored values; crop and matte lie at the window",
        "bit_depth": 16, "white": WHITE,
        "alpha": "none: the matte is a picture of its own, the crop is not premultiplied",
        "colour": {
            "encoding": "display-referred R'G'B', full range, as decoded from the clip; do not linearise for the over",
            "primaries": "bt709", "transfer": "bt709", "plate_bits": 8,
        },
        "frame_rate": str(FPS),
        "frames": {
            "first": frames.start, "last": frames.stop - 1,
            "numbering": "output frames of the render, from 0; file numbers are frame numbers",
        },
        "frame_size": {"width": width, "height": height},
        "window": {"x0": window.x0, "y0": window.y0, "width": window.width, "height": window.height},
        "transform": {
            "top_left_origin": [window.x0, window.y0],
            "bottom_left_origin": [window.x0, height - window.y0 - window.height],
            "centre": [window.x0 + window.width / 2, window.y0 + window.height / 2],
            "scale": 1, "rotation_deg": 0,
            "note": "translation only: the generated square is resampled already; box is where it lies in each frame",
        },
        "compositor": settings.compositor,
        "compositor_note": (
            f"{settings.compositor} is no plain over: crop and matte are solved so that the over gives its result"
            if solved else "crop is the generated square as it goes into the over"
        ),
        "settings": settings.model_dump(), "model": _model_hashes(processor),
        "clips": {name: processor.clip(name).sha256 for name in sorted({entry["clip"] for entry in entries})},
        "base": performance.base, "notes": list(performance.notes), "per_frame": entries,
    }  # fmt: skip


def _model_hashes(processor: CoreClipsProcessor) -> dict[str, Any]:
    """Name of the model and sha256 of its files."""
    from models.inspection import file_sha256
    from models.lip_sync import find_model

    files = find_model(processor.model_name, processor.workspace)
    parts = [path for path in (files.checkpoint, files.encoder) if path is not None]
    return {"name": files.name, "sha256": {path.name: file_sha256(path) for path in parts}}


def readme_text(sidecar: dict[str, Any]) -> str:
    """How to put the pictures together again, in words."""
    first, last = sidecar["frames"]["first"], sidecar["frames"]["last"]
    names = {layer: f"{_name(sidecar, layer, first)} .. {_name(sidecar, layer, last)}" for layer in LAYERS}
    width = max(map(len, names.values()))
    window, transform = sidecar["window"], sidecar["transform"]
    x, y = transform["bottom_left_origin"]
    cx, cy = transform["centre"]
    size = sidecar["frame_size"]
    return f"""AI-generated: the mouth in these pictures was drawn by a program.

Frames {first} to {last} at {sidecar["frame_rate"]} frames per second, {size["width"]} x {size["height"]} px.
{names["plate"].ljust(width)}  the plate as it was filmed, whole frame
{names["crop"].ljust(width)}  the foreground, {window["width"]} x {window["height"]} px, not premultiplied
{names["matte"].ljust(width)}  its matte, the same size: white is foreground
{"sound.wav".ljust(width)}  the sound under these frames
{SIDECAR.ljust(width)}  all numbers: window, box of every frame, settings, hashes

result = plate + matte * (crop - plate)

The values are display-referred (Rec. 709), 16 bits, white is {sidecar["white"]}. Mix them as they are: an over on
linear values looks different. {sidecar["compositor_note"]}.

Nuke: project at {sidecar["frame_rate"]} fps, format {size["width"]} x {size["height"]}. Three Reads with "raw data" on.
Shuffle the matte's red into the crop's alpha, Premult, then Transform with translate {x} {y}, scale 1, filter Impulse
(Nuke counts from the bottom left), with the plate's format below. Merge (over), A is the crop, B the plate. Write with
"raw data" on.

After Effects: composition {size["width"]} x {size["height"]}, {sidecar["frame_rate"]} fps, 16 bits per channel,
working space none ("linearize" and "blend colors using 1.0 gamma" off). Import the three sequences at that rate.
Layers from the bottom: plate; crop with position {cx:g}, {cy:g}; matte above it, same position, and the crop's track
matte set to "luma matte". Quality best, no motion blur.
"""


def add_commands(commands: Any) -> None:
    """Register `handoff` with the command line of clips."""
    from clips.edit_command import add_editing_flags

    parser = commands.add_parser("handoff", help="write plate, foreground and matte of each frame for compositors")
    parser.add_argument("--model", default="LS1", help="name of the model (default LS1)")
    parser.add_argument("--audio", type=Path, required=True, help="any audio file, or a video with sound")
    parser.add_argument("--output", type=Path, required=True, metavar="DIR", help="the folder to make")
    parser.add_argument("--frames", type=frame_span, metavar="A-B", help="output frames A to B, both included")
    parser.add_argument("--clip", metavar="NAME", help="use this one clip as the base (default: automatic)")
    parser.add_argument("--preset", default="default", help="named settings (default, classic, or your own)")
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", dest="changes",
        help="change one setting; may be repeated",
    )  # fmt: skip
    add_editing_flags(parser)
    parser.add_argument("--workspace", type=workspace_folder, default="", help="a SyncTalk_2D folder")
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda (default auto)")
    parser.add_argument("--runtime", default="auto", help="auto, torch or openvino (default auto)")
    parser.set_defaults(run=handoff_command)


def frame_span(text: str) -> FrameRange:
    """ "A-B" or "A", both included. ArgumentTypeError for anything else."""
    first, to, last = text.partition("-")
    try:
        return FrameRange(int(first), int(last if to else first) + 1)
    except ValueError:
        raise argparse.ArgumentTypeError(f"expected frames as A-B with A <= B, e.g. 40-60; got {text!r}") from None


def handoff_command(args: argparse.Namespace) -> int:
    """The command line. ClipError and ValueError for what cannot be used."""
    from clips.core_clips_processor import AUTOMATIC, CoreClipsProcessor
    from clips.edit_command import editing_from
    from clips.render_command import frames_bar

    settings = change_settings(load_preset(args.preset, args.workspace), args.changes)
    editing = editing_from(args)
    check_new(args.output)
    loading = f"loading the model {args.model}"
    with waiting(loading):
        from models import ModelError  # takes seconds: a mistyped setting is answered before

    try:
        with waiting(loading):
            processor = CoreClipsProcessor(
                args.model, workspace=args.workspace, settings=settings, editing=editing, device=args.device,
                runtime=args.runtime,
            )  # fmt: skip
        with waiting(f"listening to {args.audio.name}, choosing clips"):
            performance = processor.prepare(args.audio, args.clip or AUTOMATIC)
        report = hand_off(
            processor, performance, args.output, frames=args.frames, progress=frames_bar(),
            say=lambda words: print(words, file=sys.stderr, flush=True),
        )  # fmt: skip
    except ModelError as e:
        raise ClipError(str(e)) from e
    for note in performance.notes:
        print(f"note: {note}")
    solved = f"; crop and matte of {report.solved_frames} are solved for a plain over" if report.solved_frames else ""
    print(f"wrote {report.folder}: {counted(len(report.frames), 'frame')}, {_size_words(report.size_bytes)}{solved}")
    return 0
