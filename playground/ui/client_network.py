"""The network of the visitor whose request is being handled."""

from __future__ import annotations

from gradio.context import LocalContext

from playground.runs.queue.client_networks import origin


def client_network() -> str | None:
    """The network of the request that this thread handles, or None. See `runs.queue.client_networks`."""
    request = LocalContext.request.get(None)
    if request is None or request.client is None:
        return None
    return origin(str(request.client.host), [str(request.headers.get("x-forwarded-for") or "")])
