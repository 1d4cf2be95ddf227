"""Speech to cuts: which clip's frame stands at which output frame. Whole frames only."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from clips.errors import ClipError
from clips.timeline import FPS, FrameRange, ping_pong
from clips.vad import SampleRange

RAMP_FRAMES = 3


@dataclass(frozen=True)
class Source:
    """A clip as the edit list sees it."""

    name: str
    kind: str
    """"talk" or "silence"."""
    frames: int


@dataclass(frozen=True)
class Cut:
    """Output frames `place` show clip frames first .. first + span - 1, there and back as often as needed.

    driven: whether the sound moves the lips here; otherwise the plate stays as it is.
    """

    place: FrameRange
    clip: str
    first: int
    span: int
    driven: bool

    def clip_frame(self, index: int) -> int:
        """Clip frame at output frame `index`, which must lie in `place`."""
        if index not in self.place:
            raise ValueError(f"index must lie in {self.place.start} .. {self.place.stop - 1}; got {index}")
        return self.first + ping_pong(index - self.place.start, self.span)


@dataclass(frozen=True)
class EditList:
    """Cuts that cover output frames 0 .. frames - 1 without gap or overlap."""

    cuts: tuple[Cut, ...]

    def __post_init__(self) -> None:
        edge = 0
        for cut in self.cuts:
            if cut.place.start != edge or len(cut.place) == 0:
                raise ValueError(f"cuts must follow each other without gap; got one at {cut.place.start} after {edge}")
            edge = cut.place.stop
        if edge == 0:
            raise ValueError("an edit list must hold at least one frame; got none")

    @property
    def frames(self) -> int:
        return self.cuts[-1].place.stop

    def opacity(self, index: int) -> float:
        """Opacity of the blend at output frame `index`: 1, or a ramp over the RAMP_FRAMES driven frames beside a
        silence, so that nothing pops where the blend begins and ends."""
        for away in range(1, RAMP_FRAMES + 1):
            beside = [i for i in (index - away, index + away) if 0 <= i < self.frames]
            if not all(self.at(i).driven for i in beside):
                return away / (RAMP_FRAMES + 1)
        return 1.0

    def at(self, index: int) -> Cut:
        """The cut that holds output frame `index`; ValueError outside 0 .. frames - 1."""
        if not 0 <= index < self.frames:
            raise ValueError(f"frame must lie in 0 .. {self.frames - 1}; got {index}")
        return self.cuts[bisect_right(self._starts, index) - 1]

    @cached_property
    def _starts(self) -> list[int]:
        return [cut.place.start for cut in self.cuts]


def single_clip(clip: Source, frames: int) -> EditList:
    """One clip from its first frame on, there and back, lips driven on every frame."""
    if clip.frames < 1:
        raise ClipError(f"clip {clip.name!r} has no frames; choose another one")
    return EditList((Cut(FrameRange(0, frames), clip.name, 0, clip.frames, driven=True),))


def speech_segments(speech: Sequence[SampleRange], sample_rate: int, frames: int) -> list[tuple[FrameRange, bool]]:
    """Frame ranges covering 0 .. frames - 1, each with whether there is speech in it.

    speech: ascending ranges in samples; each edge goes to the nearest frame, a range that is left
    without a frame is dropped, touching ranges join.
    """

    def to_frame(sample: int) -> int:
        return min(frames, int((2 * sample * FPS + sample_rate) // (2 * sample_rate)))

    spoken: list[FrameRange] = []
    for heard in speech:
        start, stop = to_frame(heard.start), to_frame(heard.stop)
        if spoken and start <= spoken[-1].stop:
            start = spoken.pop().start
        if stop > start:
            spoken.append(FrameRange(start, stop))
    segments: list[tuple[FrameRange, bool]] = []
    edge = 0
    for part in spoken:
        if part.start > edge:
            segments.append((FrameRange(edge, part.start), False))
        segments.append((part, True))
        edge = part.stop
    if edge < frames:
        segments.append((FrameRange(edge, frames), False))
    return segments


def speech_edit_list(clips: Sequence[Source], segments: Sequence[tuple[FrameRange, bool]]) -> EditList:
    """Talk clips under speech, lips driven; the silence clip elsewhere, untouched.

    Whole clips are played while they fit, the longest first; what is left of a segment is filled by
    the shortest clip that can go there and back in it, so that every cut begins and ends near its
    clip's first frame, the pose that core clips share. No clip twice in a row where there are two.
    A kind that is missing is replaced by the other one. Deterministic.
    """
    talk = [c for c in clips if c.kind == "talk" and c.frames > 0]
    silence = [c for c in clips if c.kind == "silence" and c.frames > 0]
    if not talk and not silence:
        raise ClipError("core-clips mode needs at least one talk or silence clip with frames; got none")
    cuts: list[Cut] = []
    for place, spoken in segments:
        pool = (talk or silence) if spoken else (silence or talk)
        cuts += _fill(place, pool, driven=spoken, before=cuts[-1].clip if cuts else None)
    return EditList(tuple(cuts))


def _fill(place: FrameRange, pool: Sequence[Source], *, driven: bool, before: str | None) -> list[Cut]:
    cuts: list[Cut] = []
    edge = place.start

    def add(clip: Source, length: int, span: int) -> None:
        nonlocal edge, before
        cuts.append(Cut(FrameRange(edge, edge + length), clip.name, 0, span, driven))
        edge, before = edge + length, clip.name

    while edge < place.stop:
        left = place.stop - edge
        fresh = [c for c in pool if c.name != before] or pool
        whole = max((c for c in fresh if c.frames <= left), key=lambda c: (c.frames, c.name), default=None)
        if whole is not None:
            add(whole, whole.frames, whole.frames)
        else:  # every fresh clip is longer than what is left, so it reaches the turning point
            add(min(fresh, key=lambda c: (c.frames, c.name)), left, left // 2 + 1)
    return cuts
