"""Clips are looked through while the network is loaded: both take a second or two, and need each other only after."""

from __future__ import annotations

import threading
from contextlib import suppress
from pathlib import Path

from clips.core_clips_processor import AUTOMATIC
from clips.errors import ClipError
from clips.library import ClipLibrary
from clips.thumbnails import clip_thumbnails
from clips.video import probe


def read_ahead(workspace: Path, model: str, base: str) -> threading.Thread:
    """Begin to probe the clips that a render over this base will ask for, and for core clips to make their thumbnails.

    What is wrong with a clip is not told here but to whoever asks for it. To be joined before the clips are asked for,
    so that nothing is done twice.
    """

    def work() -> None:
        with suppress(ClipError, OSError):
            clips = ClipLibrary(workspace).clips(model)
            for clip in clips:
                if base == AUTOMATIC and clip.matches_light_of(clips[0]):
                    probe(clip.path)
                    clip_thumbnails(clip, workspace)
                elif base == clip.name:
                    probe(clip.path)

    thread = threading.Thread(target=work, name="read ahead", daemon=True)
    thread.start()
    return thread
