"""Uploads are prepared one at a time, in a thread of their own, telling how far they are; closing stops them."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from clips.errors import ClipError

WAIT_S = 0.5
"""How often one that waits says so, and can be stopped."""
MAX_WAITING = 6


@dataclass(frozen=True)
class IntakeState:
    """Where an upload stands. frames 0: not looked at yet; waiting: for another one that is prepared; clip: the base
    that the finished one is; row: its table row."""

    done: int = 0
    frames: int = 0
    waiting: bool = False
    clip: str = ""
    row: dict[str, object] | None = None

    def describe(self) -> dict[str, object]:
        return {
            "done": self.done, "frames": self.frames, "waiting": self.waiting, "clip": self.clip, "row": self.row,
        }  # fmt: skip


Progress = Callable[[int, int], None]


class Preparing:
    """The one place where uploads of a studio are prepared."""

    def __init__(self) -> None:
        self._turn, self._count = threading.Lock(), threading.Lock()
        self._waiting = 0

    def turn(self) -> Iterator[IntakeState]:
        """Yields while another one is prepared; it is this one's turn when it ends, until `done`. ClipError when too
        many wait already."""
        with self._count:
            if self._waiting >= MAX_WAITING:
                raise ClipError(f"{self._waiting} uploads wait to be prepared already; try again in a few minutes")
            self._waiting += 1
        try:
            while not self._turn.acquire(timeout=WAIT_S):
                yield IntakeState(waiting=True)
        finally:
            with self._count:
                self._waiting -= 1

    def done(self) -> None:
        """The next one's turn."""
        self._turn.release()


class _Stopped(Exception):
    """The one who uploaded has gone."""


def in_steps(work: Callable[[Progress], object]) -> Iterator[IntakeState]:
    """Does work(progress) in a thread, yielding frames done; raises what it raises. Closing the generator stops it
    within a frame."""
    told: queue.Queue[tuple[int, int] | BaseException | None] = queue.Queue()
    stop = threading.Event()

    def progress(done: int, total: int) -> None:
        if stop.is_set():
            raise _Stopped
        told.put((done, total))

    def run() -> None:
        try:
            work(progress)
            told.put(None)
        except BaseException as e:
            told.put(e)

    worker = threading.Thread(target=run, name="preprocess", daemon=True)
    worker.start()
    try:
        while (news := told.get()) is not None:
            if isinstance(news, BaseException):
                raise news
            yield IntakeState(*news)
    finally:
        stop.set()
        worker.join()
