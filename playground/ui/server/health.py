"""Health check and metrics for the host.

``/health``     public: ``{"status": "ok"}``, or 503 where the store cannot be written or its disk is full.
``/metrics``    for the host: runs by state, the queue and memory, in Prometheus' text format. Public in local
                mode; in public mode only with ``Authorization: Bearer $PLAYGROUND_METRICS_TOKEN``, else it is not there.
"""

from __future__ import annotations

import os
import secrets
import shutil
import time
from collections import Counter

import psutil
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from playground.runs.queue.space import MIN_FREE
from playground.runs.races import jobs
from playground.runs.store.status import State
from playground.ui.services import Services

STATES: tuple[State, ...] = ("queued", "running", "paused", "stopped", "finished", "failed", "diverged", "crashed")
CHECKPOINT = 20_000_000  # bytes, below which a local run may not be able to save
STARTED = time.monotonic()


def routes(services: Services) -> list[Route]:
    """The two pages."""

    def health(request: Request) -> Response:
        problem = _problem(services)
        return JSONResponse(
            {"status": "ok"} if not problem else {"status": "unwell", "reason": problem}, 503 if problem else 200
        )

    def metrics(request: Request) -> Response:
        if services.public and not _is_host(request.headers.get("authorization", "")):
            return PlainTextResponse("Not Found", 404)
        return PlainTextResponse(report(services), media_type="text/plain; version=0.0.4")

    return [Route("/health", health), Route("/metrics", metrics)]


def _problem(services: Services) -> str:
    """The reason why runs cannot be stored, or nothing."""
    try:
        with services.store.exclusive():
            free = shutil.disk_usage(services.store.root).free
    except OSError as error:
        return f"The run store cannot be written: {error.strerror or type(error).__name__}."
    need = MIN_FREE if services.public else CHECKPOINT
    if free < need:
        have, wanted = (f"{size / 1e6:,.0f}" for size in (free, need))
        return f"The disk of the run store is full: {have} MB are free of the {wanted} MB that runs need."
    return ""


def _is_host(header: str) -> bool:
    known = os.environ.get("PLAYGROUND_METRICS_TOKEN", "")
    return bool(known) and secrets.compare_digest(header.encode(), f"Bearer {known}".encode())


def report(services: Services) -> str:
    """Runs by state, memory and age, in the text format of Prometheus."""
    counts = Counter(job.status().state for job in jobs(services.store))
    process = psutil.Process()
    workers = sum(_resident(child) for child in process.children(recursive=True))
    lines = ["# HELP playground_runs Runs and races in the store.", "# TYPE playground_runs gauge"]
    lines += [f'playground_runs{{state="{state}"}} {counts[state]}' for state in STATES]
    for name, value, about in (
        ("app_resident_bytes", _resident(process), "Memory of the app."),
        ("workers_resident_bytes", workers, "Memory of its training processes."),
        ("disk_free_bytes", psutil.disk_usage(str(services.store.root)).free, "Free where runs are stored."),
        ("uptime_seconds", round(time.monotonic() - STARTED), "Since the app was started."),
    ):
        lines += [f"# HELP playground_{name} {about}", f"# TYPE playground_{name} gauge", f"playground_{name} {value}"]
    return "\n".join(lines) + "\n"


def _resident(process: psutil.Process) -> int:
    try:
        return int(process.memory_info().rss)
    except psutil.Error:
        return 0
