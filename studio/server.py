"""The web server: Gradio's page with the viewer's own routes beside it."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

import gradio as gr
from fastapi import FastAPI, HTTPException, Request, Response, WebSocket
from fastapi.responses import JSONResponse
from fastapi.staticfiles import StaticFiles
from starlette.types import Scope

from blending import warm_up
from clips.errors import ClipError
from models.errors import ModelError
from studio.access import Access, Guard, password_check, person_of, user_by_cookie
from studio.api import add_endpoints
from studio.cache import keep_clean, without_cache_paths
from studio.clip_intake import ClipIntake
from studio.clip_routes import clip_routes, model_routes, own_video_routes
from studio.first_look import warm_studio
from studio.history import RenderHistory
from studio.layout import build_page, first_choice, page_head, page_style, page_theme
from studio.limits import MAX_SOUND_BYTES
from studio.live import Live, is_foreign, live_is_possible
from studio.memory import rest_when_idle
from studio.own_videos import OwnVideos
from studio.preparing import Preparing
from studio.preset_shelf import PresetShelf
from studio.preview import PreviewRequest, preview
from studio.recipes import recipe_routes
from studio.renders import Renders
from studio.routes import history_routes, link_routes, preset_routes, sweep_routes, timeline_routes
from studio.sessions import Sessions
from studio.timeline import SeamScans

STATIC = Path(__file__).parent / "static"


class FreshFiles(StaticFiles):
    """Files that a browser asks for again: else the page of the version before stays in its cache for days."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        response = await super().get_response(path, scope)
        response.headers["Cache-Control"] = "no-cache"
        return response


def build_app(
    workspace: Path,
    *,
    device: str = "auto",
    runtime: str = "auto",
    accounts: Mapping[str, str] | None = None,
    hosts: Sequence[str] | None = None,
    warm: bool = False,
) -> FastAPI:
    """The studio as an ASGI application; the page is at /.

    accounts: names and passwords, one of which a person needs. hosts: names it answers to, see `access.hosts_of`;
    None: any, and each person sees their own renders only. warm: load the first model in the background at once.
    """
    app = FastAPI(title="Seamline", docs_url=None, redoc_url=None, openapi_url=None)
    access = Access(None if hosts is None else tuple(hosts))
    alone = hosts is not None and not accounts
    renders = Renders(workspace, RenderHistory(workspace, shared=alone))
    preparing = Preparing()
    own_videos = OwnVideos(workspace, shared=alone, preparing=preparing, busy=lambda: renders.busy)
    sessions = Sessions(workspace, device=device, runtime=runtime, own_videos=own_videos)
    scans = SeamScans(lambda: renders.busy)
    app.add_middleware(Guard, access=access)

    @app.exception_handler(ClipError)
    @app.exception_handler(ModelError)
    @app.exception_handler(ValueError)
    def explain(_request: Request, error: Exception) -> JSONResponse:
        return JSONResponse({"error": without_cache_paths(str(error))}, status_code=422)

    @app.post("/studio/preview")
    def preview_frame(wanted: PreviewRequest, request: Request) -> Response:
        refuse_foreign_pages(request)
        scans.touch()
        body = preview(sessions.get(wanted.token, person_of(request)), wanted)
        return Response(body, media_type="application/octet-stream", headers={"Cache-Control": "no-store"})

    live = Live(sessions, asked=scans.touch)

    @app.websocket("/studio/live")
    async def live_preview(socket: WebSocket) -> None:
        await live.serve(socket)

    app.include_router(timeline_routes(sessions, scans))
    app.include_router(sweep_routes(sessions, scans))

    app.include_router(history_routes(renders.history))
    app.include_router(preset_routes(PresetShelf(workspace)))
    app.include_router(link_routes())
    app.include_router(clip_routes(sessions, ClipIntake(workspace, preparing, lambda: renders.busy)))
    app.include_router(own_video_routes(sessions))
    app.include_router(model_routes(sessions))
    app.include_router(recipe_routes(sessions))
    app.mount("/studio/static", FreshFiles(directory=STATIC), name="studio-static")
    warmed = (warm_studio, (sessions, *first_choice(sessions))) if warm else (warm_up, ())
    threading.Thread(target=warmed[0], args=warmed[1], name="warm-up", daemon=True).start()
    keep_clean(workspace)
    rest_when_idle(sessions, lambda: renders.busy)
    page = build_page(sessions, renders)
    add_endpoints(page, sessions, renders)
    page.queue(default_concurrency_limit=4, max_size=32)
    gr.mount_gradio_app(
        app,
        page,
        path="/",
        theme=page_theme(),
        css=page_style(),
        head=page_head(live=live_is_possible()),
        footer_links=[],
        show_error=True,
        max_file_size=MAX_SOUND_BYTES,
        ssr_mode=False,
        auth=password_check(accounts) if accounts else None,
        run_history=False,
    )
    if accounts:
        access.user_of = user_by_cookie(app)
    return app


def refuse_foreign_pages(request: Request) -> None:
    """403 for a request that another site's page sends through the person's browser."""
    if is_foreign(request.headers.get("origin"), request.headers.get("host")):
        raise HTTPException(403, "the studio answers its own page only")
