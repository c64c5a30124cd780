"""Stopping and deleting runs and races, for one visitor or for the host, with or without a launcher.

The host is ``visitor=None``, who may change every run in the store but the gallery's.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

from playground.runs.queue.queue import Job, kind_of
from playground.runs.races import delete_race, is_race_id, jobs, own_job
from playground.runs.store import status
from playground.runs.store.processes import STOP_SECONDS, end
from playground.runs.store.run_store import RunNotFound, RunStore
from playground.runs.store.status import Request, Status

CLEARED = "The host has cleared the queue."


def request_end(store: RunStore, job_id: str, what: Request, visitor: str | None = None) -> Status:
    """Ask a job's worker to stop or pause within one step; a job that waits ends at once. Returns its status then.

    Raises RunNotFound, or ValueError for a job in no state for it.
    """
    with store.exclusive():
        job = own_job(store, job_id, visitor)
        now, wanted = job.status(), Status("stopped" if what == "stop" else "paused")
        if now.state == wanted.state:
            return now
        if now.state in ("finished", "failed", "diverged"):
            raise ValueError(f"This {kind_of(job)} has already {now.state}.")
        if now.state in ("stopped", "crashed") and what == "pause":
            raise ValueError(f"This {kind_of(job)} is not training.")
        # The request comes first: a worker that is given the run at this moment sees it at its first step.
        status.request(job.path, what)
        if not status.alive(status.declared(job.path)):
            status.declare(job.path, wanted)
    return job.status()


def stop_and_wait(store: RunStore, job_id: str) -> Status:
    """Stop a job and wait until its process has ended, which is killed after ten seconds. Raises as `request_end`."""
    request_end(store, job_id, "stop")
    job = own_job(store, job_id)
    end(job.path, patience=STOP_SECONDS)
    settle(store, job)
    return job.status()


def settle(store: RunStore, job: Job) -> None:
    """Record the status of a process that was asked to stop and ended without writing one."""
    with store.exclusive():
        if job.status().state == "crashed":
            message = f"The training process did not stop in time and was killed{status.reached(job.path)}"
            paused = status.requested(job.path) == "pause"
            status.declare(job.path, Status("paused" if paused else "stopped", message))


def clear_queue(store: RunStore, running: bool = False) -> int:
    """Stop all jobs in a store that wait, of all visitors; with `running` also those that train. Returns their number."""
    with store.exclusive():
        now = [(job, job.status().state) for job in jobs(store)]
        for job, state in now:
            if state == "queued":
                status.declare(job.path, Status("stopped", CLEARED))
            elif state == "running" and running:
                status.request(job.path, "stop")
    return sum(state == "queued" or (running and state == "running") for _, state in now)


def delete_job(store: RunStore, job_id: str, visitor: str | None = None) -> None:
    """Delete a run or a race; one that trains is stopped first. Raises RunNotFound or ValueError."""
    if is_race_id(job_id):
        delete_race(store, job_id, visitor)
    else:
        store.delete(job_id, visitor)


def delete_jobs(store: RunStore, found: Sequence[Job]) -> int:
    """Delete several jobs, as the host. Those that train are all asked to stop before the first is waited for.

    Returns how many were deleted; one that is gone meanwhile does not count.
    """
    for job in found:
        if job.status().active:
            with suppress(ValueError):  # it has ended
                request_end(store, job.id, "stop")
    deleted = 0
    for job in found:
        with suppress(RunNotFound):
            delete_job(store, job.id)
            deleted += 1
    return deleted
