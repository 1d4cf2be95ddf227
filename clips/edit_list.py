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

    driven: whether the sound moves the lips here; otherwise the plate stays as it is. phase: how far into the there
    and back the cut begins, 0 .. 2 * span - 3: below span - 1 it sets out forward from first + phase, else backward.
    dissolve: over how many of its first frames the cut before, going on, is mixed out.
    """

    place: FrameRange
    clip: str
    first: int
    span: int
    driven: bool
    phase: int = 0
    dissolve: int = 0

    def clip_frame(self, index: int) -> int:
        """Clip frame at output frame `index`, which must lie in `place`."""
        if index not in self.place:
            raise ValueError(f"index must lie in {self.place.start} .. {self.place.stop - 1}; got {index}")
        return self.going_on(index)

    def going_on(self, index: int) -> int:
        """Clip frame at `index`, from the cut's start on and also after its end, as a dissolve shows it."""
        return self.first + ping_pong(self.phase + index - self.place.start, self.span)

    @property
    def first_frame(self) -> int:
        """Clip frame with which the cut begins."""
        return self.going_on(self.place.start)

    @property
    def last_frame(self) -> int:
        """Clip frame with which the cut ends."""
        return self.going_on(self.place.stop - 1)

    def runs(self) -> list[tuple[FrameRange, int]]:
        """The cut in pieces that run one way: output frames, and the step from clip frame to clip frame: 1, -1, or 0
        where one frame is held. The frame at a turn belongs to the piece that reaches it."""
        if self.span == 1:
            return [(self.place, 0 if len(self.place) > 1 else 1)]
        pieces, start, reach = [], self.place.start, self.span - 1
        while start < self.place.stop:
            position = self.phase + start - self.place.start
            stop = min(self.place.stop, start + reach - position % reach + 1)
            backward = position // reach % 2 == 1 and stop - start > 1
            pieces.append((FrameRange(start, stop), -1 if backward else 1))
            start = stop
        return pieces


@dataclass(frozen=True)
class EditList:
    """Cuts that cover output frames 0 .. frames - 1 without gap or overlap.

    ramp_frames: driven frames beside a silence over which the blend comes in and goes out, where no dissolve does it.
    """

    cuts: tuple[Cut, ...]
    ramp_frames: int = RAMP_FRAMES

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
        """Opacity of the blend at output frame `index`: 1, or a ramp over the ramp_frames driven frames beside a
        silence, so that nothing pops where the blend begins and ends. A dissolve there takes the ramp's place."""
        nearest = self.ramp_frames + 1
        for step in (-1, 1):
            for away in range(1, nearest):
                beside = index + step * away
                if not 0 <= beside < self.frames:
                    break
                if not self.at(beside).driven:
                    if not self.at(max(beside, beside - step)).dissolve:
                        nearest = away
                    break
        return nearest / (self.ramp_frames + 1)

    def at(self, index: int) -> Cut:
        """The cut that holds output frame `index`; ValueError outside 0 .. frames - 1."""
        return self.cuts[self._place(index)]

    def dissolve_at(self, index: int) -> tuple[Cut, float] | None:
        """The cut that is mixed out at output frame `index` and the share, 0..1, of the one that comes in; None where
        there is no dissolve."""
        place = self._place(index)
        cut = self.cuts[place]
        done = index - cut.place.start
        if place == 0 or done >= cut.dissolve:
            return None
        return self.cuts[place - 1], (done + 1) / (cut.dissolve + 1)

    def _place(self, index: int) -> int:
        if not 0 <= index < self.frames:
            raise ValueError(f"frame must lie in 0 .. {self.frames - 1}; got {index}")
        return bisect_right(self._starts, index) - 1

    @cached_property
    def _starts(self) -> list[int]:
        return [cut.place.start for cut in self.cuts]


def single_clip(clip: Source, frames: int) -> EditList:
    """One clip from its first frame on, there and back, lips driven on every frame."""
    if clip.frames < 1:
        raise ClipError(f"clip {clip.name!r} has no frames; choose another one")
    return EditList((Cut(FrameRange(0, frames), clip.name, 0, clip.frames, driven=True),))


def speech_segments(
    speech: Sequence[SampleRange], sample_rate: int, frames: int, *, least_edge: int = 0
) -> list[tuple[FrameRange, bool]]:
    """Frame ranges covering 0 .. frames - 1, each with whether there is speech in it.

    speech: ascending ranges in samples; each edge goes to the nearest frame, a range that is left
    without a frame is dropped, touching ranges join. least_edge: a silence of fewer frames at the
    sound's beginning or end belongs to the speech beside it: nobody cuts for a twelfth of a second.
    """

    def to_frame(sample: int) -> int:
        return min(frames, int((2 * sample * FPS + sample_rate) // (2 * sample_rate)))

    spoken: list[FrameRange] = []
    for heard in speech:
        start, stop = to_frame(heard.start), to_frame(heard.stop)
        if spoken and start <= spoken[-1].stop:
            start = spoken.pop().start
        if stop > start:
            start = 0 if not spoken and start < least_edge else start
            spoken.append(FrameRange(start, frames if frames - stop < least_edge else stop))
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
