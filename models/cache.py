"""The last few results by key, within a number of bytes."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, Protocol, TypeVar


class Sized(Protocol):
    @property
    def nbytes(self) -> int: ...


Value = TypeVar("Value", bound=Sized)


class ByteCache(Generic[Value]):
    """Keeps what was used last as long as its `nbytes` add up to no more than `limit_bytes`; 0 keeps nothing.

    Safe to use from several threads. hits, misses: how often `get` found a value, and how often it did not.
    """

    def __init__(self, limit_bytes: int) -> None:
        if limit_bytes < 0:
            raise ValueError(f"limit_bytes must be 0 or more; got {limit_bytes}")
        self.limit_bytes, self.kept_bytes, self.hits, self.misses = limit_bytes, 0, 0, 0
        self._kept: OrderedDict[Hashable, Value] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: Hashable, make: Callable[[], Value]) -> Value:
        """The value of a key, made where it is not kept. Two threads that ask at once may both make it."""
        with self._lock:
            if key in self._kept:
                self.hits += 1
                self._kept.move_to_end(key)
                return self._kept[key]
            self.misses += 1
        value = make()
        with self._lock:
            if value.nbytes <= self.limit_bytes and key not in self._kept:
                self._kept[key] = value
                self.kept_bytes += value.nbytes
                self._drop_over(self.limit_bytes)
        return value

    def shrink(self, to_bytes: int) -> None:
        """Drop the longest unused until the rest fits; the limit stays."""
        with self._lock:
            self._drop_over(to_bytes)

    def _drop_over(self, limit_bytes: int) -> None:
        while self.kept_bytes > limit_bytes:
            self.kept_bytes -= self._kept.popitem(last=False)[1].nbytes
