"""Estimate when a queued run will start, from the speed of running jobs and the estimates of those before it."""

from __future__ import annotations

import heapq

from playground.analysis.time_estimate import seconds_of
from playground.runs.curves import Curves
from playground.runs.limits import Limits
from playground.runs.queue.queue import Job, QueueView
from playground.runs.store.run_store import Run
from playground.train.estimate import estimate


def seconds_until_start(line: QueueView, job_id: str, curves: Curves, workers: int, limits: Limits) -> float | None:
    """Seconds until a waiting job gets a worker if the queue does not change; None for a job that does not wait."""
    if line.position(job_id) is None:
        return None
    free_at = [0.0] * max(0, workers - len(line.running)) + [_left(job, curves, limits) for job in line.running]
    heapq.heapify(free_at)
    for job in line.waiting:
        start = heapq.heappop(free_at)
        if job.id == job_id:
            return start
        heapq.heappush(free_at, start + _left(job, curves, limits))
    raise AssertionError("a job that has a position waits")


def _left(job: Job, curves: Curves, limits: Limits) -> float:
    runs = [job] if isinstance(job, Run) else [run for arm in job.members for run in arm]
    seconds = sum(_seconds_left(run, curves) for run in runs)
    return seconds if limits.run_minutes is None else min(seconds, 60 * limits.run_minutes)


def _seconds_left(run: Run, curves: Curves) -> float:
    """Remaining seconds of a run: at its measured speed, or at the estimate for its size."""
    columns = curves.columns(run)
    left = max(0, run.train.steps - columns.step)
    if columns.train["seconds"] and columns.step > 0:
        return left * columns.train["seconds"][-1] / columns.step
    return seconds_of(estimate(run.model, run.train), run.model, run.train) * left / run.train.steps
