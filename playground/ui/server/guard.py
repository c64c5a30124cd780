"""Middleware that rejects cross-site requests and oversized bodies before they reach Gradio."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import urlsplit

import anyio.to_thread
from gradio.route_utils import FnIndexInferError
from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse

from playground.runs.queue.hosting import Hosting
from playground.ui.server.addresses import Addresses, asked_host
from playground.ui.server.uploads import Uploads

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

MAX_BODY = 64_000_000  # bytes of a request other than uploads: a pasted text of 20 MB with every character escaped
MAX_HELD = 256_000_000  # bytes of all large requests that are being read
LARGE = 1_000_000  # bytes above which a request counts as large
SAFE = ("GET", "HEAD", "OPTIONS")
HOST_HELP = "If it is its name, add it to PLAYGROUND_HOSTS."
OWN = ("same-origin", "none")  # Sec-Fetch-Site of the page's own requests, and of typed addresses
RANGE = re.compile(r"bytes=(\d{1,18}-\d{0,18}|-\d{1,18})", re.ASCII)  # Gradio fails on others, and on several ranges
# Routes of Gradio that this app does not need: fetching an address (also disabled by `fetching`), storing a session with
# its inputs, call statistics, recordings.
UNUSED = re.compile(
    r"/proxy=|/file=\s*\w{2,}:/|/(?:deep_link|monitoring|process_recording|run-history|vibe-[a-z-]+)(?:/|$)"
)


class Refused(Exception):  # noqa: N818 - says itself
    """A body exceeded a limit. The app's response is not sent."""


class RequestGuard:
    """ASGI middleware.

    In a local app all runs belong to the user, so pages of other sites must not be able to act on them (CSRF) or to read
    them: their requests are rejected by the headers that browsers set, except for links that lead here. API clients send no
    such headers. Requests to another host's name are rejected too (`addresses`). Bodies are limited individually and in
    total, and uploads by `uploads`. Responses disable content sniffing, and frames of other sites.
    """

    def __init__(
        self,
        app: Callable[..., Awaitable[None]],
        max_body: int = MAX_BODY,
        max_held: int = MAX_HELD,
        uploads: Uploads | None = None,
        addresses: Addresses | None = None,
    ) -> None:
        self.app = app
        self.addresses = addresses or Addresses.of(Hosting())
        self.max_body = max_body
        self.max_held = max_held
        self.uploads = uploads
        self._held = 0

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        scope, send = self.addresses.received(scope), self._declared(send)
        headers = Headers(scope=scope)
        if not self.addresses.is_ours(host := asked_host(headers)):
            sentence = f"This app does not answer to the host name {host[:100]!r}."
            await PlainTextResponse(f"{sentence} {HOST_HELP}", 421)(scope, receive, send)
        elif not _is_own(headers, scope["method"] in SAFE):
            await PlainTextResponse("Requests from pages of other sites are refused.", 403)(scope, receive, send)
        elif UNUSED.search(scope["path"]):
            await PlainTextResponse("Not Found", 404)(scope, receive, send)
        elif not RANGE.fullmatch(headers.get("range", "bytes=0-")):
            sentence = "Range must be one range of bytes, such as bytes=0-99."
            await PlainTextResponse(sentence, 416)(scope, receive, send)
        elif scope["path"].rstrip("/").endswith("/upload"):
            await self._upload(headers, scope, receive, send)
        else:
            await self._body(headers, scope, receive, send)

    def _declared(self, send: Send) -> Send:
        """`send`, with headers that tell browsers that a response is what it says, and who may frame it."""
        added = [
            (b"x-content-type-options", b"nosniff"),
            (b"content-security-policy", self.addresses.frame_policy().encode()),
        ]

        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message["headers"], *added]}
            await send(message)

        return answer

    async def _upload(self, headers: Headers, scope: Message, receive: Receive, send: Send) -> None:
        if scope["method"] in SAFE:
            await self.app(scope, receive, send)
            return
        if self.uploads is None:
            await self._form(scope, receive, send)
            return
        said = headers.get("content-length", "")
        size = int(said) if said.isdecimal() and len(said) < 20 else 0
        status, sentence = await anyio.to_thread.run_sync(self.uploads.begin, size or None)
        if status != 200:
            await PlainTextResponse(sentence, status)(scope, receive, send)
            return
        try:  # the server reads no more than the declared length
            await self._form(scope, receive, send)
        finally:
            self.uploads.end(size)

    async def _form(self, scope: Message, receive: Receive, send: Send) -> None:
        """An upload, with a sentence for a form on which Gradio fails: a part without a file name, a broken boundary."""
        begun = False

        async def answer(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            await self.app(scope, receive, answer)
        except OSError:
            raise
        except Exception:  # its parser's, of several kinds
            if begun:
                raise
            await PlainTextResponse("An upload must be a form of files that have names.", 400)(scope, receive, send)

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
            await self.app(scope, counted, answer)
        except Refused:
            pass  # it has done its work, which was to end the app's; what is said of it comes below
        except FnIndexInferError:
            refusal = PlainTextResponse("There is no such endpoint.", 404)
        except KeyError as error:
            if not _from_gradio(error):
                raise
            refusal = PlainTextResponse("There is no such component.", 404)
        finally:
            self._held -= held
        if refusal is not None and not begun:
            await refusal(scope, receive, send)


def _from_gradio(error: KeyError) -> bool:
    """Whether Gradio's own routes have looked something up in vain that the request named."""
    frame = error.__traceback__
    while frame is not None and frame.tb_next is not None:
        frame = frame.tb_next
    return frame is not None and frame.tb_frame.f_globals.get("__name__") == "gradio.routes"


def _is_own(headers: Headers, safe: bool) -> bool:
    """Whether a request comes from a page of this app or from an API client. With a safe method, also whether it is a link:
    only a script of another site that wants to read the answer gives its origin then."""
    site, origin = headers.get("sec-fetch-site"), headers.get("origin")
    if site is not None and not (safe and origin is None):
        return site in OWN
    return origin is None or urlsplit(origin).netloc.lower() == asked_host(headers)
