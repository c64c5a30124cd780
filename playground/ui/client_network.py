"""The network of the visitor whose request is being handled."""

from __future__ import annotations

from gradio.context import LocalContext

from playground.runs.queue.client_networks import network_of


def client_network() -> str | None:
    """The network of the request that this thread handles, or None. `server.addresses` has made the visitor its client."""
    request = LocalContext.request.get(None)
    if request is None or request.client is None:
        return None
    return network_of(str(request.client.host))
