"""Clips that people upload: checked, preprocessed with progress, and there at once; nothing is left of a failed one."""

from __future__ import annotations

import math
import queue
import secrets
import shutil
import threading
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from clips.clip_findings import ClipAssessment, ModelAssessment, assess_model
from clips.errors import ClipError
from clips.ffmpeg import check_source
from clips.header import read_header
from clips.library import LANDMARKS_SUFFIX, ClipLibrary, CoreClip, clip_kind
from clips.preprocess import ClipReport, preprocess_clip, up_to_date_landmarks, verify_clip
from clips.video import probe
from studio.preset_shelf import plain_name, same_name

MAX_BYTES = 500 * 2**20
MAX_CLIP_S = 120
MAX_SIDE_PX = 4096
MIN_SIDE_PX = 128
ASSESSED_KEPT = 4
FREE_BYTES = 2**30
"""An upload must leave this much of the disk free."""


@dataclass(frozen=True)
class IntakeState:
    """Where an upload stands. frames 0: not looked at yet; clip: name of the finished one; row: its table row."""

    done: int
    frames: int
    clip: str = ""
    row: dict[str, object] | None = None

    def describe(self) -> dict[str, object]:
        return {"done": self.done, "frames": self.frames, "clip": self.clip, "row": self.row}


class ClipIntake:
    """Adds clips to WORKSPACE/core_clips/MODEL/, one at a time."""

    def __init__(self, workspace: Path) -> None:
        self._library = ClipLibrary(workspace)
        self._turn = threading.Lock()

    def check(self, model: object, name: object) -> str:
        """The name under which a clip will be stored; ClipError unless it may be.

        A name with neither "talk" nor "silence" in it gets " talk", since core clips without are ignored.
        """
        if not isinstance(model, str):
            raise ClipError(f"the model must be a name; got {type(model).__name__}")
        known = {clip.name for clip in self._library.clips(model)}
        name = plain_name(name, "clip")
        if name.lower().endswith(".mp4"):
            name = plain_name(name[:-4], "clip")
        if clip_kind(name) is None:
            name = plain_name(f"{name} talk", "clip")
        for other in known:
            if same_name(name, other):
                raise ClipError(f"{model} has a clip {other!r} already; give this one another name")
        return name

    def add(self, source: Path, model: str, name: str) -> Iterator[IntakeState]:
        """Copy, check and preprocess a video; yields states, the last with the clip's name and its table row.

        Closing the generator stops it. ClipError: too large or long, no mp4, no video, no face. On any error, and when
        it is stopped, nothing is left.
        """
        name = self.check(model, name)
        check_upload(source)
        yield IntakeState(0, 0)
        if not self._turn.acquire(blocking=False):
            raise ClipError("another clip is being prepared; try again when it is done")
        try:
            yield from self._add(source, model, name)
        finally:
            self._turn.release()

    def _add(self, source: Path, model: str, name: str) -> Iterator[IntakeState]:
        folder = self._library.workspace / "core_clips" / model
        marks_folder = self._library.workspace / "landmarks" / model
        hidden = f".{secrets.token_hex(6)}"
        kind = clip_kind(name)
        assert kind is not None
        draft = CoreClip(name, model, kind, folder / f"{hidden}.part.mp4", marks_folder / f"{hidden}{LANDMARKS_SUFFIX}")
        made = [path for path in (folder.parent, folder, marks_folder.parent, marks_folder) if not path.exists()]
        placed = [draft.path, draft.landmarks_path]
        try:
            for path in (folder, marks_folder):
                path.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, draft.path)
            yield from _preprocessed(draft)
            final = CoreClip(name, model, kind, folder / f"{name}.mp4", marks_folder / (name + LANDMARKS_SUFFIX))
            if final.path.exists():
                raise ClipError(f"{model} has a clip {name!r} already; give this one another name")
            placed += [final.landmarks_path]
            draft.landmarks_path.replace(final.landmarks_path)
            draft.path.replace(final.path)  # last: the clip is there when all of it is
            placed = []
        except OSError as e:
            raise ClipError(f"the clip cannot be stored ({e.strerror}); free some space in the workspace") from e
        finally:
            for path in placed:
                path.unlink(missing_ok=True)
            for path in reversed(made if placed else []):
                with suppress(OSError):  # not empty: somebody else uses it by now
                    path.rmdir()
        row = next(row for row in clip_table(self._library.workspace, model) if row["name"] == name)
        yield IntakeState(final.info.frames, final.info.frames, name, row)


