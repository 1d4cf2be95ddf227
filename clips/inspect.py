"""Look at a blend and measure the faces of core clips: see `python test_face_blending.py --help`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from blending.types import Landmarks
from clips.audio import SAMPLE_RATE, load_audio
from clips.clip_findings import assess_model
from clips.clip_plot import check_picture_name, clip_plot, write_picture
from clips.clip_table import advice_lines, assessment_table, ranking_lines
from clips.core_clips_processor import CoreClipsProcessor, Performance
from clips.errors import ClipError
from clips.landmarks import LANDMARK_DETECTORS
from clips.library import SAMPLE_SPEECH, ClipLibrary, CoreClip, default_workspace, workspace_folder
from clips.preprocess import DETECTOR, MAX_JITTER_PCT
from clips.sheet import blend_sheet, blend_strip
from clips.timeline import FPS, counted, frames_named

"""The bundled speech: talk, a pause, talk; 7.2 s."""

OPEN_MOUTH_LOOKS = 12
"""Loud moments of the sound whose generated mouth is measured to find an open one."""

# Limits of --stats. In the bundled clips a frame differs from those around it by 3.1 % at most (a jaw that opens),
# clips of one framing by 2 %.
MAX_FRAME_STEP_PCT = 6.0
MAX_CLIP_DIFFERENCE_PCT = 5.0


@dataclass(frozen=True, eq=False)
class FaceMeasures:
    """Shape of the face over a clip.

    jaw_width_px: extent of the jaw along the line through the eyes; face_height_px: from the brows to the chin, across
    it, so that both are free of the head's roll; float64 (T,). found bool (T,). jitter_pct: noise in % of face_size_px.
    """

    name: str
    jaw_width_px: NDArray[np.float64]
    face_height_px: NDArray[np.float64]
    found: NDArray[np.bool_]
    jitter_pct: float
    face_size_px: float

    @property
    def ratio(self) -> NDArray[np.float64]:
        """Jaw width over face height, (T,)."""
        return self.jaw_width_px / self.face_height_px

    @property
    def jitter_px(self) -> float:
        return self.jitter_pct / 100 * self.face_size_px


def measure_clip(clip: CoreClip) -> FaceMeasures:
    """Measures of every frame from the clip's landmarks. ClipError when there are none up to date."""
    landmarks = clip.landmarks()
    sizes = np.array([face_size(landmarks.at(index)) for index in range(len(landmarks))])
    return FaceMeasures(
        clip.name, sizes[:, 0], sizes[:, 1], landmarks.found, landmarks.jitter_pct, landmarks.face_size_px
    )


def face_size(landmarks: Landmarks) -> tuple[float, float]:
    """Jaw width and face height in px; see FaceMeasures."""
    across = landmarks.anchor("right_eye_outer") - landmarks.anchor("left_eye_outer")
    across = across / max(float(np.linalg.norm(across)), 1e-6)
    down = np.array([-across[1], across[0]])
    brows = np.concatenate([landmarks.region("left_brow"), landmarks.region("right_brow")]).mean(axis=0)
    return float(np.ptp(landmarks.region("jaw") @ across)), float((landmarks.anchor("chin") - brows) @ down)


def frame_findings(measures: FaceMeasures) -> list[str]:
    """In words, which frames stand out of their clip: without a face, or of another shape than those around."""
    findings = []
    if not measures.found.all():
        findings.append(
            f"no face in {frames_named(np.flatnonzero(~measures.found))}: the landmarks there are interpolated"
        )
    for what, values in (("jaw width", measures.jaw_width_px), ("face height", measures.face_height_px)):
        off_pct = 100 * np.abs(values / _running_median(values) - 1)
        jumps = np.flatnonzero(off_pct > MAX_FRAME_STEP_PCT)
        if len(jumps):
            findings.append(
                f"{what} jumps by up to {off_pct.max():.0f} % in {frames_named(jumps)}: look at the landmarks there"
            )
    if measures.jitter_pct > MAX_JITTER_PCT:
        findings.append(f"landmarks jitter by more than {MAX_JITTER_PCT:g} %: film sharper or larger")
    return findings


def clip_findings(measures: FaceMeasures, others: Sequence[FaceMeasures]) -> list[str]:
    """In words, how a clip differs from the other clips of the model; nothing when there are none."""
    if not others:
        return []
    findings = []
    size_pct = 100 * (_middle(measures.face_height_px) / np.median([_middle(o.face_height_px) for o in others]) - 1)
    if abs(size_pct) > MAX_CLIP_DIFFERENCE_PCT:
        word = "larger" if size_pct > 0 else "smaller"
        findings.append(f"face {abs(size_pct):.0f} % {word} than in the other clips: a cut to it shows as a jump")
    ratio_pct = 100 * (_middle(measures.ratio) / np.median([_middle(o.ratio) for o in others]) - 1)
    if abs(ratio_pct) > MAX_CLIP_DIFFERENCE_PCT:
        word = "wider" if ratio_pct > 0 else "narrower"
        findings.append(
            f"jaw {abs(ratio_pct):.0f} % {word} for its height than in the other clips: another pose or person"
        )
    return findings


def _middle(values: NDArray[np.float64]) -> float:
    return float(np.median(values))


