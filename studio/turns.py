"""Work that a page asks for and watches: a few at a time, one for each person, told step by step as lines of JSON."""

from __future__ import annotations

import asyncio
import json
import logging
import threading
from collections.abc import AsyncIterator, Generator

from fastapi.responses import StreamingResponse
from starlette.concurrency import run_in_threadpool

from clips.errors import ClipError
from models.errors import ModelError
from studio.cache import without_cache_paths

WAIT_S = 0.25
Step = dict[str, object]

_log = logging.getLogger(__name__)


class Turns:
    """Lets `at_once` pieces of work run beside each other; a person's newer one stops their older one."""

    def __init__(self, at_once: int) -> None:
        self._slots, self._lock = threading.Semaphore(at_once), threading.Lock()
        self._stops: dict[str, threading.Event] = {}

    def take(self, person: str, steps: Generator[Step, None, None]) -> Generator[Step, None, None]:
        """The steps, once there is room for them; {"waiting": why} until then. ClipError when a newer piece of work of
        the same person takes its place. Closing it ends the work and makes room."""
        stop = threading.Event()
        with self._lock:
            older = self._stops.get(person)
            self._stops[person] = stop
        if older is not None:
            older.set()
        try:
            while not self._slots.acquire(timeout=WAIT_S):
                _go_on(stop)
                yield {"waiting": "somebody else's work runs"}
            try:
                for step in steps:
                    _go_on(stop)
                    yield step
            finally:
                steps.close()
                self._slots.release()
        finally:
            with self._lock:
                if self._stops.get(person) is stop:
                    del self._stops[person]


def as_lines(steps: Generator[Step, None, None]) -> StreamingResponse:
    """An answer with one line of JSON per step, as it comes; a fault is the last line, {"error": ".."}. When the one
    who asks is gone, the steps end."""
    return StreamingResponse(_lines(steps), media_type="application/x-ndjson", headers={"Cache-Control": "no-store"})


async def _lines(steps: Generator[Step, None, None]) -> AsyncIterator[str]:
    try:
        while (step := await run_in_threadpool(next, steps, None)) is not None:
            yield json.dumps(step) + "\n"
    except (ClipError, ModelError, ValueError) as e:
        yield json.dumps({"error": without_cache_paths(str(e))}) + "\n"
    except Exception:
        _log.exception("the work failed")
        yield json.dumps({"error": "the studio failed at this; its log says why. Other settings may still work"}) + "\n"
    finally:
        await asyncio.shield(run_in_threadpool(steps.close))


def _go_on(stop: threading.Event) -> None:
    if stop.is_set():
        raise ClipError("it was asked for again, in another window perhaps; that one goes on")
