"""What is refused before Gradio sees it: requests of other sites' pages or for them, and bodies without end."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

MAX_BODY = 64_000_000  # bytes of a request that is no upload: a text of 20 MB, pasted, with every letter escaped once
SAFE = ("GET", "HEAD", "OPTIONS")
PROXY = re.compile(r"/proxy=|/file=\s*\w{2,}:/")  # Gradio would fetch what follows: `ui.fetching` refuses it too
OWN = ("same-origin", "none")  # what a browser says of a page's own requests, and of an address that was typed


class TooLarge(Exception):  # noqa: N818 - says itself
    """A body went on beyond the limit."""


class Guard:
    """ASGI middleware.

    On one's own machine everything belongs to whoever sits there, so a page of another site must not be able to press
    buttons here: its requests that could change anything are refused, by what the browser itself says of them. Programs
    are no pages and say nothing. Bodies are limited (uploads have Gradio's own limit), and browsers are told to take
    every answer as what it is declared to be.
    """

    def __init__(self, app: Callable[..., Awaitable[None]], max_body: int = MAX_BODY) -> None:
        self.app = app
        self.max_body = max_body

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        if scope["method"] not in SAFE and not _is_own(headers):
            refusal = PlainTextResponse("Requests from pages of other sites are refused.", 403)
            await refusal(scope, receive, send)
            return
        if PROXY.search(scope["path"]):
            await PlainTextResponse("Not Found", 404)(scope, receive, send)
            return
        too_large = PlainTextResponse(f"The request is larger than {self.max_body // 1_000_000} MB.", 413)
        upload = scope["path"].rstrip("/").endswith("/upload")
        size = headers.get("content-length", "0")
        if not upload and (not size.isdecimal() or int(size) > self.max_body):
            await too_large(scope, receive, send)
            return
        begun = False

        async def answer(message: Message) -> None:
            nonlocal begun
            if message["type"] == "http.response.start":
                begun = True
                message = {**message, "headers": [*message["headers"], (b"x-content-type-options", b"nosniff")]}
            await send(message)

        try:
            await self.app(scope, receive if upload else self._counted(receive), answer)
        except TooLarge:
            if not begun:
                await too_large(scope, receive, send)

    def _counted(self, receive: Receive) -> Receive:
        """`receive`, which gives up on a body that was not honest about its size, or has none."""
        total = 0

        async def counted() -> Message:
            nonlocal total
            message = await receive()
            total += len(message.get("body", b""))
            if total > self.max_body:
                raise TooLarge
            return message

        return counted


def _is_own(headers: Headers) -> bool:
    """Whether a request comes from a page of this app or from no page at all."""
    site = headers.get("sec-fetch-site")
    if site is not None:
        return site in OWN
    origin = headers.get("origin")
    if origin is None:
        return True
    hosts = {headers.get("host"), headers.get("x-forwarded-host")} - {None}
    return urlsplit(origin).netloc in hosts
