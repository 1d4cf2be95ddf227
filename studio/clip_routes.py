"""Plain HTTP routes of the Clips view: a model's clips, a person's own videos, the model's card. JSON in and out.

Errors are {"error": "..."} with status 422; of an upload, the last of its lines.
"""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from functools import partial
from pathlib import Path

import anyio
from fastapi import APIRouter, Request
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, ConfigDict
from starlette.concurrency import run_in_threadpool

from clips.errors import ClipError
from studio.access import person_of
from studio.cache import cache_folder, without_cache_paths
from studio.clip_intake import ClipIntake
from studio.clip_rows import clip_plots, clip_table
from studio.preparing import IntakeState
from studio.sessions import Sessions
from studio.upload_body import receive_body, remove_body
from studio.uploaded_video import check_size, shown_name


class NamedClip(BaseModel):
    """One clip of a model."""

    model_config = ConfigDict(extra="forbid", strict=True)
    model: str
    name: str


class RenamedClip(NamedClip):
    new: str


class NamedVideo(BaseModel):
    """One of the person's own videos, by the base it is."""

    model_config = ConfigDict(extra="forbid", strict=True)
    base: str


def clip_routes(sessions: Sessions, intake: ClipIntake) -> APIRouter:
    """A model's clips: table, plots, and what can be done to those of the workspace."""
    router = APIRouter(prefix="/studio")

    @router.get("/clips")
    def clips(model: str) -> list[dict[str, object]]:
        return clip_table(sessions.workspace, model)

    @router.get("/clips/plots")
    def plots(model: str) -> dict[str, object]:
        return clip_plots(sessions.workspace, model)

    @router.get("/clips/name")
    def name_of(model: str, name: str) -> dict[str, str]:
        return {"name": intake.check(model, name)}

    @router.post("/clips")
    async def add(request: Request, model: str, name: str, file: str = "") -> StreamingResponse:
        """The body is the mp4, `file` what the person calls it. Answers with one line of JSON per state; the last has
        the clip's name and its row of the table, or the error."""
        name = await run_in_threadpool(intake.check, model, name)
        shown = shown_name(file)

        def steps(draft: Path) -> Iterator[IntakeState]:
            for state in intake.add(draft, model, name, shown):
                if state.clip:
                    sessions.clips_changed(model)
                yield state

        return await _answer(request, sessions.workspace, shown, steps)

    # Not below /studio/clips, where bodies may be as large as videos.
    @router.post("/clip/rename")
    def rename(wanted: RenamedClip) -> dict[str, str]:
        new, along = intake.rename(wanted.model, wanted.name, wanted.new)
        why = f"the clip {wanted.name!r} is called {new!r} now; choose it as the base again"
        sessions.clips_changed(wanted.model, {wanted.name: why})
        return {"name": new, "said": along}

    @router.post("/clip/remove")
    def remove(wanted: NamedClip) -> dict[str, str]:
        left = intake.remove(wanted.model, wanted.name)
        sessions.clips_changed(
            wanted.model, {wanted.name: f"the clip {wanted.name!r} was removed; choose another base at the top"}
        )
        return {"removed": wanted.name, "said": left}

    return router


def own_video_routes(sessions: Sessions) -> APIRouter:
    """The videos of the one who asks."""
    router = APIRouter(prefix="/studio")
    own = sessions.own_videos

    @router.get("/own_videos")
    def videos(request: Request, model: str) -> list[dict[str, object]]:
        return own.rows(person_of(request), model)

    @router.get("/own_videos/name")
    def name_of(request: Request, name: str) -> dict[str, str]:
        return {"name": own.check(person_of(request), name)}

    @router.post("/clips/own")
    async def add(request: Request, model: str, name: str, file: str = "") -> StreamingResponse:
        """The body is the video; as adding a clip, with the base for its name."""
        owner, shown = person_of(request), shown_name(file)
        await run_in_threadpool(sessions.bases, model)  # raises for an unknown one
        await run_in_threadpool(own.check, owner, name)
        suffix = Path(shown.strip("'")).suffix
        return await _answer(
            request, sessions.workspace, shown, lambda draft: own.add(draft, owner, name, shown, suffix, model)
        )

    @router.post("/own_videos/remove")
    def remove(wanted: NamedVideo, request: Request) -> dict[str, str]:
        owner = person_of(request)
        own.remove(owner, wanted.base)
        sessions.close(
            lambda session: session.base == wanted.base and (own.shared or session.owner == owner),
            f"{wanted.base!r} was removed; choose another base at the top",
        )
        return {"removed": wanted.base}

    return router


def model_routes(sessions: Sessions) -> APIRouter:
    """A model's card: what it is in a line, and its facts by name."""
    router = APIRouter(prefix="/studio/model")

    @router.get("")
    def card(model: str) -> dict[str, object]:
        from models.__main__ import info_lines
        from models.lip_sync import find_model

        about, *lines = info_lines(find_model(model, sessions.workspace), sessions.workspace)
        return {"about": about, "facts": [re.split(r"\s{2,}", line, maxsplit=1) for line in lines]}

    return router


async def _answer(
    request: Request, workspace: Path, shown: str, steps: Callable[[Path], Iterator[IntakeState]]
) -> StreamingResponse:
    """Takes the body into a file of the cache, and streams the states of what is done with it."""
    draft = cache_folder(workspace, "gradio") / secrets.token_hex(16) / "upload"
    try:
        await receive_body(request, draft, shown, partial(check_size, shown=shown))
    except BaseException:
        remove_body(draft)
        raise
    return StreamingResponse(_lines(steps(draft), draft), media_type="application/x-ndjson")


async def _lines(steps: Iterator[IntakeState], draft: Path) -> AsyncIterator[str]:
    """States as lines. When the one who asks is gone, the work stops and nothing is left."""
    try:
        while (state := await run_in_threadpool(next, steps, None)) is not None:
            yield json.dumps(state.describe()) + "\n"
    except ClipError as e:
        yield json.dumps({"error": without_cache_paths(str(e))}) + "\n"
    finally:
        with anyio.CancelScope(shield=True):  # else the first wait in here ends it
            assert isinstance(steps, Generator)
            await run_in_threadpool(steps.close)
            remove_body(draft)
