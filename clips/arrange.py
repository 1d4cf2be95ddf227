"""Which clip stands where: the choice that joins least often and least visibly, by a search over the whole sound."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from clips.edit_list import RAMP_FRAMES, Cut, EditList, Source
from clips.errors import ClipError
from clips.fills import NEVER, Course, Ends, Fills, Pool, join_price
from clips.joins import Indices, Mismatch, RestMismatch, offsets
from clips.timeline import FrameRange

BEAM = 24
BEAM_OF_AN_END = 2
"""Arrangements that are followed at a time, and how many of them may end on the same frame."""

REPEATED_START_PRICE = 3.0
REPEATED_CLIP_PRICE = 0.5
"""For what stood under the last segment of the same kind."""
VARIETY = 0.2
"""Chance, at most this much, decides between ways that cost nearly the same."""

MOVES = (0, 2, 4, 6)
MOVE_PRICE = 0.02
"""How many frames a join may move out of the speech into the silence, at most a quarter of it, and the price of each:
a head that turns a moment longer is not seen."""

LOOKED_AT = 128
"""Frames of the other kind's clips that each frame is compared with to tell how well it can be joined at all."""

LONG_CLIPS, LONG_FRAMES, SHORT_CLIP_FRAMES = 3, 250, 50
"""A segment longer than three times the longest clip and than 250 frames is taken apart first, unless the clips are
so short that they had better go there and back than be joined every other second."""


class Piece(NamedTuple):
    """Frames that are filled at a time: of one kind, with the ways in which the join at their end may move."""

    place: FrameRange
    spoken: bool
    moves: tuple[int, ...]


class Beam(NamedTuple):
    """Arrangements up to a join, as arrays (B,). out: index of the last frame; moved: where the join went; start, clip:
    (B, 2), with which frame and clip the last cut of silence and of speech began, -1 for none. parent and ways say how
    each came about: from which one before, and by which courses."""

    price: NDArray[np.float64]
    out: Indices
    moved: Indices
    start: Indices
    clip: Indices
    parent: Indices
    ways: list[tuple[Course, ...]]


def speech_edit_list(
    clips: Sequence[Source],
    segments: Sequence[tuple[FrameRange, bool]],
    *,
    mismatch: Mismatch | None = None,
    dissolve_frames: int = 0,
    ramp_frames: int = RAMP_FRAMES,
    seed: int = 0,
) -> EditList:
    """Talk clips under speech, lips driven; the silence clip elsewhere, untouched. The same list for the same seed.

    Joins cost their mismatch (see `clips.joins`, over the frames of `clips` in order; None: where the clips' common
    pose is left) and a fixed price more, turns and parts of clips cost less, see `clips.fills`; the cheapest list that
    a beam search finds is taken. No frame is held unless a pool has one-frame clips only; the same start
    never comes twice in a row where a clip has two frames. With a mismatch, joins move a little into silences: what
    is spoken stays driven. A kind that is missing is replaced by the other one. ClipError without any frames.
    """
    clips = [clip for clip in clips if clip.frames > 0]
    talk = [i for i, clip in enumerate(clips) if clip.kind == "talk"]
    silence = [i for i, clip in enumerate(clips) if clip.kind == "silence"]
    if not talk and not silence:
        raise ClipError("core-clips mode needs at least one talk or silence clip with frames; got none")
    lengths = [clip.frames for clip in clips]
    first = offsets(lengths)
    moves = MOVES if mismatch is not None else (0,)
    mismatch = mismatch or RestMismatch(lengths)
    beside = _beside(talk or silence, silence or talk, first, mismatch)
    pools = [Pool(chosen, lengths, first, mismatch, beside) for chosen in (silence or talk, talk or silence)]
    rng = np.random.default_rng(seed)
    pieces = [piece for segment in _movable(segments, moves) for piece in _taken_apart(segment, pools, rng)]
    courses = _search(pieces, pools, mismatch, rng)
    return EditList(_cuts(pieces, courses, clips, dissolve_frames), ramp_frames)


