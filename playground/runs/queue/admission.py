"""Whether a run or race may be queued: its own state, and the limits of its visitor and of the app.

Every function returns nothing, or raises ValueError with one sentence that names the limit.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from playground.config import counted
from playground.runs.limits import Limits
from playground.runs.queue.client_networks import ClientNetworks
from playground.runs.queue.queue import Job, kind_of
from playground.runs.queue.usage import Usage
from playground.runs.store import status
from playground.runs.store.run_store import Run
from playground.runs.store.status import Status
from playground.runs.texts import missing

TRAINED = ("running", "finished", "diverged", "failed", "crashed")  # states of jobs that a worker has had


def check_trainer(limits: Limits, may_train: bool) -> None:
    """Whether a visitor can train at all."""
    if may_train:
        return
    if limits.trainers == "nobody":
        raise ValueError(
            "Training is disabled on this server. Look at the reference runs, or run the playground on your own machine."
        )
    raise ValueError(
        "Only the host can train on this server. Enter the host's password, or look at the reference runs."
    )


def check_turns(
    limits: Limits,
    owner: str | None,
    statuses: Sequence[tuple[Job, Status]],
    n_jobs: int,
    usage: Usage,
    networks: ClientNetworks,
    network: str | None,
) -> None:
    """Whether `owner`, whose request came from `network`, can queue `n_jobs` more beside the jobs in `statuses`."""
    active = [job for job, now in statuses if now.active]
    own = sum(job.owner == owner for job in active)
    if limits.waiting_runs is not None:
        most = (limits.running_runs or 0) + limits.waiting_runs
        if own + n_jobs > most:
            raise ValueError(
                f"Queue: you have {counted(own, 'job')} running or waiting and would add {n_jobs}; the limit here is "
                f"{most}. Wait until one ends, or stop one."
            )
    near = networks.jobs(network, (job.id for job in active))
    if limits.network_runs is not None and near + n_jobs > limits.network_runs:
        raise ValueError(
            f"Queue: your network has {counted(near, 'job')} running or waiting and would add {n_jobs}; the limit here is "
            f"{limits.network_runs} per network. Wait until one ends, or look at a reference run meanwhile."
        )
    waiting = sum(now.state == "queued" for _, now in statuses)
    if limits.queue_length is not None and waiting + n_jobs > limits.queue_length:
        raise ValueError(
            f"Queue: {counted(waiting, 'job')} waiting, and this would add {n_jobs}; the limit here is "
            f"{limits.queue_length}. Try again in a few minutes, and look at a reference run meanwhile."
        )
    _check_new_visitor(limits, owner, statuses, n_jobs, usage)
    used = usage.seconds(owner)
    if limits.daily_minutes is not None and used >= 60 * limits.daily_minutes:
        wait = max(1, math.ceil(usage.returns_in(owner) / 60))
        soon = counted(wait, "minute") if wait < 120 else f"{wait / 60:.1f} hours"
        raise ValueError(
            f"Training time: you have used {used / 60:.1f} min within 24 hours; the limit here is "
            f"{limits.daily_minutes:g} min. The first of it becomes available again in {soon}."
        )


def _check_new_visitor(
    limits: Limits, owner: str | None, statuses: Sequence[tuple[Job, Status]], n_jobs: int, usage: Usage
) -> None:
    """Whether visitors who have not trained yet can have more in the queue. Anybody can be many of these, so they have a
    part of it together, and those who were there before keep the rest."""
    if limits.new_visitor_runs is None:
        return
    trained = {job.owner for job, now in statuses if now.state in TRAINED and not (isinstance(job, Run) and job.origin)}

    def is_new(visitor: str | None) -> bool:
        return visitor not in trained and not usage.seconds(visitor)

    waiting = sum(now.state == "queued" and is_new(job.owner) for job, now in statuses)
    if is_new(owner) and waiting + n_jobs > limits.new_visitor_runs:
        raise ValueError(
            f"Queue: visitors who have not trained yet have {counted(waiting, 'job')} waiting, and this would add {n_jobs}; "
            f"the limit for all of them is {limits.new_visitor_runs}. Try again in a few minutes, and look at a reference "
            "run meanwhile."
        )


def check_resumable(run: Job, now: Status, finished_too: bool = False) -> None:
    """Whether a job in the state `now` can be queued; a finished one only with `finished_too`."""
    if isinstance(run, Run) and run.origin:
        raise ValueError(f"This model was imported, and training cannot continue, because {missing(run.train)}.")
    if now.state == "finished" and not finished_too:
        more = "Train it for more steps instead." if isinstance(run, Run) else "Start a new one."
        raise ValueError(f"This {kind_of(run)} has already finished. {more}")
    if now.state == "diverged":
        raise ValueError(
            "This run diverged, and would most likely diverge again. Start a new one with a lower learning rate."
        )
    if now.state == "crashed" and status.alive(status.declared(run.path)):
        raise ValueError("Its training process is not responding but still exists. Stop the run first.")
