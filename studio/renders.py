"""Test renders: one at a time, with progress and cancel."""

from __future__ import annotations

import re
import secrets
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from blending import BlendSettings, seam_score
from clips.quality import STANDARD
from clips.render import Progress, RenderCancelled, RenderReport, check_range
from clips.timeline import FrameRange
from studio.history import UNBLENDED, About, RenderHistory
from studio.sessions import Session

REPORT_EVERY_S = 0.25
UNBLENDED_MEASURED = 5
"""The unblended paste, which hardly changes, is measured on so many frames."""


@dataclass(frozen=True)
class RenderState(Progress):
    """Where a render stands, and once complete the report, with the path of the blended video.

    unblended: path of the unblended one. waiting: another render has to end first. id: the finished render's in the
    history.
    """

    report: RenderReport | None = None
    unblended: Path | None = None
    waiting: bool = False
    id: str = ""


class Renders:
    """Renders into WORKSPACE/renders, one at a time, and keeps their history."""

    def __init__(self, workspace: Path, history: RenderHistory | None = None) -> None:
        self.folder = workspace / "renders"
        self.history = history or RenderHistory(workspace)
        self._turn = threading.Lock()

    @property
    def busy(self) -> bool:
        """Whether a render runs."""
        return self._turn.locked()

    def run(
        self,
        session: Session,
        settings: BlendSettings,
        *,
        frames: FrameRange | None = None,
        quality: str = STANDARD,
    ) -> Iterator[RenderState]:
        """Render blended and unblended video; yields states. Closing the generator, or session.cancel,
        stops the render within a frame and leaves nothing.

        frames: only these. ValueError for frames that are not there.
        """
        frames = check_range(frames, session.performance.frames)
        self.folder.mkdir(parents=True, exist_ok=True)
        session.cancel.clear()
        started = time.monotonic()
        while not self._turn.acquire(timeout=REPORT_EVERY_S):
            if session.cancel.is_set():
                raise RenderCancelled("stopped before it began")
            yield RenderState(0, len(frames), time.monotonic() - started, waiting=True)
        try:
            yield from self._run(session, settings, frames, quality)
        finally:
            self._turn.release()

    def _run(
        self, session: Session, settings: BlendSettings, frames: FrameRange, quality: str
    ) -> Iterator[RenderState]:
        total = len(frames)
        latest = Progress(0, total, 0.0)
        outcome: list[RenderReport | BaseException] = []
        paths = self._paths(session)

        def keep(progress: Progress) -> None:
            nonlocal latest
            latest = progress

        def work() -> None:
            try:
                outcome.append(
                    session.processor.generate_video(
                        session.performance, paths[0], settings, keep, unblended=paths[1], cancel=session.cancel,
                        frames=frames, quality=quality,
                    )
                )  # fmt: skip
            except BaseException as e:
                outcome.append(e)

        worker = threading.Thread(target=work, name="render", daemon=True)
        worker.start()
        try:
            while worker.is_alive():
                worker.join(REPORT_EVERY_S)
                yield RenderState(latest.done, total, latest.seconds, latest.frames_per_second)
            result = outcome[0]
            if isinstance(result, BaseException):
                raise result
            unblended, face = _measured(session, frames, result.worst_frame)
            about = About(
                owner=session.owner, model=session.processor.model_name, base=session.performance.base,
                sound=session.sound, quality=quality, seam_unblended=unblended, face=face,
                range=None if total == session.performance.frames else (frames.start, frames.stop),
            )  # fmt: skip
            id = self.history.record(result, about)
            yield RenderState(total, total, result.seconds, result.frames_per_second, result, paths[1], id=id)
        finally:
            session.cancel.set()
            worker.join()
            session.cancel.clear()  # the page's next render may be waiting

    def _paths(self, session: Session) -> tuple[Path, Path]:
        stamp = datetime.now().strftime("%Y-%m-%d %H.%M.%S")
        base = re.sub(r"[^\w ,.-]", "_", f"{session.processor.model_name} {session.performance.base}")
        name = f"{stamp} {base} {secrets.token_hex(2)}"
        return self.folder / f"{name}.mp4", self.folder / f"{name}{UNBLENDED}.mp4"


def _measured(
    session: Session, frames: FrameRange, worst_frame: int | None
) -> tuple[float | None, tuple[int, int, int] | None]:
    """Mean seam score of the unblended paste, and left, top and side of the generated square in the worst frame, in
    px; None where nothing was driven."""
    if worst_frame is None:
        return None, None
    scores = []
    step = max(1, len(frames) // UNBLENDED_MEASURED)
    for index in {worst_frame, *range(frames.start + step // 2, frames.stop, step)}:
        shot = session.processor.shot(session.performance, index)
        if shot.generated is not None:
            scores.append(seam_score(shot.plate, shot.unblended, shot.generated, shot.box, shot.landmarks).score)
        if index == worst_frame:
            box = shot.box
    return sum(scores) / len(scores), (box.x0, box.y0, box.side)
