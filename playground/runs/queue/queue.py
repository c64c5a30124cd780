"""Who is next: visitors in turn, those who have used least first."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from playground.runs.races import Race
from playground.runs.store.run_store import Run
from playground.runs.store.status import Status

Job = Run | Race  # what a worker can be given: a race trains all its runs in one


def kind_of(job: Job) -> str:
    """What a sentence calls a job."""
    return "run" if isinstance(job, Run) else "race"


@dataclass(frozen=True)
class QueueView:
    """What trains and what waits, the next one first."""

    running: tuple[Job, ...] = ()
    waiting: tuple[Job, ...] = ()

    def position(self, job_id: str) -> int | None:
        """A waiting job's place, from 1; None for any other."""
        ids = [job.id for job in self.waiting]
        return ids.index(job_id) + 1 if job_id in ids else None


class RoundRobin:
    """Who has had how many turns since the machine last stood idle. A newcomer begins with the round that is going on, so
    nobody makes up for turns that they did not want."""

    def __init__(self) -> None:
        self._round = 0
        self._next: dict[str | None, int] = {}

    def of(self, owner: str | None) -> int:
        """The round in which an owner's next job is due."""
        return max(self._next.get(owner, 0), self._round)

    def took(self, owner: str | None) -> None:
        """An owner's job was given a worker."""
        self._round = self.of(owner)
        self._next[owner] = self._round + 1

    def forget(self) -> None:
        """Nothing trains and nobody waits: all begin anew."""
        self._round, self._next = 0, {}


def line(
    statuses: Sequence[tuple[Job, Status]],
    used: Callable[[str | None], float],
    turns: RoundRobin,
    used_around: Callable[[str], float] = lambda job_id: 0.0,
) -> QueueView:
    """The queue as it stands. `used` gives the seconds that an owner has trained within the last 24 hours, `used_around`
    what all have from the network that a job came from.

    Nobody's second job comes before somebody's first; in a round those whose network has used least come first, then those
    who have used least themselves, then first come first. One visitor's jobs keep the order in which they came.
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
