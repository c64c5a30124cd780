"""What the page needs before Gradio's scripts run. Gradio's ``head=`` is added by these scripts, which is too late."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from pathlib import Path
from typing import Any

from playground.ui.server import preload

SCRIPT = Path(__file__).with_name("early.js")

Message = MutableMapping[str, Any]
Send = Callable[[Message], Awaitable[None]]


class EarlyScript:
    """ASGI middleware: inserts ``early.js`` and `preload.links` into the page's head. Everything else is unchanged, as is
    the host's desk, which is not Gradio's."""

    def __init__(self, app: Callable[..., Awaitable[None]], scripts: tuple[str, ...] = ()) -> None:
        self.app = app
        self.scripts = scripts  # addresses of modules that the page needs when it opens
        self.script = b"<script>\n" + SCRIPT.read_bytes() + b"</script>"

    async def __call__(self, scope: Message, receive: Callable[[], Awaitable[Message]], send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "GET" or scope["path"].endswith("/desk"):
            await self.app(scope, receive, send)
            return
        start: Message | None = None

        async def rewrite(message: Message) -> None:
            nonlocal start
            if message["type"] == "http.response.start" and _is_html(message):
                start = message  # its length is not known before the body is
            elif start is not None and message["type"] == "http.response.body":
                body = self._with_additions(message.get("body", b""))
                headers = [(k, v) for k, v in start["headers"] if k.lower() != b"content-length"]
                if not message.get("more_body"):
                    headers.append((b"content-length", b"%d" % len(body)))
                await send({**start, "headers": headers})
                start = None
                await send({**message, "body": body})
            else:
                await send(message)

        await self.app(scope, receive, rewrite)

    def _with_additions(self, page: bytes) -> bytes:
        first, last = preload.links(page, self.scripts)
        page = page.replace(b"<head>", b"<head>\n" + self.script + first, 1)
        return page.replace(b"</head>", last + b"</head>", 1) if last else page


def _is_html(message: Message) -> bool:
    return any(k.lower() == b"content-type" and v.startswith(b"text/html") for k, v in message["headers"])
