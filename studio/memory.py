"""An idle studio is small: what only makes the next frame quicker is given back when nobody asks for frames."""

from __future__ import annotations

import ctypes
import gc
import platform
import threading
import time
from collections.abc import Callable

from studio.sessions import Sessions

REST_AFTER_S = 10.0
LOOK_EVERY_S = 2.0
ARENAS = 2
"""Heaps of the C library. By default there are eight a core, and what a thread's pictures once took stays in each."""
M_ARENA_MAX = -8
"""Of mallopt(3)."""


def keep_few_heaps() -> None:
    """To be called before threads are started; does nothing where the C library is not glibc."""
    if _is_glibc():
        ctypes.CDLL(None).mallopt(M_ARENA_MAX, ARENAS)


def give_back() -> None:
    """Free memory goes back to the system, where the C library is glibc: about 50 ms."""
    gc.collect()
    if _is_glibc():
        ctypes.CDLL(None).malloc_trim(0)


def rest_when_idle(sessions: Sessions, busy: Callable[[], bool]) -> None:
    """Lets the sessions' processors rest, once, REST_AFTER_S after they were last asked for something. In the
    background. busy: whether something runs that asks for nothing, such as a render."""

    def work() -> None:
        rested = sessions.used
        while True:
            time.sleep(LOOK_EVERY_S)
            if busy():
                sessions.touch()
            elif sessions.used != rested and time.monotonic() - sessions.used > REST_AFTER_S:
                rested = sessions.used
                sessions.rest()
                give_back()

    threading.Thread(target=work, name="rest", daemon=True).start()


def _is_glibc() -> bool:
    return platform.libc_ver()[0] == "glibc"
