"""Disk space: usage of runs, limits for visitors, and the deletion of old runs.

Applies only if `Limits` or a maximum age are set; a local store keeps everything. `doomed` decides the order of deletion;
see docs/decisions/2026-11-25-fair-use.md. Running and waiting jobs and the gallery are never deleted.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from playground.runs.limits import Limits, stored_bytes
from playground.runs.races import Race, jobs
from playground.runs.store import status
from playground.runs.store.files import discard
from playground.runs.store.run_store import Run, RunStore

Job = Run | Race
MIN_FREE = 200_000_000  # bytes that stay free on the disk of a limited store
YOUNG_SECONDS = 600.0  # since its last change, during which a run is not deleted, because it may be in use
PASS_SHARE = 10  # at most one in this many is deleted for age per pass: a wrong clock must not empty a store
PASS_SECONDS = 600.0
_FRESH = 60.0  # seconds for which a total is cached


class Space:
    """Disk usage of a store. All methods may be called from any thread."""

    def __init__(self, store: RunStore) -> None:
        self._store = store
        self._total: tuple[float, int] | None = None

    def check(self, job: Job, limits: Limits) -> None:
        """Raise ValueError if a job would exceed the disk limit of its owner. Measures nothing without a limit."""
        if limits.visitor_mb is not None:  # otherwise there is no limit
            self.check_room(job.owner, job_bytes(job), limits, apart_from=job.id)
        self._check_total(limits)

    def _check_total(self, limits: Limits, need: int = 0) -> None:
        """Raise ValueError if all runs together exceed the limit, or the disk has no room for `need` more bytes."""
        if limits.total_mb is None:
            return
        free = shutil.disk_usage(self._store.root).free
        if self.total() / 1e6 > limits.total_mb or free - need < MIN_FREE:
            raise ValueError(
                f"Disk space: all runs here use {self.total() / 1e6:,.0f} MB of {limits.total_mb:,} MB, and "
                f"{free / 1e6:,.0f} MB are free on the disk. Old runs are deleted every few minutes: try again then, or "
                "delete a run."
            )

    def check_room(self, owner: str | None, need: int, limits: Limits, apart_from: str = "") -> None:
        """Raise ValueError if `need` more bytes would exceed an owner's limit. `owner` is hashed."""
        if limits.visitor_mb is None:
            return
        own = [job for job in jobs(self._store) if job.owner == owner and job.id != apart_from]
        others = sum(folder_bytes(job.path) for job in own)
        if (others + need) / 1e6 > limits.visitor_mb:
            raise ValueError(
                f"Disk space: your other runs use {others / 1e6:,.1f} MB, this one needs up to {need / 1e6:,.1f} MB; "
                f"the limit here is {limits.visitor_mb:,} MB. Delete a run, or lower Snapshots."
            )

    def check_brought(self, owner: str | None, need: int, limits: Limits) -> None:
        """Raise ValueError if importing a model of `need` bytes would exceed the limits. `owner` is hashed."""
        self.check_room(owner, need, limits)
        self._check_total(limits, need)
        if self._total is not None:
            self._total = (self._total[0], self._total[1] + need)  # so that others within the minute count it too

    def total(self) -> int:
        """Bytes of all runs, as of the last minute."""
        now = time.monotonic()
        if self._total is None or now - self._total[0] > _FRESH:
            self._total = (now, sum(folder_bytes(job.path) for job in jobs(self._store)))
        return self._total[1]

    def tidy(self, limits: Limits, keep_days: float | None, now: float | None = None) -> list[str]:
        """Delete runs beyond the age or size limit and return their ids. Raises OSError."""
        if keep_days is None and limits.total_mb is None:
            return []
        kept = [
            Kept(job.id, job.path, folder_bytes(job.path), last_change(job.path), job.shared)
            for job in _idle(self._store)
        ]
        busy = sum(folder_bytes(job.path) for job in jobs(self._store) if job.status().active)
        room = None if limits.total_mb is None else limits.total_mb * 1_000_000 - busy
        removed = []
        for one in doomed(kept, keep_days, room, time.time() if now is None else now):
            with self._store.exclusive():
                if status.derive(one.path).active:  # resumed a moment ago
                    continue
                discard(one.path)
            removed.append(one.id)
        self._total = None
        return removed


@dataclass(frozen=True)
class Kept:
    """A job that neither trains nor waits. `changed` is the wall clock's time of its last change."""

    id: str
    path: Path
    n_bytes: int
    changed: float
    shared: bool


def doomed(kept: Sequence[Kept], keep_days: float | None, room: float | None, now: float) -> list[Kept]:
    """Which of them are deleted, in order: those not shared and older than `keep_days`, oldest first, at most a tenth
    of all; then, until the rest fits into `room` bytes, the oldest, shared ones last. Recently changed ones are
    kept."""
    known = [one for one in kept if now - one.changed >= YOUNG_SECONDS]
    by_age = sorted(known, key=lambda one: (one.shared, one.changed, one.id))
    old = [one for one in by_age if keep_days is not None and not one.shared and now - one.changed > keep_days * 86_400]
    going = old[: max(1, len(by_age) // PASS_SHARE)]
    left = [one for one in by_age if one not in going]
    size = sum(one.n_bytes for one in kept) - sum(one.n_bytes for one in going)
    for one in left:
        if room is None or size <= room:
            break
        going.append(one)
        size -= one.n_bytes
    return going


def _idle(store: RunStore) -> list[Job]:
    return [job for job in jobs(store) if not job.status().active]


def job_bytes(job: Job) -> int:
    """The maximum disk usage of a run or race when it has ended."""
    runs = [job] if isinstance(job, Run) else [run for arm in job.members for run in arm]
    return max(folder_bytes(job.path), sum(stored_bytes(run.model, run.train) for run in runs))


def last_change(folder: Path) -> float:
    """When anything directly in a run's folder was last written, on the wall clock."""
    try:
        return max(entry.stat().st_mtime for entry in os.scandir(folder) if entry.is_file())
    except (OSError, ValueError):
        return time.time()  # it is being deleted or was changed by hand: treated as recent


def folder_bytes(folder: Path) -> int:
    """Bytes of all files in a folder; files deleted meanwhile do not count."""
    total = 0
    for place, _, names in os.walk(folder):
        for name in names:
            try:
                total += os.lstat(os.path.join(place, name)).st_size
            except OSError:
                continue
    return total
