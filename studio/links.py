"""Settings in the page's address: what a copied link holds, and the check of one that comes in."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import parse_qsl, urlencode

from blending import BlendSettings
from clips.core_clips_processor import MAX_SOUND_S
from clips.presets import change_settings
from clips.timeline import FPS

MAX_LINK = 4000
MAX_FRAME = int(MAX_SOUND_S * FPS)
"""Frames of the longest sound."""


@dataclass(frozen=True)
class LinkState:
    """What a link restores; None where it says nothing."""

    settings: BlendSettings
    model: str | None = None
    base: str | None = None
    frame: int | None = None


def link_query(
    settings: BlendSettings, model: str | None = None, base: str | None = None, frame: int | None = None
) -> str:
    """The query of a link, without "?": what differs from the defaults, then model, base and frame where given."""
    default = BlendSettings().model_dump()
    pairs = {name: value for name, value in settings.model_dump().items() if value != default[name]}
    shown = {name: f"{value:.10g}" if isinstance(value, float) else value for name, value in pairs.items()}
    place = {"model": model, "base": base, "frame": None if frame is None else str(frame)}
    return urlencode(shown | {name: value for name, value in place.items() if value is not None})


def read_link(query: str) -> LinkState:
    """State from a query; ValueError names the key that is unknown, twice there, or of a value that does not fit.

    Whether model, base and frame exist is for who opens them to say. Keys that begin with two underscores are Gradio's.
    """
    if not isinstance(query, str):
        raise ValueError(f"a link must be text; got {type(query).__name__}")
    if len(query) > MAX_LINK:
        raise ValueError(f"a link may have {MAX_LINK} characters; got {len(query)}: copy it again")
    try:
        pairs = parse_qsl(query.removeprefix("?"), keep_blank_values=True, max_num_fields=64, errors="strict")
    except ValueError as e:
        raise ValueError("the link cannot be read; copy it again") from e
    found: dict[str, str] = {}
    for key, value in pairs:
        if key.startswith("__"):
            continue
        if key in found:
            raise ValueError(f"{key[:60]} stands twice in the link; leave one out")
        found[key] = value
    place = {key: found.pop(key, None) for key in ("model", "base", "frame")}
    for key in ("model", "base"):
        name = place[key]
        if name is not None and not 0 < len(name) <= 200:
            raise ValueError(f"{key} must be a name of at most 200 characters; got {len(name)} in the link")
    settings = change_settings(BlendSettings(), [f"{key}={value}" for key, value in found.items()])
    return LinkState(settings, place["model"], place["base"], _frame(place["frame"]))


def _frame(text: str | None) -> int | None:
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and len(text) <= 6 and int(text) < MAX_FRAME):
        raise ValueError(f"frame must be a whole number from 0 to {MAX_FRAME - 1}; got {text[:40]!r} in the link")
    return int(text)