def _running_median(values: NDArray[np.float64], reach: int = 2) -> NDArray[np.float64]:
    """Median of each value and `reach` neighbours on both sides, ends held."""
    padded = np.pad(values, reach, mode="edge")
    return np.median(np.lib.stride_tricks.sliding_window_view(padded, 2 * reach + 1), axis=1)


_HEADER = ("clip", "frames", "no face", "jaw width px", "face height px", "ratio", "jitter px", "jitter %")


def stats_report(clips: Sequence[CoreClip], only: str | None = None) -> str:
    """Table of the clips (one of them when `only` names it) and of all clips together, then what stands out."""
    everything = [measure_clip(clip) for clip in clips]
    shown = [one for one in everything if only is None or one.name == only]
    rows = [
        _HEADER,
        *(_row(one.name, [one]) for one in shown),
        _row(f"all {counted(len(everything), 'clip')}" if len(everything) > 1 else "the only clip", everything),
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEADER))]
    lines = [
        "  ".join(cell.rjust(width) if column else cell.ljust(width)
                  for column, (cell, width) in enumerate(zip(row, widths, strict=True)))
        for row in rows
    ]  # fmt: skip
    lines.insert(len(shown) + 1, "-" * len(lines[0]))
    findings = [
        f"{one.name}: {finding}"
        for one in shown
        for finding in [*frame_findings(one), *clip_findings(one, [other for other in everything if other is not one])]
    ]
    return "\n".join([*lines, "", *(findings or ["of the faces' shapes nothing stands out"])])


def full_report(clips: Sequence[CoreClip], workspace: Path, only: str | None = None, output: Path | None = None) -> str:
    """`stats_report`, then pose, loop, light and ranking of the clips, and advice; with output the plot of all of them
    is written there. ClipError as `assess_model` and `clip_plot`."""
    model = assess_model(clips, workspace)
    names = None if only is None else [only]
    if output is not None:
        write_picture(output, clip_plot(model))
    parts = [
        stats_report(clips, only), assessment_table(model, names), "\n".join(ranking_lines(model)),
        "\n".join(advice_lines(model, names, told=("no face", "size"))), f"wrote {output}" if output else "",
    ]  # fmt: skip
    return "\n\n".join(part for part in parts if part)


def _row(name: str, measures: Sequence[FaceMeasures]) -> tuple[str, ...]:
    """Medians with the range over the frames in brackets; jitter over several clips is the root of the mean square."""

    def spread(values: NDArray[np.float64], digits: int) -> str:
        return f"{_middle(values):.{digits}f} ({values.min():.{digits}f}-{values.max():.{digits}f})"

    def join(arrays: Sequence[NDArray]) -> NDArray:
        return np.concatenate(arrays)

    def root_mean_square(values: Sequence[float]) -> str:
        measured = np.array(values)[np.isfinite(values)]
        return f"{np.sqrt((measured**2).mean()):.2f}" if len(measured) else "-"

    found = join([one.found for one in measures])
    return (
        name, str(len(found)), str(int((~found).sum())), spread(join([one.jaw_width_px for one in measures]), 1),
        spread(join([one.face_height_px for one in measures]), 1), spread(join([one.ratio for one in measures]), 3),
        root_mean_square([one.jitter_px for one in measures]), root_mean_square([one.jitter_pct for one in measures]),
    )  # fmt: skip


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
    wav = load_audio(sound)
    covering = -(-frames * SAMPLE_RATE // int(FPS))
    performance = processor.prepare(np.tile(wav, -(-covering // len(wav)))[:covering], clip)
    notes: tuple[str, ...] = ()
    if frame is None:
        frame, notes = open_mouth_frame(processor, performance)
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
    sheet = draw(f"{processor.model_name}  /  {clip}", subtitle, shot, blend, settings, notes)
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
        "--workspace", type=workspace_folder, help="a SyncTalk_2D folder (default: SEAMLINE_WORKSPACE or ./workspace)"
    )
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """The command line. Exit code: 0 fine, 2 something cannot be used, 130 Ctrl-C."""
    options = build_parser().parse_args(argv)
    workspace = options.workspace or default_workspace()
    try:
        library = ClipLibrary(workspace)
        clips = [library.clip(options.model, options.clip)] if options.clip else library.clips(options.model)
        if options.stats:
            if options.frame is not None or options.audio is not None:
                raise ClipError("--stats looks at whole clips; leave out --frame and --audio")
            if options.output is not None:
                check_picture_name(options.output)
            print(full_report(library.clips(options.model), workspace, options.clip, options.output))
            return 0
        return _sheet_command(options, workspace, clips[0].name)
    except (ClipError, ValueError) as e:
        print(f"error: {' '.join(str(e).split())}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\nstopped; nothing was written", file=sys.stderr)
        return 130


def _sheet_command(options: argparse.Namespace, workspace: Path, clip: str) -> int:
    from models import ModelError  # takes seconds, and --stats needs no network

    try:
        processor = CoreClipsProcessor(options.model, workspace=workspace)
        path = write_sheet(
            processor, clip, options.frame, options.audio or SAMPLE_SPEECH, options.output, strip=options.strip
        )
    except ModelError as e:
        raise ClipError(str(e)) from e
    print(f"wrote {path}")
    return 0
