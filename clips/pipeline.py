"""Work in stages that run beside each other, at most a few items apart; and work that can be given up."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import TypeVar

Item = TypeVar("Item")

QUEUE_ITEMS = 4
LOOK_EVERY_S = 0.05
PATIENCE_S = 0.5
"""So long is waited for a stage that is stopped: it ends with the item it is at, which may take longer."""


class RenderCancelled(Exception):
    """The render was stopped on request; nothing is left under the output's name."""


def stop_when(cancel: threading.Event | None) -> Callable[[], None]:
    """A function that raises RenderCancelled once `cancel` is set."""

    def check() -> None:
        if cancel is not None and cancel.is_set():
            raise RenderCancelled("stopped on request; nothing was written")

    return check


def cancellable(work: Callable[[], Item], check: Callable[[], None]) -> Item:
    """What `work` returns or raises. It runs in a thread of its own, so that `check` and Ctrl-C can end the wait at
    any time; given up, it goes on until it is done, and what it made is dropped."""
    outcome: list[Item] = []
    failure: list[BaseException] = []

    def run() -> None:
        try:
            outcome.append(work())
        except BaseException as error:
            failure.append(error)

    worker = threading.Thread(target=run, name="start", daemon=True)
    worker.start()
    while worker.is_alive():
        worker.join(LOOK_EVERY_S)
        check()
    if failure:
        raise failure[0]
    return outcome[0]


class Stages:
    """Threads that each make one item after the other, at most QUEUE_ITEMS ahead of who takes them.

    As a context manager it stops them on leaving.
    """

    def __init__(self, check: Callable[[], None]) -> None:
        """check: called while an item is waited for; what it raises ends the wait."""
        self._check, self._stop, self._open = check, threading.Event(), ExitStack()
        self._workers: list[threading.Thread] = []

    def ahead(self, items: Iterator[Item], name: str) -> Iterator[Item]:
        """The same items, made in a thread of that name; what making one raises is raised here."""
        ready: queue.Queue[tuple[Item] | BaseException | None] = queue.Queue(QUEUE_ITEMS)

        def put(item: tuple[Item] | BaseException | None) -> None:
            while not self._stop.is_set():
                try:
                    return ready.put(item, timeout=LOOK_EVERY_S)
                except queue.Full:
                    continue

        def work() -> None:
            try:
                for item in items:
                    put((item,))
                    if self._stop.is_set():
                        return
                put(None)
            except BaseException as error:
                put(error)

        worker = threading.Thread(target=work, name=name, daemon=True)
        self._workers.append(worker)
        worker.start()
        return self._taken(ready)

    def _taken(self, ready: queue.Queue[tuple[Item] | BaseException | None]) -> Iterator[Item]:
        while True:
            try:
                item = ready.get(timeout=LOOK_EVERY_S)
            except queue.Empty:
                if self._stop.is_set():
                    return
                self._check()
                continue
            if item is None:
                return
            if isinstance(item, BaseException):
                raise item
            yield item[0]

    def __enter__(self) -> Stages:
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        patient_until = time.monotonic() + PATIENCE_S
        for worker in self._workers:
            worker.join(max(0.0, patient_until - time.monotonic()))
