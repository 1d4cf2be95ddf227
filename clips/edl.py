"""Edit lists as CMX 3600 edit decision lists, for editing systems: 25 frames per second, non-drop.

A clip that is played there and back becomes an event for each way; one that runs backward has a source range in the
clip's order and a line M2 with speed -25.0 and the time code of the frame it begins with. Every clip starts at
00:00:00:00, the record at 01:00:00:00. Timecodes of an end are those of the frame after the last.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

from clips.edit_list import Cut, EditList
from clips.errors import ClipError
from clips.ffmpeg import atomic_file
from clips.timeline import FPS, FrameRange

RATE = int(FPS)
RECORD_START = 3600 * RATE
DAY = 24 * 3600 * RATE
REEL_LETTERS = 8


def timecode(frame: int) -> str:
    """HH:MM:SS:FF of a frame, 0 .. a day; else ValueError."""
    if not 0 <= frame < DAY:
        raise ValueError(f"frame must lie within a day, 0 .. {DAY - 1}; got {frame}")
    seconds, part = divmod(frame, RATE)
    return f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}:{part:02}"


def reel_names(clips: list[str]) -> dict[str, str]:
    """A reel of at most 8 letters A-Z and 0-9 for each clip, all different, in the order of the clips."""
    reels: dict[str, str] = {}
    for clip in clips:
        plain = re.sub(r"[^A-Z0-9]", "", clip.upper())[:REEL_LETTERS] or "CLIP"
        reel, number = plain, 2
        while reel in reels.values() or reel in ("BL", "AX"):  # black and auxiliary, in every system
            reel = plain[: REEL_LETTERS - len(str(number))] + str(number)
            number += 1
        reels[clip] = reel
    return reels


def edits_as_edl(edits: EditList, title: str) -> str:
    """The list as text. ClipError for a dissolve in which a clip turns: no event can say it."""
    reels = reel_names(list(dict.fromkeys(cut.clip for cut in edits.cuts)))
    lines = [f"TITLE: {_one_line(title)[:70]}", "FCM: NON-DROP FRAME"]
    before: Cut | None = None
    number = 0
    for cut in edits.cuts:
        for place, step in cut.runs():
            number += 1
            lines.append("")
            if before is not None and place.start == cut.place.start and cut.dissolve:
                lines += _dissolve(number, before, cut, place, step, reels)
            else:
                lines += _event(number, "C    ", cut, place, step, reels)
        before = cut
    return "\r\n".join([*lines, ""])


def save_edl(edits: EditList, path: Path | str, title: str) -> None:
    """Write the list for an editing system; complete or not at all."""
    text = edits_as_edl(edits, title)
    with atomic_file(path) as partial:
        partial.write_bytes(text.encode("utf-8"))


def _event(
    number: int, transition: str, cut: Cut, place: FrameRange, step: int, reels: dict[str, str]
) -> Iterator[str]:
    """One run of a clip, and its name."""
    yield from _run(number, transition, cut, place, step, reels[cut.clip])
    yield f"* FROM CLIP NAME: {_one_line(cut.clip)}"


def _run(number: int, transition: str, cut: Cut, place: FrameRange, step: int, reel: str) -> Iterator[str]:
    begin, end = cut.going_on(place.start), cut.going_on(max(place.start, place.stop - 1))
    first, last = min(begin, end), max(begin, end) + (1 if len(place) else 0)
    record = RECORD_START + place.start, RECORD_START + place.stop
    codes = " ".join(timecode(frame) for frame in (first, last, *record))
    yield f"{number:03}  {reel:8} V     {transition}    {codes}"
    if step != 1:
        yield f"M2   {reel:8}       {_speed(step)}                {timecode(begin)}"


def _dissolve(number: int, before: Cut, cut: Cut, place: FrameRange, step: int, reels: dict[str, str]) -> Iterator[str]:
    """The clip that goes, from where it stands and with no length of its own, and the one that comes."""
    start = cut.place.start
    going = [before.going_on(start + away) for away in range(cut.dissolve)]
    steps = {b - a for a, b in pairwise(going)} or {1}
    if len(steps) > 1 or cut.dissolve > len(place):
        raise ClipError(
            f"a dissolve can be exported where neither clip turns in it; {before.clip!r} into {cut.clip!r} at output "
            f"frame {start} has a turn; shorten the dissolve to 0"
        )
    yield from _run(number, "C    ", before, FrameRange(start, start), steps.pop(), reels[before.clip])
    yield from _run(number, f"D {cut.dissolve:03}", cut, place, step, reels[cut.clip])
    yield f"* FROM CLIP NAME: {_one_line(before.clip)}"
    yield f"* TO CLIP NAME: {_one_line(cut.clip)}"


def _speed(step: int) -> str:
    """Frames per second as M2 has it: -025.0, 000.0."""
    return f"{'-' if step < 0 else ''}{abs(step) * RATE:03}.0"


def _one_line(text: str) -> str:
    return " ".join(os.fsencode(text).decode("utf-8", "replace").split())
