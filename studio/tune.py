"""Auto-tune: the best tight, balanced and soft settings for the frames where the present ones show their seam most.

A look is a range of expansion and feather, as the guideline for the two sliders has it:

=========  ============  =========  ==========================================================
look       expansion     feather    what it means
=========  ============  =========  ==========================================================
tight      1.00 .. 1.10  10 .. 20   little of the plate is replaced, and the edge is short
balanced   1.12 .. 1.18  20 .. 30   around the defaults
soft       1.20 .. 1.30  30 .. 50   the matte reaches further, and runs out slowly
=========  ============  =========  ==========================================================

In each range nine settings are tried on the worst frames, everything else as it is set; the candidate of a look is the
one with the lowest mean seam score among those that keep the mouth: fidelity of at least `MOUTH_FLOOR` in every one of
these frames. Without that floor the blend with the least seam would be the one that shows the plate.
"""

from __future__ import annotations

import time
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import NamedTuple

from blending import BlendSettings, seam_score
from blending.metrics import MOUTH_FLOOR, mouth_fidelity
from clips.core_clips_processor import Shot
from clips.errors import ClipError
from clips.timeline import FPS
from studio.sessions import Session
from studio.sweep import jaw, lossless, place_of
from studio.timeline import ScanRequest, SeamScans
from studio.turns import Step

TUNED = ("expansion_ratio", "feather_amount")
WORST_FRAMES = 4
APART = 5
"""Frames closer than this to a worse one show the same seam."""
LOOP_FRAMES = 30
SCAN_S = 15.0
"""So long the scan of all frames is waited for, once it runs; it goes from coarse to fine."""
MAX_SECONDS = 120.0
"""Of LS1 the whole takes about 5 s after the scan, of the slowest method at 1080 x 1920 minutes: that one is told."""
PATIENCE_S = 300.0
LOOK_AGAIN_S = 0.1


class TuneRequest(ScanRequest):
    """Asks for candidates in place of these settings."""


class Look(NamedTuple):
    """A range of both settings: every expansion is tried with every feather."""

    name: str
    expansions: tuple[float, ...]
    feathers: tuple[float, ...]

    def settings(self, base: BlendSettings) -> list[BlendSettings]:
        pairs = product(self.expansions, self.feathers)
        return [base.model_copy(update=dict(zip(TUNED, pair, strict=True))) for pair in pairs]


LOOKS = (
    Look("tight", (1.0, 1.05, 1.1), (10.0, 15.0, 20.0)),
    Look("balanced", (1.12, 1.15, 1.18), (20.0, 25.0, 30.0)),
    Look("soft", (1.2, 1.25, 1.3), (30.0, 40.0, 50.0)),
)


@dataclass(frozen=True)
class Measured:
    """One setting over the worst frames: mean and largest seam score, least fidelity of the mouth (a correlation)."""

    settings: BlendSettings
    seam: float
    worst: float
    mouth: float

    def describe(self, name: str) -> Step:
        values = {one: getattr(self.settings, one) for one in TUNED}
        return {
            "name": name, "values": values, "seam": round(self.seam, 3), "worst": round(self.worst, 3),
            "mouth": round(self.mouth, 3),
        }  # fmt: skip


def worst_frames(scores: Mapping[int, float]) -> list[int]:
    """The frames with the highest seam scores, at most WORST_FRAMES, the worst first, none closer than APART to a
    worse one."""
    found: list[int] = []
    for frame in sorted(scores, key=lambda one: (-scores[one], one)):
        if all(abs(frame - other) >= APART for other in found):
            found.append(frame)
        if len(found) == WORST_FRAMES:
            break
    return found


def best_of(tried: Iterable[Measured]) -> Measured | None:
    """The one with the lowest mean seam among those that keep the mouth; None where none does."""
    return min((one for one in tried if one.mouth >= MOUTH_FLOOR), key=lambda one: one.seam, default=None)


def tune_steps(
    session: Session, settings: BlendSettings, scans: SeamScans, *, max_seconds: float = MAX_SECONDS
) -> Generator[Step, None, None]:
    """How far it is, then the candidates, then their loops, as JSON values:

    {"doing", "done", "total"} or {"waiting": why}, repeated: what runs, and what is more urgent and runs first;
    {"frames": the worst frames, "present": .., "candidates": [..], "missing": {look: best fidelity}, "floor",
    "measured": frames the worst were chosen from, "of": blended frames};
    {"loop": its first frame, "frames", "fps", "place"}, then for each of its frames {"index", "pictures": {name: PNG in
    base64}}: what jaw and neck look like in motion under each candidate, lossless, and under the present settings.

    A loop ends where its cut does. Previews and renders go first: between two blends it waits for them. ValueError for
    what cannot be tuned, and when it takes longer than max_seconds.
    """
    if settings.compositor == "hard":
        raise ValueError(
            "method hard pastes the whole square: nothing is to be tuned; choose alpha, poisson, multiband"
        )
    polite = _Polite(scans, max_seconds)
    scores, driven = yield from _scores(session, settings, scans, polite)
    with scans.resting():
        yield from _candidates(session, settings, scores, driven, polite)


