"""Test renders: one at a time, with progress and cancel, found again by a random token."""

from __future__ import annotations

import re
import secrets
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from blending import BlendSettings
from clips.render import Progress, RenderReport
from studio.sessions import Session

REPORT_EVERY_S = 0.25


@dataclass(frozen=True)
class RenderState(Progress):
    """Where a render stands, and the report with both videos' tokens once complete."""

    report: RenderReport | None = None
    blended: str = ""
    unblended: str = ""


class Renders:
    """Renders into WORKSPACE/renders and hands videos out by token."""

    def __init__(self, workspace: Path) -> None:
        self.folder = workspace / "renders"
        self._videos: dict[str, Path] = {}
        self._lock = threading.Lock()

    def video(self, token: str) -> Path | None:
        """The video of a token, None when there is none."""
        with self._lock:
            return self._videos.get(token)

    def run(self, session: Session, settings: BlendSettings) -> Iterator[RenderState]:
        """Render blended and unblended video; yields states. Closing the generator, or session.cancel,
        stops the render within a frame and leaves nothing."""
        self.folder.mkdir(parents=True, exist_ok=True)
        session.cancel.clear()
        total = session.performance.frames
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
                        session.performance, paths[0], settings, keep, unblended=paths[1], cancel=session.cancel
                    )
                )
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
            tokens = [self._keep(path) for path in paths]
            yield RenderState(total, total, result.seconds, result.frames_per_second, result, *tokens)
        finally:
            session.cancel.set()
            worker.join()

    def _paths(self, session: Session) -> tuple[Path, Path]:
        stamp = datetime.now().strftime("%Y-%m-%d %H.%M.%S")
        base = re.sub(r"[^\w ,.-]", "_", f"{session.processor.model_name} {session.performance.base}")
        name = f"{stamp} {base} {secrets.token_hex(2)}"
        return self.folder / f"{name}.mp4", self.folder / f"{name} unblended.mp4"

    def _keep(self, path: Path) -> str:
        token = secrets.token_urlsafe(12)
        with self._lock:
            self._videos[token] = path
        return token
