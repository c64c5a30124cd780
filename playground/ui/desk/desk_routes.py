"""The desk's page and endpoints. Without ``PLAYGROUND_HOST_PASSWORD`` there are none.

    GET  /desk            the page, which holds nothing of anybody
    POST /desk/login      {"password"} -> {"token"}, a secret for twelve hours that the page keeps in its tab
    POST /desk/state      {"class"} -> what the page shows, of all classes or of one
    POST /desk/act        {"action", ...} -> {"said"}, or {"error"} and status 400
    POST /desk/export     {"class"} -> an archive of runs

All but the first two need the token as ``Authorization: Bearer``. A browser never sends it by itself, so that pages of other
sites can do nothing here. Guessing the password is slowed down by `server.logins`.
"""

from __future__ import annotations

import hashlib
import json
import re
import secrets
import threading
import time
from collections.abc import Awaitable, Callable
from functools import cache
from pathlib import Path
from typing import Any

import anyio.to_thread
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from playground.runs.collection import stream
from playground.ui import scripts
from playground.ui.desk.desk import Desk
from playground.ui.downloads import zip_response
from playground.ui.services import Services, disk_trouble, json_safe
from playground.ui.theme import CSS_PATH

HOURS = 12.0  # that a login lasts
MOST_LOGINS = 20  # the oldest ends
MAX_BODY = 100_000  # bytes of a request
STYLE_PATH = Path(__file__).with_name("desk.css")
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; "
    "base-uri 'none'; form-action 'none'"
)
PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Teacher's desk · LLM Playground</title>
<link rel="stylesheet" href="desk/{style}.css">
<script type="module" src="{script}"></script>
</head>
<body>
<main id="desk"></main>
</body>
</html>
"""


class Logins:
    """The tokens of hosts who have given the password. For any thread."""

    def __init__(self, password: str) -> None:
        self._password = password
        self._lock = threading.Lock()
        self._until: dict[str, float] = {}  # by hash of the token, in the order of logging in

    def log_in(self, given: object) -> str | None:
        """A new token, or None for a wrong password."""
        text = given if isinstance(given, str) else ""
        if not secrets.compare_digest(text.encode("utf-8", "surrogatepass"), self._password.encode()):
            return None
        token = secrets.token_hex(16)
        with self._lock:
            now = time.monotonic()
            kept = [(key, until) for key, until in self._until.items() if until > now][-MOST_LOGINS + 1 :]
            self._until = {**dict(kept), _hash(token): now + 3600 * HOURS}
        return token

    def knows(self, request: Request) -> bool:
        """Whether a request has the token of a login that lasts."""
        kind, _, token = request.headers.get("authorization", "").partition(" ")
        with self._lock:
            return kind == "Bearer" and self._until.get(_hash(token), 0.0) > time.monotonic()


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()


def routes(services: Services) -> list[Route]:
    """The routes, if the host has set a password."""
    if not services.hosting.host_password:
        return []
    logins, desk = Logins(services.hosting.host_password), Desk(services)

    def guarded(answer: Callable[[dict[str, Any]], Response]) -> Callable[[Request], Awaitable[Response]]:
        async def endpoint(request: Request) -> Response:
            if not logins.knows(request):
                return _json({"error": "Log in with the host's password."}, 401)
            try:
                body = await _body(request)
                return await anyio.to_thread.run_sync(answer, body)
            except ValueError as error:
                return _json({"error": str(error)}, 400)
            except OSError as error:
                return _json({"error": str(disk_trouble(error))}, 400)

        return endpoint

    async def log_in(request: Request) -> Response:
        try:
            token = logins.log_in((await _body(request)).get("password"))
        except ValueError as error:
            return _json({"error": str(error)}, 400)
        return _json({"token": token}) if token else _json({"error": "This is not the host's password."}, 400)

    return [
        Route("/desk", lambda request: _page(), methods=["GET"]),
        Route("/desk/{version}.css", lambda request: _style_sheet(), methods=["GET"]),
        Route("/desk/login", log_in, methods=["POST"]),
        Route("/desk/state", guarded(lambda request: _json(desk.state(request))), methods=["POST"]),
        Route("/desk/act", guarded(lambda request: _json({"said": desk.act(request)})), methods=["POST"]),
        Route(
            "/desk/export",
            guarded(lambda request: zip_response(stream(desk.exported(request)), "class.zip")),
            methods=["POST"],
        ),
    ]


async def _body(request: Request) -> dict[str, Any]:
    """The JSON object of a request; an empty body is an empty one. Raises ValueError."""
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BODY:
            raise ValueError(f"The request is larger than {MAX_BODY // 1000} kB.")
    return _object(body)


def _object(body: bytes) -> dict[str, Any]:
    try:
        value = json.loads(body or b"{}")
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise ValueError("The request must be a JSON object.")
    return value


def _json(value: dict[str, Any], status: int = 200) -> Response:
    return JSONResponse(json_safe(value), status, {"cache-control": "no-store"})


def _page() -> Response:
    page = PAGE.format(style=_style()[0], script=scripts.address("desk/desk.js"))
    return HTMLResponse(page, headers={"content-security-policy": POLICY, "cache-control": "no-store"})


def _style_sheet() -> Response:
    return Response(_style()[1], media_type="text/css", headers={"cache-control": "no-cache"})


@cache
def _style() -> tuple[str, str]:
    """A hash of the style sheet, and the style sheet: the colours of the app's, and the rest in desk.css."""
    tokens = dict(re.findall(r"^(:root|\.dark) \{(.*?)^\}", CSS_PATH.read_text("utf-8"), re.M | re.S))
    colours = f":root {{{tokens[':root']}}}\n@media (prefers-color-scheme: dark) {{ :root {{{tokens['.dark']}}} }}\n"
    text = colours + STYLE_PATH.read_text("utf-8")
    return hashlib.sha256(text.encode()).hexdigest()[:16], text
