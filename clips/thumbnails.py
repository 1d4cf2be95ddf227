"""Thumbnails of a clip's frames, kept in the workspace: what joins are compared by, without decoding clips again."""

from __future__ import annotations

import zipfile
from contextlib import suppress
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from clips.errors import ClipError
from clips.ffmpeg import atomic_file
from clips.joins import THUMBNAIL_PX
from clips.library import CoreClip
from clips.timeline import FPS
from clips.video import read_thumbnails


def clip_thumbnails(clip: CoreClip, workspace: Path) -> NDArray[np.float32]:
    """float32 (N, 16, 16, 3) in CIELAB. Read from WORKSPACE/thumbnails where they are of this content of the clip, else
    made (about 3 ms a frame) and put there. ClipError as `clips.video.probe`."""
    path = workspace / "thumbnails" / clip.model / f"{clip.name}.npz"
    small = _kept(path, clip.sha256)
    if small is None:
        small = read_thumbnails(clip.path, (THUMBNAIL_PX, THUMBNAIL_PX), fps=FPS)
        with suppress(OSError, ClipError), atomic_file(path) as partial:  # a workspace may be read-only: made anew then
            np.savez_compressed(partial, thumbnails=small, clip_sha256=np.array(clip.sha256))
    # All frames in one call: on so few pixels a call costs more than the work.
    rows = small.reshape(-1, THUMBNAIL_PX, 3).astype(np.float32) / 255
    return np.asarray(cv2.cvtColor(rows, cv2.COLOR_BGR2LAB), np.float32).reshape(small.shape)


def _kept(path: Path, sha256: str) -> NDArray[np.uint8] | None:
    """Thumbnails of a file, None unless it is whole and of that content."""
    try:
        with np.load(path, allow_pickle=False) as file:
            small = file["thumbnails"]
            fits = str(file["clip_sha256"]) == sha256 and small.shape[1:] == (THUMBNAIL_PX, THUMBNAIL_PX, 3)
            return small if fits and small.dtype == np.uint8 and len(small) else None
    except (OSError, KeyError, ValueError, EOFError, zipfile.BadZipFile):
        return None
