"""The recipe of a video: all that its frames come from, kept in its metadata and read back as data.

It stands in the standard tag `synopsis` (the long description, which a copy of the video keeps) beside `comment`
"AI-generated". The seam scores are known only at the end: their place is kept free in the header and filled in before
the file gets its name, which costs no second pass over it.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from blending import BlendSettings
from clips import VERSION
from clips.edit_files import MOST_DISSOLVED
from clips.edit_list import Cut, EditList
from clips.edit_settings import EditSettings
from clips.errors import ClipError
from clips.ffmpeg import ffmpeg_version
from clips.library import file_sha256
from clips.metadata import read_metadata
from clips.quality import QUALITIES
from clips.timeline import FrameRange

if TYPE_CHECKING:
    from clips.core_clips_processor import CoreClipsProcessor, Performance

AI_GENERATED = "AI-generated"
RECIPE_TAG = "synopsis"
FORMAT = 1
SEAM_PLACEHOLDER = '"' + "seam scores stand here when the last frame is written".ljust(94, ".") + '"'
PACKAGES = ("torch", "openvino", "opencv-contrib-python", "numpy")

Name = Annotated[str, StringConstraints(min_length=1, max_length=255, pattern=r"^[^/\x00]+$")]
"""Of a file, clip or model: only ever compared, never made a path."""
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Text = Annotated[str, StringConstraints(max_length=400)]
Frames = Annotated[int, Field(ge=0, le=10_000_000)]


class Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Sound(Part):
    """file, sha256: of the file it came in, where there was one; samples_sha256: of what was heard, as float32 at
    16 kHz."""

    file: Name | None
    sha256: Sha256 | None
    samples: Frames
    samples_sha256: Sha256


class Model(Part):
    """sha256: of its files, "unet" and "encoder". features_sha256: of features that came from a file of their own."""

    name: Name
    sha256: dict[Annotated[str, StringConstraints(pattern="^(unet|encoder)$")], Sha256]
    features_sha256: Sha256 | None = None
    runtime: Annotated[str, StringConstraints(pattern="^[a-z]{1,20}$")]
    about: Text


class Clip(Part):
    """landmarks_sha256: of their file, None for .lms files, which count as content. parsing: whether it has masks."""

    name: Name
    sha256: Sha256
    landmarks_sha256: Sha256 | None
    parsing: bool


class Seam(Part):
    """Seam score over the driven frames that were measured, and where it was worst; None without any."""

    mean: float | None
    worst: float | None
    worst_frame: Frames | None


class Recipe(Part):
    """clips: those that are shown. cuts: a row for each, see `cuts_to_rows`. frames: of the whole
    sound. part: the first of them that the video has and the one after the last, None for all."""

    made_by: Literal["Seamline"] = "Seamline"
    format: Literal[1] = 1
    sound: Sound
    model: Model
    base: Name
    editing: dict[str, str | float | int]
    settings: dict[str, str | float | int]
    quality: Literal[tuple(QUALITIES)]  # type: ignore[valid-type]
    seam: Seam | None = None
    clips: list[Clip] = Field(min_length=1, max_length=10_000)
    frames: Frames
    ramp_frames: Annotated[int, Field(ge=0, le=12)]
    part: Annotated[list[Frames], Field(min_length=2, max_length=2)] | None = None
    cuts: list[list[int]] = Field(min_length=1, max_length=200_000)
    versions: dict[Name, Text]


def recipe_of(
    processor: CoreClipsProcessor,
    performance: Performance,
    settings: BlendSettings,
    quality: str,
    frames: FrameRange | None = None,
) -> Recipe:
    """What a render of this performance comes from, but for its seam scores."""
    names = list(dict.fromkeys(cut.clip for cut in performance.edits.cuts))
    part = None if frames is None or len(frames) == performance.frames else [frames.start, frames.stop]
    wav, model = performance.wav, processor.model
    return Recipe(
        sound=Sound(
            file=performance.sound_file and plain_name(performance.sound_file), sha256=performance.sound_sha256,
            samples=len(wav), samples_sha256=array_sha256(wav),
        ),
        model=Model(
            name=processor.model_name, sha256=model.sha256, runtime=model.runtime.name, about=model.runtime.about,
            features_sha256=None if model.mode == "ave" else array_sha256(np.asarray(performance.features)),
        ),
        base=plain_name(performance.base), editing=processor.editing.model_dump(), settings=settings.model_dump(),
        quality=quality,
        clips=[_clip(processor, name) for name in names],
        frames=performance.frames, part=part, ramp_frames=performance.edits.ramp_frames,
        cuts=cuts_to_rows(performance.edits, names), versions=versions(),
    )  # fmt: skip


def _clip(processor: CoreClipsProcessor, name: str) -> Clip:
    clip = processor.clip(name)
    parsing = processor.parsing_of(name)[0] is not None
    landmarks = file_sha256(clip.landmarks_path) if clip.landmarks_path.is_file() else None
    return Clip(name=plain_name(name), sha256=clip.sha256, landmarks_sha256=landmarks, parsing=parsing)


def array_sha256(values: NDArray[np.float32]) -> str:
    """Of the numbers as little-endian float32."""
    return hashlib.sha256(np.ascontiguousarray(values, "<f4").data).hexdigest()


@lru_cache(maxsize=1)
def versions() -> dict[str, str]:
    """What took part, by name."""
    return {
        "seamline": VERSION,
        "python": platform.python_version(),
        **{name: _version(name) for name in PACKAGES},
        "ffmpeg": ffmpeg_version(),
        "machine": platform.machine(),
    }


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "not there"


def plain_name(name: str) -> str:
    """A file's name as text that can be written down, whatever bytes it holds."""
    return os.fsencode(name).decode("utf-8", "replace")[:255]


