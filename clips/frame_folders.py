"""Folders of extracted frames, as SyncTalk_2D has them: CLIP/full_body_img/N.jpg, CLIP/info.txt."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
from PIL import Image as Pictures

from blending.types import Frame
from clips.errors import ClipError
from clips.timeline import COMMON_RATES, FPS, spans

PICTURES = "full_body_img"
MAX_MISSING_PCT = 10.0
"""More frames than this share that are missing or damaged make a folder unusable."""

_NUMBERED = re.compile(r"(\d{1,9})\.(?:jpe?g|png)", re.IGNORECASE)
_RATE_TOLERANCE = Fraction(1, 100)


@dataclass(frozen=True)
class FrameFolder:
    """The frames of one clip folder, in the order of their numbers.

    pictures: the file of each frame; a frame that is missing or damaged has the file of the frame before it.
    numbers: the number each frame has in its folder. held: places in `pictures` that show the frame before.
    notes: what was missing, damaged or left aside, in words.
    """

    pictures: tuple[Path, ...]
    numbers: range
    held: tuple[int, ...]
    size_wh: tuple[int, int]
    fps: Fraction
    notes: tuple[str, ...]


def is_frame_folder(path: Path) -> bool:
    """Whether a folder holds a clip as extracted frames."""
    return os.path.isdir(path / PICTURES)


def read_frame_folder(path: Path) -> FrameFolder:
    """Look through a clip folder; pictures are opened for their size only (about 0.1 ms each).

    ClipError: no frame, frames of several sizes, more than MAX_MISSING_PCT of them missing or damaged, a folder that
    cannot be opened.
    """
    found, strays = _numbered_pictures(path)
    if not found:
        raise ClipError(f"expected frames 0.jpg, 1.jpg, .. in {path / PICTURES}; there are none; extract them again")
    sizes = {number: size for number, file in found.items() if (size := _picture_size(file)) is not None}
    if not sizes:
        raise ClipError(f"expected pictures in {path / PICTURES}; none of {len(found)} can be read; extract them again")
    numbers = range(min(sizes), max(found) + 1)
    size_wh = sizes[numbers.start]
    other = next((number for number in sorted(sizes) if sizes[number] != size_wh), None)
    if other is not None:
        raise ClipError(
            f"expected frames of one size in {path / PICTURES}; number {numbers.start} has "
            f"{size_wh[0]} x {size_wh[1]} px, number {other} {sizes[other][0]} x {sizes[other][1]}; extract them again"
        )
    held = [number for number in numbers if number not in sizes]
    if len(held) * 100 > MAX_MISSING_PCT * len(numbers):
        raise ClipError(
            f"expected frames {numbers.start} to {numbers.stop - 1} in {path / PICTURES}; {len(held)} of "
            f"{len(numbers)} {'is' if len(held) == 1 else 'are'} missing or damaged ({spans(held)}); extract them again"
        )
    pictures: list[Path] = []
    for number in numbers:
        pictures.append(found[number] if number in sizes else pictures[-1])
    fps, rate_notes = _rate(path / "info.txt", len(numbers))
    missing, damaged = [n for n in held if n not in found], [n for n in held if n in found]
    notes = (*_notes(numbers, missing, damaged, strays), *rate_notes)
    return FrameFolder(tuple(pictures), numbers, tuple(number - numbers.start for number in held), size_wh, fps, notes)


def read_picture(path: Path) -> Frame:
    """One frame, uint8 (H, W, 3) BGR. ClipError when it cannot be read (any more)."""
    try:
        picture = cv2.imdecode(
            np.frombuffer(path.read_bytes(), np.uint8), cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
        )
    except (OSError, cv2.error) as error:
        raise ClipError(f"expected the frame {path}; it cannot be read; extract the frames again") from error
    if picture is None:
        raise ClipError(f"expected the frame {path}; it is no picture any more; extract the frames again")
    return np.asarray(picture, np.uint8)


def folder_signature(path: Path) -> tuple[tuple[str, int, int], ...]:
    """Name, size and time of change of every file that `folder_content` reads: equal as long as nothing changed."""
    return tuple((str(file.relative_to(path)), stat.st_size, stat.st_mtime_ns)
                 for file in folder_content(path) for stat in [file.stat()])  # fmt: skip


def folder_content(path: Path) -> list[Path]:
    """What a clip folder's frames and landmarks are made of: pictures, .lms files and info.txt, sorted."""
    kept = [*_numbered_pictures(path)[0].values(), *_listing(path / "landmarks", ".lms"), *_listing(path, "info.txt")]
    return sorted(kept)


