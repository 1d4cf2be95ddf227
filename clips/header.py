"""What a video file says of itself in its header: quick whatever its length, and not checked against its frames."""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

from clips.errors import ClipError
from clips.ffmpeg import READ_LOCAL_FILES_ONLY, check_source, error_tail, ffmpeg_exe, input_url
from clips.metadata import parse_tags

READ_TIMEOUT_S = 20


@dataclass(frozen=True)
class Header:
    """container as ffmpeg names it ("mov,mp4,m4a,3gp,3g2,mj2"); duration_s: None where the header has none; size_wh: of
    the picture as it is stored, None without one; tags: the file's metadata."""

    container: str
    duration_s: float | None
    size_wh: tuple[int, int] | None
    tags: dict[str, str]


def read_header(path: Path | str) -> Header:
    """Header of a video or sound file, about 40 ms. ClipError when ffmpeg does not know it, or does not get done."""
    path = check_source(path, "video")
    try:
        said = subprocess.run(
            [
                ffmpeg_exe(), "-hide_banner", "-nostats", "-nostdin", *READ_LOCAL_FILES_ONLY, "-i", input_url(path),
                "-map_metadata", "0", "-f", "ffmetadata", "-",
            ],
            capture_output=True, text=True, encoding="utf-8", errors="replace", timeout=READ_TIMEOUT_S,
        )  # fmt: skip
    except subprocess.TimeoutExpired as error:
        raise ClipError(f"expected a video file; {path.name} cannot be read; export it again as mp4") from error
    container = re.search(r"^Input #0, (.+), from ", said.stderr, re.M)
    if container is None:
        raise ClipError(
            f"expected a video file; {path.name} cannot be read ({error_tail(said.stderr, 2)}); export it again as mp4"
        )
    duration = re.search(r"Duration: (\d+):(\d\d):(\d\d(?:\.\d+)?)", said.stderr)
    size = re.search(r"Stream #0:\d+.*?: Video: (?!.*\(attached pic\)).*?, (\d+)x(\d+)", said.stderr)
    return Header(
        container.group(1),
        None
        if duration is None
        else sum(float(p) * unit for p, unit in zip(duration.groups(), (3600, 60, 1), strict=True)),
        None if size is None else (int(size.group(1)), int(size.group(2))),
        parse_tags(said.stdout),
    )
