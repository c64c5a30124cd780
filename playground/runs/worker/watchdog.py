"""Time and memory limits of a worker, monitored by a thread.

The training loop checks `verdict` after every step and ends regularly. If it does not reach its next step in time, this
thread ends the process: the reason becomes its status, and its last checkpoint is kept.
"""

from __future__ import annotations

import os
import threading
import time
from dataclasses import dataclass
from types import TracebackType
from typing import Self

import psutil

from playground.config import apart, counted
from playground.runs.create import free_memory
from playground.runs.limits import LOCAL, Limits
from playground.runs.races import Race, check_job, job_memory
from playground.runs.store import checkpoints, status
from playground.runs.store.run_store import Run
from playground.runs.store.status import Status
from playground.train.estimate import PROCESS_BYTES

LOOK_SECONDS = 0.25
RESERVE = 100_000_000  # bytes that stay free on a machine without limits, because running out stalls everything
PATIENCE = {"time": 20.0, "memory": 2.0}  # seconds for the loop to end regularly
FAR_TOO_MUCH = 1.5  # times the memory limit: ends at once


@dataclass(frozen=True)
class WorkerLimits:
    """The limits that a worker received. `seconds` is the remaining training time of the visitor's day; `deadly` if the
    process may be ended from outside the loop."""

    limits: Limits = LOCAL
    seconds: float | None = None
    deadly: bool = False

    def check(self, job: Run | Race) -> None:
        """Raise ValueError if the job is over the limits, or would not fit into this machine's memory now."""
        check_job(job, self.limits)
        more, free = job_memory(job) - PROCESS_BYTES, free_memory()  # this process is already running
        if more > free:
            needed, left = apart(more / 1e6, free / 1e6, 0)
            raise ValueError(
                f"Memory: this needs about {needed} MB more; {left} MB are free on this machine now. "
                "Close other programs and resume, or lower the batch size, context length, embedding size or layers."
            )


class Watchdog:
    """Watches the process that trains `job` while it is entered."""

    def __init__(self, job: Run | Race, guard: WorkerLimits) -> None:
        self._job = job
        self._guard = guard
        self._began = time.monotonic()
        self._seconds, self._whose = _time_left(job, guard)
        self._kind = ""
        self._verdict = ""
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="watchdog", daemon=True)

    @property
    def verdict(self) -> str:
        """Why the training has to end, or nothing."""
        if not self._verdict:
            self._look_at_time()
        return self._verdict

    def ending(self, kept: str) -> Status | None:
        """The status to end with, if it has to end; `kept` says which checkpoint there is."""
        if not self._verdict:
            return None
        return Status("failed" if self._kind == "memory" else "stopped", f"{self._verdict} {kept}".strip())

    def _look_at_time(self) -> None:
        if self._seconds is not None and time.monotonic() - self._began >= self._seconds:
            self._decide("time", self._whose)

    def _look_at_memory(self) -> None:
        used, limit = used_memory(), self._guard.limits.memory_mb
        if limit is not None and used > limit * 1_000_000:
            taken, most = apart(used / 1e6, limit, 0)
            self._decide(
                "memory",
                f"Memory: the training process took {taken} MB; the limit here is {most} MB. "
                "Lower the batch size, context length, embedding size or layers.",
            )
        elif (free := free_memory()) < RESERVE:
            self._decide(
                "memory",
                f"Memory: only {free / 1e6:,.0f} MB were left on this machine, {used / 1e6:,.0f} MB used by this "
                f"training process, "
                "which was stopped so that nothing else fails. Close other programs and resume, or lower the batch size or "
                "context length.",
            )

    def _decide(self, kind: str, words: str) -> None:
        self._kind, self._verdict = kind, words  # in this order, so that a verdict always has its kind

    def _watch(self) -> None:
        while not self.verdict:
            if self._over.wait(LOOK_SECONDS):
                return
            self._look_at_memory()
        deadline = time.monotonic() + PATIENCE[self._kind]
        while time.monotonic() < deadline and not self._beyond_all_measure():
            if self._over.wait(LOOK_SECONDS):
                return
        if self._guard.deadly:
            self._end_it()

    def _beyond_all_measure(self) -> bool:
        limit = self._guard.limits.memory_mb
        return limit is not None and used_memory() > FAR_TOO_MUCH * limit * 1_000_000

    def _end_it(self) -> None:
        ending = self.ending(newest(self._job))
        assert ending is not None
        status.withdraw(self._job.path)
        status.declare(self._job.path, ending)
        os._exit(1)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()


def used_memory() -> int:
    """Private memory of this process in bytes, without file pages, which the kernel can reclaim at any time."""
    found = psutil.Process().memory_info()
    return int(found.rss - getattr(found, "shared", 0))


def trained_seconds(job: Run | Race) -> float:
    """Training time in seconds recorded in the newest checkpoints of a run or race."""
    runs = [job] if isinstance(job, Run) else [run for arm in job.members for run in arm]
    return sum(_seconds_of(run) for run in runs)


def _seconds_of(run: Run) -> float:
    try:
        return float(checkpoints.counters(run.path, checkpoints.steps(run.path, "checkpoints")[-1])["seconds"])
    except (IndexError, KeyError, ValueError):
        return 0.0


def _time_left(job: Run | Race, guard: WorkerLimits) -> tuple[float | None, str]:
    """The remaining training time in seconds, if limited, and the message when it is over."""
    limits, what = guard.limits, "run" if isinstance(job, Run) else "race"
    own = None if limits.run_minutes is None else limits.run_minutes * 60 - trained_seconds(job)
    if own is not None and (guard.seconds is None or own <= guard.seconds):
        return own, (
            f"Time: the limit here is {limits.run_minutes:g} min of training per {what}, and it is reached. "
            "Start one with fewer steps or a smaller model."
        )
    most = "" if limits.daily_minutes is None else f" of {limits.daily_minutes:g} min"
    return guard.seconds, f"Time: the limit{most} of training per visitor within 24 hours is reached. Resume later."


def newest(job: Run | Race) -> str:
    if isinstance(job, Run):
        return checkpoints.kept(job.path)
    members = [run for arm in job.members for run in arm]
    n_saved = sum(bool(checkpoints.steps(run.path, "checkpoints")) for run in members)
    return f"Checkpoints of {n_saved} of {counted(len(members), 'run')} are kept." if n_saved else checkpoints.NONE_KEPT
