"""The body of a request as a file, for as long as it is read."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from fastapi import Request
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect

from clips.errors import ClipError
from studio.uploaded_video import check_room


async def receive_body(request: Request, path: Path, shown: str, check_size: Callable[[int], None]) -> None:
    """Write a request's body to a file in a folder of its own, which `remove_body` removes.

    shown: what messages call it. check_size: raises ClipError for too many bytes; it is asked before more of them are
    read. ClipError too where the body breaks off, and for a full disk.
    """
    length = request.headers.get("content-length", "0")
    if not length.isdigit():
        raise ClipError("the length of an upload must be a number")
    check_size(int(length))
    try:
        path.parent.mkdir(parents=True)
        check_room(path.parent, int(length))
        size = 0
        with path.open("wb") as file:
            async for chunk in request.stream():
                size += len(chunk)
                check_size(size)
                await run_in_threadpool(file.write, chunk)
    except ClientDisconnect as e:
        raise ClipError(f"{shown} was not sent whole; add it again") from e
    except OSError as e:
        raise ClipError(f"{shown} cannot be stored ({e.strerror}); free some space in the workspace") from e


def remove_body(path: Path) -> None:
    """Remove what `receive_body` wrote, with its folder."""
    path.unlink(missing_ok=True)
    if path.parent.is_dir():
        path.parent.rmdir()
