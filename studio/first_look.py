"""What shortens the first seconds of a page: a plate to look at at once, and a network that has run before."""

from __future__ import annotations

import logging
from pathlib import Path

import cv2

from blending import BlendSettings, warm_up
from clips.core_clips_processor import AUTOMATIC
from clips.errors import ClipError
from clips.library import SAMPLE_SPEECH, ClipLibrary
from clips.timeline import FPS
from clips.video import read_frames
from models.errors import ModelError
from studio.preview import JPEG_FINE
from studio.sessions import Sessions

_log = logging.getLogger(__name__)


def first_plate(library: ClipLibrary, model: str, base: str) -> bytes:
    """First frame of a base, as a JPEG: what stands under the face, without the network. The automatic base shows a
    clip for speech. ClipError for an unknown model or base."""
    clips = library.clips(model)
    wanted = [clip for clip in clips if clip.name == base or (base == AUTOMATIC and clip.kind == "talk")]
    if not wanted:
        raise ClipError(f"base must be {AUTOMATIC} or a clip of {model}; got {base[:80]!r}")
    return plate_of(wanted[0].path)


def plate_of(path: Path) -> bytes:
    """First frame of a video as a JPEG."""
    [plate] = read_frames(path, 0, 1, fps=FPS)
    return bytes(cv2.imencode(".jpg", plate, JPEG_FINE)[1])


def warm_studio(sessions: Sessions, model: str | None, base: str) -> None:
    """Does once what the first frame of a page would wait for: loads the network, compiles the engine and blends a
    frame of the sample speech. What cannot be used is told when somebody opens it."""
    try:
        if model is not None:
            session = sessions.make(model, SAMPLE_SPEECH, base)
            session.processor.blend_shot(session.processor.shot(session.performance, 0), BlendSettings())
        warm_up()
    except (ClipError, ModelError) as e:
        _log.info("nothing is warmed up: %s", e)
