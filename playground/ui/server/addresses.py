"""Which host names this app answers to, and whose forwarded headers it believes.

A page of another site can make a browser send requests here under a name of its own (DNS rebinding): its requests are then
same-origin, and only the Host header tells. So other names are refused. Any IP address is accepted, because a browser that
was given an address was not misled by a name server.
"""

from __future__ import annotations

import ipaddress
import secrets
import socket
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit

from starlette.datastructures import Headers

from playground.runs.queue.hosting import LOOPBACK, Hosting, Network

Scope = Any
# What proxies say about a request. From anybody else, these are words of the visitor's. Gradio reads the last of them.
FORWARDED = (
    b"x-forwarded-for",
    b"x-forwarded-host",
    b"x-forwarded-proto",
    b"forwarded",
    b"x-real-ip",
    b"x-gradio-server",
)
SENDER = b"x-playground-sender"  # of an agent whose tool Gradio calls from this machine, with the agent's headers


@dataclass(frozen=True)
class Addresses:
    """`hosts`: names without port, in lower case; ``*.example.org`` stands for all names that end so. `share_url`
    returns the share link once there is one. `frames`: sites that may show the page in a frame."""

    hosts: frozenset[str]
    proxies: tuple[Network, ...] = ()
    frames: tuple[str, ...] = ()
    share_url: Callable[[], str | None] = lambda: None
    _secret: str = field(default_factory=lambda: secrets.token_hex(16), repr=False)

    @classmethod
    def of(
        cls, hosting: Hosting, bound: str | None = None, share_url: Callable[[], str | None] | None = None
    ) -> Addresses:
        """Those of an app that listens on `bound`. A share link's requests arrive through a process on this machine."""
        machine = socket.gethostname().lower()
        names = {"localhost", "*.localhost", machine, f"{machine.removesuffix('.local')}.local", *hosting.hosts}
        proxies = hosting.proxies + (LOOPBACK if share_url is not None else ())
        return cls(
            frozenset(names | {bound.lower()} if bound else names),
            proxies,
            hosting.frames,
            share_url or (lambda: None),
        )

    def is_ours(self, host: str) -> bool:
        """Whether the app answers to a Host header, with or without port. Without one, the sender is not a browser."""
        name = _name(host)
        if not name or _is_address(name) or name in self.hosts:
            return True
        if any(known.startswith("*.") and name.endswith(known[1:]) for known in self.hosts):
            return True
        return name == (urlsplit(self.share_url() or "").hostname or "")

    def received(self, scope: Scope) -> Scope:
        """The request as the app should see it: its `client` is the visitor, and forwarded headers remain only if a named
        proxy has sent them."""
        peer = str((scope.get("client") or ("", 0))[0])
        headers = Headers(scope=scope)
        through_proxy = is_in(peer, self.proxies)
        inner = headers.get(SENDER.decode(), "").partition(" ")
        if secrets.compare_digest(inner[0].encode(), self._secret.encode()):
            sender = inner[2]
        else:
            sender = self._sender(peer, headers.getlist("x-forwarded-for")) if through_proxy else peer
        dropped = {SENDER, b"x-gradio-server"} if through_proxy else {SENDER, *FORWARDED}
        kept = [(name, value) for name, value in scope["headers"] if name.lower() not in dropped]
        if "/mcp" in scope["path"]:
            kept.append((SENDER, f"{self._secret} {sender}".encode()))
        return {**scope, "headers": kept, "client": (sender, (scope.get("client") or ("", 0))[1])}

    def _sender(self, peer: str, forwarded: Iterable[str]) -> str:
        """Each proxy appends the address of its client, so the last one that is no proxy was written by a proxy."""
        heard = [part.strip() for value in forwarded for part in value.split(",")]
        return next((each for each in reversed(heard) if _is_address(each) and not is_in(each, self.proxies)), peer)

    def frame_policy(self) -> str:
        """The value of Content-Security-Policy."""
        return " ".join(("frame-ancestors 'self'", *self.frames))


def asked_host(headers: Headers) -> str:
    """The host that the browser asked for; a proxy says it in a header that `Addresses.received` has let through."""
    forwarded = headers.get("x-forwarded-host", "").partition(",")[0].strip()
    return (forwarded or headers.get("host", "")).lower()


@lru_cache(1_000)
def is_in(address: str, networks: tuple[Network, ...]) -> bool:
    """Whether an address belongs to one of the networks."""
    try:
        found = ipaddress.ip_address(address.strip("[]").partition("%")[0])
    except ValueError:
        return False
    if isinstance(found, ipaddress.IPv6Address) and found.ipv4_mapped is not None:
        found = found.ipv4_mapped
    return any(found in network for network in networks)


def _name(host: str) -> str:
    try:
        return urlsplit(f"//{host.strip().lower()}").hostname or ""
    except ValueError:  # an unfinished bracket
        return host or "?"


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name.strip("[]").partition("%")[0])
    except ValueError:
        return False
    return True
