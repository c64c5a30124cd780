"""What the buttons of a run do: follow, pause, resume, stop, continue, rename and delete it."""

from __future__ import annotations

import time
from typing import Any

import gradio as gr

from playground.ui.components.contracts.training import LiveRunValue
from playground.ui.services import Services


def follow(services: Services, run_id: str | None, token: str) -> tuple[Any, Any]:
    """The run list with this run chosen, and the live view of it."""
    run = services.run(run_id, token) if run_id else None
    return gr.update(choices=services.choices(token, shared=run), value=run_id), show_run(run_id, token)


def show_run(run_id: str | None, token: str) -> LiveRunValue:
    """The live view's value."""
    return {"visitor": token, "run": run_id or "", "nonce": time.monotonic_ns()}


def act(services: Services, action: str, run_id: str | None, token: str) -> LiveRunValue:
    """Pause, resume or stop the chosen run."""
    getattr(services.launcher, action)(chosen(run_id), services.visitor(token))
    return show_run(run_id, token)


def continue_training(services: Services, run_id: str | None, steps: Any, token: str) -> LiveRunValue:
    """Train the chosen run for more steps."""
    if isinstance(steps, bool) or not isinstance(steps, (int, float)) or not 1 <= steps <= 1_000_000:
        raise ValueError(f"More steps must be 1 to 1,000,000; {steps!r} is not.")
    services.launcher.continue_for(chosen(run_id), int(steps), services.visitor(token))
    return show_run(run_id, token)


def rename(services: Services, run_id: str | None, name: str, token: str) -> tuple[Any, Any]:
    """Give the chosen run another name."""
    services.store.rename(chosen(run_id), name or "", services.visitor(token))
    return follow(services, run_id, token)


def delete(services: Services, run_id: str | None, token: str) -> tuple[Any, Any]:
    """Delete the chosen run and show none."""
    services.store.delete(chosen(run_id), services.visitor(token))
    services.delete_files_of_deleted_runs()
    return follow(services, None, token)


def chosen(run_id: str | None) -> str:
    if not run_id:
        raise ValueError("No run is chosen. Choose one from the list, or start one.")
    return run_id


def arrive(services: Services, token: str, wanted: str = "") -> tuple[Any, Any]:
    """The run shown when a page opens: the one in its address, otherwise the visitor's newest."""
    own = [run.id for run in services.store.list(services.visitor(token)) if not run.reference]
    try:
        runs, value = follow(services, services.run(wanted, token).id, token)
    except ValueError:
        runs, value = follow(services, own[0] if own else None, token)
    return runs, {**value, "arrived": True}
