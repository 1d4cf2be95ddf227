"""Who may ask for what: log-in, the studio's own pages only, one's own uploads only, and no bodies without end."""

from __future__ import annotations

import asyncio
import hmac
import json
import os
import secrets
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from fastapi import FastAPI
from gradio.routes import App as GradioApp
from gradio.utils import get_upload_folder
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import cookie_parser
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from clips.errors import ClipError

LOOPBACK = ("localhost", "127.0.0.1", "::1")
MAX_BODY = 4 * 2**20
"""Bytes of any request but an upload: settings and names need a few thousand."""
UPLOADS = ("/gradio_api/upload", "/studio/clips", "/studio/recipe")
"""Paths that take files; they hold their own limits."""
UPLOADS_KNOWN = 20_000
ANYBODY = ""
"""Stands among the owners of a file that came without a cookie: scripts keep none, so who they are cannot be told."""
COOKIE = "seamline-person"
COOKIE_S = 365 * 86_400
WRONG_PASSWORD_S = 1.0
_FILES = ("/gradio_api/file=", "/gradio_api/file/")
# What a person needs to see the log-in page and to log in. None of it shows clips, renders or settings.
_OPEN_PATHS = {
    "/", "/login", "/login/", "/logout", "/theme.css", "/favicon.ico", "/manifest.json", "/robots.txt", "/pwa_icon",
    "/gradio_api/login_check", "/gradio_api/login_check/", "/gradio_api/user", "/gradio_api/user/",
    "/gradio_api/app_id", "/gradio_api/app_id/", "/gradio_api/startup-events", "/gradio_api/token",
}  # fmt: skip
_OPEN_FOLDERS = ("/static/", "/assets/", "/svelte/", "/studio/static/")


def read_accounts(text: str) -> dict[str, str]:
    """Names and passwords from "user:password", or from a file with one such line for each person.

    Lines that are empty or begin with # are left out. ClipError says what is wrong, without showing a password.
    """
    path = Path(text)
    try:
        is_file = path.is_file()
    except (OSError, ValueError):
        is_file = False
    if is_file:
        try:
            lines = path.read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as e:
            raise ClipError(f"the accounts in {path} cannot be read; give a text file of user:password lines") from e
        lines = [line.strip() for line in lines if line.strip() and not line.lstrip().startswith("#")]
    else:
        lines = [text]
    accounts: dict[str, str] = {}
    for number, line in enumerate(lines, 1):
        name, separator, password = line.partition(":")
        name = name.strip()
        if not separator or not name or not password:
            where = f"line {number} of {path}" if is_file else "--auth"
            raise ClipError(f"{where} must be user:password, or --auth the name of a file with such lines")
        if name in accounts:
            raise ClipError(f"the account {name!r} stands twice in {path}; leave one out")
        accounts[name] = password
    if not accounts:
        raise ClipError(f"expected user:password lines in {path}; there are none")
    return accounts


def password_check(accounts: Mapping[str, str]) -> Callable[[str, str], object]:
    """For Gradio's log-in: whether a name and password fit; a wrong one is answered after a second."""

    async def check(name: str, password: str) -> bool:
        known = accounts.get(name)
        right = hmac.compare_digest((known or "").encode(), password.encode("utf-8", "replace")) and known is not None
        if not right:
            await asyncio.sleep(WRONG_PASSWORD_S)
        return right

    return check


def person_of(request: Any) -> str:
    """Whom a request comes from, as `Guard` tells; everybody where there is no guard."""
    state = getattr(getattr(request, "request", request), "state", None)
    return str(getattr(state, "person", ANYBODY))


def user_by_cookie(app: FastAPI) -> Callable[[Mapping[str, str]], str | None]:
    """Who is logged in to the Gradio page mounted in `app`, from a request's cookies."""
    mounted = (getattr(route, "app", None) for route in app.routes)
    gradio = next(one for one in mounted if isinstance(one, GradioApp))

    def user_of(cookies: Mapping[str, str]) -> str | None:
        names = (f"access-token-{gradio.cookie_id}", f"access-token-unsecure-{gradio.cookie_id}")
        tokens = (gradio.tokens.get(cookies[name]) for name in names if name in cookies)
        return next((user for user in tokens if user is not None), None)

    return user_of


def hosts_of(host: str) -> tuple[str, ...] | None:
    """Names under which a studio bound to this address answers; None: any. Bound to this machine it answers to this
    machine's names only, so that a foreign page cannot reach it under a name of its own (DNS rebinding)."""
    return tuple(dict.fromkeys((*LOOPBACK, host))) if host in LOOPBACK else None


@dataclass
class Access:
    """The rules of one studio. hosts: see `hosts_of`. user_of: who is logged in, from the request's cookies; None
    where nobody needs to."""

    hosts: tuple[str, ...] | None = None
    user_of: Callable[[Mapping[str, str]], str | None] | None = None


