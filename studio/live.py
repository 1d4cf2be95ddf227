"""The viewer's WebSocket: one request at a time, the latest wins, each answer carries its request's number."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import logging
from collections.abc import Callable
from urllib.parse import urlsplit

import anyio.to_thread
from fastapi import WebSocket, WebSocketDisconnect
from pydantic import ValidationError

from clips.errors import ClipError
from models.errors import ModelError
from studio.access import person_of
from studio.preview import PreviewRequest, preview
from studio.sessions import Sessions

MAX_MESSAGE_BYTES = 16 << 10
MAX_CONNECTIONS = 64
FOREIGN, TOO_BIG, TOO_MANY = 1008, 1009, 1013
"""Close codes of RFC 6455."""

_log = logging.getLogger(__name__)


def live_is_possible() -> bool:
    """Whether the web server can speak WebSocket: uvicorn needs a library for it."""
    return any(importlib.util.find_spec(name) for name in ("websockets", "wsproto"))


def is_foreign(origin: str | None, host: str | None) -> bool:
    """Whether a request comes from another site's page in the person's browser."""
    return bool(origin) and urlsplit(origin).netloc != host


class Live:
    """All open connections of one studio. asked() is called for each request."""

    def __init__(self, sessions: Sessions, asked: Callable[[], None] = lambda: None) -> None:
        self._sessions, self._asked, self._open = sessions, asked, 0
        self._threads: anyio.CapacityLimiter | None = None

    async def serve(self, socket: WebSocket) -> None:
        """Talks with one page until it leaves. A message is a PreviewRequest in JSON; the answer is what `preview`
        returns, or {"seq", "error"} in JSON. Foreign pages, messages above 16 KB and binary ones end the connection."""
        if is_foreign(socket.headers.get("origin"), socket.headers.get("host")):
            return await socket.close(FOREIGN)
        if self._open >= MAX_CONNECTIONS:
            return await socket.close(TOO_MANY)
        self._threads = self._threads or anyio.CapacityLimiter(2)
        await socket.accept()
        self._open += 1
        latest = _Latest()
        worker = asyncio.create_task(self._answer(socket, latest, person_of(socket)))
        try:
            await _read(socket, latest)
        finally:
            self._open -= 1
            worker.cancel()

    async def _answer(self, socket: WebSocket, latest: _Latest, person: str) -> None:
        while True:
            text = await latest.take()
            answer = await anyio.to_thread.run_sync(self._reply, text, person, limiter=self._threads)
            try:
                await (socket.send_bytes(answer) if isinstance(answer, bytes) else socket.send_text(answer))
            except (WebSocketDisconnect, RuntimeError):
                return  # the page has left

    def _reply(self, text: str, person: str) -> bytes | str:
        seq = None
        try:
            request = PreviewRequest.model_validate_json(text)
            seq = request.seq
            self._asked()
            return preview(self._sessions.get(request.token, person), request)
        except ValidationError as e:
            first = e.errors()[0]
            message = (
                f"the viewer's request is wrong at {'.'.join(map(str, first['loc'])) or 'its start'}: {first['msg']}"
            )
        except (ClipError, ModelError, ValueError) as e:
            message = str(e)
        except Exception:
            _log.exception("preview failed")
            message = "the studio failed at this frame; its log says why. Other frames and settings still work"
        return json.dumps({"seq": seq, "error": message})


class _Latest:
    """A slot for the newest message."""

    def __init__(self) -> None:
        self._text, self._there = "", asyncio.Event()

    def put(self, text: str) -> None:
        self._text = text
        self._there.set()

    async def take(self) -> str:
        await self._there.wait()
        self._there.clear()
        return self._text


async def _read(socket: WebSocket, latest: _Latest) -> None:
    while True:
        message = await socket.receive()
        if message["type"] == "websocket.disconnect":
            return
        text = message.get("text")
        if text is None or len(text.encode()) > MAX_MESSAGE_BYTES:
            return await socket.close(TOO_BIG)
        latest.put(text)
