"""Where a video file cannot be decoded: ffmpeg goes on after damage, makes up pictures and does not say which."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Sequence
from pathlib import Path

from clips.ffmpeg import READ_LOCAL_FILES_ONLY, ffmpeg_exe, input_url
from clips.timeline import spans

DECODE_ALIKE = ("-threads", "1")
"""Input option for damaged files: with several threads, what the decoder makes up differs from run to run."""

_DAMAGE = re.compile(
    r"error while decoding|concealing \d+|corrupt decoded frame|Error submitting packet to decoder|partial file"
    r"|Error splitting the input|Decoding error",
    re.IGNORECASE,
)
_SAME_PLACE_FRAMES = 12


def is_damage(said: str) -> bool:
    """Whether ffmpeg's messages tell of data that cannot be decoded."""
    return _DAMAGE.search(said) is not None


def find_damage(path: Path, framecrc: Sequence[str]) -> tuple[str, tuple[int, ...]]:
    """Decode a damaged file once more, on one thread: ffmpeg's output for the `framecrc` output options, and the number
    of frames that had come out when each damage was met. The damaged frame is that one or one of the next few, which
    the decoder held back; messages within _SAME_PLACE_FRAMES count as one."""
    said = subprocess.run(
        [
            ffmpeg_exe(), "-hide_banner", "-nostats", "-nostdin", "-debug_ts", *DECODE_ALIKE, *READ_LOCAL_FILES_ONLY,
            "-i", input_url(path), *framecrc,
        ],
        capture_output=True, text=True, encoding="utf-8", errors="replace",
    )  # fmt: skip
    places: list[int] = []
    met = decoded = 0
    for line in said.stderr.split("Output #0")[-1].splitlines():
        if "] decoder -> pts:" in line:
            decoded += 1
        elif is_damage(line):
            if not places or decoded - met > _SAME_PLACE_FRAMES:
                places.append(decoded)
            met = decoded
    return said.stdout, tuple(places)


def damage_note(places: Sequence[int], frames: int) -> str:
    """What to tell of damaged places in a file of so many frames of its own rate."""
    near = spans(min(place, frames - 1) for place in places)
    return (
        f"the file is damaged soon after frame {near}: the pictures from there to its next key frame are made up by "
        "the decoder; export or copy it again"
    )
