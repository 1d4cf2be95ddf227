"""Plain HTTP routes of the studio's page: render history, presets, links and timeline. JSON in, JSON or a file out.

Errors are {"error": "..."} with status 422, for the page to show as they are.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from fastapi import APIRouter, Request, Response
from fastapi.responses import FileResponse, StreamingResponse
from pydantic import BaseModel, ConfigDict, Field

from blending import BlendSettings
from clips.errors import ClipError
from clips.library import ClipLibrary
from studio.access import person_of
from studio.advice import AdviceRequest, advise
from studio.bases import is_own_video
from studio.first_look import first_plate, plate_of
from studio.history import Entry, RenderHistory
from studio.links import link_query, read_link
from studio.preset_shelf import PresetShelf
from studio.sessions import Sessions
from studio.sweep import SweepRequest, read_axes, sweep_steps, sweepable
from studio.timeline import ScanRequest, SeamScans, thumbnail, timeline
from studio.tune import TuneRequest, tune_steps
from studio.turns import Turns, as_lines

NO_STORE = {"Cache-Control": "no-store"}


class Place(BaseModel):
    """A preset's name, and what it is for: everything, a model, or one clip of it."""

    model_config = ConfigDict(extra="forbid", strict=True)
    name: str
    model: str | None = None
    clip: str | None = None


class Saved(Place):
    settings: dict[str, Any]
    when: str = ""
    replace: bool = False


class Renamed(Place):
    new: str


class Linked(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)
    settings: dict[str, Any]
    model: str | None = Field(None, max_length=200)
    base: str | None = Field(None, max_length=200)
    frame: int | None = Field(None, ge=0)


def history_routes(history: RenderHistory) -> APIRouter:
    """Renders of the one who asks, newest first, and what can be done with each."""
    router = APIRouter(prefix="/studio/renders")

    def found(id: str, request: Request) -> Entry:
        return history.get(id, person_of(request))

    @router.get("")
    def renders(request: Request) -> list[dict[str, object]]:
        return [entry.describe() for entry in history.entries(person_of(request))]

    @router.get("/{id}/thumbnail")
    def thumbnail(id: str, request: Request) -> FileResponse:
        return FileResponse(history.thumbnail(id, person_of(request)), media_type="image/jpeg", headers=NO_STORE)

    @router.get("/{id}/video")
    def video(id: str, request: Request, unblended: bool = False, download: bool = False) -> FileResponse:
        entry = found(id, request)
        path = entry.unblended if unblended else entry.path
        if path is None:
            raise ClipError(f"{entry.path.name} was rendered without its unblended video; render it again to compare")
        return FileResponse(path, media_type="video/mp4", filename=path.name if download else None)

    @router.get("/{id}/settings")
    def settings(id: str, request: Request) -> dict[str, object]:
        return history.settings(id, person_of(request))

    @router.get("/{id}/recipe")
    def recipe(id: str, request: Request) -> Response:
        name = found(id, request).path.with_suffix(".recipe.json").name
        return _download(history.recipe(id, person_of(request)), name)

    @router.delete("/{id}")
    def delete(id: str, request: Request) -> dict[str, str]:
        history.delete(id, person_of(request))
        return {"deleted": id}

    return router


def preset_routes(shelf: PresetShelf) -> APIRouter:
    """Presets of the workspace, which everybody shares."""
    router = APIRouter(prefix="/studio/presets")

    @router.get("")
    def presets(model: str | None = None, clip: str | None = None) -> dict[str, object]:
        shown, notes = shelf.listing(model, clip)
        return {"presets": [preset.describe() for preset in shown], "notes": notes}

    @router.post("")
    def save(wanted: Saved) -> dict[str, str]:
        name = shelf.save(
            wanted.name, wanted.settings, model=wanted.model, clip=wanted.clip, when=wanted.when, replace=wanted.replace
        )
        return {"name": name}

    @router.post("/rename")
    def rename(wanted: Renamed) -> dict[str, str]:
        return {"name": shelf.rename(wanted.name, wanted.new, model=wanted.model, clip=wanted.clip)}

    @router.post("/delete")
    def delete(wanted: Place) -> dict[str, str]:
        shelf.delete(wanted.name, model=wanted.model, clip=wanted.clip)
        return {"deleted": wanted.name}

    return router


