"""Core clips -> landmarks, and the check of what came out: python preprocess_core_clips.py."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from contextlib import closing, nullcontext
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

import numpy as np

from blending.types import Frame
from clips.chart import check_picture_name, write_picture
from clips.clip_findings import ClipAssessment, ModelAssessment, assess_model
from clips.clip_plot import clip_plot
from clips.clip_table import advice_lines, assessment_table, ranking_lines
from clips.describe import clip_notes, lying_words
from clips.errors import ClipError
from clips.ffmpeg import check_folder
from clips.frame_folders import read_frame_folder
from clips.landmarks import LANDMARK_DETECTORS, ClipLandmarks, FaceDetector, detect_landmarks, write_lms
from clips.library import ClipLibrary, CoreClip, measure_appearance, workspace_folder
from clips.lms import LMS_DETECTOR, read_lms_folder
from clips.timeline import FPS, counted, spans
from clips.video import probe, read_frames

DETECTOR = "facemesh"

# Limits of --verify. The bundled clips reach 100 % found, confidence .83, jitter .40 %, and a step of 1.6 %.
MIN_FOUND_PCT = 99.0
MIN_CONFIDENCE = 0.6
MAX_JITTER_PCT = 1.0
MAX_STEP_PCT = 25.0
MIN_FACE_SIZE_PX = 64.0

TURNED_LOOKS = 16
SURER_TURNED = 0.03
"""By how much the detector is surer of a face that stands on its head once the picture is turned, mean over
TURNED_LOOKS frames. Nine clips as they are: by .03 to .2 less sure, a person by .7."""

Progress = Callable[[int, int], None]
"""Called with frames done and frames in all."""


@dataclass(frozen=True)
class ClipReport:
    """What verify_clip measured. reasons is empty when the clip is fit for use.

    found_pct: frames with a face; confidence: mean over those; jitter_pct, step_pct: noise and the
    largest move between neighbouring frames, in % of face_size_px (side of the generator's square).
    """

    clip: CoreClip
    frames: int
    fps: Fraction
    size_wh: tuple[int, int]
    found_pct: float
    confidence: float
    jitter_pct: float
    step_pct: float
    face_size_px: float
    reasons: tuple[str, ...]
    notes: tuple[str, ...] = ()

    @property
    def passed(self) -> bool:
        """Whether nothing speaks against the clip."""
        return not self.reasons


def up_to_date_landmarks(clip: CoreClip) -> ClipLandmarks | None:
    """The clip's landmarks if they were made from its present content, by the present detector or out of its .lms
    files; else None."""
    try:
        landmarks = clip.landmarks()
    except ClipError:
        return None
    makers = (DETECTOR, *LMS_DETECTOR.values())
    return landmarks if landmarks.detector in makers and landmarks.appearance is not None else None


def preprocess_clip(
    clip: CoreClip,
    *,
    force: bool = False,
    progress: Progress | None = None,
    detector: FaceDetector | None = None,
) -> bool:
    """Find the clip's landmarks and write them to clip.landmarks_path, complete or not at all. A folder of frames whose
    .lms files fit keeps those.

    Returns False when they are up to date already and force is not set. detector: one to use
    again for many clips. ClipError: a clip that cannot be read, no face in it, a folder that cannot be written.
    """
    if not force and up_to_date_landmarks(clip) is not None:
        return False
    check_folder(clip.landmarks_path.parent, "landmarks")
    try:
        make_landmarks(clip, progress=progress, detector=detector)
    except ClipError as error:
        raise ClipError(f"clip {clip.name!r} of {clip.model}: {error}") from error
    return True


def make_landmarks(clip: CoreClip, *, progress: Progress | None = None, detector: FaceDetector | None = None) -> None:
    """Find the clip's landmarks, or read its .lms files, and write them; parameters and errors as `preprocess_clip`.
    A face upside down is found as it lies: `lying_words` tells of it."""
    frames_total = clip.info.frames

    def tell(done: int) -> None:
        if progress is not None:
            progress(done, frames_total)

    landmarks = _landmarks_of_folder(clip)
    if landmarks is None:
        with nullcontext(detector) if detector else closing(LANDMARK_DETECTORS[DETECTOR]()) as finder:
            landmarks = detect_landmarks(read_frames(clip.path, fps=FPS), detector=finder, progress=tell)
            if _is_upside_down(clip, landmarks, finder):
                turned = map(_turned, read_frames(clip.path, fps=FPS))
                landmarks = _turned_back(detect_landmarks(turned, detector=finder, progress=tell))
        landmarks = replace(landmarks, detector=DETECTOR)
    with clip.frames() as frames:
        appearance = measure_appearance(frames.__getitem__, landmarks)
    replace(landmarks, clip_sha256=clip.sha256, appearance=appearance).save(clip.landmarks_path)


def _is_upside_down(clip: CoreClip, landmarks: ClipLandmarks, detector: FaceDetector) -> bool:
    """Whether the face stands on its head: the detector finds an upright one there all the same, but is surer of the
    picture turned by 180 degrees."""
    looks = np.unique(np.linspace(0, len(landmarks) - 1, TURNED_LOOKS).astype(int))
    detector.reset()
    with clip.frames() as frames:
        turned = [detector.detect(_turned(frames[int(look)])) for look in looks]
    sure = float(np.mean([0.0 if face is None else face.confidence for face in turned]))
    return sure - float(landmarks.confidence[looks].mean()) > SURER_TURNED


def _turned(frame: Frame) -> Frame:
    return np.ascontiguousarray(frame[::-1, ::-1])


def _turned_back(landmarks: ClipLandmarks) -> ClipLandmarks:
    """Landmarks found in frames that were turned by 180 degrees, as they lie in the frames."""
    return replace(landmarks, points=np.subtract(landmarks.size_wh, 1, dtype=np.float32) - landmarks.points)


def _landmarks_of_folder(clip: CoreClip) -> ClipLandmarks | None:
    """Landmarks out of the .lms files of a clip that is a folder of frames, on the timeline; None where none fit."""
    if not clip.info.pictures:
        return None
    marks, _ = read_lms_folder(clip.path, read_frame_folder(clip.path))
    if marks is None:
        return None
    shown = np.asarray(probe(clip.path).source_indices(FPS), np.intp)
    return replace(
        marks, points=marks.points[shown], found=marks.found[shown], confidence=marks.confidence[shown],
        detector=LMS_DETECTOR[marks.points.shape[1]],
    )  # fmt: skip


def verify_clip(clip: CoreClip, assessment: ClipAssessment | None = None) -> ClipReport:
    """Measure a preprocessed clip and say what speaks against it. ClipError without up-to-date landmarks.

    assessment: the clip's, whose faults count too.
    """
    landmarks = clip.landmarks()
    info = clip.info
    found = landmarks.found
    size = landmarks.face_size_px
    both = found[1:] & found[:-1]
    moves = np.linalg.norm(np.diff(landmarks.points, axis=0).mean(axis=1), axis=1) * both
    step = int(moves.argmax()) if len(moves) else 0
    step_pct = float(moves[step] / size * 100) if len(moves) else 0.0
    confidence = float(landmarks.confidence[found].mean())
    found_pct = 100 * float(found.mean())
    jitter_pct = landmarks.jitter_pct
    lying = lying_words(landmarks)
    checks = [
        (not lying, lying),
        (not probe(clip.path).damaged, "; ".join(probe(clip.path).notes)),
        (
            len(landmarks) == info.frames,
            f"{counted(len(landmarks), 'frame')} in the landmarks, {info.frames} in the video",
        ),
        (landmarks.size_wh == info.size_wh, "landmarks were made at another picture size"),
        (
            found_pct >= MIN_FOUND_PCT,
            f"no face in {counted(np.count_nonzero(~found), 'frame')} ({spans(np.flatnonzero(~found))})",
        ),
        (not confidence < MIN_CONFIDENCE, f"confidence below {MIN_CONFIDENCE:g}: light the face, or film it larger"),
        (
            not jitter_pct > MAX_JITTER_PCT,
            f"landmarks jitter by more than {MAX_JITTER_PCT:g} %: film sharper or larger",
        ),
        (step_pct <= MAX_STEP_PCT, f"the face jumps at frame {step + 1}: a cut, or a second face"),
        (bool(lying) or size >= MIN_FACE_SIZE_PX, f"face smaller than {MIN_FACE_SIZE_PX:g} px: film it larger"),
    ]
    faults = () if assessment is None else tuple(found.words for found in assessment.findings if found.fault)
    return ClipReport(
        clip, info.frames, probe(clip.path).fps, info.size_wh, found_pct, confidence, jitter_pct, step_pct, size,
        tuple(reason for fine, reason in checks if not fine) + faults, clip_notes(clip),
    )  # fmt: skip


_HEADER = ("model", "clip", "frames", "fps", "size", "found %", "confid.", "jitter %", "face px", "verdict")


def report_table(reports: Sequence[ClipReport]) -> str:
    """The reports as aligned text, one line per clip, under a header."""
    rows = [_HEADER]
    for report in reports:
        fps = f"{float(report.fps):g}" + ("" if report.fps == FPS else f" as {FPS}")
        rows.append(
            (
                report.clip.model, report.clip.name, str(report.frames), fps,
                f"{report.size_wh[0]}x{report.size_wh[1]}", f"{report.found_pct:.1f}",
                "-" if np.isnan(report.confidence) else f"{report.confidence:.2f}",
                f"{report.jitter_pct:.2f}", f"{report.face_size_px:.0f}",
                "; ".join(["ok" if report.passed else "FAIL: " + "; ".join(report.reasons), *report.notes]),
            )
        )  # fmt: skip
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEADER) - 1)]
    lines = []
    for row in rows:
        cells = [
            cell.ljust(width) if column < 2 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=False))
        ]
        lines.append("  ".join([*cells, row[-1]]))
    return "\n".join(lines)


def chosen_clips(library: ClipLibrary, model: str | None, clip: str | None) -> tuple[list[CoreClip], list[str]]:
    """Clips that --model and --clip name, every model when none is named; and in words, which models have no clips.
    ClipError for an unknown name."""
    if model is not None:
        return library.clips(model) if clip is None else [library.clip(model, clip)], []
    found: list[CoreClip] = []
    without: list[str] = []
    last = ClipError(f"expected models with core clips in {library.workspace / 'core_clips'}; there are none")
    for name in library.models():
        try:
            found += library.clips(name) if clip is None else [library.clip(name, clip)]
        except ClipError as error:  # a model without clips, or without this one, does not stop the others
            last = error
            without.append(str(error))
    if not found:
        raise last
    return found, [] if clip is not None else without


def _assess_all(
    library: ClipLibrary, usable: Sequence[CoreClip]
) -> tuple[list[ModelAssessment], list[tuple[str, str]]]:
    """Assessments of the models of these clips, each among all clips of its model whose landmarks are up to date, and
    "MODEL / CLIP" of the clips of these models that cannot be measured, with the reason."""
    models: list[ModelAssessment] = []
    unmeasured: list[tuple[str, str]] = []
    for name in dict.fromkeys(clip.model for clip in usable):
        ready = [one for one in library.clips(name) if up_to_date_landmarks(one) is not None]
        try:
            model = assess_model(
                ready, library.workspace, lambda clip, done, total: _bar(f"measuring {clip}")(done, total)
            )
        except ClipError as error:  # a model none of whose clips can be measured does not stop the others
            unmeasured.append((name, str(error)))
            continue
        models.append(model)
        unmeasured += [(f"{name} / {clip}", why) for clip, why in model.unmeasured]
    return models, unmeasured


def verify_report(library: ClipLibrary, clips: Sequence[CoreClip], output: Path | None = None) -> tuple[str, bool]:
    """What --verify prints, and whether every clip is fit for use; with output the plot is written there.

    clips: with up-to-date landmarks, at least one; those that cannot be read are told and the others measured.
    ClipError as `clip_plot`, `write_picture` and `training_light`.
    """
    models, unmeasured = _assess_all(library, clips)
    found = {(model.model, one.name): one for model in models for one in model.clips}
    measured = [clip for clip in clips if (clip.model, clip.name) in found]
    reports = [verify_clip(clip, found[clip.model, clip.name]) for clip in measured]
    if output is not None and models:
        write_picture(output, np.concatenate([clip_plot(model) for model in models]))
    parts = [report_table(reports) if reports else ""]
    for model in models:
        names = [clip.name for clip in clips if clip.model == model.model]
        advice = advice_lines(model, names) or ["nothing stands out"]
        parts += [assessment_table(model, names), "\n".join(ranking_lines(model)), "\n".join(advice)]
    parts.append("\n".join(f"{name}: FAIL: cannot be measured: {why}" for name, why in unmeasured))
    parts.append(f"wrote {output}" if output and models else "")
    return "\n\n".join(part for part in parts if part), not unmeasured and all(report.passed for report in reports)


def _bar_text(name: str, done: int, total: int) -> str:
    filled = 24 * done // max(total, 1)
    return f"{name}  [{'#' * filled}{'.' * (24 - filled)}] {done}/{total} frames"


def _bar(name: str) -> Progress:
    """Progress as plain text, drawn over itself on a terminal; elsewhere only the finished clip's line is printed."""

    def draw(done: int, total: int) -> None:
        if sys.stdout.isatty():
            print("\r\x1b[K" + _bar_text(name, done, total), end="", flush=True)

    return draw


def _preprocess_all(clips: Sequence[CoreClip], *, force: bool) -> list[str]:
    """Process what needs it; returns what went wrong, one line per clip."""
    failures = []
    detector: FaceDetector | None = None
    for clip in clips:
        label = f"{clip.model} / {clip.name}"
        if not force and up_to_date_landmarks(clip) is not None:
            print(f"{label}  up to date")
            continue
        detector = detector or LANDMARK_DETECTORS[DETECTOR]()
        try:
            preprocess_clip(clip, force=True, progress=_bar(label), detector=detector)
            frames = clip.info.frames
            print(("\r\x1b[K" if sys.stdout.isatty() else "") + _bar_text(label, frames, frames), flush=True)
        except ClipError as error:
            failures.append(str(error))
    if detector is not None:
        detector.close()
    return failures


def main(argv: Sequence[str] | None = None) -> int:
    """The command line. Exit code: 0 fine, 1 a clip fails --verify, 2 something cannot be used, 130 Ctrl-C."""
    parser = argparse.ArgumentParser(
        prog="preprocess_core_clips.py",
        description="Find the face landmarks of core clips. Only clips that are new or changed are processed.",
    )
    parser.add_argument("--model", help="only this model (default: all)")
    parser.add_argument("--clip", help="only this clip, by its name without .mp4")
    parser.add_argument("--force", action="store_true", help="process again what is up to date")
    parser.add_argument("--verify", action="store_true", help="print how fit each clip is, and advice; 1 if one fails")
    parser.add_argument("--output", type=Path, metavar="FILE", help="with --verify: write a plot of it too, .png")
    parser.add_argument(
        "--workspace",
        type=workspace_folder,
        default="",
        help="folder with core_clips/ (default: SEAMLINE_WORKSPACE or ./workspace)",
    )
    parser.add_argument(
        "--write-lms", action="store_true",
        help="also write SyncTalk_2D files to WORKSPACE/dataset/MODEL/core_clips/CLIP/landmarks/N.lms",
    )  # fmt: skip
    options = parser.parse_args(argv)
    try:
        if options.output is not None:
            if not options.verify:
                raise ClipError("--output is for the plot of --verify; add --verify, or leave it out")
            check_picture_name(options.output)
        library = ClipLibrary(options.workspace)
        clips, without = chosen_clips(library, options.model, options.clip)
        failures = _preprocess_all(clips, force=options.force)
        usable = [clip for clip in clips if up_to_date_landmarks(clip) is not None]
        if options.write_lms:
            for clip in usable:
                if clip.info.pictures:
                    print(f"{clip.model} / {clip.name}  is a folder of frames: its own landmark files are left alone")
                    continue
                folder = library.workspace / "dataset" / clip.model / "core_clips" / clip.name / "landmarks"
                written = write_lms(folder, clip.landmarks())
                print(f"{clip.model} / {clip.name}  {counted(len(written), 'file')} in {folder}")
        models = [] if options.clip else dict.fromkeys(clip.model for clip in clips)
        for stray in dict.fromkeys([*without, *(one for model in models for one in library.strays(model))]):
            print(f"note: {stray}")
        text, fit = verify_report(library, usable, options.output) if options.verify and usable else ("", True)
        if text:
            print(text)
        for failure in failures:
            print(f"error: {failure}", file=sys.stderr)
    except ClipError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\nstopped; finished clips are kept, run again to go on", file=sys.stderr)
        return 130
    if failures:
        return 2
    return 0 if fit else 1
