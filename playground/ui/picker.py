"""Choosing a checkpoint: a run and one of its saved steps, as two dropdowns that several tabs use."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import gradio as gr

from playground.runs.store.run_store import Run
from playground.ui.forms import unvalidated
from playground.ui.services import Services

QUIET: dict[str, Any] = {"show_progress": "hidden", "concurrency_limit": None, "api_visibility": "private"}


@dataclass(frozen=True)
class Picker:
    """The two dropdowns; their values are a run's id and a step."""

    run: gr.Dropdown
    step: gr.Dropdown

    @property
    def both(self) -> list[gr.components.Component]:
        return [self.run, self.step]


def build_picker(services: Services, name: str, columns: bool = False) -> Picker:
    """Build the dropdowns, stacked or as two columns; element ids are ``{name}-run`` and ``{name}-step``."""
    with gr.Column(scale=2, min_width=180) if columns else nullcontext():
        run = build_run(services, name)
    with gr.Column(scale=1, min_width=110) if columns else nullcontext():
        step = unvalidated(gr.Dropdown([], value=None, label="Checkpoint (step)", elem_id=f"{name}-step"))
    return Picker(run, step)


def build_run(services: Services, name: str) -> gr.Dropdown:
    """Only the dropdown of runs, for a view that moves through all of a run's steps."""
    run = gr.Dropdown(services.choices("", trained=True), value=None, label="Run", elem_id=f"{name}-run")
    return unvalidated(run)


def build_second(services: Services, name: str) -> Picker:
    """As `build_picker` in columns, for an optional second checkpoint."""
    with gr.Column(scale=2, min_width=180):
        choices, label = _or_nothing(services.choices("", trained=True)), "Compare with: another run, or the same one"
        run = unvalidated(gr.Dropdown(choices, value="", label=label, elem_id=f"{name}-run"))
    with gr.Column(scale=1, min_width=110):
        step = unvalidated(gr.Dropdown([], value=None, label="Its checkpoint (step)", elem_id=f"{name}-step"))
    return Picker(run, step)


def _or_nothing(choices: list[tuple[str, str]]) -> list[tuple[str, str]]:
    return [("none", ""), *choices]


def refresh(services: Services, run_id: str | None, step: Any, token: str, second: bool = False) -> tuple[Any, Any]:
    """Runs and checkpoints as they are now, keeping the choice while it exists; `second` begins with another run."""
    choices, chosen = _runs(services, run_id, token)
    if second and chosen != run_id:
        chosen = next((known for _, known in choices if known != chosen), chosen)
    return gr.update(choices=choices, value=chosen), checkpoints(services, chosen, token, step)


def refresh_run(services: Services, run_id: str | None, token: str) -> Any:
    """Runs as they are now, keeping the choice while it exists."""
    choices, chosen = _runs(services, run_id, token)
    return gr.update(choices=choices, value=chosen)


def _runs(services: Services, run_id: str | None, token: str) -> tuple[list[tuple[str, str]], str | None]:
    choices = services.choices(token, trained=True, shared=_shared(services, run_id, token))
    known = [known_id for _, known_id in choices]
    return choices, run_id if run_id in known else _favourite(services, known, token)


def _shared(services: Services, run_id: str | None, token: str) -> Run | None:
    """A run of someone else that was shared by link, so it is not in the visitor's list."""
    try:
        return services.run(run_id, token) if run_id else None
    except ValueError:
        return None


def _favourite(services: Services, known: list[str], token: str) -> str | None:
    """The initial run: the visitor's newest, otherwise the pinned or reference run with the most checkpoints."""
    runs = [services.run(run_id, token) for run_id in known]
    own = next((run for run in runs if not run.reference and run.id not in services.hosting.pinned), None)
    if own is not None:
        return own.id
    best = max(runs, key=lambda run: len(run.steps_available()), default=None)
    return best.id if best else None


def checkpoints(services: Services, run_id: str | None, token: str, step: Any = None) -> Any:
    """A run's checkpoints for a dropdown, the last one chosen unless `step` is among them."""
    try:
        steps = services.run(run_id, token).steps_available()
    except ValueError:
        steps = []
    chosen = step if step in steps else (steps[-1] if steps else None)
    return gr.update(choices=[(f"{known:,}", known) for known in steps], value=chosen)


def refresh_second(services: Services, run_id: str | None, step: Any, first: str | None, token: str) -> tuple[Any, Any]:
    """Refresh the second checkpoint's lists. For the first one's run, its earliest checkpoint is offered."""
    choices = services.choices(token, trained=True, shared=_shared(services, run_id, token))
    if run_id not in [known for _, known in choices]:
        return gr.update(choices=_or_nothing(choices), value=""), gr.update(choices=[], value=None)
    steps = services.run(run_id, token).steps_available()
    wanted = step if step in steps else steps[0] if run_id == first and steps else None
    return gr.update(choices=_or_nothing(choices), value=run_id), checkpoints(services, run_id, token, wanted)


def second_chosen(services: Services, run_id: str | None, first: str | None, token: str) -> Any:
    """The checkpoints of a run that was just chosen for comparison."""
    return refresh_second(services, run_id, None, first, token)[1]


def wire_picker(
    picker: Picker, services: Services, visitor: gr.BrowserState, tab: gr.Tab, second: bool = False
) -> list[Any]:
    """Keep the lists up to date; returns the events after which the selection has changed.

    `second`: the second of two pickers, which initially selects another run than the first.
    """

    def known(services: Services, run_id: str | None, step: Any, token: str) -> tuple[Any, Any]:
        return refresh(services, run_id, step, token, second)

    opened = tab.select(services.bind(known), [*picker.both, visitor], picker.both, **QUIET)
    changed = picker.run.input(services.bind(checkpoints), [picker.run, visitor], picker.step, **QUIET)
    return [opened.success, changed.success, picker.step.input]


def wire_run(run: gr.Dropdown, services: Services, visitor: gr.BrowserState, tab: gr.Tab) -> list[Any]:
    """As `wire_picker`, for a dropdown of runs alone."""
    opened = tab.select(services.bind(refresh_run), [run, visitor], run, **QUIET)
    return [opened.success, run.input]


def wire_second(second: Picker, first: Picker, services: Services, visitor: gr.BrowserState, tab: gr.Tab) -> list[Any]:
    """Keep the second picker's lists up to date; returns the events after which its selection has changed."""
    tab.select(services.bind(refresh_second), [*second.both, first.run, visitor], second.both, **QUIET)
    changed = second.run.input(services.bind(second_chosen), [second.run, first.run, visitor], second.step, **QUIET)
    return [changed.success, second.step.input]