def _listing(folder: Path, ending: str) -> list[Path]:
    try:
        return [file for file in folder.iterdir() if file.name.endswith(ending) and file.is_file()]
    except OSError:  # missing, or closed to us: whoever needs a file in it says so
        return []


def _numbered_pictures(path: Path) -> tuple[dict[int, Path], list[str]]:
    """Pictures by number, and the names of what else lies there; of two with one number the shorter name counts."""
    found: dict[int, Path] = {}
    strays = []
    try:
        files = sorted((path / PICTURES).iterdir(), key=lambda file: (len(file.name), file.name))  # 7.jpg, then 07.jpg
    except OSError as error:
        raise ClipError(
            f"expected the frames in {path / PICTURES}; the folder cannot be opened ({error.strerror}); "
            "change its permissions, or remove it"
        ) from error
    for file in files:
        match = _NUMBERED.fullmatch(file.name)
        if match is not None and int(match.group(1)) not in found and file.is_file():
            found[int(match.group(1))] = file
        elif not file.name.startswith("."):
            strays.append(file.name)
    return found, strays


def _picture_size(file: Path) -> tuple[int, int] | None:
    """Width and height in px; None for what cannot be read and for a JPEG that is cut off (a decoder would fill it up
    with grey)."""
    try:
        with Pictures.open(file) as picture, open(file, "rb") as content:
            content.seek(-min(64, file.stat().st_size), 2)
            whole = picture.format != "JPEG" or b"\xff\xd9" in content.read()
            return picture.size if whole else None
    except (OSError, ValueError, SyntaxError):
        return None


def _notes(numbers: range, missing: Sequence[int], damaged: Sequence[int], strays: Sequence[str]) -> Iterable[str]:
    if numbers.start > 1:
        yield f"its frames are numbered from {numbers.start} on"
    for what, places in (("missing", missing), ("damaged", damaged)):
        if places:
            plural, verb = ("s", "are") if len(places) > 1 else ("", "is")
            yield f"frame{plural} {spans(places)} of its folder {verb} {what}: the frame before is held"
    if strays:
        names = ", ".join(map(repr, strays[:3])) + (", .." if len(strays) > 3 else "")
        yield f"left aside in its folder, since they are no numbered frames: {names}"


def _rate(info: Path, frames: int) -> tuple[Fraction, tuple[str, ...]]:
    """Frames per second by the line FPS of info.txt, else 25; and what to say of it."""
    try:
        text = info.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return FPS, (f"no info.txt says its rate: {FPS} frames per second are assumed",)
    except OSError as error:
        return FPS, (f"its info.txt cannot be read ({error.strerror}): {FPS} frames per second are assumed",)
    fields = dict(re.findall(r"^\s*(\w+)[^:=\n]*[:=]\s*([^\n]*)", text.lower(), re.MULTILINE))
    said = re.match(r"\d+(?:\.\d+|/\d+)?", fields.get("fps", ""))
    try:
        fps = Fraction(said.group()) if said else Fraction(0)
    except ZeroDivisionError:
        fps = Fraction(0)
    if not 1 <= fps <= 240:
        return FPS, (f"its info.txt gives no usable FPS: {FPS} frames per second are assumed",)
    near = [rate for rate in COMMON_RATES if abs(rate - fps) < _RATE_TOLERANCE]
    fps = min(near, key=lambda rate: abs(rate - fps), default=fps)
    counted = re.match(r"\d+", fields.get("frames", ""))
    if counted and int(counted.group()) != frames:
        return fps, (f"its info.txt counts {counted.group()} frames, the folder has {frames}",)
    return fps, ()