def link_routes() -> APIRouter:
    """Settings in an address: made and read."""
    router = APIRouter(prefix="/studio/link")

    @router.post("")
    def link(wanted: Linked) -> dict[str, str]:
        settings = BlendSettings.parse(wanted.settings)
        return {"query": link_query(settings, wanted.model, wanted.base, wanted.frame)}

    @router.get("")
    def state(request: Request) -> dict[str, object]:
        read = read_link(request.url.query)
        return {"settings": read.settings.model_dump(), "model": read.model, "base": read.base, "frame": read.frame}

    return router


def timeline_routes(sessions: Sessions, scans: SeamScans) -> APIRouter:
    """What the dock shows of a session; see `studio.timeline`."""
    router = APIRouter(prefix="/studio")

    @router.get("/timeline/{token}")
    def timeline_of(token: str, request: Request) -> dict[str, object]:
        return timeline(sessions.get(token, person_of(request)))

    @router.get("/thumbnail/{token}/{frame}")
    def thumbnail_of(token: str, frame: int, request: Request) -> Response:
        picture = thumbnail(sessions.get(token, person_of(request)), frame)
        return Response(picture, media_type="image/jpeg", headers={"Cache-Control": "private, max-age=3600"})

    @router.get("/plate")
    def plate(request: Request, model: str, base: str) -> Response:
        if is_own_video(base):
            picture = plate_of(sessions.own_videos.find(person_of(request), base))
        else:
            picture = first_plate(ClipLibrary(sessions.workspace), model, base)
        return Response(picture, media_type="image/jpeg", headers=NO_STORE)

    @router.get("/loaded")
    def loaded(model: str) -> dict[str, bool]:
        return {"loaded": sessions.is_loaded(model)}

    @router.post("/advice")
    def advice(wanted: AdviceRequest, request: Request) -> dict[str, object]:
        scans.touch()
        session = sessions.get(wanted.token, person_of(request))
        return advise(session, wanted.frame, BlendSettings.parse(wanted.settings)).describe()

    @router.post("/scan")
    def scan(wanted: ScanRequest, request: Request) -> dict[str, object]:
        return scans.ask(sessions.get(wanted.token, person_of(request)), BlendSettings.parse(wanted.settings))

    return router


def sweep_routes(sessions: Sessions, scans: SeamScans) -> APIRouter:
    """The page's contact sheet and its auto-tune; each answers with lines of JSON, see `sweep_steps`, `tune_steps`. One
    of each at a time for a person; a newer one stops the older."""
    router = APIRouter(prefix="/studio")
    sweeps, tunes = Turns(at_once=2), Turns(at_once=1)

    @router.get("/sweep/{token}")
    def settings(token: str, request: Request) -> list[dict[str, str]]:
        return sweepable(sessions.get(token, person_of(request)))

    @router.post("/sweep")
    def sweep(wanted: SweepRequest, request: Request) -> StreamingResponse:
        session, settings = sessions.get(wanted.token, person_of(request)), BlendSettings.parse(wanted.settings)
        axes = read_axes((wanted.down, None), (wanted.across, None), wanted.values)
        return as_lines(sweeps.take(person_of(request), sweep_steps(session, wanted.frame, settings, axes, scans)))

    @router.post("/tune")
    def tune(wanted: TuneRequest, request: Request) -> StreamingResponse:
        session, settings = sessions.get(wanted.token, person_of(request)), BlendSettings.parse(wanted.settings)
        return as_lines(tunes.take(person_of(request), tune_steps(session, settings, scans)))

    return router


def _download(text: str, name: str) -> Response:
    held = {"Content-Disposition": f"attachment; filename*=UTF-8''{quote(name)}"}
    return Response(text, media_type="application/json", headers=held | NO_STORE)
