"""Who has the page open, for the host. Kept in memory only."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict

MOST = 1_000  # visitors that are remembered
HERE_SECONDS = 15.0  # since a page last reported, which it does every two seconds while it can be seen


class Presence:
    """When each visitor, by the hash of their token, was last here. All methods may be called from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._seen: OrderedDict[str, float] = OrderedDict()

    def seen(self, owner: str) -> None:
        """A visitor's page has reported."""
        with self._lock:
            self._seen[owner] = time.monotonic()
            self._seen.move_to_end(owner)
            while len(self._seen) > MOST:
                self._seen.popitem(last=False)

    def here(self) -> dict[str, float]:
        """The visitors who are here, with the seconds since they last reported."""
        now = time.monotonic()
        with self._lock:
            return {owner: now - at for owner, at in self._seen.items() if now - at < HERE_SECONDS}

    def forget(self) -> None:
        """Forget everybody who has no page open."""
        with self._lock:
            self._seen.clear()
