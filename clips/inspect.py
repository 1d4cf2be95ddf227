"""Look at a blend and measure the faces of core clips: see `python test_face_blending.py --help`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from blending.types import Landmarks
from clips.audio import SAMPLE_RATE, hear
from clips.chart import check_picture_name, write_picture
from clips.clip_findings import assess_model
from clips.clip_table import advice_lines, assessment_table, ranking_lines
from clips.core_clips_processor import CoreClipsProcessor, Performance
from clips.errors import ClipError
from clips.face_measures import measure_clip, stats_report
from clips.face_plot import face_plot
from clips.landmarks import LANDMARK_DETECTORS
from clips.library import SAMPLE_SPEECH, ClipLibrary, CoreClip, workspace_folder
from clips.preprocess import DETECTOR
from clips.sheet import blend_sheet, blend_strip
from clips.timeline import FPS
from clips.video import probe
from clips.waiting import waiting

"""The bundled speech: talk, a pause, talk; 7.2 s."""

OPEN_MOUTH_LOOKS = 12
"""Loud moments of the sound whose generated mouth is measured to find an open one."""


def full_report(
    clips: Sequence[CoreClip], workspace: Path, only: str | None = None, output: Path | None = None
) -> tuple[str, list[str]]:
    """`stats_report`, then pose, loop, light and ranking of the clips, and advice; with output the faces' plot is
    written there. And which clips cannot be measured, in words: they do not stop the others.

    ClipError as `face_plot` and `training_light`, and where no clip, or not the one named `only`, can be measured.
    """
    measurable, why = [], {}
    for clip in clips:
        try:
            probe(clip.path)
            clip.landmarks()
            measurable.append(clip)
        except ClipError as error:
            why[clip.name] = str(error)
    if measurable:
        model = assess_model(measurable, workspace)
        why |= dict(model.unmeasured)
    if not measurable or only in why:
        raise ClipError(why[only or clips[0].name])
    measures = [measure_clip(clip) for clip in measurable if clip.name not in why]
    names = None if only is None else [only]
    if output is not None:
        write_picture(output, face_plot(model.model, measures, only))
    parts = [
        stats_report(measures, only), assessment_table(model, names), "\n".join(ranking_lines(model)),
        "\n".join(advice_lines(model, names, told=("no face", "size"))), f"wrote {output}" if output else "",
    ]  # fmt: skip
    told = [f"{name} cannot be measured: {reason}" for name, reason in why.items()]
    return "\n\n".join(part for part in parts if part), told


def write_sheet(
    processor: CoreClipsProcessor,
    clip: str,
    frame: int | None,
    sound: Path,
    output: Path | None,
    *,
    strip: bool = False,
) -> Path:
    """Write the sheet of one clip driven by a sound from its first frame on, as `--clip` renders it; returns its path.

    frame: of the clip; None takes one at which the generated mouth is open. ClipError for a frame outside the clip or
    without a face, a sound that cannot be read, a name that is no picture's. strip: one row, plate to matte, only.
    """
    if output is not None:
        check_picture_name(output)
    frames = len(processor.landmarks_of(processor.clip(clip).name)[0])
    if frame is not None and not 0 <= frame < frames:
        raise ClipError(f"clip {clip!r} has frames 0 .. {frames - 1}; got --frame {frame}")
    wav, notes = hear(sound)
    covering = -(-frames * SAMPLE_RATE // int(FPS))
    performance = processor.prepare(np.tile(wav, -(-covering // len(wav)))[:covering], clip)
    if frame is None:
        frame, chosen = open_mouth_frame(processor, performance)
        notes += chosen
    shot = processor.shot(performance, frame)
    if shot.generated is None:
        raise ClipError(f"no face was found in frame {frame} of clip {clip!r}; choose another --frame")
    blend = processor.blend_shot(shot)
    settings = processor.settings
    at_s = frame / FPS % (len(wav) / SAMPLE_RATE)
    subtitle = (
        f"frame {frame} of {frames}, mouth generated for {float(at_s):.2f} s of {sound.name}; "
        f"method {settings.compositor}, colour {settings.colour}, expansion {settings.expansion_ratio:g}, "
        f"feather {settings.feather_amount:g} ({settings.feather_unit})"
    )
    draw = blend_strip if strip else blend_sheet
    title, floor = f"{processor.model_name}  /  {clip}", processor.floor_of(clip)
    sheet = draw(title, subtitle, shot, blend, settings, notes, floor=floor)
    path = output or Path("outputs") / f"{processor.model_name}_{clip}_frame{frame}.png"
    write_picture(path, sheet)
    return path


def open_mouth_frame(processor: CoreClipsProcessor, performance: Performance) -> tuple[int, tuple[str, ...]]:
    """Frame whose generated mouth is open widest among the loudest moments, and notes in words.

    Where no face is found in any generated picture, the loudest moment, which the note says.
    """
    samples_per_frame = int(SAMPLE_RATE / FPS)
    loudness = np.array(
        [
            float(np.square(performance.wav[i * samples_per_frame : (i + 1) * samples_per_frame]).mean())
            for i in range(performance.frames)
        ]
    )
    found = processor.landmarks_of(performance.base)[0].found
    loudness[~found] = -1
    looks: list[int] = []
    for index in np.argsort(-loudness, kind="stable"):
        if len(looks) < OPEN_MOUTH_LOOKS and found[index] and all(abs(index - other) > 2 for other in looks):
            looks.append(int(index))
    detector = LANDMARK_DETECTORS[DETECTOR]()
    openings: list[tuple[float, int]] = []
    for index in looks:
        face = detector.detect(processor.generate_frame(performance, index))
        if face is not None:
            openings.append((Landmarks(face.points).lip_opening, index))
    detector.close()
    if not openings:
        return looks[0], ("no face was found in the generated pictures: this is the loudest moment of the sound",)
    return max(openings)[1], ()


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="test_face_blending.py",
        description="Draw a sheet of landmarks, masks and blend of one frame, or print statistics of the clips' faces.",
    )
    parser.add_argument("--model", default="LS1", help="name of the model (default LS1)")
    parser.add_argument("--clip", metavar="NAME", help="one clip (default: the model's first; with --stats all)")
    parser.add_argument("--frame", type=int, metavar="N", help="frame of the clip (default: one with an open mouth)")
    parser.add_argument("--audio", type=Path, metavar="FILE", help="sound for the mouth (default: the bundled speech)")
    parser.add_argument(
        "--output",
        type=Path,
        metavar="FILE",
        help="picture to write (default outputs/MODEL_CLIP_frameN.png; with --stats none)",
    )
    parser.add_argument("--strip", action="store_true", help="only plate, hard paste, blend and matte in a row")
    parser.add_argument(
        "--stats",
        action="store_true",
        help="print what the faces, poses, loops and light are like, and advice; with --output a plot too",
    )
    parser.add_argument(
        "--workspace",
        type=workspace_folder,
        default="",
        help="a SyncTalk_2D folder (default: SEAMLINE_WORKSPACE or ./workspace)",
    )
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """The command line. Exit code: 0 fine, 2 something cannot be used, 130 Ctrl-C."""
    options = build_parser().parse_args(argv)
    workspace = options.workspace
    try:
        library = ClipLibrary(workspace)
        clips = [library.clip(options.model, options.clip)] if options.clip else library.clips(options.model)
        if options.stats:
            if options.frame is not None or options.audio is not None:
                raise ClipError("--stats looks at whole clips; leave out --frame and --audio")
            if options.output is not None:
                check_picture_name(options.output)
            text, unmeasured = full_report(library.clips(options.model), workspace, options.clip, options.output)
            print(text)
            for reason in unmeasured:
                print(f"error: {reason}", file=sys.stderr)
            return 2 if unmeasured else 0
        return _sheet_command(options, workspace, clips[0].name)
    except (ClipError, ValueError) as e:
        print(f"error: {' '.join(str(e).split())}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\nstopped; nothing was written", file=sys.stderr)
        return 130


def _sheet_command(options: argparse.Namespace, workspace: Path, clip: str) -> int:
    loading = f"loading the model {options.model}"
    with waiting(loading):
        from models import ModelError  # takes seconds, and --stats needs no network

    try:
        with waiting(loading):
            processor = CoreClipsProcessor(options.model, workspace=workspace)
        with waiting("looking for a frame and drawing it"):
            path = write_sheet(
                processor, clip, options.frame, options.audio or SAMPLE_SPEECH, options.output, strip=options.strip
            )
    except ModelError as e:
        raise ClipError(str(e)) from e
    print(f"wrote {path}")
    return 0
