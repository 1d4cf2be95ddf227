"""What a person at a terminal waits for, on one line that goes when it is there."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def waiting(words: str) -> Iterator[None]:
    """The words on stderr while the block runs; nothing where stderr is no terminal."""
    shown = sys.stderr.isatty()
    if shown:
        fits = " ".join(words.split())[: shutil.get_terminal_size().columns - 4]  # names may hold anything
        print(f"{fits} ..", end="", file=sys.stderr, flush=True)
    try:
        yield
    finally:
        if shown:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)
