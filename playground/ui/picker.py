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
# Of several events in a row, one at a time and at last the newest: an answer to an earlier choice cannot come after it.
NEWEST: dict[str, Any] = {**QUIET, "trigger_mode": "always_last"}


@dataclass(frozen=True)
class Picker:
    """The two dropdowns; their values are a run's id and a step."""

    run: gr.Dropdown
    step: gr.Dropdown

    @property
    def both(self) -> list[gr.components.Component]:
        return [self.run, self.step]


NO_STEPS = gr.update(choices=[], value=None)


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


def list_update(choices: list[tuple[str, Any]], value: Any, sent: Any) -> Any:
    """New choices for a list, and a new value only if it differs from the one that the page sent: the user may have
    chosen another one meanwhile, which must not be taken back."""
    return gr.update(choices=choices) if value == sent else gr.update(choices=choices, value=value)


def refresh(services: Services, run_id: str | None, step: Any, token: str, second: bool = False) -> tuple[Any, Any]:
    """Runs and checkpoints as they are now, keeping the choice while it exists; `second` begins with another run."""
    choices, chosen = _runs(services, run_id, token)
    if second and chosen != run_id:
        chosen = next((known for _, known in choices if known != chosen), chosen)
    return list_update(choices, chosen, run_id), checkpoints(services, chosen, token, step, step)


def refresh_run(services: Services, run_id: str | None, token: str) -> Any:
    """Runs as they are now, keeping the choice while it exists."""
    return list_update(*_runs(services, run_id, token), run_id)


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


def checkpoints(services: Services, run_id: str | None, token: str, step: Any = None, sent: Any = None) -> Any:
    """A run's checkpoints for a dropdown, the last one chosen unless `step` is among them; `sent` as in `list_update`."""
    try:
        steps = services.run(run_id, token).steps_available()
    except ValueError:
        steps = []
    chosen = step if step in steps else (steps[-1] if steps else None)
    return list_update([(f"{known:,}", known) for known in steps], chosen, sent)


def refresh_second(services: Services, run_id: str | None, step: Any, first: str | None, token: str) -> tuple[Any, Any]:
    """Refresh the second checkpoint's lists. For the first one's run, its earliest checkpoint is offered."""
    choices = services.choices(token, trained=True, shared=_shared(services, run_id, token))
    if run_id not in [known for _, known in choices]:
        return list_update(_or_nothing(choices), "", run_id), NO_STEPS if run_id else gr.skip()
    steps = services.run(run_id, token).steps_available()
    wanted = step if step in steps else steps[0] if run_id == first and steps else None
    return list_update(_or_nothing(choices), run_id, run_id), checkpoints(services, run_id, token, wanted, step)


def second_chosen(services: Services, run_id: str | None, first: str | None, token: str) -> Any:
    """The checkpoints of a run that was just chosen for comparison."""
    return refresh_second(services, run_id, None, first, token)[1] if run_id else NO_STEPS


def wire_picker(
    picker: Picker, services: Services, visitor: gr.BrowserState, tab: gr.Tab, second: bool = False
) -> list[Any]:
    """Keep the lists up to date; returns the events after which the selection has changed.

    `second`: the second of two pickers, which initially selects another run than the first.
    """

    def known(services: Services, run_id: str | None, step: Any, token: str) -> tuple[Any, Any]:
        return refresh(services, run_id, step, token, second)

    opened = tab.select(services.bind(known), [*picker.both, visitor], picker.both, **QUIET)
    changed = picker.run.input(services.bind(checkpoints), [picker.run, visitor], picker.step, **NEWEST)
    return [opened.success, changed.success, picker.step.input]


def wire_run(run: gr.Dropdown, services: Services, visitor: gr.BrowserState, tab: gr.Tab) -> list[Any]:
    """As `wire_picker`, for a dropdown of runs alone."""
    opened = tab.select(services.bind(refresh_run), [run, visitor], run, **QUIET)
    return [opened.success, run.input]


def wire_second(second: Picker, first: Picker, services: Services, visitor: gr.BrowserState, tab: gr.Tab) -> list[Any]:
    """Keep the second picker's lists up to date; returns the events after which its selection has changed."""
    tab.select(services.bind(refresh_second), [*second.both, first.run, visitor], second.both, **QUIET)
    changed = second.run.input(services.bind(second_chosen), [second.run, first.run, visitor], second.step, **NEWEST)
    return [changed.success, second.step.input]
