"""How many connections the app accepts, in all and from each address, so that it never runs out of open files.

An address may have as many connections as are still free. One that opens all it can gets half of them; with more such
addresses, each gets less, and some always remain for others. Connections from proxies are limited only in all; the requests
in them that are open at the same time are limited by visitor.
"""

from __future__ import annotations

import asyncio
import re
import sys
from collections import Counter
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from weakref import WeakValueDictionary

from starlette.responses import PlainTextResponse
from uvicorn.protocols.http import auto

from playground.config import counted
from playground.runs.queue.client_networks import network_of
from playground.ui.server.addresses import is_in

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

MOST = 4_000  # connections
RESERVED = 256  # open files for everything else: runs, datasets, workers, libraries
WANTED = MOST + RESERVED
FEW = 768  # connections, below which the host is told
THREADS = 16  # of Gradio's 40, that may answer scripts of one network at the same time
UNQUEUED = re.compile(r"/(?:component_server|(?:run|api)/[^/]+)/?$")
FIRST_REQUEST_SECONDS = 20.0  # a connection without a request is closed


def open_files() -> int:
    """How many files this process may open, after raising the limit as far as it is useful and allowed."""
    if sys.platform == "win32":  # which has no such limit
        return WANTED
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < WANTED:
        soft = WANTED if hard == resource.RLIM_INFINITY else min(WANTED, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return WANTED if soft == resource.RLIM_INFINITY else min(soft, WANTED)


def allowed(files: int) -> tuple[int, str]:
    """How many connections are possible with so many open files, and a warning if these are few."""
    most = max(16, files - RESERVED)
    if most >= FEW:
        return most, ""
    return most, (
        f"The system lets this app open {counted(files, 'file')} (ulimit -n), so it accepts {counted(most, 'connection')}, "
        f"about {counted(most // 3, 'open page')}. Raise the limit to {WANTED:,} for more."
    )


class Places:
    """Places by key. For one event loop."""

    def __init__(self, most: int) -> None:
        self.most = most
        self._taken: Counter[str] = Counter()
        self._all = 0

    def take(self, key: str | None) -> bool:
        """Take a place, if the key has fewer than are free; without a key, if there is one."""
        free = self.most - self._all
        if free <= (0 if key is None else self._taken[key]):
            return False
        self._all += 1
        if key is not None:
            self._taken[key] += 1
        return True

    def give_back(self, key: str | None) -> None:
        """Give one back."""
        self._all -= 1
        if key is not None:
            self._taken[key] -= 1
            if not self._taken[key]:
                del self._taken[key]


def limit_connections(most: int, proxies: tuple[Any, ...]) -> None:
    """Let uvicorn, in this process, accept this many connections."""
    auto.AutoHTTPProtocol = limited(auto.AutoHTTPProtocol, Places(most), proxies)


def limited(base: type[Any], places: Places, proxies: tuple[Any, ...]) -> type[Any]:
    """A protocol of uvicorn's that closes connections for which there is no place."""

    class Limited(base):  # type: ignore[misc]
        _key: str | None = None
        _taken = False

        def connection_made(self, transport: asyncio.Transport) -> None:
            address = str((transport.get_extra_info("peername") or ("",))[0])
            self._key = None if is_in(address, proxies) else network_of(address) or address
            self._taken = places.take(self._key)
            if not self._taken:
                transport.abort()
                return
            super().connection_made(transport)
            self.loop.call_later(FIRST_REQUEST_SECONDS, self._close_if_unused)

        def connection_lost(self, exc: Exception | None) -> None:
            if self._taken:
                places.give_back(self._key)
                self._taken = False
                super().connection_lost(exc)

        def _close_if_unused(self) -> None:
            if self.cycle is None and self._taken:
                self.transport.abort()

    return Limited


class OpenRequests:
    """ASGI middleware that limits the requests of one visitor that are open at the same time, such as event streams."""

    def __init__(self, app: Callable[..., Awaitable[None]], most: int = MOST) -> None:
        self.app = app
        self._places = Places(most)

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        address = str((scope.get("client") or ("",))[0])
        key = network_of(address) or address
        if not self._places.take(key):
            sentence = "Too many requests from your network are open. Close some pages of this app."
            await PlainTextResponse(sentence, 503)(scope, receive, send)
            return
        try:
            await self.app(scope, receive, send)
        finally:
            self._places.give_back(key)


class FairThreads:
    """ASGI middleware for requests that need a thread and join no queue, such as those of the page's scripts: one network
    uses at most `most` threads, and its other requests wait without one."""

    def __init__(self, app: Callable[..., Awaitable[None]], most: int = THREADS) -> None:
        self.app = app
        self._most = most
        self._gates: WeakValueDictionary[str, asyncio.Semaphore] = WeakValueDictionary()

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not UNQUEUED.search(scope["path"]):
            await self.app(scope, receive, send)
            return
        address = str((scope.get("client") or ("",))[0])
        gate = self._gates.setdefault(network_of(address) or address, asyncio.Semaphore(self._most))
        async with gate:
            await self.app(scope, receive, send)
