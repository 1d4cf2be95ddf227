"""The recipe of a video that a person gives the page: read from its head, and what of it can be had here, in words."""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from fastapi import APIRouter, Request
from starlette.concurrency import run_in_threadpool

from blending import BlendSettings
from clips import VERSION
from clips.core_clips_processor import AUTOMATIC
from clips.edit_settings import EditSettings
from clips.errors import ClipError
from clips.ffmpeg import input_url
from clips.library import ClipLibrary, file_sha256
from clips.metadata import read_metadata
from clips.recipe import RECIPE_TAG, Recipe, array_sha256, editing_of, read_recipe, settings_of
from clips.timeline import FPS
from models.errors import ModelError
from studio.access import person_of
from studio.bases import is_own_video
from studio.cache import cache_folder
from studio.sessions import Session, Sessions
from studio.upload_body import receive_body, remove_body
from studio.uploaded_video import shown_name

MAX_HEAD_BYTES = 16 * 2**20
"""Of a video's head, which is all the page sends: that of an hour takes 3 MB."""
LOOPS_S = (1, 2, 3)
"""Lengths of the page's loop."""


@dataclass(frozen=True)
class Restored:
    """What the page puts back; None stays as it is there. frame, loop_s: where the video shows a part of the sound.

    what: names of the things put back. missing: sentences on what is not as it was.
    """

    settings: BlendSettings
    quality: str
    model: str | None
    base: str | None
    frame: int | None
    loop_s: int | None
    what: tuple[str, ...]
    missing: tuple[str, ...]

    def describe(self) -> dict[str, object]:
        """As JSON values."""
        return {
            "settings": self.settings.model_dump(), "quality": self.quality, "model": self.model, "base": self.base,
            "frame": self.frame, "loop_s": self.loop_s, "what": list(self.what), "missing": list(self.missing),
        }  # fmt: skip


def read_given(path: Path, name: str) -> Recipe:
    """The recipe of a video that was given under another name, which messages show.

    ClipError: no mp4, one without a recipe, or a recipe that does not fit this version.
    """
    with path.open("rb") as file:
        head = file.read(8)
    if head[4:] != b"ftyp":
        raise ClipError(
            f"expected a video that Seamline rendered; {name} is {'no mp4' if head else 'empty'}; choose one that "
            "Save the video gave"
        )
    try:
        return read_recipe(path)
    except ClipError as error:
        reason = str(error).replace(input_url(path), name).replace(path.name, name)
        version = _made_by(path)
        if version is not None and version != VERSION:
            reason = f"{name} was made by Seamline {version}, this is {VERSION}: {reason}"
        raise ClipError(reason) from error


def _made_by(path: Path) -> str | None:
    """The version of Seamline in a recipe that cannot be used otherwise."""
    with suppress(ClipError, ValueError, KeyError, TypeError, RecursionError):
        version = json.loads(read_metadata(path)[RECIPE_TAG])["versions"]["seamline"]
        if re.fullmatch(r"[\w.+-]{1,20}", version):
            return str(version)
    return None


def restored(recipe: Recipe, sessions: Sessions, session: Session | None, owner: str = "") -> Restored:
    """What of a recipe can be had here. session: what the person has open, whose sound is compared. owner:
    whose own videos may be its base.

    ModelError, ClipError: the recipe's model is here and cannot be used.
    """
    settings, model = settings_of(recipe), recipe.model.name
    what, missing = ["settings", f"quality {recipe.quality}"], list(_differences(recipe, sessions, owner))
    known = model in sessions.models()
    base = recipe.base if known and recipe.base in sessions.bases(model, owner) else None
    what += [f"model {model}"] if known else []
    what += [f"base {base}"] if base is not None else []
    same_sound = session is not None and array_sha256(session.performance.wav) == recipe.sound.samples_sha256
    if not same_sound:
        sound = "its sound" if recipe.sound.file is None else f"its sound, {recipe.sound.file},"
        missing.append(f"{sound} is not the one that is open: upload it at the top left for the same mouth")
    frame = loop_s = None
    if recipe.part is not None:
        first, stop = recipe.part
        shown = f"frames {first} to {stop - 1}"
        if same_sound:
            frame = first + (stop - first) // 2
            loop_s = next((s for s in LOOPS_S if s * FPS == stop - first), None)
            what.append(f"loop over its {shown}" if loop_s else f"frame {frame}, the middle of its {shown}")
        else:
            missing.append(f"it shows {shown} of that sound")
    return Restored(
        settings, recipe.quality, model if known else None, base, frame, loop_s, tuple(what), tuple(missing)
    )


def _differences(recipe: Recipe, sessions: Sessions, owner: str) -> Iterator[str]:
    """In words, what is not here or is another one, but for the sound."""
    model = recipe.model.name
    if (version := recipe.versions.get("seamline")) != VERSION:
        yield f"it was made by Seamline {version}, this is {VERSION}: pixels may differ"
    if model not in sessions.models():
        yield f"its model {model!r} is not here: model and base stay as they are"
        return
    if sessions.processor(model).model.sha256 != recipe.model.sha256:
        yield f"the model {model} has other weights here: the mouth may differ"
    if recipe.base not in sessions.bases(model, owner):
        yield f"its base {recipe.base!r} is not among the clips of {model}: choose another one at the top"
        return
    clips = {clip.name: clip.sha256 for clip in ClipLibrary(sessions.workspace).any_clips(model)}
    if is_own_video(recipe.base):
        clips[recipe.base] = file_sha256(sessions.own_videos.find(owner, recipe.base))
    for clip in recipe.clips:
        if clip.name not in clips:
            yield f"its clip {clip.name!r} is not here: other clips stand in its place"
        elif clips[clip.name] != clip.sha256:
            yield f"the clip {clip.name!r} has other content here"
    if recipe.base == AUTOMATIC and editing_of(recipe) != EditSettings():
        yield "it was cut with other settings of editing than the page's: cuts may differ"


def recipe_routes(sessions: Sessions) -> APIRouter:
    """What a video's recipe restores. Nothing of the video is kept."""
    router = APIRouter(prefix="/studio/recipe")

    @router.post("")
    async def read(request: Request, name: str = "", token: str = "") -> dict[str, object]:
        """The body is the video's head (`ftyp` and `moov`), or the whole of a small one. token: of the session that
        the person has open, to compare its sound."""
        shown = shown_name(name)
        draft = cache_folder(sessions.workspace, "gradio") / secrets.token_hex(16) / f"{secrets.token_hex(8)}.mp4"

        def check_size(size: int) -> None:
            if size > MAX_HEAD_BYTES:
                raise ClipError(
                    f"the head of a video may have {MAX_HEAD_BYTES >> 20} MB; {shown} has more: choose the original "
                    "file"
                )

        try:
            await receive_body(request, draft, shown, check_size)
            recipe = await run_in_threadpool(read_given, draft, shown)
        finally:
            remove_body(draft)
        try:
            own = _own_session(sessions, token, request)
            found = await run_in_threadpool(restored, recipe, sessions, own, person_of(request))
        except ModelError as error:
            raise ClipError(f"the model of {shown} cannot be used here: {error}") from error
        return found.describe()

    return router


def _own_session(sessions: Sessions, token: str, request: Request) -> Session | None:
    """The session of a token, None where it is not open or somebody else's."""
    with suppress(ClipError):
        return sessions.get(token, person_of(request))
    return None
