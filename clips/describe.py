"""What a person should know about a clip before using it, in words: python -m clips describe."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from clips.edit_list import EditList
from clips.errors import ClipError
from clips.frame_folders import read_frame_folder
from clips.landmarks import ClipLandmarks
from clips.library import ClipLibrary, CoreClip, workspace_folder
from clips.lms import LMS_DETECTOR, read_lms_folder
from clips.name_durations import name_note
from clips.timeline import FPS, counted, frames_named
from clips.video import probe

MAX_ROLL_DEG = 45.0


def clip_notes(clip: CoreClip) -> tuple[str, ...]:
    """What stands out about a clip: `source_notes`, odd size, the duration in its name, where its landmarks come from.
    Empty for a plain mp4. ClipError when it cannot be read."""
    info = probe(clip.path)
    notes = [*source_notes(clip), size_note(info.size_wh), name_note(clip.name, info.times_s[-1])]
    if info.pictures:
        notes.append(landmarks_note(clip))
    return tuple(filter(None, notes))


def source_notes(clip: CoreClip) -> tuple[str, ...]:
    """What is wrong with a clip's files and what is shown instead: the source taken, damage, gaps."""
    return tuple(filter(None, (clip.remark, *probe(clip.path).notes)))


def render_notes(clips: Sequence[CoreClip], edits: EditList) -> tuple[str, ...]:
    """What to tell of the clips that an edit list uses: files with faults, landmarks that nobody detected here, frames
    without a face where the sound would move the lips, an odd size."""
    used = [clip for clip in clips if any(cut.clip == clip.name for cut in edits.cuts)]
    notes = [f"{clip.name}: {note}" for clip in used for note in source_notes(clip)]
    for clip in used:
        marks, found = clip.landmarks(), clip.landmarks().found
        if marks.detector in LMS_DETECTOR.values():
            notes.append(f"{clip.name}: landmarks from its .lms files of {marks.points.shape[1]} points")
        lost = sorted(number for number in driven_frames(edits, clip.name) if not found[number])
        if lost:
            notes.append(
                f"{clip.name}: no face in {frames_named(lost)}: the plate is left as it is there, "
                "its lips do not follow the sound"
            )
    sizes = {clip.info.size_wh for clip in used}
    return tuple(filter(None, [*notes, *map(size_note, sorted(sizes))]))


def lying_words(landmarks: ClipLandmarks) -> str:
    """What to tell of a face that is not upright, which no network can draw, with the cure; "" of another one. Its
    square is measured along the picture's rows, and is no measure of its size."""
    roll = landmarks.roll_deg
    if abs(roll) <= MAX_ROLL_DEG:
        return ""
    way, back = ("clockwise", "cclock") if roll > 0 else ("counter-clockwise", "clock")
    cure = f"transpose={back}" if abs(roll) < 180 - MAX_ROLL_DEG else "hflip,vflip"
    return (
        f"the face is not upright: it is turned {abs(roll):.0f} degrees {way}; turn the video upright, e.g. "
        f"ffmpeg -i IN -vf {cure} OUT.mp4"
    )


def check_upright(clip: CoreClip) -> None:
    """ClipError for a clip whose face is not upright, or that has no landmarks."""
    if lying := lying_words(clip.landmarks()):
        raise ClipError(f"clip {clip.name!r}: {lying}")


def driven_frames(edits: EditList, name: str) -> set[int]:
    """The frames of a clip that are shown with lips driven by the sound."""
    cuts = [cut for cut in edits.cuts if cut.clip == name and cut.driven]
    return {cut.clip_frame(index) for cut in cuts for index in list(cut.place)[: 2 * cut.span]}


def size_note(size_wh: tuple[int, int]) -> str:
    """What a render does with an odd size; "" for an even one."""
    width, height = size_wh
    if width % 2 == 0 and height % 2 == 0:
        return ""
    even = f"{width + width % 2} x {height + height % 2}"
    return f"odd size: renders have {even} px, with its last row or column doubled, since H.264 needs even sizes"


def landmarks_note(clip: CoreClip) -> str:
    """Where the landmarks of a folder of frames come from, or will come from once it is preprocessed."""
    marks, reason = read_lms_folder(clip.path, read_frame_folder(clip.path))
    if marks is None:
        return f"landmarks detected: {reason or 'it has no .lms files'}"
    return "; ".join(filter(None, [f"landmarks from its .lms files of {marks.points.shape[1]} points", reason]))


def describe_clip(clip: CoreClip) -> list[str]:
    """A clip in a few lines: what it is, then indented notes. A clip that cannot be read says why."""
    try:
        info = probe(clip.path)
        notes = clip_notes(clip)
    except ClipError as error:
        return [f"{clip.name}: {clip.kind}, cannot be used", f"  {error}"]
    kind = f"{len(info.pictures)} extracted frames" if info.pictures else clip.path.suffix.lstrip(".").lower()
    rate = f"{float(info.fps):g} fps" + ("" if info.regular else " on average, uneven")
    shown = "" if info.fps == FPS and info.regular else f", shown as {clip.info.frames} at {FPS} fps"
    first = (
        f"{clip.name}: {clip.kind}, {kind}, {info.width} x {info.height} px, "
        f"{counted(info.frames, 'frame')} at {rate}{shown}, {info.duration_s:.2f} s"
    )
    return [first, f"  {_state(clip)}", *(f"  {note}" for note in notes)]


def _state(clip: CoreClip) -> str:
    try:
        landmarks = clip.landmarks()
    except ClipError as error:
        return f"not ready: {error}"
    made = "detected" if landmarks.detector not in LMS_DETECTOR.values() else "out of .lms files"
    missing = len(landmarks) - int(landmarks.found.sum())
    return f"ready: landmarks {made}" + (f", no face in {counted(missing, 'frame')}" if missing else "")


def describe_model(library: ClipLibrary, model: str) -> list[str]:
    """Every clip of a model in words, then what lies there and is no clip. ClipError for an unknown model, or one
    without clips."""
    lines = [line for clip in library.clips(model) for line in describe_clip(clip)]
    return [*lines, *(f"note: {stray}" for stray in library.strays(model))]


def add_commands(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """The command `describe` with its flags."""
    parser = commands.add_parser("describe", help="say of each clip what it is, whether it is ready and what is odd")
    parser.add_argument("--model", help="only this model (default: all)")
    parser.add_argument(
        "--workspace",
        type=workspace_folder,
        default="",
        help="a SyncTalk_2D folder (default: SEAMLINE_WORKSPACE or ./workspace)",
    )
    parser.set_defaults(run=describe_command)


def describe_command(args: argparse.Namespace) -> int:
    """Print the clips of one model or of all; a model that cannot be described does not stop the others."""
    library = ClipLibrary(args.workspace)
    failed = 0
    for model in [args.model] if args.model else library.models():
        try:
            lines = describe_model(library, model)
        except ClipError as error:
            print(f"error: {error}", file=sys.stderr)
            failed = 2
        else:
            print("\n  ".join([model, *lines]))
    return failed
