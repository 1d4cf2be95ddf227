"""Tags of video files: written as ffmpeg takes them, read by ffmpeg, filled in where they stand in an mp4."""

from __future__ import annotations

import re
import struct
from pathlib import Path

from clips.errors import ClipError
from clips.ffmpeg import READ_LOCAL_FILES_ONLY, FfmpegProcess, check_source, input_url

MAX_METADATA_BYTES = 4 << 20
"""More than this is not read: an hour of cuts takes 60 kB."""


def escape_metadata(value: str) -> str:
    """A value as it stands in ffmpeg's metadata file."""
    return re.sub(r"([=;#\\\n])", r"\\\1", value)


def read_metadata(path: Path | str) -> dict[str, str]:
    """A file's own tags, by ffmpeg's names in lower case. ClipError for what is no video or sound, or has more of them
    than MAX_METADATA_BYTES."""
    path = check_source(path, "video")
    arguments = [
        "-nostdin", *READ_LOCAL_FILES_ONLY, "-i", input_url(path),
        "-map_metadata", "0", "-map_chapters", "-1", "-f", "ffmetadata", "-",
    ]  # fmt: skip
    with FfmpegProcess(arguments) as ffmpeg:
        assert ffmpeg.process.stdout is not None
        said = ffmpeg.process.stdout.read(MAX_METADATA_BYTES + 1)
        if len(said) > MAX_METADATA_BYTES:
            raise ClipError(
                f"expected a video; {path.name} has over {MAX_METADATA_BYTES >> 20} MB of tags; choose another file"
            )
        if ffmpeg.process.wait() != 0:
            raise ClipError(f"expected a video; {path.name} cannot be read ({ffmpeg.tail()}); choose another file")
    return parse_tags(said.decode("utf-8", "replace"))


def parse_tags(text: str) -> dict[str, str]:
    """A file's own tags out of ffmpeg's metadata format, where =, ;, #, \\ and line ends stand behind a backslash."""
    head = re.split(r"(?m)^\[(?:STREAM|CHAPTER)\]$", text)[0]
    lines = re.findall(r"(?m)^((?:[^=;#\\\n]|\\[\s\S])+)=((?:[^\\\n]|\\[\s\S])*)$", head)
    return {_plain(key).lower(): _plain(value) for key, value in lines}


def _plain(text: str) -> str:
    return re.sub(r"\\([\s\S])", r"\1", text)


def replace_in_header(path: Path, old: bytes, new: bytes) -> None:
    """Replace `old`, which stands once in an mp4's header (`moov`), by as many bytes.

    ClipError when there is no such place: the file is not what the encoder was asked for, or cannot be written.
    """
    assert len(old) == len(new)
    try:
        with open(path, "r+b") as file:
            start, size = _moov(path)
            file.seek(start)
            header = file.read(size)
            if header.count(old) == 1:
                file.seek(start + header.index(old))
                file.write(new)
                return
    except struct.error:
        pass  # it ends before its header
    except OSError as error:
        raise ClipError(f"the encoder's file cannot be finished ({error}); check the disk and render again") from error
    raise ClipError("the encoder's file has no place for its recipe: it is not complete; render again")


def _moov(path: Path) -> tuple[int, int]:
    """Start and size of the header in bytes; struct.error without one."""
    with open(path, "rb") as file:
        start = 0
        while True:
            file.seek(start)
            size, name = struct.unpack(">I4s", file.read(8))
            if size == 1:
                (size,) = struct.unpack(">Q", file.read(8))
            if name == b"moov" or size < 8:
                return start, size if name == b"moov" else 0
            start += size
