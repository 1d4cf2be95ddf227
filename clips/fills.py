"""Ways to fill a number of frames with clips of one pool: whole clips, parts of them, there and back, several in a
row. Every clip moves on every frame; only a pool of one-frame clips holds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from clips.joins import Indices, Mismatch

# Prices in units of the mismatch, where about 1 begins to show: see `clips.joins.Mismatch`.
JOIN_PRICE = 1.0
"""Of a join that does not show, on top of its mismatch, which counts squared where it is above 1."""
TURN_PRICE = 1.0
"""For a movement that runs back; what the clip moves by at the turn is added."""
PART_PRICE = 0.25
"""For a clip begun late or left early: whole clips are what was recorded to fit."""
BACKWARD_PRICE = 0.5
SHORT_RUN_PRICE, SHORT_RUN_FRAMES = 1.0, 8
"""For a turn less than a third of a second after a join or before one: a twitch."""
NEVER = 1000.0
"""For a frame shown twice in a row at a join and for the same start twice in a row."""

FEWEST_FRAMES = 12
"""Shorter pieces beside others in one segment would look restless."""
GRID = 10
STRAIGHT_STARTS = 256
KEPT, KEPT_OF_A_START, KEPT_OF_A_CLIP = 32, 4, 12
CONTINUED = 8


def join_price(mismatch: NDArray[np.float32]) -> NDArray[np.float32]:
    """What a join of that mismatch costs."""
    return JOIN_PRICE + mismatch * np.maximum(mismatch, 1)


class Course(NamedTuple):
    """Part of a clip as a cut plays it, see `clips.edit_list.Cut`; clip counts through the sources."""

    clip: int
    first: int
    span: int
    phase: int
    length: int


class Fill(NamedTuple):
    """Courses that fill a length. price: of what lies inside. start, last_start: indices of the frames with which the
    first and the last course begin; out: index of the last frame."""

    price: float
    start: int
    last_start: int
    out: int
    courses: tuple[Course, ...]


class Fills(NamedTuple):
    """Fills, and what joins ask of them as arrays (M,). moved: by how many frames the fill is longer than was asked
    for; clip: of the first course."""

    ways: tuple[Fill, ...]
    price: NDArray[np.float32]
    start: Indices
    out: Indices
    clip: Indices
    moved: Indices


class Ends(NamedTuple):
    """Whether a fill will be joined to something at its start and at its end: not at the sound's."""

    start: bool = True
    end: bool = True


