"""Middleware for how answers travel: the page and JSON compressed with gzip, files with a hash in their name cacheable.

Gradio 6.31 compresses only addresses that end in .js, .css and the like, so neither its page nor the answers of server
functions, and a browser asks for each of its hundred files again on every visit. Whatever arrives in several parts is not
compressed here: event streams and downloads.
"""

from __future__ import annotations

import gzip
import re
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import anyio.to_thread
from starlette.datastructures import Headers, MutableHeaders

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

TYPES = ("text/html", "text/css", "text/javascript", "application/javascript", "application/json")
MIN_BYTES = 1_000  # a smaller body fits a packet as it is
LEVEL = 5  # of 9; the page is 3 % smaller at level 9, and takes three times as long
IMMUTABLE = "public, max-age=31536000, immutable"
HASHED = re.compile(r"/assets/[^/]+-[\w-]{8,}\.\w+$")  # Vite puts a hash of the content into the names of its files


class Delivery:
    """ASGI middleware. Compresses successful answers of `TYPES` that come in one part, if the client accepts gzip."""

    def __init__(self, app: Callable[..., Awaitable[None]]) -> None:
        self.app = app

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        hashed = HASHED.search(scope["path"]) is not None
        # Gradio compresses its own files itself.
        gzips = not hashed and accepts_gzip(Headers(scope=scope).get("accept-encoding", ""))
        start: Message | None = None

        async def deliver(message: Message) -> None:
            nonlocal start
            if message["type"] == "http.response.start" and message["status"] == 200:
                headers = MutableHeaders(raw=list(message["headers"]))
                if hashed:
                    headers.setdefault("cache-control", IMMUTABLE)
                message = {**message, "headers": headers.raw}
                if _is_compressible(headers):
                    headers.add_vary_header("Accept-Encoding")
                    if gzips:
                        start = message  # its other headers depend on the body
                        return
            if start is not None:
                opening, start = start, None
                message = await _compressed(opening, message)
                await send(opening)
            await send(message)

        await self.app(scope, receive, deliver)


async def _compressed(start: Message, message: Message) -> Message:
    """The body compressed, and the headers in `start` changed accordingly, unless it is short or only a part."""
    body = message.get("body", b"")
    if message["type"] != "http.response.body" or message.get("more_body") or len(body) < MIN_BYTES:
        return message
    body = await anyio.to_thread.run_sync(gzip.compress, body, LEVEL)
    headers = MutableHeaders(raw=start["headers"])
    headers["content-encoding"] = "gzip"
    headers["content-length"] = str(len(body))
    return {**message, "body": body}


def accepts_gzip(accepted: str) -> bool:
    """Whether an Accept-Encoding header allows gzip: it is named, without a weight of zero."""
    for part in accepted.lower().split(","):
        name, _, weight = part.partition(";")
        if name.strip() in ("gzip", "*"):
            return re.fullmatch(r"\s*q\s*=\s*0(\.0*)?\s*", weight) is None
    return False


def _is_compressible(headers: Headers) -> bool:
    kind = headers.get("content-type", "").partition(";")[0].strip().lower()
    return kind in TYPES and "content-encoding" not in headers
