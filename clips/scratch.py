"""Scratch files: what is not finished lies beside its place under a name of its own, and does not outlive its owner.

The owner holds a lock on each of its scratch files, which the system lets go of however the process ends. So the next
start can tell what is left over from what another process is writing at this moment. Windows has no such lock, but
there an open file cannot be removed, which serves as one. Where the file system knows no locks nothing is swept.
"""

from __future__ import annotations

import os
import re
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

_PREFIX = ".seamline-"
_NAME = re.compile(r"\.seamline-[0-9a-f]{12}(\..*)?")
"""Names of scratch files; short, since a name is limited to 255 bytes and the output's may have as many."""


_FOLDER, _OWNER = ".folder", ".owner"
"""Endings: of a scratch folder, and of the scratch file beside it that stands for its owner."""


class Scratch:
    """A new empty file in `folder` that this process owns; OSError as `open`.

    As a context manager it is removed on leaving, unless it has become the finished file. path: where it is.
    """

    def __init__(self, folder: Path, suffix: str) -> None:
        while True:
            self.path = folder / f"{_PREFIX}{secrets.token_hex(6)}{suffix}"
            self._owned: int | None = os.open(self.path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o666)
            # Between the two steps a sweep may have taken it for a leftover: then another one is made.
            if _lock(self._owned) is not False and os.fstat(self._owned).st_nlink > 0:
                return
            self._let_go()

    def become(self, path: Path) -> None:
        """Take the finished file's name, at once; a file that was there is replaced. OSError as `os.replace`."""
        if fcntl is None:
            self._let_go()  # Windows moves no open file
        os.replace(self.path, path)

    def _let_go(self) -> None:
        if self._owned is not None:
            os.close(self._owned)
            self._owned = None

    def __enter__(self) -> Scratch:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if fcntl is None:
            self._let_go()
        self.path.unlink(missing_ok=True)
        self._let_go()


@contextmanager
def scratch_folder(folder: Path) -> Iterator[Path]:
    """A new empty folder in `folder` that this process owns; OSError as `os.mkdir`. It is removed on leaving, unless it
    has been renamed."""
    with Scratch(folder, _OWNER) as owner:
        path = owner.path.with_suffix(_FOLDER)
        path.mkdir()
        try:
            yield path
        finally:
            shutil.rmtree(path, ignore_errors=True)


def _lock(descriptor: int) -> bool | None:
    """Whether the lock is ours now; None where there are no locks."""
    if fcntl is None:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return None
    return True


def sweep(folder: Path) -> int:
    """Remove the scratch files and folders in `folder` whose owner has ended; how many. What may not be removed
    stays."""
    removed = 0
    with suppress(OSError):
        scratch = [one for one in folder.iterdir() if _NAME.fullmatch(one.name)]
        folders = [one for one in scratch if one.suffix == _FOLDER and one.is_dir() and not one.is_symlink()]
        for path in [one for one in scratch if one not in folders]:
            with suppress(OSError):
                removed += _remove_left_over(path)
        for path in folders:
            if not path.with_suffix(_OWNER).exists():
                shutil.rmtree(path, ignore_errors=True)
                removed += not path.exists()
    return removed


def _remove_left_over(path: Path) -> bool:
    if fcntl is None:
        path.unlink()
        return True
    descriptor = os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_NOFOLLOW)
    try:
        if _lock(descriptor) is not True:
            return False
        path.unlink()
        return True
    finally:
        os.close(descriptor)
