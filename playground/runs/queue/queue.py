"""The order of the queue: round robin over visitors, least used training time first."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from playground.runs.races import Race
from playground.runs.store.run_store import Run
from playground.runs.store.status import Status

Job = Run | Race  # a worker's job: a race trains all its runs in one process


def kind_of(job: Job) -> str:
    """The noun for a job in messages."""
    return "run" if isinstance(job, Run) else "race"


@dataclass(frozen=True)
class QueueView:
    """The running jobs, and the waiting jobs in order."""

    running: tuple[Job, ...] = ()
    waiting: tuple[Job, ...] = ()

    def position(self, job_id: str) -> int | None:
        """A waiting job's place, from 1; None for any other."""
        ids = [job.id for job in self.waiting]
        return ids.index(job_id) + 1 if job_id in ids else None


class RoundRobin:
    """Counts the turns of each owner since the machine was last idle. A newcomer starts in the current round, so unused
    turns are not saved up."""

    def __init__(self) -> None:
        self._round = 0
        self._next: dict[str | None, int] = {}

    def of(self, owner: str | None) -> int:
        """The round in which an owner's next job is due."""
        return max(self._next.get(owner, 0), self._round)

    def took(self, owner: str | None) -> None:
        """An owner's job was dispatched."""
        self._round = self.of(owner)
        self._next[owner] = self._round + 1

    def forget(self) -> None:
        """Reset when nothing trains or waits."""
        self._round, self._next = 0, {}


def line(
    statuses: Sequence[tuple[Job, Status]],
    used: Callable[[str | None], float],
    turns: RoundRobin,
    used_around: Callable[[str], float] = lambda job_id: 0.0,
) -> QueueView:
    """The current queue. `used` gives the training time of an owner within the last 24 hours in seconds, `used_around`
    that of the network that a job came from.

    Every owner's first job comes before any second job. Within a round, the order is by the network's used time, then the
    owner's, then the time of queueing. The jobs of one owner keep their order.
    """
    running = tuple(job for job, now in statuses if now.state == "running")
    waiting = [(job, now) for job, now in statuses if now.state == "queued"]
    before: Counter[str | None] = Counter()
    keyed = []
    for job, now in sorted(waiting, key=lambda pair: (pair[1].queued, pair[0].id)):
        keyed.append(
            ((turns.of(job.owner) + before[job.owner], used_around(job.id), used(job.owner), now.queued, job.id), job)
        )
        before[job.owner] += 1
    return QueueView(running, tuple(job for _, job in sorted(keyed, key=lambda pair: pair[0])))


def after_all_queued(statuses: Sequence[tuple[Job, Status]]) -> float:
    """A time that is later than any in the queue, even if the clock was set back."""
    return max([time.time(), *(now.queued + 1e-3 for _, now in statuses if now.state == "queued")])
