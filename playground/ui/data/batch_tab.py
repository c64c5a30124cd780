"""The Batch tab: inputs and targets of one training step, and the loss at each position."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import gradio as gr

from playground.analysis.batch import Batch, batch_of_step, code, losses
from playground.config import ModelConfig, TrainConfig, counted
from playground.data.batches import IGNORED
from playground.data.corpora import find_corpus
from playground.data.sources import TextFile
from playground.runs.texts import beginning_of
from playground.tokenizers import Tokenizer, pieces
from playground.train.dataset import prepare
from playground.ui.components import component
from playground.ui.components.contracts.training import BatchContent, BatchRow, BatchValue
from playground.ui.data import batch_endpoints
from playground.ui.picker import QUIET, Picker, build_picker, wire_picker
from playground.ui.services import Services
from playground.ui.texts import DATASETS, TextSource, fitted, loaded, own_text

POSITIONS = 512  # shown of a row
PREVIEW_BYTES = 20_000_000  # of a text too large for memory
NOTICE = (
    "**What to notice.** A window of T tokens gives up to T predictions at once: every position predicts the next "
    "token from the tokens up to it. The targets are the inputs, shifted by one. The loss of a step is the mean of −ln "
    "p over the targets that count; training may add auxiliary losses, such as the balance loss of experts."
)


@dataclass(frozen=True)
class BatchTab:
    """The tab's components."""

    tab: gr.Tab
    picker: Picker
    number: gr.Number
    show: gr.Button
    view: gr.HTML
    of: gr.State  # what is shown: "run", or "text" for the dataset of the Train tab's form


def build(services: Services) -> BatchTab:
    """Lay the tab out."""
    parts: dict[str, Any] = {}
    with gr.Tab("Batch", id="batch") as parts["tab"], gr.Column(elem_classes="pg-main"):
        with gr.Group(elem_classes="pg-card"), gr.Row(elem_classes="pg-actions pg-bar"):
            parts["picker"] = build_picker(services, "batch", columns=True)
            with gr.Column(scale=1, min_width=110):
                parts["number"] = gr.Number(1, label="Training step", precision=0, minimum=1, elem_id="batch-number")
            with gr.Column(scale=0, min_width=90):
                parts["show"] = gr.Button("Show", variant="primary", elem_id="show-batch")
        parts["of"] = gr.State("run")
        parts["view"] = component(
            "batch_view", explain=partial(batch_endpoints.explain_loss, services), elem_id="batch-view"
        )
        gr.Markdown(NOTICE, elem_classes="pg-note")
    return BatchTab(**parts)


def show_run(services: Services, run_id: str | None, step: Any, number: Any, token: str) -> BatchValue | dict[str, Any]:
    """The batch of a run's training step, with the losses of a checkpoint. Raises ValueError."""
    if not run_id:
        return {}
    run = services.run(run_id, token)
    data = DATASETS.get(run, services.cache_dir)
    batch = batch_of_step(data, run.train, run.model.block_size, _whole(number))
    cost, note = None, "This run has no saved weights yet, so there are no losses."
    if run.steps_available():
        cost, note = losses(services.models.get(run, step if isinstance(step, int) else None), batch), ""
    title = (
        f"{run.name}, with the losses of its weights of step {step:,}"
        if isinstance(step, int) and cost is not None
        else run.name
    )
    content = _content(run.tokenizer, batch, cost, title, note)
    return {**content, "visitor": token, "run": run.id, "step": step, "batch": _whole(number)}


def show_again(services: Services, of: str, *inputs: Any) -> Any:
    """When the tab is opened: keep a batch that was sent from the Train tab."""
    return gr.skip() if of == "text" else show_run(services, *inputs)


def show_text(
    services: Services,
    source: TextSource,
    model: Mapping[str, Any],
    train: Mapping[str, Any],
    number: Any,
    imported: Tokenizer | None = None,
) -> BatchValue:
    """The batch that training would read, from the settings of a form; without losses, because there is no model yet.

    Raises ValueError.
    """
    config = TrainConfig.from_dict({**train, "corpus": source.corpus})
    text = loaded(services, own_text(services, source, config.corpus_bytes), config)
    tokenizer, config = fitted(text, config, imported)
    note = "Not trained yet: start the training, then view this batch here with its losses."
    if isinstance(text, TextFile):
        text, note = beginning_of(text, PREVIEW_BYTES), f"{note} It is from the first 20 MB of the text."
    shape = ModelConfig.from_dict({**model, "vocab_size": tokenizer.vocab_size})
    data = prepare(text, tokenizer, shape, config)
    batch = batch_of_step(data, config, shape.block_size, _whole(number))
    title = f"of {find_corpus(config.corpus).label}, with a vocabulary of {counted(tokenizer.vocab_size, 'token')}"
    content = _content(tokenizer, batch, None, title, note)
    return {**content, "visitor": "", "run": "", "step": None, "batch": _whole(number)}


def _whole(number: Any) -> Any:
    return int(number) if isinstance(number, float) and number.is_integer() else number


def _content(tokenizer: Tokenizer, batch: Batch, cost: Any, title: str, note: str) -> BatchContent:
    rows: list[BatchRow] = []
    n = min(POSITIONS, batch.inputs.shape[1])
    for i, (x, y) in enumerate(zip(batch.inputs[:, :n].tolist(), batch.targets[:, :n].tolist(), strict=True)):
        last = y[-1] if y[-1] != IGNORED else _after(batch, i, n)
        ids = [*x, last]
        loss = None if cost is None else [None if value != value else round(float(value), 4) for value in cost[i, :n]]
        rows.append(
            {"ids": ids, "pieces": pieces(tokenizer, ids), "loss": loss, "counts": [target != IGNORED for target in y]}
        )
    if n < batch.inputs.shape[1]:
        note = f"{note} The first {n} of {counted(batch.inputs.shape[1], 'position')} are shown.".strip()
    return {
        "n_rows": batch.n_rows, "title": title, "rows": rows, "note": note, "code": code(), "nonce": time.monotonic_ns(),
    }  # fmt: skip


def _after(batch: Batch, row: int, position: int) -> int:
    """The token that follows a window whose last target does not count."""
    return int(batch.inputs[row, position]) if position < batch.inputs.shape[1] else int(batch.following[row])


def wire(tab: BatchTab, services: Services, visitor: gr.BrowserState) -> None:
    """Connect the controls."""
    inputs = [*tab.picker.both, tab.number, visitor]
    opened, *chosen = wire_picker(tab.picker, services, visitor, tab.tab)
    opened(services.bind(show_again), [tab.of, *inputs], tab.view, **QUIET)
    for event in (*chosen, tab.show.click, tab.number.submit):
        event(services.bind(show_run), inputs, tab.view, **QUIET).success(lambda: "run", None, tab.of, **QUIET)
