"""The web server: Gradio's page with the viewer's own routes beside it."""

from __future__ import annotations

import threading
from pathlib import Path
from urllib.parse import urlsplit

import gradio as gr
from fastapi import FastAPI, HTTPException, Request, Response
from fastapi.responses import FileResponse, JSONResponse
from fastapi.staticfiles import StaticFiles

from blending import BlendSettings, warm_up
from clips.errors import ClipError
from models.errors import ModelError
from studio.layout import build_page, page_head, page_style, page_theme
from studio.preview import PreviewRequest, preview
from studio.renders import Renders
from studio.sessions import Sessions
from studio.timeline import ScanRequest, SeamScans, thumbnail, timeline

STATIC = Path(__file__).parent / "static"
MAX_UPLOAD = "200mb"


def build_app(workspace: Path, *, device: str = "auto", runtime: str = "auto") -> FastAPI:
    """The studio as an ASGI application; the page is at /."""
    app = FastAPI(title="Seamline", docs_url=None, redoc_url=None, openapi_url=None)
    sessions, renders = Sessions(workspace, device=device, runtime=runtime), Renders(workspace)
    scans = SeamScans()

    @app.exception_handler(ClipError)
    @app.exception_handler(ModelError)
    @app.exception_handler(ValueError)
    def explain(_request: Request, error: Exception) -> JSONResponse:
        return JSONResponse({"error": str(error)}, status_code=422)

    @app.post("/studio/preview")
    def preview_frame(wanted: PreviewRequest, request: Request) -> Response:
        refuse_foreign_pages(request)
        scans.touch()
        body = preview(sessions.get(wanted.token), wanted)
        return Response(body, media_type="application/octet-stream", headers={"Cache-Control": "no-store"})

    @app.get("/studio/timeline/{token}")
    def timeline_of(token: str) -> dict[str, object]:
        return timeline(sessions.get(token))

    @app.get("/studio/thumbnail/{token}/{frame}")
    def thumbnail_of(token: str, frame: int) -> Response:
        picture = thumbnail(sessions.get(token), frame)
        return Response(picture, media_type="image/jpeg", headers={"Cache-Control": "private, max-age=3600"})

    @app.post("/studio/scan")
    def scan(wanted: ScanRequest, request: Request) -> dict[str, object]:
        refuse_foreign_pages(request)
        return scans.ask(sessions.get(wanted.token), BlendSettings.parse(wanted.settings))

    @app.get("/studio/video/{token}")
    def video(token: str, download: bool = False) -> FileResponse:
        path = renders.video(token)
        if path is None or not path.is_file():
            raise HTTPException(404, "this video is no longer there; render it again")
        return FileResponse(path, media_type="video/mp4", filename=path.name if download else None)

    app.mount("/studio/static", StaticFiles(directory=STATIC), name="studio-static")
    threading.Thread(target=warm_up, name="warm-up", daemon=True).start()
    page = build_page(sessions, renders)
    page.queue(default_concurrency_limit=4, max_size=32)
    return gr.mount_gradio_app(
        app,
        page,
        path="/",
        theme=page_theme(),
        css=page_style(),
        head=page_head(),
        footer_links=[],
        show_error=True,
        max_file_size=MAX_UPLOAD,
        ssr_mode=False,
    )


def refuse_foreign_pages(request: Request) -> None:
    """403 for a request that another site's page sends through the person's browser."""
    origin = request.headers.get("origin")
    if origin and urlsplit(origin).netloc != request.headers.get("host"):
        raise HTTPException(403, "the studio answers its own page only")