def _beside(talk: Sequence[int], silence: Sequence[int], first: Indices, mismatch: Mismatch) -> NDArray[np.float32]:
    """What it costs at least to join each frame to one of the other kind (of the same pool where there is one only)."""
    frames = [np.concatenate([np.arange(first[c], first[c + 1]) for c in pool]) for pool in (talk, silence)]
    least = np.zeros(first[-1], np.float32)
    for mine, others in (frames, frames[::-1]):
        looked = others[np.unique(np.linspace(0, len(others) - 1, LOOKED_AT).astype(np.intp))]
        if talk == silence:  # a frame is always beside itself: only the clips' ends are of interest
            looked = np.concatenate([[first[c], first[c + 1] - 1] for c in talk])
        least[mine] = mismatch(mine[:, None], looked[None]).min(axis=1)
    return join_price(least)


def _movable(segments: Sequence[tuple[FrameRange, bool]], moves: Sequence[int]) -> list[Piece]:
    """Segments with the moves of the join at their end: forward after speech, backward before it."""
    pieces = []
    for place, (here, spoken) in enumerate(segments):
        last = place + 1 == len(segments)
        silent = here if not spoken else here if last else segments[place + 1][0]
        room = 0 if last else len(silent) // 4
        sign = 1 if spoken else -1
        pieces.append(Piece(here, spoken, tuple(sign * move for move in moves if move <= room)))
    return pieces


def _taken_apart(piece: Piece, pools: Sequence[Pool], rng: np.random.Generator) -> list[Piece]:
    """A long segment as pieces of the lengths of whole clips: of the fewest that fill it exactly where some do, else
    of any, never the same length twice in a row where there is another. One clip alone goes there and back instead."""
    pool = pools[piece.spoken]
    lengths = sorted({pool.lengths[clip] for clip in pool.clips if 4 * pool.lengths[clip] > pool.longest})
    place, limit = piece.place, max(LONG_CLIPS * pool.longest, LONG_FRAMES)
    if len(place) <= limit or len(pool.clips) == 1 or pool.longest < SHORT_CLIP_FRAMES:
        return [piece]
    fewest = _fewest(lengths, len(place))
    made, edge, before = [], place.start, 0
    while place.stop - edge > limit:
        left = place.stop - edge
        fresh = [n for n in lengths if n != before] or lengths
        exact = [n for n in fresh if fewest[left - n] < fewest[left]]
        before = int(rng.choice(exact or fresh))
        made.append(Piece(FrameRange(edge, edge + before), piece.spoken, (0,)))
        edge += before
    return [*made, Piece(FrameRange(edge, place.stop), piece.spoken, piece.moves)]


def _fewest(lengths: Sequence[int], total: int) -> list[float]:
    """For 0 .. total: of how many of the lengths it is the sum at least; infinite where it is none."""
    fewest = [0.0] + [float("inf")] * total
    for sum_ in range(min(lengths), total + 1):
        fewest[sum_] = 1 + min(fewest[sum_ - n] for n in lengths if n <= sum_)
    return fewest


def _search(
    pieces: Sequence[Piece], pools: Sequence[Pool], mismatch: Mismatch, rng: np.random.Generator
) -> list[tuple[Course, ...]]:
    """Courses of each piece. After each piece the BEAM cheapest arrangements go on."""
    none, nowhere = np.full((1, 2), -1), np.full(1, -1)
    beams = [Beam(np.zeros(1), nowhere, np.zeros(1, np.intp), none, none, nowhere, [()])]
    for number, piece in enumerate(pieces):
        before = pieces[number - 1].spoken if number else None
        ends = Ends(number > 0, number + 1 < len(pieces))
        beams.append(_extended(beams[-1], piece, before, ends, pools[piece.spoken], mismatch, rng))
    chosen = int(np.argmin(beams[-1].price))
    found = []
    for beam in beams[:0:-1]:
        found.append(beam.ways[chosen])
        chosen = int(beam.parent[chosen])
    return found[::-1]


def _extended(
    beam: Beam, piece: Piece, before: bool | None, ends: Ends, pool: Pool, mismatch: Mismatch, rng: np.random.Generator
) -> Beam:
    """The arrangements with the fills of one more piece; before: whether the last piece is spoken, None at first."""
    kind = int(piece.spoken)
    blocks, prices = [], []
    for moved in np.unique(beam.moved):
        rows = np.flatnonzero(beam.moved == moved)
        fills = pool.fills(len(piece.place) - int(moved), piece.moves, ends)
        alone = fills.price + np.abs(fills.moved) * MOVE_PRICE + VARIETY * rng.random(len(fills.ways))
        price = beam.price[rows][:, None] + alone
        if before is not None:
            price += _joined(beam.out[rows], beam.start[rows, int(before)], fills, mismatch)
            price += REPEATED_START_PRICE * (beam.start[rows, kind][:, None] == fills.start)
            if len(pool.clips) > 1:
                price += REPEATED_CLIP_PRICE * (beam.clip[rows, kind][:, None] == fills.clip)
        blocks.append((rows, fills))
        prices.append(price.ravel())
    return _kept(beam, kind, blocks, np.concatenate(prices))