class Pool:
    """The clips that may stand under one kind of segment, and the fills found so far.

    clips: their places among the sources; lengths, first: frames and first index of every source; beside: price of
    each frame as a neighbour of the other kind's clips, for a first sieve of the fills.
    """

    def __init__(
        self, clips: Sequence[int], lengths: Sequence[int], first: Indices, mismatch: Mismatch,
        beside: NDArray[np.float32],
    ) -> None:  # fmt: skip
        moving = [clip for clip in clips if lengths[clip] > 1]
        self.clips = moving or list(clips)
        self.holds = not moving
        self.lengths, self.first, self.mismatch, self.beside = lengths, first, mismatch, beside
        self.longest = max(lengths[clip] for clip in self.clips)
        self._grid = {clip: self._grid_of(clip) for clip in self.clips}
        self._step = {clip: self._movement(clip) for clip in self.clips}
        self._fills: dict[tuple[int, tuple[int, ...], Ends], Fills] = {}
        self._ways: dict[tuple[int, int, Ends], tuple[Fill, ...]] = {}

    def fills(self, length: int, moves: tuple[int, ...] = (0,), ends: Ends = Ends()) -> Fills:  # noqa: B008
        """The best fills of length + move >= 1 frames for each of the moves, with several starts where clips have
        several frames."""
        if (length, moves, ends) not in self._fills:
            moved = [(way, move) for move in moves for way in self._best(length + move, 3, ends)]
            rows = [(way.start, way.out, way.courses[0].clip, move) for way, move in moved]
            start, out, clip, by = np.array(rows, np.intp).T
            price = np.array([way.price for way, _ in moved], np.float32)
            self._fills[length, moves, ends] = Fills(tuple(way for way, _ in moved), price, start, out, clip, by)
        return self._fills[length, moves, ends]

    def _movement(self, clip: int) -> NDArray[np.float32]:
        """What the clip moves by at each frame."""
        frames = self.first[clip] + np.arange(self.lengths[clip])
        steps = self.mismatch(frames[:-1], frames[1:])
        return np.concatenate([steps, steps[-1:]]) if len(steps) else np.zeros(1, np.float32)

    def _best(self, length: int, pieces: int, ends: Ends) -> tuple[Fill, ...]:
        """Fills of at most `pieces` courses, the cheapest first, sieved for variety."""
        if (length, pieces, ends) not in self._ways:
            ways = [way for clip in self.clips for way in self._single(clip, length, ends)]
            if pieces > 1 and not self.holds:
                ways += self._combined(length, pieces, ends)
            self._ways[length, pieces, ends] = self._sieved(ways, ends)
        return self._ways[length, pieces, ends]

    def _sieved(self, ways: list[Fill], ends: Ends) -> tuple[Fill, ...]:
        beside = self.beside
        ways.sort(key=lambda way: way.price + ends.start * beside[way.start] + ends.end * beside[way.out])
        starts: Counter[int] = Counter()
        clips: Counter[int] = Counter()
        kept: list[Fill] = []
        for way in ways:
            clip = way.courses[0].clip
            if starts[way.start] < KEPT_OF_A_START and clips[clip] < KEPT_OF_A_CLIP:
                starts[way.start] += 1
                clips[clip] += 1
                kept.append(way)
                if len(kept) == KEPT:
                    break
        return tuple(kept)

    def _combined(self, length: int, pieces: int, ends: Ends) -> list[Fill]:
        """A whole clip before or after a fill of what is left."""
        ways: list[Fill] = []
        for clip in self.clips:
            whole = self.lengths[clip]
            left = length - whole
            if min(whole, left) < FEWEST_FRAMES:
                continue
            start, end = int(self.first[clip]), int(self.first[clip]) + whole - 1
            course = Course(clip, 0, whole, 0, whole)
            rest = self._best(left, pieces - 1, Ends(True, ends.end))[:CONTINUED]
            joined = self.mismatch(np.full(len(rest), end), np.array([way.start for way in rest]))
            for way, price in zip(rest, join_price(joined).tolist(), strict=True):
                if way.start not in (start, end):
                    ways.append(Fill(way.price + price, start, way.last_start, way.out, (course, *way.courses)))
            rest = self._best(left, pieces - 1, Ends(ends.start, True))[:CONTINUED]
            joined = self.mismatch(np.array([way.out for way in rest]), np.full(len(rest), start))
            for way, price in zip(rest, join_price(joined).tolist(), strict=True):
                if start not in (way.last_start, way.out):
                    ways.append(Fill(way.price + price, way.start, start, end, (*way.courses, course)))
        return ways

    def _single(self, clip: int, length: int, ends: Ends) -> list[Fill]:
        """The clip alone: whole, a part of it, or there and back, from several starts, forward and backward."""
        frames, first = self.lengths[clip], int(self.first[clip])
        if frames == 1:
            return [Fill(0.0, first, first, first, (Course(clip, 0, 1, 0, length),))]
        begins, reaches = self._courses(clip, length)
        outs = _there_and_back(begins + length - 1, reaches)
        turns = np.maximum((begins + length - 2) // reaches - begins // reaches, 0)
        short = min(SHORT_RUN_FRAMES, frames - 1)
        before, after = reaches - begins % reaches, (begins + length - 2) % reaches + 1
        twitches = np.where(turns > 0, (before < short) * 1 + (after < short), 0)
        whole = (turns == 0) & (length == frames)
        price = TURN_PRICE * turns + SHORT_RUN_PRICE * twitches + np.where(whole, 0, PART_PRICE)
        # Row 0 runs as it is, row 1 on the mirrored clip.
        step = np.stack([self._step[clip], self._step[clip][::-1]])
        prices = price + step[:, reaches] * ((turns + 1) // 2) + step[:, :1] * (turns // 2)
        prices[1] += BACKWARD_PRICE
        starts = first + np.stack([begins, frames - 1 - begins])
        ends_on = first + np.stack([outs, frames - 1 - outs])
        joined = ends.start * self.beside[starts] + ends.end * self.beside[ends_on]
        seen: Counter[int] = Counter()
        ways: list[Fill] = []
        for place in np.argsort((prices + joined).ravel(), kind="stable").tolist():
            backward, i = divmod(place, len(begins))
            start = int(starts[backward, i])
            seen[start] += 1
            if seen[start] <= KEPT_OF_A_START:
                begin, reach = int(begins[i]), int(reaches[i])
                phase = (begin + reach if backward else begin) % (2 * reach)
                course = Course(clip, frames - 1 - reach if backward else 0, reach + 1, phase, length)
                ways.append(Fill(float(prices[backward, i]), start, start, int(ends_on[backward, i]), (course,)))
                if len(ways) == KEPT_OF_A_CLIP:
                    break
        return ways

    def _courses(self, clip: int, length: int) -> tuple[Indices, Indices]:
        """Begin (frame) and reach (frame of the upper turn) of courses that start upward, int (C,) each.

        Straight ones; and ones that turn where they will end near a frame of the grid.
        """
        frames = self.lengths[clip]
        grid, a, b = self._grid[clip]
        begins, reaches = [], []
        room = frames - length
        if room >= 0:
            straight = np.arange(room + 1)
            if len(straight) > STRAIGHT_STARTS:
                wanted = np.concatenate([grid, grid - length + 1, np.linspace(0, room, STRAIGHT_STARTS // 2)])
                straight = np.unique(np.clip(wanted, 0, room).astype(np.intp))
            begins.append(straight)
            reaches.append(np.full(len(straight), frames - 1))
        if length > 1:
            fewest = max(1, -(-(length - 1) // (frames - 1)) - 1)
            found = []
            for turns in (fewest, fewest + 1):
                way = a + b + length - 1 if turns % 2 else a - b + length - 1
                reach = -(-way // (turns + turns % 2))
                fits = (a < reach) & (reach < np.minimum(frames, a + length - 1))
                found.append(a[fits] * frames + reach[fits])
            begin, reach = np.divmod(np.unique(np.concatenate(found)), frames)
            begins.append(begin)
            reaches.append(reach)
        return np.concatenate(begins).astype(np.intp), np.concatenate(reaches).astype(np.intp)

    def _grid_of(self, clip: int) -> tuple[Indices, Indices, Indices]:
        """Frames at which courses may begin and end: the ends, evenly spaced ones, and those that join best; and all
        pairs of them."""
        frames = self.lengths[clip]
        inside = self.beside[self.first[clip] : self.first[clip] + frames]
        best = np.argsort(inside, kind="stable")[: GRID // 2]
        even = np.linspace(0, frames - 1, GRID // 2).astype(np.intp)
        grid = np.unique(np.concatenate([even, best, frames - 1 - best]))  # courses also run on the mirrored clip
        return grid, np.repeat(grid, len(grid)), np.tile(grid, len(grid))


def _there_and_back(positions: Indices, reach: Indices) -> Indices:
    """`clips.timeline.ping_pong` of arrays."""
    place = positions % (2 * reach)
    return np.minimum(place, 2 * reach - place)
