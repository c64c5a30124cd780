"""How often the page's password can be tried: by each network, and by all together.

Attempts beyond that wait for their turn, so that a class that logs in at once gets in; those that would wait long are
refused. Only logging in is slowed: visitors who are logged in have a cookie, and notice nothing. Right passwords do not
count.
"""

from __future__ import annotations

import math
import re
import threading
import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import anyio
from starlette.requests import Request
from starlette.responses import JSONResponse

from playground.config import counted
from playground.runs.queue.client_networks import network_of

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

NETWORK = (20, 3.0)  # wrong passwords that are free, and seconds for each one after them
ALL = (100, 0.5)
UNCHECKED = re.compile(r"/(?:heartbeat|stream|cancel|reset|your-data)(?:/|$)")
LONGEST_WAIT = 10.0  # seconds
MOST_KEYS = 10_000


class Throttle:
    """Attempts by key: `free` at once, then one every `seconds`. All methods may be called from any thread."""

    def __init__(self, free: int, seconds: float) -> None:
        self._free, self._seconds = free, seconds
        self._lock = threading.Lock()
        self._until: dict[str, float] = {}  # when all attempts so far will have been paid for

    def take(self, key: str) -> float:
        """Count an attempt. Returns the seconds it has to wait."""
        now = time.monotonic()
        with self._lock:
            if len(self._until) >= MOST_KEYS:
                self._until = {each: until for each, until in self._until.items() if until > now}
            self._until[key] = max(now, self._until.get(key, now)) + self._seconds
            return max(0.0, self._until[key] - self._free * self._seconds - now)

    def give_back(self, key: str) -> None:
        """Forget one attempt."""
        with self._lock:
            if key in self._until:
                self._until[key] -= self._seconds


class MembersOnly:
    """ASGI middleware that answers routes without a check of their own only to visitors who are logged in."""

    def __init__(self, app: Callable[..., Awaitable[None]]) -> None:
        self.app = app

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and UNCHECKED.search(scope["path"]) and not _is_in(scope):
            await JSONResponse({"detail": "Log in first."}, 401)(scope, receive, send)
        else:
            await self.app(scope, receive, send)


def _is_in(scope: Message) -> bool:
    gradio, cookies = scope["app"], Request(scope).cookies
    names = (f"access-token-{gradio.cookie_id}", f"access-token-unsecure-{gradio.cookie_id}")
    return any(cookies.get(name) in gradio.tokens for name in names)


class LoginThrottle:
    """ASGI middleware around Gradio's route for logging in. Other requests pass."""

    def __init__(self, app: Callable[..., Awaitable[None]]) -> None:
        self.app = app
        self._throttles = Throttle(*NETWORK), Throttle(*ALL)

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "POST" or not scope["path"].rstrip("/").endswith("/login"):
            await self.app(scope, receive, send)
            return
        address = str((scope.get("client") or ("",))[0])
        keys = (network_of(address) or address, "all")
        wait = max(throttle.take(key) for throttle, key in zip(self._throttles, keys, strict=True))
        if wait > LONGEST_WAIT:
            self._give_back(keys)
            seconds = math.ceil(wait)
            detail = f"Too many wrong passwords. Try again in {counted(seconds, 'second')}."
            await JSONResponse({"detail": detail}, 429, {"retry-after": str(seconds)})(scope, receive, send)
            return
        await anyio.sleep(wait)

        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start" and message["status"] == 200:
                self._give_back(keys)
            await send(message)

        await self.app(scope, receive, answer)

    def _give_back(self, keys: tuple[str, ...]) -> None:
        for throttle, key in zip(self._throttles, keys, strict=True):
            throttle.give_back(key)
