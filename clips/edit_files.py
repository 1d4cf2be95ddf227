"""Edit lists as JSON: what was cut can be looked at, changed by hand and rendered again."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from clips.edit_list import Cut, EditList
from clips.errors import ClipError
from clips.ffmpeg import atomic_file, check_source
from clips.timeline import FPS, FrameRange, counted

FORMAT = 1
MOST_DISSOLVED = 6
MOST_BYTES = 64 << 20

_STRICT = ConfigDict(extra="forbid", strict=True)


class _CutEntry(BaseModel):
    model_config = _STRICT
    start: int = Field(ge=0)
    stop: int = Field(ge=1)
    clip: Annotated[str, StringConstraints(min_length=1, max_length=255)]
    first: int = Field(ge=0)
    span: int = Field(ge=1)
    phase: int = Field(0, ge=0)
    driven: bool
    dissolve: int = Field(0, ge=0, le=MOST_DISSOLVED)


class _ListEntry(BaseModel):
    model_config = _STRICT
    format: Literal[1]
    fps: Literal[25]
    frames: int = Field(ge=1)
    ramp_frames: int = Field(ge=0, le=12)
    cuts: list[_CutEntry] = Field(min_length=1)


def edits_as_text(edits: EditList) -> str:
    """The list as JSON, a cut a line. start, stop: output frames, the first one and the one after the last."""
    cuts = [
        {
            "start": cut.place.start, "stop": cut.place.stop, "clip": cut.clip, "first": cut.first, "span": cut.span,
            "phase": cut.phase, "driven": cut.driven, "dissolve": cut.dissolve,
        }
        for cut in edits.cuts
    ]  # fmt: skip
    head = {"format": FORMAT, "fps": int(FPS), "frames": edits.frames, "ramp_frames": edits.ramp_frames}
    rows = ",\n".join("    " + json.dumps(cut, ensure_ascii=False) for cut in cuts)
    return json.dumps(head)[:-1] + f', "cuts": [\n{rows}\n]}}\n'


def save_edits(edits: EditList, path: Path | str) -> None:
    """Write the list as JSON; complete or not at all."""
    with atomic_file(path) as partial:
        partial.write_text(edits_as_text(edits), encoding="utf-8")


def load_edits(path: Path | str) -> EditList:
    """Read what `save_edits` wrote. ClipError names the key that does not fit, as in cuts[3].span."""
    path = check_source(path, "edit list")
    if path.stat().st_size > MOST_BYTES:
        raise ClipError(f"expected an edit list of at most {MOST_BYTES >> 20} MB; {path.name} is larger")
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))  # editors on Windows write a mark
    except (OSError, ValueError, RecursionError) as e:
        raise ClipError(f"expected an edit list in JSON; {path.name} cannot be read as such ({e})") from e
    return parse_edits(content, path.name)


def parse_edits(content: Any, name: str = "the edit list") -> EditList:
    """An edit list from JSON values; ClipError as `load_edits`."""
    try:
        entry = _ListEntry.model_validate(content)
    except ValidationError as e:
        first = e.errors()[0]
        raise ClipError(
            f"{name}: {_key(first['loc'])}: {first['msg'].lower()}; got {_shown(first['input'])}; "
            "mend it there, or write the list again with `python -m clips edit`"
        ) from e
    edge = 0
    for number, cut in enumerate(entry.cuts):
        key = f"{name}: cuts[{number}]"
        if cut.start != edge:
            raise ClipError(f"{key}.start must be {edge}, where the cut before it stops; got {cut.start}")
        if cut.stop <= cut.start:
            raise ClipError(f"{key}.stop must be above its start, {cut.start}; got {cut.stop}")
        if cut.phase > max(0, 2 * cut.span - 3):
            raise ClipError(f"{key}.phase must be 0 .. {max(0, 2 * cut.span - 3)} for its span; got {cut.phase}")
        if cut.dissolve > (cut.stop - cut.start if number else 0):
            most = cut.stop - cut.start if number else 0
            raise ClipError(
                f"{key}.dissolve must be at most {most}, the cut's frames and none at first; got {cut.dissolve}"
            )
        edge = cut.stop
    if edge != entry.frames:
        raise ClipError(f"{name}: frames must be {edge}, where the last cut stops; got {entry.frames}")
    cuts = (
        Cut(FrameRange(cut.start, cut.stop), cut.clip, cut.first, cut.span, cut.driven, cut.phase, cut.dissolve)
        for cut in entry.cuts
    )
    return EditList(tuple(cuts), entry.ramp_frames)


def check_edits(edits: EditList, clip_frames: Mapping[str, int], frames: int) -> None:
    """ClipError unless the list covers a sound of `frames` frames with frames that the clips have.

    clip_frames: number of frames of every clip there is, by name.
    """
    for number, cut in enumerate(edits.cuts):
        if cut.clip not in clip_frames:
            known = ", ".join(map(repr, clip_frames))
            raise ClipError(
                f"the edit list's cuts[{number}].clip is {cut.clip!r}, which does not exist; there are: {known}"
            )
        there = clip_frames[cut.clip]
        if cut.first + cut.span > there:
            raise ClipError(
                f"the edit list's cuts[{number}].span shows frames {cut.first} .. {cut.first + cut.span - 1} of "
                f"{cut.clip!r}, which has {there}; lower its first or span"
            )
    if edits.frames != frames:
        raise ClipError(
            f"the edit list must cover the sound's {counted(frames, 'frame')}; it has {edits.frames}; "
            "it was made for another sound: write it again with `python -m clips edit`"
        )


def _key(place: tuple[int | str, ...]) -> str:
    """A place in the JSON in words: ("cuts", 3, "span") is cuts[3].span."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in place)
    return text.lstrip(".") or "the whole"


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