def _joined(out: Indices, start: Indices, fills: Fills, mismatch: Mismatch) -> NDArray[np.float64]:
    """Price (B, M) of the joins from frames `out`, of cuts begun at `start`, to the fills. A cut that goes on with the
    neighbouring frame is no new start."""
    held = out[:, None] == fills.start
    restarted = (start[:, None] == fills.start) & (np.abs(out[:, None] - fills.start) != 1)
    return join_price(mismatch(out[:, None], fills.start[None])) + NEVER * (held | restarted)


def _kept(beam: Beam, kind: int, blocks: Sequence[tuple[Indices, Fills]], price: NDArray[np.float64]) -> Beam:
    """The cheapest candidates, few of them with the same end. price: of every row and fill of the blocks, in order."""
    edges = np.cumsum([0] + [len(rows) * len(fills.ways) for rows, fills in blocks]).tolist()
    looked = min(len(price), 8 * BEAM)
    cheapest = np.argpartition(price, looked - 1)[:looked]
    ends: Counter[tuple[int, int]] = Counter()
    kept = []
    for i in cheapest[np.argsort(price[cheapest], kind="stable")].tolist():
        number = bisect_right(edges, i) - 1
        rows, fills = blocks[number]
        row, way = divmod(i - edges[number], len(fills.ways))
        end = (fills.ways[way].out, fills.moved[way])
        ends[end] += 1
        if ends[end] <= BEAM_OF_AN_END:
            kept.append((i, rows[row], fills.moved[way], fills.ways[way]))
            if len(kept) == BEAM:
                break
    chosen, parent, moved = (np.array(column, np.intp) for column in list(zip(*kept, strict=True))[:3])
    ways = [fill for *_, fill in kept]
    start, clip = beam.start[parent], beam.clip[parent]
    start[:, kind] = [fill.last_start for fill in ways]
    clip[:, kind] = [fill.courses[-1].clip for fill in ways]
    out = np.array([fill.out for fill in ways], np.intp)
    return Beam(price[chosen], out, moved, start, clip, parent, [fill.courses for fill in ways])


def _cuts(
    pieces: Sequence[Piece], courses: Sequence[Sequence[Course]], clips: Sequence[Source], dissolve_frames: int
) -> tuple[Cut, ...]:
    cuts: list[Cut] = []
    edge = 0
    for piece, chosen in zip(pieces, courses, strict=True):
        for course in chosen:
            place = FrameRange(edge, edge + course.length)
            cut = Cut(place, clips[course.clip].name, course.first, course.span, piece.spoken, course.phase)
            if cuts:
                cut = replace(cut, dissolve=longest_dissolve(cuts[-1], cut, dissolve_frames))
            cuts.append(cut)
            edge = place.stop
    return tuple(cuts)


def longest_dissolve(before: Cut, cut: Cut, most: int) -> int:
    """Frames, 0 .. most, over which `cut` can dissolve in: within the cut, and without either clip turning meanwhile,
    so that edit decision lists can say it. None where the cut goes on with what stood before."""
    start = cut.place.start
    if before.clip == cut.clip and abs(before.last_frame - cut.first_frame) <= 1:
        return 0
    frames = min(most, len(cut.place))
    for side in (before, cut):
        shown = [side.going_on(start + away) for away in range(frames)]
        steps = [b - a for a, b in pairwise(shown)]
        frames = min(frames, 1 + next((i for i, step in enumerate(steps) if step != steps[0]), len(steps)))
    return frames if most else 0


def join_mismatches(edits: EditList, clips: Sequence[Source], mismatch: Mismatch) -> list[float]:
    """How much each join of the list shows, in order: one fewer than cuts. clips: as the mismatch was made for."""
    first = dict(zip((clip.name for clip in clips), offsets([clip.frames for clip in clips]).tolist(), strict=False))
    out = np.array([first[cut.clip] + cut.last_frame for cut in edits.cuts[:-1]], np.intp)
    into = np.array([first[cut.clip] + cut.first_frame for cut in edits.cuts[1:]], np.intp)
    return [float(price) for price in mismatch(out, into)]
