"""Folders that may be emptied at any time, kept small: by age, then by size, the longest unused first."""

from __future__ import annotations

import os
import re
import secrets
import shutil
import tempfile
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

HOUR_S = 3600.0
CLEAN_EVERY_S = 600.0
IN_USE_S = 900.0
"""What was used within a quarter of an hour stays, even over the size."""


@dataclass(frozen=True)
class CacheLimit:
    """One folder of WORKSPACE/cache: files unused for max_age_s go, then the longest unused over max_bytes."""

    folder: str
    max_age_s: float
    max_bytes: int


LIMITS = (
    CacheLimit("gradio", 7 * 24 * HOUR_S, 4 * 2**30),  # uploads, and what endpoints answered with
    CacheLimit("own_videos", 30 * 24 * HOUR_S, 8 * 2**30),
    CacheLimit("thumbnails", 30 * 24 * HOUR_S, 256 * 2**20),
)


def cache_folder(workspace: Path, name: str) -> Path:
    """One of the folders that LIMITS declares."""
    assert name in [limit.folder for limit in LIMITS]
    return workspace / "cache" / name


def use_own_upload_folder(workspace: Path) -> None:
    """Gradio keeps uploads in the workspace's cache and not in a folder that every program on the machine shares.
    To be called before the page is built."""
    os.environ["GRADIO_TEMP_DIR"] = str(cache_folder(workspace, "gradio").resolve())


def clean(folder: Path, max_age_s: float, max_bytes: int, *, now: float | None = None) -> int:
    """Delete what is too old, then the longest unused until the rest fits; returns how many files went.

    Links are removed, never followed. What cannot be deleted (open on Windows) is left for the next time.
    """
    now = time.time() if now is None else now
    files: list[tuple[float, int, str]] = []
    for root, _, names in os.walk(folder):
        for name in names:
            path = os.path.join(root, name)
            with suppress(OSError):
                stat = os.lstat(path)
                files.append((max(stat.st_mtime, stat.st_atime), stat.st_size, path))
    files.sort()
    total, gone = sum(size for _, size, _ in files), 0
    for used, size, path in files:
        unused_s = now - used
        if unused_s <= max_age_s and (total <= max_bytes or unused_s <= IN_USE_S):
            continue
        with suppress(OSError):
            os.unlink(path)
            gone, total = gone + 1, total - size
    for root, _, _ in os.walk(folder, topdown=False):
        with suppress(OSError):  # not empty
            if root != str(folder) and now - os.lstat(root).st_mtime > IN_USE_S:
                os.rmdir(root)
    return gone


def clean_workspace(workspace: Path, *, now: float | None = None) -> int:
    """Clean every declared folder; renders, presets, clips and models are not among them."""
    return sum(clean(workspace / "cache" / x.folder, x.max_age_s, x.max_bytes, now=now) for x in LIMITS)


def keep_clean(workspace: Path) -> None:
    """Clean now and every ten minutes, in the background."""

    def work() -> None:
        while True:
            with suppress(OSError):
                clean_workspace(workspace)
            time.sleep(CLEAN_EVERY_S)

    threading.Thread(target=work, name="cache", daemon=True).start()


def without_cache_paths(text: str) -> str:
    """A message without the places of uploads in it: whoever knows a place can ask for the file."""
    folder = re.escape(os.environ.get("GRADIO_TEMP_DIR") or str(Path(tempfile.gettempdir()) / "gradio"))
    return re.sub(rf"(?:file:)?{folder}[/\\](?:[^/\\\s]+[/\\])?", "", text)


def hand_out(source: Path, folder: Path) -> Path:
    """A file once more under an unguessable folder, for an endpoint to answer with: a hard link where one can be made,
    else a copy; the source stays where it is."""
    target = folder / secrets.token_hex(16) / source.name
    target.parent.mkdir(parents=True)
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)
    return target
