"""Compare: curves over one another, how the runs differ, how they did, and what each writes from the same prompt."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import gradio as gr
import pandas as pd

from playground.config import SampleConfig
from playground.inference.generation import StreamDecoder, encode_prompt, generate
from playground.lab.comparison import differences, results
from playground.runs.store import Run
from playground.ui import endpoints
from playground.ui.components import compare_chart, side_by_side
from playground.ui.endpoints import MAX_RUNS
from playground.ui.forms import Form, build_form
from playground.ui.picker import QUIET
from playground.ui.services import Services

NOTICE = (
    "**What to notice.** Runs can only be ranked where everything else is equal: the same text, the same batches in the "
    "same order, about the same number of parameters. *What differs* lists what is not. A gap smaller than the gap "
    "between two seeds of the same model says nothing."
)
UPDATES_PER_SECOND = 6


@dataclass(frozen=True)
class CompareTab:
    """The tab's components."""

    tab: gr.Tab
    runs: gr.Dropdown
    chart: gr.HTML
    differences: gr.Dataframe
    results: gr.Dataframe
    prompt: gr.Textbox
    settings: Form
    write: gr.Button
    texts: gr.HTML


def build(services: Services) -> CompareTab:
    """Lay the tab out."""
    parts: dict[str, Any] = {}
    with gr.Tab("Compare", id="compare") as parts["tab"], gr.Row(elem_classes="pg-page"):
        with gr.Column(elem_classes="pg-main"):
            with gr.Group(elem_classes="pg-card"):
                gr.Markdown(f"**Runs** up to {MAX_RUNS}", elem_classes="pg-title")
                parts["runs"] = gr.Dropdown(
                    services.choices(""), value=[], multiselect=True, max_choices=MAX_RUNS, label="Runs",
                    show_label=False, elem_id="compare-runs",
                )  # fmt: skip
            parts["chart"] = compare_chart(partial(endpoints.curves, services), elem_id="compare-chart")
            gr.Markdown(NOTICE, elem_classes="pg-note")
            with gr.Group(elem_classes="pg-card"):
                gr.Markdown("**Results** at the last evaluation", elem_classes="pg-title")
                parts["results"] = gr.Dataframe(interactive=False, show_label=False, elem_id="results", wrap=False)
        with gr.Column(elem_classes="pg-side", min_width=300):
            with gr.Group(elem_classes="pg-card"):
                gr.Markdown("**What differs** all else is equal", elem_classes="pg-title")
                parts["differences"] = gr.Dataframe(
                    interactive=False, show_label=False, elem_id="differences", wrap=True
                )
            with gr.Group(elem_classes="pg-card"):
                gr.Markdown("**Same prompt, same random numbers**", elem_classes="pg-title")
                parts["prompt"] = gr.Textbox("Once there was a", label="Prompt", lines=2, elem_classes="pg-mono")
                parts["settings"] = build_form(
                    SampleConfig,
                    ("temperature", "max_new_tokens", "seed"),
                    SampleConfig(max_new_tokens=160),
                    explain=False,
                )
                parts["write"] = gr.Button(
                    "Let them write", variant="primary", elem_classes="pg-primary", elem_id="compare-write"
                )
            parts["texts"] = side_by_side(elem_id="side-by-side")
    return CompareTab(**parts)


def choose(services: Services, run_ids: list[str] | None, token: str) -> tuple[Any, pd.DataFrame, Any]:
    """Chart, differences and results of the chosen runs."""
    runs = _runs(services, run_ids, token)
    value = {"visitor": token, "runs": [run.id for run in runs], "nonce": time.monotonic_ns()}
    return value, differences(runs), results(runs, services.curves).style.format(precision=4, thousands=",", na_rep="–")


def _runs(services: Services, run_ids: list[str] | None, token: str) -> list[Run]:
    """The chosen runs that still exist, each once."""
    found = []
    for run_id in dict.fromkeys(run_ids or []):
        try:
            found.append(services.run(run_id, token))
        except ValueError:
            continue  # deleted while its name was still in the list
    return found[:MAX_RUNS]


def write(
    services: Services, run_ids: list[str], prompt: str, temperature: Any, tokens: Any, seed: Any, token: str
) -> Iterator[dict[str, Any]]:
    """Every run continues the prompt with the same seed; the texts grow as they are written."""
    config = SampleConfig(temperature=temperature, max_new_tokens=tokens, seed=seed)
    runs = [run for run in _runs(services, run_ids, token) if run.steps_available()]
    if not runs:
        raise ValueError("No run with saved weights is chosen. Choose at least one above.")
    items = [{"name": run.name, "role": run.preset or "other", "text": "", "note": "waits"} for run in runs]
    shown = 0.0
    for run, item in zip(runs, items, strict=True):
        item["note"] = "writes"
        try:
            for text in _texts(services, run, prompt or "", config):
                item["text"] = text
                if time.monotonic() - shown > 1 / UPDATES_PER_SECOND:
                    shown = time.monotonic()
                    yield _side_by_side(prompt, items)
            item["note"] = ""
        except ValueError as error:  # this model cannot read the prompt, another may
            item["note"] = str(error)
        yield _side_by_side(prompt, items)


def _texts(services: Services, run: Run, prompt: str, config: SampleConfig) -> Iterator[str]:
    model, tokenizer = services.models.get(run), run.tokenizer
    decoder, text = StreamDecoder(tokenizer), ""
    for token in generate(model, encode_prompt(tokenizer, prompt), config):
        text += decoder.feed(token.id)
        yield text
    yield text + decoder.finish()


def _side_by_side(prompt: str, items: list[dict[str, Any]]) -> dict[str, Any]:
    return {"prompt": prompt, "items": [dict(item) for item in items], "nonce": time.monotonic_ns()}


def refresh(services: Services, run_ids: list[str] | None, token: str) -> Any:
    """The list of runs as it is now, keeping what is chosen and still exists; at first the reference runs."""
    choices = services.choices(token)
    known = {run_id for _, run_id in choices}
    chosen = [run_id for run_id in run_ids or [] if run_id in known]
    return gr.update(choices=choices, value=chosen or _references(services))


def _references(services: Services) -> list[str]:
    """One classic and one modern reference run: something worth looking at from the start."""
    references = [run for run in services.store.list(services.visitor("")) if run.reference and run.steps_available()]
    return [run.id for run in references[:2]]


def wire(tab: CompareTab, services: Services, visitor: gr.BrowserState) -> None:
    """Connect the controls."""
    shown = [tab.chart, tab.differences, tab.results]
    tab.runs.change(services.bind(choose), [tab.runs, visitor], shown, **QUIET)
    opened = tab.tab.select(services.bind(refresh), [tab.runs, visitor], tab.runs, **QUIET)
    opened.then(services.bind(choose), [tab.runs, visitor], shown, **QUIET)
    tab.write.click(
        services.bind(write), [tab.runs, tab.prompt, *tab.settings.values(), visitor], tab.texts,
        show_progress="hidden", concurrency_limit=4, api_visibility="private",
    )  # fmt: skip