def check_upload(source: Path) -> None:
    """ClipError unless a file may become a clip: an mp4 of at most 500 MB, 2 minutes and 4096 px, room on the disk."""
    source = check_source(source, "video")
    size = source.stat().st_size
    if size > MAX_BYTES:
        raise ClipError(f"a clip may have {MAX_BYTES >> 20} MB; got {size / 2**20:.0f} MB: cut it shorter")
    header = read_header(source)
    if header.size_wh is None:
        raise ClipError("expected a video; this file has no picture track; choose a video")
    if "mp4" not in header.container.split(","):
        raise ClipError(f"expected an mp4; this file is {header.container}; export it as mp4 (H.264)")
    if header.duration_s is None or not 0 < header.duration_s <= MAX_CLIP_S:
        what = "no length" if header.duration_s is None else f"{header.duration_s:.0f} s"
        raise ClipError(f"a clip may last {MAX_CLIP_S} s; this one has {what}: cut it shorter")
    if max(header.size_wh) > MAX_SIDE_PX or min(header.size_wh) < MIN_SIDE_PX:
        raise ClipError(
            f"a clip may have {MIN_SIDE_PX} to {MAX_SIDE_PX} px on a side; this one has "
            f"{header.size_wh[0]} x {header.size_wh[1]}: export it in another size"
        )
    free = shutil.disk_usage(source.parent).free
    if free < size + FREE_BYTES:
        raise ClipError(f"the disk has {free >> 20} MB left; free some space before adding a clip")
    frames = probe(source).frames
    if frames > MAX_CLIP_S * 120:
        raise ClipError(f"a clip may have {MAX_CLIP_S * 120} frames; this one has {frames}: cut it shorter")


class _Stopped(Exception):
    """The one who added the clip has gone."""


def _preprocessed(draft: CoreClip) -> Iterator[IntakeState]:
    """Preprocess in a thread of its own, telling frames done; closing the generator stops it within a frame."""
    told: queue.Queue[tuple[int, int] | BaseException | None] = queue.Queue()
    stop = threading.Event()

    def progress(done: int, total: int) -> None:
        if stop.is_set():
            raise _Stopped
        told.put((done, total))

    def work() -> None:
        try:
            preprocess_clip(draft, force=True, progress=progress)
            told.put(None)
        except BaseException as e:
            told.put(e)

    worker = threading.Thread(target=work, name="preprocess", daemon=True)
    worker.start()
    try:
        while (news := told.get()) is not None:
            if isinstance(news, BaseException):
                raise news
            yield IntakeState(*news)
    finally:
        stop.set()
        worker.join()


def clip_table(workspace: Path, model: str) -> list[dict[str, object]]:
    """One row of JSON values for each clip of a model, what --verify measures, best first.

    A clip without landmarks has passed False and the reason; its figures are None.
    """
    clips = ClipLibrary(workspace).clips(model)
    usable = tuple(clip for clip in clips if up_to_date_landmarks(clip) is not None)
    rows = [_unusable(clip) for clip in clips if clip not in usable]
    if usable:
        found = assessment(usable, workspace)
        rows += [_row(verify_clip(clip, one), one) for clip, one in zip(usable, found.clips, strict=True)]
    return sorted(rows, key=lambda row: (not row["passed"], -float(str(row["score"] or 0))))


_ASSESSED: OrderedDict[object, ModelAssessment] = OrderedDict()
_ASSESSING = threading.Lock()


def assessment(clips: Sequence[CoreClip], workspace: Path) -> ModelAssessment:
    """`assess_model` of clips with landmarks, 14 ms a frame; the last few are kept until a clip or its landmarks
    change."""
    key = tuple((clip.model, clip.name, clip.sha256, clip.landmarks_path.stat().st_mtime_ns) for clip in clips)
    with _ASSESSING:
        if key not in _ASSESSED:
            _ASSESSED[key] = assess_model(clips, workspace)
            while len(_ASSESSED) > ASSESSED_KEPT:
                _ASSESSED.popitem(last=False)
        return _ASSESSED[key]


_FIGURES = ("found_pct", "confidence", "jitter_pct", "step_pct", "face_size_px")
_COMPARED = ("score", "turn_deg", "size_pct", "light", "training")


def _row(report: ClipReport, one: ClipAssessment) -> dict[str, object]:
    loop = one.statistics.loop
    figures = {name: float(getattr(report, name)) for name in _FIGURES}
    figures |= {name: float(getattr(one, name)) for name in _COMPARED}
    figures |= {"loop_pct": loop.landmarks_pct, "loop_levels": loop.picture_levels}
    figures |= {"light_spread": one.statistics.light_spread}
    rounded = {name: round(value, 3) if math.isfinite(value) else None for name, value in figures.items()}
    advice = [str(found) for found in one.findings if not found.fault]
    return {
        "name": report.clip.name, "kind": report.clip.kind, "passed": report.passed, "frames": report.frames,
        "fps": str(report.fps) if report.fps.denominator > 1 else int(report.fps), "width": report.size_wh[0],
        "height": report.size_wh[1], **rounded, "reasons": list(report.reasons), "notes": [*report.notes, *advice],
    }  # fmt: skip


def _unusable(clip: CoreClip) -> dict[str, object]:
    try:
        clip.landmarks()
        reason = "its landmarks were made by another version; preprocess it again"
    except ClipError as e:
        reason = str(e)
    return {
        "name": clip.name, "kind": clip.kind, "passed": False, "frames": None, "fps": None, "width": None,
        "height": None, **dict.fromkeys((*_FIGURES, *_COMPARED, "loop_pct", "loop_levels", "light_spread")),
        "reasons": [reason], "notes": [],
    }  # fmt: skip
