"""Middleware that rejects cross-site requests and oversized bodies before they reach Gradio."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import urlsplit

import anyio.to_thread
from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse

from playground.runs.queue.client_networks import network_of
from playground.ui.server.uploads import Uploads

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

MAX_BODY = 64_000_000  # bytes of a request other than uploads: a pasted text of 20 MB with every character escaped
MAX_HELD = 256_000_000  # bytes of all large requests that are being read
LARGE = 1_000_000  # bytes above which a request counts as large
SAFE = ("GET", "HEAD", "OPTIONS")
OWN = ("same-origin", "none")  # Sec-Fetch-Site of the page's own requests, and of typed addresses
# Routes of Gradio that this app does not need: fetching an address (also disabled by `fetching`), storing a session with
# its inputs, call statistics, recordings.
UNUSED = re.compile(
    r"/proxy=|/file=\s*\w{2,}:/|/(?:deep_link|monitoring|process_recording|run-history|vibe-[a-z-]+)(?:/|$)"
)


class Refused(Exception):  # noqa: N818 - says itself
    """A body exceeded a limit. The app's response is not sent."""


class RequestGuard:
    """ASGI middleware.

    In a local app all runs belong to the user, so pages of other sites must not be able to act on them (CSRF): their
    requests that could change anything are rejected by the headers that browsers set. API clients send no such headers.
    Bodies are limited individually and in total, and uploads by `uploads`. Responses disable content sniffing.
    """

    def __init__(
        self,
        app: Callable[..., Awaitable[None]],
        max_body: int = MAX_BODY,
        max_held: int = MAX_HELD,
        uploads: Uploads | None = None,
    ) -> None:
        self.app = app
        self.max_body = max_body
        self.max_held = max_held
        self.uploads = uploads
        self._held = 0

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        scope = _known_by_sender(scope)
        headers = Headers(scope=scope)
        if scope["method"] not in SAFE and not _is_own(headers):
            refusal = PlainTextResponse("Requests from pages of other sites are refused.", 403)
            await refusal(scope, receive, send)
        elif UNUSED.search(scope["path"]):
            await PlainTextResponse("Not Found", 404)(scope, receive, send)
        elif scope["path"].rstrip("/").endswith("/upload"):
            await self._upload(headers, scope, receive, send)
        else:
            await self._body(headers, scope, receive, send)

    async def _upload(self, headers: Headers, scope: Message, receive: Receive, send: Send) -> None:
        if self.uploads is None or scope["method"] in SAFE:
            await self.app(scope, receive, _declared(send))
            return
        said = headers.get("content-length", "")
        size = int(said) if said.isdecimal() and len(said) < 20 else 0
        status, sentence = await anyio.to_thread.run_sync(self.uploads.begin, size or None)
        if status != 200:
            await PlainTextResponse(sentence, status)(scope, receive, send)
            return
        try:  # the server reads no more than the declared length
            await self.app(scope, receive, _declared(send))
        finally:
            self.uploads.end(size)

    async def _body(self, headers: Headers, scope: Message, receive: Receive, send: Send) -> None:
        too_large = PlainTextResponse(f"The request is larger than {self.max_body // 1_000_000} MB.", 413)
        too_many = PlainTextResponse("Too many large requests at once. Try again in a moment.", 503)
        size = headers.get("content-length", "0")
        if not size.isdecimal() or len(size) > 20 or int(size) > self.max_body:
            await too_large(scope, receive, send)
            return
        refusal: PlainTextResponse | None = None
        begun = False
        total = held = 0

        async def answer(message: Message) -> None:
            nonlocal begun
            if begun or refusal is None:
                begun = True
                await send(message)

        async def counted() -> Message:
            """`receive` with limits: for bodies beyond or without a declared size, and for all large bodies together."""
            nonlocal total, held, refusal
            message = await receive()
            total += len(message.get("body", b""))
            if total > self.max_body:
                refusal = too_large
            elif total > LARGE and self._held + total - held > self.max_held:
                refusal = too_many
            if refusal is not None:
                raise Refused
            if total > LARGE:
                self._held += total - held
                held = total
            return message

        try:
            await self.app(scope, counted, _declared(answer))
        except Refused:
            pass  # it has done its work, which was to end the app's; what is said of it comes below
        finally:
            self._held -= held
        if refusal is not None and not begun:
            await refusal(scope, receive, send)


def _known_by_sender(scope: Message) -> Message:
    """The request, which says of a public sender what is true, whatever that sender has written there: an agent's tools are
    called by Gradio with the agent's headers, from this machine (`ui.client_network`)."""
    sender = str((scope.get("client") or ("",))[0])
    if network_of(sender) is None:
        return scope
    others = [(name, value) for name, value in scope["headers"] if name.lower() != b"x-forwarded-for"]
    return {**scope, "headers": [*others, (b"x-forwarded-for", sender.encode())]}


def _declared(send: Send) -> Send:
    """`send`, with the word to browsers that an answer is what it says."""

    async def answer(message: Message) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message["headers"], (b"x-content-type-options", b"nosniff")]}
        await send(message)

    return answer


def _is_own(headers: Headers) -> bool:
    """Whether a request comes from a page of this app or from an API client."""
    site = headers.get("sec-fetch-site")
    if site is not None:
        return site in OWN
    origin = headers.get("origin")
    if origin is None:
        return True
    hosts = {headers.get("host"), headers.get("x-forwarded-host")} - {None}
    return urlsplit(origin).netloc in hosts
