"""What `probe` found out about a video, and where it was last, kept in a file named by its content: a long video is not
decoded again only to be described, and is found again by its hash."""

from __future__ import annotations

import json
import os
from dataclasses import fields
from fractions import Fraction
from pathlib import Path

from clips.ffmpeg import atomic_file
from clips.video import VideoInfo

FORMAT = 2
_KEPT = {field.name for field in fields(VideoInfo)} - {"path", "pictures"}


def save_info(info: VideoInfo, file: Path) -> None:
    """Write what is known of a video file, and its place, as JSON. The times of a regular one follow from its rate.
    ClipError when the file cannot be written."""
    facts = {name: getattr(info, name) for name in _KEPT}
    times = () if info.regular else info.times_s
    facts |= {"format": FORMAT, "fps": str(info.fps), "times_s": [str(time) for time in times]}
    facts["place"] = os.path.abspath(info.path)
    with atomic_file(file) as partial:
        partial.write_text(json.dumps(facts), encoding="utf-8")


def load_info(file: Path, path: Path) -> VideoInfo | None:
    """What `save_info` wrote, for the video now at `path`; None when it is missing, damaged or of another version: it
    is found out anew then."""
    try:
        facts = json.loads(file.read_text(encoding="utf-8"))
        facts.pop("place")
        if facts.pop("format") != FORMAT or set(facts) != _KEPT:
            return None
        fps, frames = Fraction(facts.pop("fps")), int(facts["frames"])
        times = tuple(map(Fraction, facts.pop("times_s"))) or tuple(k / fps for k in range(frames + 1))
        for name in ("damaged", "notes"):
            facts[name] = tuple(facts[name])
        return VideoInfo(path=path, fps=fps, times_s=times, **facts) if len(times) == frames + 1 else None
    except (OSError, ValueError, KeyError, TypeError, AttributeError, ZeroDivisionError):
        return None


def last_place(file: Path) -> Path | None:
    """Where the video was that `save_info` wrote about; None when that is not known."""
    try:
        place = json.loads(file.read_text(encoding="utf-8"))["place"]
        return Path(place) if isinstance(place, str) and "\0" not in place else None
    except (OSError, ValueError, KeyError, TypeError):
        return None
