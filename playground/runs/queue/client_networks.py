"""Where starts come from. A visitor is a browser, and a new browser is made in a moment: the network behind it is not.

A network is the address of a home, a school or a server, whoever sits behind it. Nothing of it is written anywhere, so what
is known ends with the app. Addresses that are nobody's in particular, a machine's own or those of a local network, are none.
"""

from __future__ import annotations

import ipaddress
import threading
from collections.abc import Callable, Iterable

from playground.runs.queue.usage import Usage

ClientNetworkOf = Callable[[], str | None]  # the network from which whoever asks just now does so
V6_BITS = 56  # what one customer of a provider is usually given


def no_network() -> None:
    """For an app whose starts all come from the machine itself."""


def network_of(address: str) -> str | None:
    """The network of an address, or None for one that is not public, and for what is no address."""
    try:
        found = ipaddress.ip_address(address.strip().strip("[]").partition("%")[0])
    except ValueError:
        return None
    if isinstance(found, ipaddress.IPv6Address) and found.ipv4_mapped is not None:
        found = found.ipv4_mapped
    if not found.is_global or found.is_multicast:
        return None
    return str(found if found.version == 4 else ipaddress.ip_network((found, V6_BITS), strict=False))


def origin(peer: str, forwarded: Iterable[str]) -> str | None:
    """The network of who is behind a request that `peer` sent us, by the values of its header ``X-Forwarded-For``.

    A public peer is believed itself: anybody may write a header. Any other is a proxy of the host's or a local network, and
    each proxy adds on the right whom it has heard, so the first public address from the right is one that none of the
    visitors has written.
    """
    if network_of(peer) is not None:
        return network_of(peer)
    heard = [part for value in forwarded for part in value.split(",")]
    return next((found for part in reversed(heard) if (found := network_of(part)) is not None), None)


class ClientNetworks:
    """What each network has in the queue and has used within 24 hours. All methods may be called from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._of: dict[str, str] = {}  # by job
        self._seen: set[str] = set()  # jobs that were known at the last `keep`
        self._used = Usage(None)

    def started(self, job_id: str, network: str | None) -> None:
        """A job was queued from there."""
        with self._lock:
            self._of.pop(job_id, None)
            if network is not None:
                self._of[job_id] = network

    def jobs(self, network: str | None, active: Iterable[str]) -> int:
        """How many of the jobs that train or wait are from there; none from nowhere."""
        with self._lock:
            return 0 if network is None else sum(self._of.get(job_id) == network for job_id in active)

    def add(self, job_id: str, seconds: float) -> None:
        """Count training time of a job."""
        with self._lock:
            network = self._of.get(job_id)
        if network is not None:
            self._used.add(network, seconds)

    def seconds(self, job_id: str) -> float:
        """What the network of a job has used within the last 24 hours."""
        with self._lock:
            network = self._of.get(job_id)
        return 0.0 if network is None else self._used.seconds(network)

    def keep(self, job_ids: Iterable[str]) -> None:
        """Forget jobs that are gone, and let what was used grow old. `job_ids` may be a moment old: who is new stays."""
        wanted = set(job_ids)
        with self._lock:
            gone = self._seen - wanted
            self._of = {job_id: network for job_id, network in self._of.items() if job_id not in gone}
            self._seen = set(self._of)
        self._used.flush()
