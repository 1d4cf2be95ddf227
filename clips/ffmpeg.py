"""The one ffmpeg this project relies on: the binary that imageio-ffmpeg brings. Never the one on PATH, no ffprobe."""

from __future__ import annotations

import errno
import os
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path
from types import TracebackType

import imageio_ffmpeg

from clips.errors import ClipError
from clips.scratch import Scratch

READ_LOCAL_FILES_ONLY = ("-protocol_whitelist", "file,pipe")
"""Input option: an uploaded playlist must not make ffmpeg open addresses."""

_CANNOT_WRITE = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO}


@lru_cache(maxsize=1)
def ffmpeg_exe() -> str:
    """Path of the bundled ffmpeg; ClipError when the package comes without it on this platform."""
    # A variable IMAGEIO_FFMPEG_EXE is imageio-ffmpeg's own way to name another binary.
    try:
        return str(imageio_ffmpeg.get_ffmpeg_exe())
    except RuntimeError as error:
        raise ClipError(
            "expected the ffmpeg that imageio-ffmpeg brings; found none; install it again with "
            "`pip install --force-reinstall imageio-ffmpeg`"
        ) from error


@lru_cache(maxsize=1)
def ffmpeg_version() -> str:
    """Version of the bundled ffmpeg, as it says itself."""
    said = subprocess.run([ffmpeg_exe(), "-version"], capture_output=True, text=True, errors="replace").stdout
    return (said.split("version ", 1)[-1].split() or ["unknown"])[0]


def check_source(path: Path | str, what: str) -> Path:
    """The path of an existing file that is not empty; else ClipError. `what` names it: "video", "sound"."""
    a_what = f"{'an' if what[0] in 'aeiou' else 'a'} {what}"
    if "\0" in str(path):
        raise ClipError(f"expected the path of {a_what} file; got one with a NUL character; choose another file")
    path = Path(path)
    if os.path.isdir(path):
        raise ClipError(f"expected {a_what} file; {path} is a folder; name a file inside it")
    try:
        size = path.stat().st_size
    except OSError as error:
        raise ClipError(
            f"expected {a_what} file; {path} cannot be opened ({error.strerror}); check the name"
        ) from error
    if size == 0:
        raise ClipError(f"expected {a_what} file; {path.name} is empty (0 bytes); export or upload it again")
    if path.is_file() and _is_playlist(path):
        raise ClipError(
            f"expected {a_what} file; {path.name} is a playlist and cannot be read; give the {what} it names instead"
        )
    return path


def check_folder(folder: Path, what: str) -> None:
    """ClipError unless files can be written into a folder, or into the one it will be made in. For before long work."""
    place = folder
    while not place.exists() and place.parent != place:
        place = place.parent
    try:
        with tempfile.TemporaryFile(dir=place):
            pass
    except OSError as error:
        raise ClipError(
            f"expected a folder for the {what} that can be written to; {folder} cannot be ({error.strerror}); change "
            "its permissions, or choose another workspace with --workspace"
        ) from error


def _is_playlist(path: Path) -> bool:
    """Whether a file only names others: of a live one ffmpeg would ask for the next part for ever."""
    try:
        with open(path, "rb") as file:
            head = file.read(4096).lstrip(b"\xef\xbb\xbf \r\n\t")
    except OSError:
        return False  # ffmpeg says why it cannot be opened
    return head.startswith((b"#EXTM3U", b"ffconcat")) or (head.startswith(b"<") and b"<MPD" in head)


def input_url(path: Path) -> str:
    """Path as ffmpeg takes it literally, whatever characters it holds."""
    return "file:" + os.path.abspath(path)


def error_tail(stderr: str, lines: int = 3) -> str:
    """Last lines of what ffmpeg said, on one line, without the addresses of its parts."""
    said = [line.split("] ", 1)[1] if line.startswith("[") and "] " in line else line for line in stderr.splitlines()]
    said = [line.strip() for line in said if line.strip() and not line.startswith(("frame=", "size="))]
    return " / ".join(list(dict.fromkeys(said))[-lines:])[:600] or "no message"


class FfmpegProcess:
    """A running ffmpeg with a pipe at one side; what it says is kept in a file, so it never blocks on it.

    As a context manager it kills ffmpeg on leaving if it still runs.
    """

    def __init__(self, arguments: Sequence[str], *, write: bool = False) -> None:
        self._said = tempfile.TemporaryFile()  # noqa: SIM115  closed by close()
        self.process = subprocess.Popen(
            [ffmpeg_exe(), "-hide_banner", "-nostats", "-loglevel", "error", *arguments],
            stdin=subprocess.PIPE if write else subprocess.DEVNULL,
            stdout=subprocess.DEVNULL if write else subprocess.PIPE,
            stderr=self._said,
            # A group of its own: Ctrl-C is ours to answer. It ends with us all the same, as its pipe does.
            process_group=0 if os.name == "posix" else None,
        )

    def tail(self) -> str:
        """The end of what ffmpeg said so far."""
        self._said.seek(0)
        return error_tail(self._said.read().decode("utf-8", "replace"))

    def close(self) -> None:
        """Kill ffmpeg if it still runs, reap it and close the pipes; harmless when called again."""
        if self.process.poll() is None:
            self.process.kill()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                with suppress(OSError):
                    pipe.close()
        self.process.wait()
        self._said.close()

    def __enter__(self) -> FfmpegProcess:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


@contextmanager
def scratch_in(folder: Path, suffix: str) -> Iterator[Scratch]:
    """A scratch file in `folder`, which is made when missing. ClipError when either cannot be made."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ClipError(f"cannot make the folder {folder} ({error.strerror}); choose another place") from error
    try:
        scratch = Scratch(folder, suffix)
    except OSError as error:
        raise ClipError(
            f"cannot write into the folder {folder} ({error.strerror}); free some space or choose another place"
        ) from error
    with scratch:
        yield scratch


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """What goes wrong with the disk while something is written for `path` is a ClipError."""
    try:
        yield
    except OSError as error:
        raise ClipError(f"cannot write {path} ({error.strerror}); free some space or choose another place") from error


@contextmanager
def atomic_file(path: Path | str) -> Iterator[Path]:
    """Yields a hidden file beside `path` to write to; it becomes `path` on success and is removed on any error.

    The folder is made when missing. ClipError when something cannot be written. Of two that write to one path at
    once, both come out whole, and the last to finish stays.
    """
    path = Path(path)
    with scratch_in(path.parent, path.suffix) as scratch:
        try:
            yield scratch.path
            scratch.become(path)
        except OSError as error:
            if error.errno not in _CANNOT_WRITE and error.filename not in (str(scratch.path), scratch.path):
                raise  # of another file: what is done inside is the caller's
            raise ClipError(
                f"cannot write {path} ({error.strerror}); free some space or choose another place"
            ) from error
