"""What a person has open: a sound laid over clips, found again by a random token."""

from __future__ import annotations

import secrets
import threading
import time
from collections import OrderedDict
from dataclasses import dataclass, field
from pathlib import Path

from clips.core_clips_processor import AUTOMATIC, CoreClipsProcessor, Performance, Recent
from clips.errors import ClipError
from clips.ffmpeg import check_source
from clips.library import ClipLibrary
from clips.timeline import FPS

SESSIONS_KEPT = 24
PROCESSORS_KEPT = 2
PERFORMANCES_KEPT = 6
PICTURE_CACHE_BYTES = 128 << 20
"""Encoded plate frames of one model: 51 of LS1. A frame that is blended again is not drawn again, whatever the size."""


@dataclass(frozen=True, eq=False)
class Session:
    """One sound over one base.

    cancel: set to stop the render that runs for it. sound, audio: name and path of its file. owner: who finds in the
    history what is rendered of it, see `RenderHistory`.
    """

    token: str
    processor: CoreClipsProcessor
    performance: Performance
    cancel: threading.Event = field(default_factory=threading.Event)
    sound: str = ""
    audio: Path = Path()
    owner: str = ""

    def describe(self) -> dict[str, object]:
        """What the page needs to know, as JSON values."""
        performance = self.performance
        return {
            "token": self.token,
            "frames": performance.frames,
            "fps": float(FPS),
            "model": self.processor.model_name,
            "base": performance.base,
            "network": self.processor.model.runtime.about,
            "notes": list(performance.notes),
        }


class Sessions:
    """Opens sessions and keeps the last ones; several people at once do not see each other's."""

    def __init__(self, workspace: Path, *, device: str = "auto", runtime: str = "auto") -> None:
        self.workspace, self._device, self._runtime = workspace, device, runtime
        self._processors: OrderedDict[str, CoreClipsProcessor] = OrderedDict()
        self._sessions: OrderedDict[str, Session] = OrderedDict()
        self._performances = Recent[Performance](PERFORMANCES_KEPT)
        self._lock, self._opening = threading.Lock(), threading.Lock()
        self.used = time.monotonic()  # when a session was last asked for

    def models(self) -> list[str]:
        """Models that have both a checkpoint and core clips."""
        from models.lip_sync import list_models

        return [name for name in list_models(self.workspace) if name in ClipLibrary(self.workspace).models()]

    def bases(self, model: str) -> list[str]:
        """What can stand under the face: the automatic choice first, then each clip."""
        return [AUTOMATIC, *(clip.name for clip in ClipLibrary(self.workspace).clips(model))]

    def open(self, model: str, audio: Path, base: str, *, owner: str = "") -> Session:
        """Lay a sound over a base. ClipError or ModelError say what cannot be used."""
        session = self.make(model, audio, base, owner=owner)
        with self._lock:
            self._sessions[session.token] = session
            while len(self._sessions) > SESSIONS_KEPT:
                self._sessions.popitem(last=False)
        return session

    def make(self, model: str, audio: Path, base: str, *, owner: str = "") -> Session:
        """As `open`, for whoever keeps the session: nobody finds it by its token."""
        self.touch()
        stat = check_source(audio, "sound").stat()
        processor = self.processor(model)
        key = (model, base, audio, stat.st_size, stat.st_mtime_ns, tuple(processor.clips))
        performance = self._performances.get(key, lambda: processor.prepare(audio, base))
        return Session(secrets.token_urlsafe(16), processor, performance, sound=audio.name, audio=audio, owner=owner)

    def clips_changed(self, model: str) -> None:
        """A clip was added to a model's: it is there for sessions opened from now on."""
        with self._opening:
            processor = self._processors.get(model)
        if processor is not None:
            processor.clips = {clip.name: clip for clip in ClipLibrary(self.workspace).clips(model)}

    def touch(self) -> None:
        """Somebody works."""
        self.used = time.monotonic()

    def rest(self) -> None:
        """Every processor gives back what it does not need: see `CoreClipsProcessor.rest`."""
        with self._opening:
            processors = list(self._processors.values())
        for processor in processors:
            processor.rest()

    def get(self, token: str) -> Session:
        """The session of a token; ClipError when it is no longer open."""
        self.touch()
        with self._lock:
            if token not in self._sessions:
                raise ClipError("this page's session is no longer open (the studio was restarted); reload the page")
            self._sessions.move_to_end(token)
            return self._sessions[token]

    def processor(self, model: str) -> CoreClipsProcessor:
        """The model with its clips, loaded once. ClipError or ModelError when it cannot be used."""
        with self._opening:
            if model not in self._processors:
                self._processors[model] = CoreClipsProcessor(
                    model, workspace=self.workspace, device=self._device, runtime=self._runtime,
                    picture_cache_bytes=PICTURE_CACHE_BYTES,
                )  # fmt: skip
                while len(self._processors) > PROCESSORS_KEPT:
                    self._processors.popitem(last=False)
            self._processors.move_to_end(model)
            return self._processors[model]
