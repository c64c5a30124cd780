"""The message about a training process that was killed."""

from __future__ import annotations

from pathlib import Path

from playground.config import apart
from playground.runs.create import free_memory
from playground.runs.queue.queue import Job, kind_of
from playground.runs.races import job_memory, jobs
from playground.runs.store import status
from playground.runs.store.run_store import Run, RunStore

LARGE = 0.5  # share of the free memory above which an estimate makes memory the probable cause


def declare_killed(store: RunStore, folder: Path, pid: int) -> None:
    """Record that the process `pid`, which trained the run or race in `folder`, was killed, and the probable cause.

    Does nothing if the process is not the one that the folder names, or has written how it ended.
    """
    with store.exclusive():
        if status.declared(folder).pid != pid or status.derive(folder).state != "crashed":
            return
        job = next((job for job in jobs(store) if job.path == folder), None)
        why = f"The training process was killed by the system or a person{status.reached(folder)} "
        if job is not None:
            why += what_to_do(job, free_memory())
        status.declare(folder, status.Status("crashed", why.strip()))


def what_to_do(job: Job, free: int) -> str:
    """The probable cause and what to do. `free`: bytes that are free without the process."""
    need = job_memory(job)
    if need <= LARGE * free:
        return "Resume it to continue."
    needed, left = apart(need / 1e9, free / 1e9)
    remedy = (
        "Lower the batch size, context length, embedding size or layers"
        if isinstance(job, Run)
        else "Use fewer arms or seeds, or smaller models"
    )
    return (
        f"The system probably ran out of memory: this {kind_of(job)} needs about {needed} GB, and {left} GB are free "
        f"without it. {remedy}, or close other programs and resume it."
    )