class Guard:
    """ASGI middleware around everything, Gradio included. Leaves the person's id in scope["state"]["person"]: the name
    of the account, or a random cookie."""

    def __init__(self, app: ASGIApp, access: Access) -> None:
        self._app, self._access = app, access
        self._uploads: OrderedDict[str, set[str]] = OrderedDict()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        cookies = cookie_parser(headers.get("cookie", ""))
        user = self._access.user_of(cookies) if self._access.user_of else None
        known = cookies.get(COOKIE, "")
        known = known if 16 <= len(known) <= 64 else ""
        person = f"account {user}" if user else known or secrets.token_urlsafe(18)
        scope.setdefault("state", {})["person"] = person
        refusal = self._refusal(scope, headers, user)
        if refusal:
            await _refuse(scope, receive, send, *refusal)
            return
        if scope["type"] == "websocket":
            await self._app(scope, receive, send)
            return
        if not known and not user:
            send = _with_cookie(send, person)
        await self._pass(scope, receive, send, headers, person, proven=bool(known or user))

    def _refusal(self, scope: Scope, headers: Headers, user: str | None) -> tuple[int, str] | None:
        """Status and reason for a request that must not go on."""
        path, host = scope["path"], headers.get("host", "")
        if self._access.hosts is not None and _host_name(host) not in self._access.hosts:
            return (
                421,
                "the studio answers at this machine's own address only; start it with --host to reach it by name",
            )
        origin = headers.get("origin")
        changes = scope["type"] == "websocket" or scope["method"] not in ("GET", "HEAD", "OPTIONS")
        if changes and origin is not None and origin.partition("://")[2] != host:
            return 403, "the studio answers its own page only"
        if self._access.user_of and user is None and not (path in _OPEN_PATHS or path.startswith(_OPEN_FOLDERS)):
            return 401, "log in first"
        if changes and scope["type"] == "http" and not path.startswith(UPLOADS):
            length = headers.get("content-length", "0")
            if not length.isdigit() or int(length) > MAX_BODY:
                return 413, f"a request may have {MAX_BODY >> 20} MB"
        return None

    async def _pass(
        self, scope: Scope, receive: Receive, send: Send, headers: Headers, person: str, *, proven: bool
    ) -> None:
        path = scope["path"]
        for prefix in _FILES:
            if path.startswith(prefix) and not self._may_fetch(path.removeprefix(prefix), person):
                await _refuse(scope, receive, send, 403, "this file was uploaded by somebody else")
                return
        if path.startswith("/gradio_api/upload") and scope["method"] == "POST":
            send = self._note_uploads(send, {person} if proven else {person, ANYBODY})
        elif scope["method"] not in ("GET", "HEAD", "OPTIONS") and not path.startswith(UPLOADS):
            body = await _whole_body(receive)
            if body is None:
                await _refuse(scope, receive, send, 413, f"a request may have {MAX_BODY >> 20} MB")
                return
            if path.startswith("/gradio_api/") and (reason := self._misuse(body, person)):
                await _refuse(scope, receive, send, 403, reason)
                return
            receive = _replay(body, receive)
        await self._app(scope, receive, send)

    def _note_uploads(self, send: Send, owners: set[str]) -> Send:
        """Remembers whose the uploaded files are that Gradio's answer names."""
        told = bytearray()

        async def noting(message: Message) -> None:
            if message["type"] == "http.response.body":
                told.extend(message.get("body", b"")[: MAX_BODY - len(told)])
                if not message.get("more_body"):
                    self._keep(bytes(told), owners)
            await send(message)

        return noting

    def _keep(self, answer: bytes, owners: set[str]) -> None:
        for path in (_real(text) for _, text in _texts(answer)):
            self._uploads.setdefault(path, set()).update(owners)
            self._uploads.move_to_end(path)
        while len(self._uploads) > UPLOADS_KNOWN:
            self._uploads.popitem(last=False)

    def _may_fetch(self, path: str, person: str) -> bool:
        owners = self._uploads.get(_real(path))
        return owners is None or person in owners

    def _misuse(self, body: bytes, person: str) -> str:
        """Why a call may not go on: it names a file that another person's page uploaded, or one that nobody uploaded.

        A mounted Gradio copies any file of this machine that a call names into its cache (6.31: `_check_allowed` looks
        only where the page was started by launch()), and fetches addresses.
        """
        folder = _real(get_upload_folder())
        for key, text in _texts(body):
            owners = self._uploads.get(_real(text))
            if owners is not None and not owners & {person, ANYBODY}:
                return "this file was uploaded by somebody else"
            if key == "path" and text and not Path(_real(text)).is_relative_to(folder):
                return "files must be uploaded; the studio opens no other files and fetches no addresses"
        return ""


def _texts(body: bytes) -> Iterator[tuple[str, str]]:
    """Every text in a JSON body that could be a path, with its key; nothing where it is no JSON."""
    try:
        waiting = [("", json.loads(body))]
    except (ValueError, RecursionError):
        return
    while waiting:
        key, value = waiting.pop()
        if isinstance(value, str) and len(value) < 4096:
            yield key, value
        elif isinstance(value, dict):
            waiting += value.items()
        elif isinstance(value, list):
            waiting += [("", one) for one in value]


def _host_name(host: str) -> str | None:
    """The name in a Host header, without the port; None where there is none."""
    try:
        return urlsplit(f"//{host}").hostname
    except ValueError:
        return None


def _real(path: str) -> str:
    try:
        return os.path.realpath(path)
    except (ValueError, OSError):
        return path


async def _whole_body(receive: Receive) -> bytes | None:
    """A request's body; None when it is larger than MAX_BODY."""
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] != "http.request":
            return bytes(body)
        body += message.get("body", b"")
        if len(body) > MAX_BODY:
            return None
        if not message.get("more_body"):
            return bytes(body)


def _replay(body: bytes, receive: Receive) -> Receive:
    """A receive that gives the body once more, then goes on."""
    given = False

    async def again() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return again


async def _refuse(scope: Scope, receive: Receive, send: Send, status: int, reason: str) -> None:
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.close", "code": 1008, "reason": reason})
        return
    await JSONResponse({"error": reason, "detail": reason}, status_code=status)(scope, receive, send)


def _with_cookie(send: Send, person: str) -> Send:
    async def adding(message: Message) -> None:
        if message["type"] == "http.response.start":
            cookie = f"{COOKIE}={person}; Path=/; HttpOnly; SameSite=Lax; Max-Age={COOKIE_S}"
            MutableHeaders(scope=message).append("set-cookie", cookie)
        await send(message)

    return adding
