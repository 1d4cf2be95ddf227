"""What to tell of a sound file that decodes in part only: ffmpeg gives what it can and goes on, or ends early."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

from clips.ffmpeg import READ_LOCAL_FILES_ONLY, ffmpeg_exe, input_url

STRICT = ("-err_detect", "crccheck+bitstream+buffer")
"""Input option: checksums are looked at, and a cut-off mp3's last packet is not decoded to a bang, 24 times full
scale."""

SHORT_S = 0.1
"""By how much a sound must be shorter than its file says to be told: what codecs add and take at the ends is less."""

END_S = 0.5
"""Where the length is right, what cannot be decoded this near to the end is a tag or padding after the last sound."""

_DAMAGE = re.compile(
    r"^\[.*(?P<said>Error submitting packet to decoder|Decoding error|corrupt decoded frame|corrupt input packet"
    r"|Packet corrupt|CRC mismatch|CRC error|partial file|File ended prematurely|Error during demuxing"
    r"|invalid as first byte of an EBML|exceeds containing master|exceeds max length|Packet mismatch)",
    re.MULTILINE,
)
_PLACE = re.compile(r"\] (demuxer\+ffmpeg|filter_raw) -> .*?\b(?:pkt_)?pts_time:(\d+(?:\.\d+)?)")


def sound_damage(path: Path, said: str, decoded_s: float) -> str:
    """In words, that a sound file is damaged: where, and how much of it decodes; "" for a whole one.

    said: what ffmpeg said while it decoded the first sound track of the whole file, to `decoded_s` seconds.
    """
    head, _, body = said.partition("Stream mapping:\n")
    wav = "Input #0, wav," in head
    declared_s = _wav_seconds(path, decoded_s) if wav else _declared_seconds(head)
    short = declared_s is not None and declared_s - decoded_s > SHORT_S
    met = [match["said"] for match in _DAMAGE.finditer(body)]
    if wav and "pcm_" in head:  # what ffmpeg says of its last packet is also said where the length was never filled in
        met = []
    place_s = _place(path) if met else decoded_s
    after = declared_s is not None and not short and place_s > declared_s - END_S
    if not (short or (met and not after) or _ogg_breaks_off(path)):
        return ""
    of = f" of the {declared_s:.1f} s that it should last" if short else ""
    return (
        f"the sound {path.name} is damaged soon after {min(place_s, decoded_s):.1f} s: what can be decoded is used, "
        f"{decoded_s:.1f} s{of}; copy or export it again"
    )


def _declared_seconds(head: str) -> float | None:
    """How long the file says that it lasts; None where it does not say, or says it of pictures too."""
    found = re.search(r"^  Duration: (\d+):(\d+):(\d+\.\d+)", head, re.MULTILINE)
    pictures = re.search(r"^  Stream #0:\d+.*?: Video: (?!.*\(attached pic\))", head, re.MULTILINE)
    if found is None or pictures or "Estimating duration from bitrate" in head:
        return None
    hours, minutes, seconds = found.groups()
    return 3600 * int(hours) + 60 * int(minutes) + float(seconds)


def _wav_seconds(path: Path, decoded_s: float) -> float | None:
    """How long a wav's header says that it lasts; None where its writer never filled the length in (a pipe, a recorder
    that was switched off: 0, or the most that fits)."""
    with open(path, "rb") as file:
        start = file.read(1 << 16)
    place = start.find(b"data", 12)
    if place < 0:
        return None
    declared = int.from_bytes(start[place + 4 : place + 8], "little")
    there = path.stat().st_size - place - 8
    if not 0 < declared < 0x7FF00000 or there <= 0:
        return None
    return decoded_s * max(1.0, declared / there)


def _place(path: Path) -> float:
    """Seconds of sound that had come when ffmpeg first met damage; the damage is there or soon after."""
    came = {"demuxer+ffmpeg": 0.0, "filter_raw": 0.0}
    process = subprocess.Popen(
        [
            ffmpeg_exe(), "-hide_banner", "-nostats", "-nostdin", "-debug_ts", *STRICT, *READ_LOCAL_FILES_ONLY,
            "-i", input_url(path), "-map", "0:a:0", "-f", "null", "-",
        ],
        stderr=subprocess.PIPE, text=True, encoding="utf-8", errors="replace",
    )  # fmt: skip
    assert process.stderr is not None
    with process.stderr as lines:
        while not next(lines, "Stream mapping:").startswith("Stream mapping:"):
            pass
        for line in lines:
            if match := _PLACE.search(line):
                came[match[1]] = float(match[2])
            elif _DAMAGE.search(line):
                break
        process.kill()
    process.wait()
    return came["demuxer+ffmpeg" if line.startswith("[in#") else "filter_raw"]


def _ogg_breaks_off(path: Path) -> bool:
    """Whether an Ogg file ends within a page, which ffmpeg drops without a word."""
    with open(path, "rb") as file:
        if file.read(4) != b"OggS":
            return False
        file.seek(max(0, path.stat().st_size - 2 * 65307))  # the longest page
        end = file.read()
    page = end[max(0, end.rfind(b"OggS")) :]
    return len(page) < 27 or len(page) < 27 + page[26] + sum(page[27 : 27 + page[26]])
