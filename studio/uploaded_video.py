"""Whether an uploaded file can become a base, said with the person's own file name and with what to do."""

from __future__ import annotations

import shutil
import unicodedata
from pathlib import Path

from clips.errors import ClipError
from clips.header import read_header
from clips.video import probe

MAX_BYTES = 500 * 2**20
MAX_CLIP_S = 120
MAX_SIDE_PX = 4096
MIN_SIDE_PX = 128
FREE_BYTES = 2**30
"""An upload must leave this much of the disk free."""
SHOWN_CHARACTERS = 80


def shown_name(file: object) -> str:
    """What messages call an upload: the name of the person's file in quotes, without folders and signs that print
    nothing; "the file" where none is told."""
    if not isinstance(file, str):
        return "the file"
    name = file.replace("\\", "/").rsplit("/", 1)[-1]
    name = "".join(c for c in name if unicodedata.category(c)[0] not in "CZ" or c == " ").strip()
    if len(name) > SHOWN_CHARACTERS:
        name = f"{name[: SHOWN_CHARACTERS - 20]}…{name[-19:]}"
    return f"'{name}'" if name else "the file"


def check_room(folder: Path, size: int) -> None:
    """ClipError unless the disk keeps FREE_BYTES when `size` bytes come to it."""
    free = shutil.disk_usage(folder).free
    if free < size + FREE_BYTES:
        raise ClipError(
            f"the disk has {free >> 20} MB left, and this needs {(size + FREE_BYTES) >> 20}: free some space first"
        )


def check_size(size: int, shown: str) -> None:
    """ClipError for more bytes than an upload may have."""
    if size > MAX_BYTES:
        raise ClipError(f"{shown} has {size / 2**20:.0f} MB; at most {MAX_BYTES >> 20} can be added: cut it shorter")


def check_video(source: Path, shown: str, *, only_mp4: bool) -> None:
    """ClipError unless a file is a video with a picture, of at most MAX_BYTES, MAX_CLIP_S and MAX_SIDE_PX, and the disk
    has room for it. only_mp4: core clips are mp4 files, other programs read them too."""
    size = source.stat().st_size
    if size == 0:
        raise ClipError(f"{shown} is empty (0 bytes); export it again, or choose another file")
    check_size(size, shown)
    if _is_text(source):
        raise ClipError(f"{shown} is a text file and no video; choose a video")
    try:
        header = read_header(source)
    except ClipError as e:
        raise ClipError(
            f"{shown} cannot be read: it is no video, or damaged or not sent whole; export it again as mp4 (H.264)"
        ) from e
    if header.container == "image2" or header.container.endswith("_pipe"):
        raise ClipError(f"{shown} is a picture; choose a video")
    if header.size_wh is None:
        raise ClipError(f"{shown} has no picture, at most sound; choose a video in which the face is seen")
    if only_mp4 and "mp4" not in header.container.split(","):
        raise ClipError(
            f"{shown} is no mp4 ({header.container}), which core clips must be; export it as mp4 (H.264), or add it as "
            "your own video"
        )
    _check_length(header.duration_s or 0.0, shown)
    width, height = header.size_wh
    if max(width, height) > MAX_SIDE_PX or min(width, height) < MIN_SIDE_PX:
        raise ClipError(
            f"{shown} has {width} x {height} px; it must have {MIN_SIDE_PX} to {MAX_SIDE_PX} px on a side: "
            f"{'film or export it larger' if min(width, height) < MIN_SIDE_PX else 'export it smaller'}"
        )
    check_room(source.parent, size)
    try:
        info = probe(source)
    except ClipError as e:
        raise ClipError(
            f"{shown} has a header, but its pictures cannot be read: it is damaged; export it again as mp4 (H.264)"
        ) from e
    _check_length(info.duration_s, shown)  # some headers do not tell
    if info.frames > MAX_CLIP_S * 120:
        raise ClipError(
            f"{shown} has {info.frames} frames; at most {MAX_CLIP_S * 120} can be added: cut it shorter, or export it "
            "at 25 fps"
        )


def _check_length(seconds: float, shown: str) -> None:
    if seconds > MAX_CLIP_S:
        raise ClipError(
            f"{shown} lasts {seconds:.0f} s; at most {MAX_CLIP_S} s can be added: cut it shorter, or render with it at "
            "the command line (--base-video)"
        )


def _is_text(source: Path) -> bool:
    """Whether a file begins as text does; no video format begins without zero bytes or signs outside of UTF-8."""
    with source.open("rb") as file:
        head = file.read(4096)
    try:
        text = head[: len(head) - 4 if len(head) == 4096 else None].decode("utf-8")
    except UnicodeDecodeError:
        return False
    return all(c in "\t\r\n\f" or unicodedata.category(c) != "Cc" for c in text)


def told_of(error: ClipError, shown: str, stored: Path) -> ClipError:
    """What went wrong while an upload was prepared, with the person's file name in the place of the stored one."""
    if isinstance(error.__cause__, OSError):
        return ClipError(f"{shown} cannot be stored ({error.__cause__.strerror}); free some space in the workspace")
    words = str(error)
    for name in (str(stored), stored.name):
        words = words.replace(name, shown)
    return ClipError(words if shown in words else f"{shown}: {words}")
