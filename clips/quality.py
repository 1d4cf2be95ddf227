"""How a video is encoded: named qualities, declared once."""

from __future__ import annotations

from dataclasses import dataclass

from clips.errors import ClipError


@dataclass(frozen=True)
class Quality:
    """crf: x264's constant rate factor, 0 is lossless. preset: x264's name for how long it searches."""

    crf: int
    preset: str
    help: str


# Sizes of LS1's video of the sample, 640 x 640 px: 1.5, 2.0, 4.1 and 12.1 MB (`python -m clips.benchmark`).
QUALITIES = {
    "draft": Quality(26, "ultrafast", "soft, to look at the timing"),
    "standard": Quality(16, "veryfast", "no difference to be seen"),
    "high": Quality(10, "medium", "for further editing, twice the size"),
    "lossless": Quality(0, "veryfast", "each pixel as it was encoded, six times the size; browsers do not play it"),
}
STANDARD = "standard"


def quality_named(name: str) -> Quality:
    """ClipError for a name that does not exist, with those that do."""
    if name not in QUALITIES:
        raise ClipError(f"quality {name!r} does not exist; there are: {', '.join(QUALITIES)}")
    return QUALITIES[name]
