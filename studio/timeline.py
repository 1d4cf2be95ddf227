"""What the timeline dock shows of a session: speech, cuts, confidence, thumbnails, seam score of every frame."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import cv2
import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from blending import BlendSettings, seam_score
from clips.audio import SAMPLE_RATE
from clips.core_clips_processor import Performance
from clips.errors import ClipError
from clips.timeline import FPS
from models.errors import ModelError
from studio.sessions import Session

BINS = 4000
"""Speech level and confidence come in at most so many bins, whatever the length of the sound."""
MEASURED_AT_MOST = 3000
THUMBNAIL_PX = 72
THUMBNAIL_SCALE = 1.15
"""Side of the part shown, over the generated square's."""
QUIET_S = 0.4
"""The scan waits so long after the last preview: a slider is dragged faster than that."""
POLLED_S = 3.0
SCANS_KEPT = 8


class ScanRequest(BaseModel):
    """Asks for the scores known so far under these settings; a scan goes on while it is asked for."""

    model_config = ConfigDict(extra="forbid", strict=True)
    token: str = Field(max_length=64)
    settings: dict[str, Any]


def timeline(session: Session) -> dict[str, object]:
    """Cuts, speech level and landmark confidence of a session, as JSON values.

    level, confidence: one value, 0..1, per bin of `per_bin` frames: the loudest and the least sure in it; level is the
    peak over the sound's loudest one. Confidence is None where the plate stays as it is.
    """
    performance = session.performance
    frames = performance.frames
    per_bin = -(-frames // BINS)
    level = [part.max() for part in _bins(_levels(performance), per_bin)]
    sure = np.array([_confidence(session, index) for index in range(frames)], np.float32)
    least = [np.nan if np.isnan(part).all() else np.nanmin(part) for part in _bins(sure, per_bin)]
    confidence = [None if np.isnan(value) else round(float(value), 3) for value in least]
    cuts = [
        {"start": cut.place.start, "stop": cut.place.stop, "clip": cut.clip, "driven": cut.driven}
        for cut in performance.edits.cuts
    ]
    return {
        "frames": frames, "fps": float(FPS), "per_bin": per_bin, "cuts": cuts,
        "level": [round(float(v), 3) for v in level], "confidence": confidence,
    }  # fmt: skip


def _levels(performance: Performance) -> np.ndarray:
    """Peak of the sound under each frame, over the loudest one."""
    edges = np.arange(performance.frames) * SAMPLE_RATE * FPS.denominator // FPS.numerator
    wav = np.abs(performance.wav)
    inside = edges[edges < len(wav)]
    peaks = np.zeros(performance.frames, np.float32)
    if len(inside):
        peaks[: len(inside)] = np.maximum.reduceat(wav, inside)
    return peaks / max(float(peaks.max()), 1e-6)


def _confidence(session: Session, index: int) -> float:
    cut = session.performance.edits.at(index)
    if not cut.driven:
        return float("nan")
    return float(session.processor.landmarks_of(cut.clip)[0].confidence[cut.clip_frame(index)])


def _bins(values: np.ndarray, per_bin: int) -> Iterator[np.ndarray]:
    return (values[start : start + per_bin] for start in range(0, len(values), per_bin))


def thumbnail(session: Session, frame: int) -> bytes:
    """Face of an output frame with the generated mouth, as a small JPEG. ValueError for a frame outside."""
    frames = session.performance.frames
    if not 0 <= frame < frames:
        raise ValueError(f"frame must lie in 0 .. {frames - 1}; got {frame}")
    shot = session.processor.shot(session.performance, frame)
    side = round(THUMBNAIL_SCALE * shot.box.side)
    x, y = shot.box.x0 - (side - shot.box.side) // 2, shot.box.y0 - (side - shot.box.side) // 2
    part = cv2.getRectSubPix(shot.unblended, (side, side), (x + (side - 1) / 2, y + (side - 1) / 2))
    small = cv2.resize(part, (THUMBNAIL_PX, THUMBNAIL_PX), interpolation=cv2.INTER_AREA)
    return bytes(cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, 85])[1])


def scan_order(frames: list[int]) -> list[int]:
    """The frames, coarse to fine: every 64th, then those half way between, down to all; at most MEASURED_AT_MOST."""
    order: OrderedDict[int, None] = OrderedDict()
    for stride in (64, 32, 16, 8, 4, 2, 1):
        order.update(dict.fromkeys(frames[::stride]))
    return list(order)[:MEASURED_AT_MOST]