def _candidates(
    session: Session, settings: BlendSettings, scores: Mapping[int, float], driven: int, polite: _Polite
) -> Iterator[Step]:
    frames = worst_frames(scores)
    shots = [session.processor.shot(session.performance, frame) for frame in frames]
    polite.begin()
    total = 1 + sum(len(look.expansions) * len(look.feathers) for look in LOOKS)
    tried: dict[str, list[Measured]] = {}
    done = 0
    for name, wanted in [("present", [settings]), *((look.name, look.settings(settings)) for look in LOOKS)]:
        for one in wanted:
            yield {"doing": "settings tried on the worst frames", "done": done, "total": total}
            tried.setdefault(name, []).append((yield from _measured(session, shots, one, polite)))
            done += 1
    found = {look.name: best_of(tried[look.name]) for look in LOOKS}
    chosen = {"present": tried["present"][0]} | {name: one for name, one in found.items() if one is not None}
    yield {
        "frames": frames, "measured": len(scores), "of": driven, "floor": MOUTH_FLOOR,
        "present": chosen["present"].describe("present"),
        "candidates": [one.describe(name) for name, one in chosen.items() if name != "present"],
        "missing": {name: round(max(m.mouth for m in tried[name]), 3) for name, one in found.items() if one is None},
    }  # fmt: skip
    yield from _loop(session, shots[0], {name: one.settings for name, one in chosen.items()}, polite)


class _Polite:
    """Lets what is more urgent go first, within limits: seconds of its own work, and of waiting."""

    def __init__(self, scans: SeamScans, max_seconds: float) -> None:
        self._scans, self._max_seconds = scans, max_seconds
        self._waited_s = 0.0
        self.begin()

    def begin(self) -> None:
        """From now on the work counts."""
        self._started, self._before = time.monotonic(), self._waited_s

    def pause(self) -> Iterator[Step]:
        """{"waiting": why} while something more urgent runs."""
        while why := self._scans.held_by():
            if self._waited_s > PATIENCE_S:
                raise ClipError(f"it waited {PATIENCE_S / 60:g} minutes while {why}; ask again later")
            yield {"waiting": why}
            time.sleep(LOOK_AGAIN_S)
            self._waited_s += LOOK_AGAIN_S
        if self.worked_s() > self._max_seconds:
            raise ValueError(f"it took longer than {self._max_seconds:g} s; choose method alpha, which is the fastest")

    def worked_s(self) -> float:
        """Seconds since `begin`, without those of waiting."""
        return time.monotonic() - self._started - (self._waited_s - self._before)


def _scores(
    session: Session, settings: BlendSettings, scans: SeamScans, polite: _Polite
) -> Generator[Step, None, tuple[dict[int, float], int]]:
    """Seam scores of the frames under the present settings, as the timeline has them, and how many are blended. All of
    them, or in a long sound those that the scan has within SCAN_S."""
    driven = sum(len(cut.place) for cut in session.performance.edits.cuts if cut.driven)
    while True:
        told = scans.ask(session, settings)
        scores: dict[int, float] = told["scores"]  # type: ignore[assignment]
        if told["error"]:
            raise ClipError(str(told["error"]))
        if told["done"] or (scores and polite.worked_s() > SCAN_S):
            break
        yield {"doing": "frames measured to find the worst", "done": len(scores), "total": driven}
        yield from polite.pause()
        time.sleep(LOOK_AGAIN_S)
    if not scores:
        raise ValueError("no frame of this sound is blended; choose a sound with speech")
    return scores, driven


def _measured(
    session: Session, shots: Sequence[Shot], settings: BlendSettings, polite: _Polite
) -> Generator[Step, None, Measured]:
    """The mouth is looked for where the plate has it: the square lies on the plate's landmarks."""
    seams: list[float] = []
    mouths: list[float] = []
    for shot in shots:
        yield from polite.pause()
        result = session.processor.blend_shot(shot, settings)
        seams.append(seam_score(shot.plate, result.frame, result.generated_matched, shot.box, shot.landmarks).score)
        mouths.append(mouth_fidelity(result.frame, result.generated_matched, shot.box, shot.landmarks).correlation)
    return Measured(settings, sum(seams) / len(seams), max(seams), min(mouths))


def _loop(
    session: Session, worst: Shot, chosen: Mapping[str, BlendSettings], polite: _Polite
) -> Generator[Step, None, None]:
    """Frames around the worst one, within its cut; the part shown stands still."""
    place = worst.cut.place
    count = min(LOOP_FRAMES, len(place))
    first = min(max(worst.index - count // 2, place.start), place.stop - count)
    rows, columns = jaw(worst)
    yield {"loop": first, "frames": count, "fps": float(FPS), "place": place_of(rows, columns)}
    for index in range(count):
        yield from polite.pause()
        shot = session.processor.shot(session.performance, first + index)
        pictures = {
            name: lossless(session.processor.blend_shot(shot, settings).frame[rows, columns])
            for name, settings in chosen.items()
        }
        yield {"index": index, "pictures": pictures}
