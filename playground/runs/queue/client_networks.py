"""The networks that runs are started from. A new browser is a new visitor, but it is in the same network.

A network is the public address of a home, a school or a server. Networks are kept in memory only and forgotten when the app
ends. Loopback and local addresses have no network.
"""

from __future__ import annotations

import ipaddress
import threading
from collections.abc import Callable, Iterable

from playground.runs.queue.usage import Usage

ClientNetworkOf = Callable[[], str | None]  # the network of the current request
V6_BITS = 56  # what one customer of a provider is usually given


def no_network() -> None:
    """For local apps: no network."""


def network_of(address: str) -> str | None:
    """The network of an address, or None if it is not a public address."""
    try:
        found = ipaddress.ip_address(address.strip().strip("[]").partition("%")[0])
    except ValueError:
        return None
    if isinstance(found, ipaddress.IPv6Address) and found.ipv4_mapped is not None:
        found = found.ipv4_mapped
    if not found.is_global or found.is_multicast:
        return None
    return str(found if found.version == 4 else ipaddress.ip_network((found, V6_BITS), strict=False))


class ClientNetworks:
    """What each network has in the queue and has used within 24 hours. All methods may be called from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._of: dict[str, str] = {}  # by job
        self._seen: set[str] = set()  # jobs that were known at the last `keep`
        self._used = Usage(None)

    def started(self, job_id: str, network: str | None) -> None:
        """A job was queued from this network."""
        with self._lock:
            self._of.pop(job_id, None)
            if network is not None:
                self._of[job_id] = network

    def jobs(self, network: str | None, active: Iterable[str]) -> int:
        """How many of the running and waiting jobs are from this network; 0 without a network."""
        with self._lock:
            return 0 if network is None else sum(self._of.get(job_id) == network for job_id in active)

    def add(self, job_id: str, seconds: float) -> None:
        """Add training time of a job."""
        with self._lock:
            network = self._of.get(job_id)
        if network is not None:
            self._used.add(network, seconds)

    def seconds(self, job_id: str) -> float:
        """Training time that the network of a job has used within the last 24 hours."""
        with self._lock:
            network = self._of.get(job_id)
        return 0.0 if network is None else self._used.seconds(network)

    def keep(self, job_ids: Iterable[str]) -> None:
        """Forget deleted jobs and expired training time. `job_ids` may be slightly outdated: new jobs are kept."""
        wanted = set(job_ids)
        with self._lock:
            gone = self._seen - wanted
            self._of = {job_id: network for job_id, network in self._of.items() if job_id not in gone}
            self._seen = set(self._of)
        self._used.flush()