class _Scan:
    """Scores of one session under one group of settings, and what each is compared with: the frame's unblended paste,
    the clip's floor. unblended: of the session's frames, as far as another scan has them; added to."""

    def __init__(self, session: Session, settings: BlendSettings, unblended: dict[int, float]) -> None:
        self.session, self.settings = session, settings
        cuts = [cut for cut in session.performance.edits.cuts if cut.driven]
        self.left: list[int | str] = [*{cut.clip: None for cut in cuts}]  # floors, once the frames are measured
        self.left += scan_order([i for cut in cuts for i in cut.place])[::-1]
        self.scores: dict[int, float] = {}
        self.unblended = unblended
        self.floors: dict[str, float] = {}
        self.error = ""
        self.asked = time.monotonic()
        self.worker: threading.Thread | None = None

    def measure_next(self) -> None:
        wanted = self.left[-1]
        processor = self.session.processor
        if isinstance(wanted, str):
            floor = processor.floor_of(wanted)
            if floor is not None:
                self.floors[wanted] = round(floor, 3)
        else:
            self._measure(wanted)
        self.left.pop()

    def _measure(self, index: int) -> None:
        processor = self.session.processor
        shot = processor.shot(self.session.performance, index)
        if shot.generated is None:
            return
        result, seen = processor.blend_shot(shot, self.settings), (shot.box, shot.landmarks)
        if index not in self.unblended:
            self.unblended[index] = round(seam_score(shot.plate, shot.unblended, shot.generated, *seen).score, 3)
        self.scores[index] = round(seam_score(shot.plate, result.frame, result.generated_matched, *seen).score, 3)

    def describe(self) -> dict[str, object]:
        scores = dict(self.scores)  # the worker goes on
        unblended = {index: self.unblended[index] for index in scores}
        return {
            "scores": scores, "unblended": unblended, "floors": dict(self.floors),
            "done": not self.left or bool(self.error), "error": self.error,
        }  # fmt: skip


class SeamScans:
    """Measures the seam score of a session's frames in the background, one frame at a time, while nobody waits.

    busy: tells that something more urgent runs, e.g. a render. touch() is called when a preview is asked for.
    """

    def __init__(self, busy: Callable[[], bool] = lambda: False) -> None:
        self._busy, self._touched, self._resting = busy, 0.0, 0
        self._scans: OrderedDict[tuple[str, BlendSettings], _Scan] = OrderedDict()
        self._lock, self._turn = threading.Lock(), threading.Lock()

    def touch(self) -> None:
        """A preview was asked for: the scan waits."""
        self._touched = time.monotonic()

    def held_by(self) -> str:
        """What is more urgent than measuring just now, in words; "" for nothing."""
        if self._busy():
            return "a render runs"
        return "previews are drawn" if time.monotonic() - self._touched < QUIET_S else ""

    @contextmanager
    def resting(self) -> Iterator[None]:
        """No scan goes on meanwhile."""
        with self._lock:
            self._resting += 1
        try:
            yield
        finally:
            with self._lock:
                self._resting -= 1

    def ask(self, session: Session, settings: BlendSettings) -> dict[str, object]:
        """Scores known so far, {frame: score}, with those of the unblended paste and {clip: floor}; starts or goes on
        with the scan. done: no more will come."""
        with self._lock:
            key = (session.token, settings)
            scan = self._scans.get(key) or _Scan(session, settings, self._unblended(session))
            self._scans[key] = scan
            self._scans.move_to_end(key)
            while len(self._scans) > SCANS_KEPT:
                self._scans.popitem(last=False)
            scan.asked = time.monotonic()
            if scan.left and not scan.error and (scan.worker is None or not scan.worker.is_alive()):
                scan.worker = threading.Thread(target=self._work, args=(scan,), name="seam scan", daemon=True)
                scan.worker.start()
            return scan.describe()

    def _unblended(self, session: Session) -> dict[int, float]:
        """Those that any scan of the session has measured: no setting changes them."""
        return next((scan.unblended for scan in self._scans.values() if scan.session is session), {})

    def _work(self, scan: _Scan) -> None:
        try:
            while scan.left and time.monotonic() - scan.asked < POLLED_S:
                if self._resting or self.held_by():
                    time.sleep(0.05)
                    continue
                with self._turn:
                    scan.measure_next()
        except (ClipError, ModelError, ValueError) as e:
            scan.error = str(e)
