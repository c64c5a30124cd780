"""The audit log in the app's output: one JSON object per line on each change of a run's state.

It contains no names, texts, prompts or messages of visitors, no secrets and no addresses. A run is identified by the first
eight letters of its id: enough to find its folder, too few to open it.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from datetime import UTC, datetime

from playground.runs.races import Race
from playground.runs.store.run_store import Run
from playground.runs.store.status import State

Tell = Callable[..., None]
Job = Run | Race


def standard_output(event: str, **facts: str | int | float) -> None:
    """Write a line to standard output."""
    now = datetime.now(UTC).isoformat(timespec="seconds")
    print(json.dumps({"time": now, "event": event, **facts}), flush=True)


def null_sink(event: str, **facts: str | int | float) -> None:
    """Discard events, for local apps."""


class AuditLog:
    """Reports changes of jobs' states. Used by the supervising launcher, which checks all jobs twice a second."""

    def __init__(self, tell: Tell) -> None:
        self._tell = tell
        self._seen: dict[str, State] = {}
        self._since: dict[str, float] = {}
        self._begun = False

    def look(self, states: list[tuple[Job, State]]) -> None:
        """Report what has changed since the last call. The first call only records the existing jobs."""
        now = time.monotonic()
        for job, state in states:
            before = self._seen.get(job.id)
            if state != before and self._begun and (before or state in ("queued", "running")):
                self._tell(
                    state, job=job.id[:8], kind="race" if isinstance(job, Race) else "run", **self._after(job.id, now)
                )
            if state != before:
                self._since[job.id] = now
        gone = self._seen.keys() - {job.id for job, _ in states}
        for job_id in gone if self._begun else ():
            self._tell("removed", job=job_id[:8])
            self._since.pop(job_id, None)
        self._seen = {job.id: state for job, state in states}
        self._begun = True

    def _after(self, job_id: str, now: float) -> dict[str, float]:
        """How long the job was in the previous state (waiting or training time)."""
        since = self._since.get(job_id)
        return {} if since is None else {"after_seconds": round(now - since, 1)}
