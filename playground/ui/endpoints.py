"""Endpoints for the page's scripts: cheap, read-only requests with JSON answers (see `ui.json_endpoints`)."""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import cast

from playground.analysis.doctor import diagnose
from playground.analysis.queue_eta import seconds_until_start
from playground.config import counted, duration
from playground.reference.bands import find_band
from playground.runs.races import Race, list_races
from playground.runs.store.run_store import ANONYMOUS, Run, RunNotFound, hashed
from playground.ui.components.contracts.shared import CurvesAnswer, RunNews, TimelineAnswer
from playground.ui.components.contracts.training import BandAnswer, LiveAnswer
from playground.ui.json_endpoints import Request, json_endpoint
from playground.ui.services import Services

MAX_RUNS = 8


@json_endpoint
def curves(services: Services, request: Request) -> CurvesAnswer:
    """New points of up to eight runs: ``{"visitor", "cursors": {run id: cursor}}`` -> ``{"runs": [...]}``."""
    cursors = request.get("cursors")
    answer: CurvesAnswer = {"runs": []}
    for run_id, cursor in list(cursors.items() if isinstance(cursors, dict) else ())[:MAX_RUNS]:
        try:
            run = services.run(run_id, request.get("visitor"))
            news = cast(RunNews, services.curves.since(run, cursor))
            news["waiting"] = waiting(services, run_id) or ""
            if {"state", "train", "validation"} & news.keys():
                news["notice"] = diagnose(run, services.curves.columns(run)).sentence
            answer["runs"].append(news)
        except RunNotFound as gone:
            answer["error"] = f"{gone} It may have been deleted."
    return answer


@json_endpoint
def band(services: Services, request: Request) -> BandAnswer:
    """The reference band behind a run's curve: ``{"visitor", "run"}`` -> ``{"band": as `bands.Band`, or null}``."""
    run = services.run(request.get("run"), request.get("visitor"))
    references = [other for other in services.store.list(ANONYMOUS) if other.reference]
    found = find_band(run, references, services.curves, services.store.gallery)
    return {"band": asdict(found) if found else None}


@json_endpoint
def live(services: Services, request: Request) -> LiveAnswer:
    """What is training now, as text: ``{"visitor"}`` -> ``{"state", "text"}``."""
    visitor = services.visitor(request.get("visitor"))
    if visitor and (owner := hashed(visitor)) is not None:
        services.presence.seen(owner)
    for race in list_races(services.store, visitor):
        state = "idle" if race.reference else race.status().state
        if state in ("running", "queued"):
            return {"state": state, "text": _race_in_words(services, race)}
    own = [run for run in services.store.list(visitor) if not run.reference and run.race_path is None]
    for wanted in ("running", "queued"):
        for run in own:
            if run.state() == wanted:
                return {"state": wanted, "text": _in_words(services, run)}
    return {"state": "idle", "text": "Nothing is training"}


def waiting(services: Services, job_id: str) -> str | None:
    """A run's or race's position in the queue and estimated start, as text; None if it is not waiting."""
    place = services.launcher.position(job_id)
    if place is None:
        return None
    launcher = services.launcher
    seconds = seconds_until_start(launcher.line(), job_id, services.curves, launcher.max_workers, services.limits)
    soon = f", begins in about {duration(seconds)}" if seconds else ", begins at once" if seconds == 0 else ""
    return f"number {place} in the queue{soon}"


def _race_in_words(services: Services, race: Race) -> str:
    place = waiting(services, race.id)
    if place is not None:
        return f"{race.name} · waiting, {place}"
    runs = [run for arm in race.members for run in arm]
    done = sum(services.curves.columns(run).step / run.train.steps for run in runs) / len(runs)
    return f"{race.name} · {counted(len(runs), 'model')} taking turns · {math.floor(100 * done + 1e-9)} % done"


def _in_words(services: Services, run: Run) -> str:
    place = waiting(services, run.id)
    if place is not None:
        return f"{run.name} · waiting, {place}"
    now = services.curves.since(run)
    words = [run.name, f"step {now['step']:,} of {run.train.steps:,}"]
    if now["tokens_per_second"]:
        words.append(f"{now['tokens_per_second'] / 1000:.3g}k tokens/s")
    if now["eta_seconds"] is not None:
        words.append(duration(now["eta_seconds"]) + " left")
    return " · ".join(words)


@json_endpoint
def timeline(services: Services, request: Request) -> TimelineAnswer:
    """A run's saved steps and its loss: ``{"visitor", "run"}`` -> ``{"steps", "last", "live", "curve"}``.

    `last` is the newest trained step, `curve` the training loss (nats) by step, with the validation loss at
    step 0.
    """
    run = services.run(request.get("run"), request.get("visitor"))
    steps = run.steps_available()
    if not steps:
        raise ValueError("This run has no saved weights yet. Let it train until its first checkpoint.")
    news = services.curves.since(run)
    steps_trained, losses = news["train"]["step"], news["train"]["loss"]
    measured = dict(zip(news["validation"]["step"], news["validation"]["loss"], strict=True))
    if 0 in measured:
        steps_trained, losses = [0, *steps_trained], [measured[0], *losses]
    return {
        "steps": steps,
        "last": max(news["step"], steps[-1]),
        "live": news["state"] in ("queued", "running"),
        "curve": {"step": steps_trained, "loss": losses},
    }
