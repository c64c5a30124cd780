"""GET requests: to the Hub with the session of `huggingface_hub`, and with the limits that its own functions do not have.

The session reuses connections and obeys the environment (proxies, certificates, HF_HUB_OFFLINE). No token is sent. Every
request has a timeout, redirects are followed only to permitted hosts, and callers read the body in pieces, so that they can
stop at a limit (docs/decisions/2026-11-30-libraries-instead-of-copies.md). The libraries are imported at the first request.
"""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from http import HTTPStatus
from itertools import islice
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import httpx2

HIDDEN = (HTTPStatus.NOT_FOUND, HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN)  # all of them mean: not accessible
_MAX_REDIRECTS = 10


class RequestError(Exception):
    """A request that failed, with the reason in a few words that name the server.

    `status` is the server's answer, if it is the reason; `transient` says whether another attempt may succeed.
    """

    def __init__(self, reason: str, status: int = 0, *, transient: bool = False) -> None:
        super().__init__(reason)
        self.status, self.transient = status, transient


class OutsideError(RequestError):
    """An address, or one that it redirects to, is not permitted."""


@dataclass(frozen=True)
class Hosts:
    """The hosts of a service, with the scheme and port of its endpoint; one that begins with a dot is a whole domain."""

    endpoint: str
    hosts: tuple[str, ...]

    def check(self, url: httpx2.URL) -> None:
        """Raise OutsideError for an address that does not belong to the service."""
        import httpx2

        home = httpx2.URL(self.endpoint)
        known = any(url.host.endswith(name) if name.startswith(".") else url.host == name for name in self.hosts)
        if not known or url.scheme != home.scheme or (url.port or home.port) != home.port:
            raise OutsideError(f"it lies outside the hub, at {url.host[:60]}")


@contextmanager
def stream(
    url: str, hosts: Hosts | None, timeout: float, part: tuple[int, int] | None = None
) -> Iterator[httpx2.Response]:
    """Context manager: the response to a request, to be read with `iter_raw`. Raises RequestError, also while it is read.

    `hosts`, those of the Hub, limit the address and its redirects; None permits all web servers. `timeout` is the longest
    silence of the server in seconds. `part` requests the bytes from the first to the last only.
    """
    import httpx2
    from huggingface_hub import get_session
    from huggingface_hub.errors import OfflineModeIsEnabled

    headers = {"User-Agent": "llm-playground", "Accept-Encoding": "identity"}
    headers |= {"Range": f"bytes={part[0]}-{part[1]}"} if part else {}
    host = "the server"
    try:
        target = httpx2.URL(url)
        with nullcontext(get_session()) if hosts else httpx2.Client() as client:
            for _ in range(1 + _MAX_REDIRECTS):
                if hosts:
                    hosts.check(target)
                host = target.host or host
                with client.stream("GET", target, headers=headers, timeout=timeout, follow_redirects=False) as response:
                    if not response.has_redirect_location:
                        _check_status(response.status_code)
                        yield response
                        _drain(response)
                        return
                    _drain(response)
                    target = target.join(response.headers["Location"])
        raise RequestError(f"{host} redirects again and again")
    except OfflineModeIsEnabled as error:
        raise RequestError("HF_HUB_OFFLINE is set, which forbids downloads") from error
    except (httpx2.HTTPError, httpx2.InvalidURL) as error:
        raise RequestError(_reason(error, host, timeout), transient=True) from error


def _drain(response: httpx2.Response) -> None:
    """Read a short body to its end, so that the connection can be used again."""
    if not response.is_stream_consumed:
        for _ in islice(response.iter_raw(), 4):
            pass


def _check_status(code: int) -> None:
    if code >= HTTPStatus.BAD_REQUEST:
        phrase = HTTPStatus(code).phrase if code in list(HTTPStatus) else "unknown status"
        transient = code >= HTTPStatus.INTERNAL_SERVER_ERROR or code == HTTPStatus.TOO_MANY_REQUESTS
        raise RequestError(f"the server answered {code} ({phrase})", code, transient=transient)


def _reason(error: Exception, host: str, timeout: float) -> str:
    import httpx2

    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, ssl.SSLError):
        cause = cause.__cause__ or cause.__context__
    if cause is not None:
        return f"the secure connection to {host} failed"
    if isinstance(error, httpx2.TimeoutException):
        return f"{host} did not answer within {timeout:g} seconds"
    cut = isinstance(error, (httpx2.ReadError, httpx2.WriteError, httpx2.RemoteProtocolError))
    return f"the connection to {host} was cut" if cut else f"there is no connection to {host}"