# Edit lists as rows


def cuts_to_rows(edits: EditList, clips: Sequence[str]) -> list[list[int]]:
    """One row per cut: frames it lasts, number of its clip in `clips`, first clip frame, span, 1 where driven, phase,
    frames of its dissolve."""
    return [
        [len(cut.place), clips.index(cut.clip), cut.first, cut.span, int(cut.driven), cut.phase, cut.dissolve]
        for cut in edits.cuts
    ]


def rows_to_edits(rows: Sequence[Sequence[int]], clips: Sequence[str], ramp_frames: int) -> EditList:
    """The inverse of `cuts_to_rows`; ValueError for rows that are none."""
    cuts, edge = [], 0
    for row in rows:
        if len(row) != 7 or not _is_cut(*row, clips=len(clips), before=edge):
            raise ValueError(f"a cut must be [frames, clip, first, span, driven, phase, dissolve]; got {list(row)[:9]}")
        length, clip, first, span, driven, phase, dissolve = row
        cuts.append(Cut(FrameRange(edge, edge + length), clips[clip], first, span, driven == 1, phase, dissolve))
        edge += length
    return EditList(tuple(cuts), ramp_frames)


def _is_cut(
    length: int, clip: int, first: int, span: int, driven: int, phase: int, dissolve: int, *, clips: int, before: int
) -> bool:
    return (
        length > 0 <= clip < clips and first >= 0 < span and driven in (0, 1)
        and 0 <= phase <= max(0, 2 * span - 3) and 0 <= dissolve <= (min(length, MOST_DISSOLVED) if before else 0)
    )  # fmt: skip


# In the file


def recipe_tags(recipe: Recipe) -> dict[str, str]:
    """Tags for the video, with SEAM_PLACEHOLDER where `seam_text` is to stand."""
    text = json.dumps(recipe.model_dump() | {"seam": None}, separators=(",", ":"))
    return {"comment": AI_GENERATED, RECIPE_TAG: text.replace('"seam":null', f'"seam":{SEAM_PLACEHOLDER}', 1)}


def seam_text(seam: Seam) -> str:
    """The scores as JSON, as long as their placeholder."""
    rounded = {k: round(v, 4) if isinstance(v, float) else v for k, v in seam.model_dump().items()}
    return json.dumps(rounded).ljust(len(SEAM_PLACEHOLDER))


def read_recipe(path: Path | str) -> Recipe:
    """The recipe of a video that `render` made. Nothing in it is taken for true: names are looked up, never opened.

    ClipError: no video, without a recipe, or with one that cannot be.
    """
    path = Path(path)
    text = read_metadata(path).get(RECIPE_TAG, "")
    if '"made_by":"Seamline"' not in text:
        raise ClipError(
            f"expected a video that Seamline rendered; {path.name} carries no recipe; choose the original file"
        )
    try:
        content = json.loads(text)
        if content.get("format") != FORMAT:
            raise ClipError(
                f"expected a recipe of format {FORMAT}; {path.name} has {str(content.get('format'))[:20]}; "
                "use the version of Seamline that made it"
            )
        recipe = Recipe.model_validate(content)
        edits_of(recipe)
        settings_of(recipe)
        editing_of(recipe)
    except (ValidationError, ValueError, AttributeError, RecursionError) as error:
        raise ClipError(
            f"expected a recipe; that of {path.name} is damaged ({_first_mistake(error)}); choose the original file"
        ) from error
    return recipe


def _first_mistake(error: Exception) -> str:
    if isinstance(error, ValidationError):
        first = error.errors()[0]
        return f"{'.'.join(map(str, first['loc']))}: {first['msg']}"[:200]
    return re.sub(r"\s+", " ", str(error))[:200]


def edits_of(recipe: Recipe) -> EditList:
    """The recipe's cuts; ValueError when they do not cover its frames."""
    edits = rows_to_edits(recipe.cuts, [clip.name for clip in recipe.clips], recipe.ramp_frames)
    if edits.frames != recipe.frames:
        raise ValueError(f"cuts must cover {recipe.frames} frames; got {edits.frames}")
    if recipe.part is not None and not recipe.part[0] < recipe.part[1] <= recipe.frames:
        raise ValueError(f"part must lie in 0 .. {recipe.frames}; got {recipe.part}")
    return edits


def editing_of(recipe: Recipe) -> EditSettings:
    """ValueError for settings of editing that do not exist."""
    return EditSettings.parse(recipe.editing)


def settings_of(recipe: Recipe) -> BlendSettings:
    """ValueError for settings that do not exist."""
    return BlendSettings.parse(recipe.settings)


def made_from(recipe: Recipe) -> dict[str, Any]:
    """The recipe without what is measured: two that are equal in this give the same frames."""
    return recipe.model_dump(exclude={"seam"})


def differences(then: Recipe, now: Recipe) -> Iterator[str]:
    """In words, what is another one now: of what may change frames."""
    if then.model.sha256 != now.model.sha256:
        yield f"the model {now.model.name} has other weights"
    if then.model.about != now.model.about:
        yield f"the network runs in {now.model.about}, not in {then.model.about}"
    clips = {clip.name: clip for clip in now.clips}
    for clip in then.clips:
        if clip.name in clips and clip != clips[clip.name]:
            what = "content" if clip.sha256 != clips[clip.name].sha256 else "landmarks or parsing masks"
            yield f"the clip {clip.name} has other {what}"
    for name, version in then.versions.items():
        if now.versions.get(name) != version:
            yield f"{name} is {now.versions.get(name, 'not there')}, it was {version}"
