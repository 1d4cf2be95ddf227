"""What a person has open: a sound laid over clips, found again by a random token."""

from __future__ import annotations

import hashlib
import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from clips.core_clips_processor import AUTOMATIC, CoreClipsProcessor, Performance, Recent
from clips.errors import ClipError
from clips.ffmpeg import check_source
from clips.library import ClipLibrary
from clips.timeline import FPS
from studio.bases import is_own_video
from studio.own_videos import OwnVideos

SESSIONS_KEPT = 24
PROCESSORS_KEPT = 2
PERFORMANCES_KEPT = 6
PICTURE_CACHE_BYTES = 128 << 20
"""Encoded plate frames of one model: 51 of LS1. A frame that is blended again is not drawn again, whatever the size."""


@dataclass(frozen=True, eq=False)
class Session:
    """One sound over one base.

    cancel: set to stop the render that runs for it. sound, audio: name and path of its file. owner: who finds in the
    history what is rendered of it, see `RenderHistory`. base: what it was opened on, as the page names it.
    """

    token: str
    processor: CoreClipsProcessor
    performance: Performance
    cancel: threading.Event = field(default_factory=threading.Event)
    sound: str = ""
    audio: Path = Path()
    owner: str = ""
    base: str = AUTOMATIC

    def describe(self) -> dict[str, object]:
        """What the page needs to know, as JSON values."""
        performance = self.performance
        return {
            "token": self.token,
            "frames": performance.frames,
            "fps": float(FPS),
            "model": self.processor.model_name,
            "base": self.base,
            "clip": None if self.base == AUTOMATIC or is_own_video(self.base) else self.base,
            "network": self.processor.model.runtime.about,
            "notes": list(performance.notes),
            "shows": self.shows,
        }

    @property
    def shows(self) -> str:
        """The same for two sessions whose frames are the same under the same settings."""
        told = (self.processor.model_name, self.performance.sound_sha256, self.performance.edits.cuts)
        return hashlib.sha256(repr(told).encode()).hexdigest()[:16]


class Sessions:
    """Opens sessions and keeps the last ones; several people at once do not see each other's."""

    def __init__(
        self, workspace: Path, *, device: str = "auto", runtime: str = "auto", own_videos: OwnVideos | None = None
    ) -> None:
        self.workspace, self._device, self._runtime = workspace, device, runtime
        self.own_videos = own_videos or OwnVideos(workspace)
        self._closed: OrderedDict[str, str] = OrderedDict()
        self._processors: OrderedDict[str, CoreClipsProcessor] = OrderedDict()
        self._sessions: OrderedDict[str, Session] = OrderedDict()
        self._performances = Recent[Performance](PERFORMANCES_KEPT)
        self._lock, self._opening = threading.Lock(), threading.Lock()
        self.used = time.monotonic()  # when a session was last asked for

    def models(self) -> list[str]:
        """Models that have a checkpoint."""
        from models.lip_sync import list_models

        return list(list_models(self.workspace))

    def bases(self, model: str, owner: str = "") -> list[str]:
        """What can stand under the face: the automatic choice, each clip, then this person's own videos; for a model
        without clips only these."""
        clips = [clip.name for clip in ClipLibrary(self.workspace).any_clips(model)]
        return [*([AUTOMATIC] if clips else []), *clips, *self.own_videos.bases(owner)]

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
        known = base
        if is_own_video(base):
            known = processor.add_own_video(self.own_videos.find(owner, base))
        key = (model, known, audio, stat.st_size, stat.st_mtime_ns, tuple(processor.clips))
        performance = self._performances.get(key, lambda: processor.prepare(audio, known))
        token = secrets.token_urlsafe(16)
        return Session(token, processor, performance, sound=audio.name, audio=audio, owner=owner, base=base)

    def clips_changed(self, model: str, gone: Mapping[str, str] | None = None) -> None:
        """A model's clips are others for sessions opened from now on. gone: names that are no more, and why: sessions
        that show such a clip are closed with that reason."""
        with self._opening:
            processor = self._processors.get(model)
            if processor is not None:
                processor.clips_changed()
            if gone:
                self._performances = Recent[Performance](PERFORMANCES_KEPT)  # they know clips by name
        for name, why in (gone or {}).items():
            self.close(partial(_shows, model=model, clip=name), why)

    def close(self, which: Callable[[Session], bool], why: str) -> None:
        """Close sessions; whoever asks for one of them is told why."""
        with self._lock:
            for token in [token for token, session in self._sessions.items() if which(session)]:
                del self._sessions[token]
                self._closed[token] = why
            while len(self._closed) > 10 * SESSIONS_KEPT:
                self._closed.popitem(last=False)

    def touch(self) -> None:
        """Somebody works."""
        self.used = time.monotonic()

    def rest(self) -> None:
        """Every processor gives back what it does not need: see `CoreClipsProcessor.rest`."""
        with self._opening:
            processors = list(self._processors.values())
        for processor in processors:
            processor.rest()

    def get(self, token: str, person: str) -> Session:
        """The session of a token; ClipError when it is no longer open, or another person's. One that was opened without
        an owner is anybody's."""
        self.touch()
        with self._lock:
            if token in self._closed:
                raise ClipError(self._closed[token])
            if token not in self._sessions:
                raise ClipError("this page's session is no longer open (the studio was restarted); reload the page")
            session = self._sessions[token]
            if session.owner not in ("", person):
                raise ClipError("this session is another person's; open the sound on your own page")
            self._sessions.move_to_end(token)
            return session

    def is_loaded(self, model: str) -> bool:
        """Whether the model need not be loaded any more."""
        return model in self._processors

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


def _shows(session: Session, *, model: str, clip: str) -> bool:
    shown = (cut.clip for cut in session.performance.edits.cuts)
    return session.processor.model_name == model and clip in shown
