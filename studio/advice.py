"""What would lower a frame's seam score: neighbouring settings, each measured on that frame."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from blending import BlendSettings, seam_score
from clips.core_clips_processor import CoreClipsProcessor, Shot
from studio.sessions import Session

STEPS = {"feather_amount": 10.0, "expansion_ratio": 0.05}
"""How far to either side a slider is tried: a step a person sees."""
CHOICES = {"compositor": "alpha", "colour": "membrane", "registration": "on", "adapt": "on"}
"""What is tried where another choice stands."""
WORTH = 0.95
"""An advice must bring the score to this share of the present one, or lower."""


class AdviceRequest(BaseModel):
    """Asks what would do better in a frame."""

    model_config = ConfigDict(extra="forbid", strict=True)
    token: str = Field(max_length=64)
    frame: int
    settings: dict[str, Any]


@dataclass(frozen=True)
class Advice:
    """The best of the neighbours: setting, its value and the score it gives; name None where none is worth it.

    score: of the settings as they are; None where nothing is generated.
    """

    score: float | None
    name: str | None = None
    value: float | str | None = None
    better: float | None = None

    def describe(self) -> dict[str, object]:
        """As JSON values for the page, with the setting's label."""
        labels = {control.name: control.label for control in BlendSettings.controls()}
        return {
            "score": None if self.score is None else round(self.score, 3),
            "name": self.name,
            "label": labels.get(self.name or "", ""),
            "value": self.value,
            "better": None if self.better is None else round(self.better, 3),
        }


def neighbours(settings: BlendSettings) -> Iterator[tuple[str, float | str]]:
    """Single changes of the settings, within their ranges: the sliders a step to either side, the choices to what
    suits most clips."""
    controls = {control.name: control for control in BlendSettings.controls()}
    for name, step in STEPS.items():
        low, high, now = controls[name].minimum, controls[name].maximum, getattr(settings, name)
        assert low is not None
        assert high is not None
        moved = {round(min(max(now + by, low), high), 4) for by in (-step, step)}
        yield from ((name, value) for value in sorted(moved) if value != now)
    yield from ((name, value) for name, value in CHOICES.items() if getattr(settings, name) != value)


def advise(session: Session, frame: int, settings: BlendSettings) -> Advice:
    """Measure the neighbours of the settings on an output frame. ValueError for a frame outside."""
    frames = session.performance.frames
    if not 0 <= frame < frames:
        raise ValueError(f"frame must lie in 0 .. {frames - 1}; got {frame}")
    processor = session.processor
    shot = processor.shot(session.performance, frame)
    if shot.generated is None:
        return Advice(None)
    now = _score(processor, shot, settings)
    tried = [
        Advice(now, name, value, _score(processor, shot, settings.model_copy(update={name: value})))
        for name, value in neighbours(settings)
    ]
    best = min(tried, key=lambda one: one.better or 0.0)
    return best if best.better is not None and best.better <= WORTH * now else Advice(now)


def _score(processor: CoreClipsProcessor, shot: Shot, settings: BlendSettings) -> float:
    result = processor.blend_shot(shot, settings)
    return seam_score(shot.plate, result.frame, result.generated_matched, shot.box, shot.landmarks).score
