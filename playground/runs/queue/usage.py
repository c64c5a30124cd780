"""How long each visitor's runs have trained within the last 24 hours, in one small file of the store.

The supervising launcher writes; any process may read. A crash loses what was added since the last `flush`, a few seconds.
It contains only SHA-256 digests of visitors' secrets.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Collection
from pathlib import Path

from playground.runs.store.files import read_json, write_json

BIN_SECONDS = 600  # used time expires in portions of ten minutes
DAY_BINS = 24 * 3600 // BIN_SECONDS

Bins = dict[int, float]  # seconds of training by ten-minute bin of the wall clock


class Usage:
    """Seconds by owner; None is the one person of a local app. All methods may be called from any thread.

    Without a path nothing is written.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._stamp: tuple[int, int] | None = None
        self._saved: dict[str, Bins] = {}
        self._added: dict[str, float] = {}  # since the last flush

    def add(self, owner: str | None, seconds: float) -> None:
        """Add training time. It is stored once `flush` has returned."""
        if seconds > 0:
            with self._lock:
                self._added[owner or ""] = self._added.get(owner or "", 0.0) + seconds

    def seconds(self, owner: str | None) -> float:
        """Training time used within the last 24 hours."""
        with self._lock:
            self._refresh()
            return sum(self._saved.get(owner or "", {}).values()) + self._added.get(owner or "", 0.0)

    def returns_in(self, owner: str | None) -> float:
        """Seconds until the oldest used time expires; 0 if nothing was used."""
        with self._lock:
            self._refresh()
            bins = self._saved.get(owner or "", {})
            return max(0.0, (min(bins) + DAY_BINS + 1) * BIN_SECONDS - time.time()) if bins else 0.0

    def forget(self, owners: Collection[str] | None = None) -> None:
        """Forget the training time of some owners, or of everybody. Raises OSError."""
        with self._lock:
            self._refresh()
            self._saved = (
                {} if owners is None else {key: bins for key, bins in self._saved.items() if key not in owners}
            )
            self._added = {} if owners is None else {key: s for key, s in self._added.items() if key not in owners}
            self._write(self._saved)

    def flush(self) -> None:
        """Write what was added. Raises OSError without losing anything."""
        with self._lock:
            if not self._added:
                return
            self._refresh()
            now = int(time.time() // BIN_SECONDS)
            owners = {owner: dict(bins) for owner, bins in self._saved.items()}
            for owner, seconds in self._added.items():
                bins = owners.setdefault(owner, {})
                bins[now] = bins.get(now, 0.0) + seconds
            self._write(owners)
            self._saved, self._added = owners, {}

    def _write(self, owners: dict[str, Bins]) -> None:
        if self._path is not None:
            write_json(self._path, {owner: {str(at): s for at, s in bins.items()} for owner, bins in owners.items()})
        self._stamp = self._found()

    def _found(self) -> tuple[int, int] | None:
        if self._path is None:
            return None
        try:
            found = self._path.stat()
        except OSError:
            return None
        return found.st_mtime_ns, found.st_ino

    def _refresh(self) -> None:
        stamp = self._found()
        if self._path is not None and stamp != self._stamp:
            self._stamp = stamp
            self._saved = {owner: _bins(values) for owner, values in (read_json(self._path) or {}).items()}
        # A bin from the future means that the clock was set back: it counts as now, and so still ends after a day.
        now = int(time.time() // BIN_SECONDS)
        kept = {owner: _within_a_day(bins, now) for owner, bins in self._saved.items()}
        self._saved = {owner: bins for owner, bins in kept.items() if bins}


def _within_a_day(bins: Bins, now: int) -> Bins:
    kept: Bins = {}
    for at, seconds in bins.items():
        if at > now - DAY_BINS:
            kept[min(at, now)] = kept.get(min(at, now), 0.0) + seconds
    return kept


def _bins(values: object) -> Bins:
    """Parse stored bins; invalid entries are left out."""
    if not isinstance(values, dict):
        return {}
    return {
        int(at): float(seconds)
        for at, seconds in values.items()
        if isinstance(at, str) and at.isdecimal() and isinstance(seconds, (int, float)) and 0 <= seconds < 1e9
    }
