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


# Size and CPU time of LS1's 640 x 640 px: `python -m clips.benchmark`.
QUALITIES = {
    "draft": Quality(26, "ultrafast", "to look at the timing; soft, half of the time to encode"),
    "standard": Quality(16, "veryfast", "no difference to be seen"),
    "high": Quality(10, "medium", "for further editing; three times as long to encode"),
    "lossless": Quality(0, "veryfast", "each pixel as it was encoded; very large, and browsers do not play it"),
}
STANDARD = "standard"


def quality_named(name: str) -> Quality:
    """ClipError for a name that does not exist, with those that do."""
    if name not in QUALITIES:
        raise ClipError(f"quality {name!r} does not exist; there are: {', '.join(QUALITIES)}")
    return QUALITIES[name]
