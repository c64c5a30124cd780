"""Choosing a dataset (`TextChoice`), and the dataset card of the Train tab, which can also inspect it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, cast

import gradio as gr

from playground.config import TrainConfig
from playground.data.corpora import CORPORA, MAX_BYTES, find_corpus
from playground.data.rows import has_fields
from playground.data.sources import MAX_FILE_BYTES, TextFile
from playground.data.tasks import TASKS
from playground.tokenizers import Tokenizer
from playground.train.evaluation import SCORED
from playground.ui.components.contracts.training import DataCardValue
from playground.ui.picker import QUIET
from playground.ui.services import Services
from playground.ui.texts import CARDS, TextSource, described, loaded, own_text, size_of

TEXTS = ("tales", "python_source", "tiny_shakespeare", "tiny_stories", "task", "own")
LABELS = {"task": "Algorithms", "own": "Your text"}
SMALL_PRINT = {
    "tales": "short stories, offline",
    "python_source": "standard library",
    "tiny_shakespeare": "1.1 MB, downloaded",
    "tiny_stories": "19 MB, downloaded",
    "task": "one correct answer",
    "own": "paste or upload",
}
ABOUT = {
    "task": f"{len(TASKS)} small problems with one correct answer; *exact match* is the share of fully correct answers to "
    f"{SCORED} held-out problems, without those longer than the context. Of a held-out sum, the training text may have the "
    "other order.",
    "own": "Paste a text, or upload one or more files: `.txt`, `.md`, `.py`; `.jsonl`, `.json` or `.csv` with a text "
    "in each row; `.html` and `.ipynb`, from which the text is extracted.",
}


@dataclass(frozen=True)
class TextChoice:
    """The controls for choosing a dataset."""

    text: gr.Radio
    about: gr.Markdown
    task: gr.Dropdown
    own: gr.Column
    pasted: gr.Textbox
    upload: gr.File
    field: gr.Textbox
    path: gr.Textbox
    dataset: gr.Textbox
    column: gr.Textbox
    split: gr.Textbox
    fetch: gr.Button
    uploaded: gr.Markdown

    @property
    def inputs(self) -> set[gr.components.Component]:
        """The inputs of `read_text_source`."""
        return {
            self.text, self.task, self.pasted, self.upload, self.field, self.path, self.dataset, self.column, self.split,
        }  # fmt: skip


@dataclass(frozen=True)
class TextCard(TextChoice):
    """The card's components."""

    look: gr.Button
    batch: gr.Button


def build_text_card(services: Services) -> TextCard:
    """Lay the card out."""
    parts: dict[str, Any] = {}
    with gr.Group(elem_classes="pg-card"):
        gr.Markdown("**1 · Dataset** what it is trained on", elem_classes="pg-title")
        choice = build_text_choice(services)
        with gr.Row(elem_classes="pg-actions"):
            parts["look"] = gr.Button("Inspect text", elem_classes="pg-quiet", min_width=100, elem_id="look-at-text")
            parts["batch"] = gr.Button("Preview a batch", elem_classes="pg-quiet", min_width=100, elem_id="see-batch")
    return TextCard(**{item.name: getattr(choice, item.name) for item in fields(choice)}, **parts)


def build_text_choice(services: Services, prefix: str = "", limit: int = MAX_FILE_BYTES) -> TextChoice:
    """Lay the controls out in the current column. `prefix` begins the ids of their elements, which must be one of a kind;
    of what is uploaded the first `limit` bytes are read."""
    parts: dict[str, Any] = {}
    choices = [(f"{LABELS.get(name) or CORPORA[name].label}\n{SMALL_PRINT[name]}", name) for name in TEXTS]
    parts["text"] = gr.Radio(choices, value="tales", label="Dataset", show_label=False, elem_classes="pg-choice")
    parts["about"] = gr.Markdown(CORPORA["tales"].blurb, elem_classes="pg-note")
    tasks = [(task.label, task.name) for task in TASKS.values()]
    parts["task"] = gr.Dropdown(tasks, value="reverse", label="Task", visible=False, elem_classes="pg-compact")
    with gr.Column(visible=False) as parts["own"]:
        _build_own(parts, services, prefix, limit)
    return TextChoice(**parts)


def _build_own(parts: dict[str, Any], services: Services, prefix: str, limit: int) -> None:
    size = "20 MB" if services.public or limit <= MAX_BYTES else "1 GB"
    parts["pasted"] = gr.Textbox(
        label="Paste your text", lines=6, max_lines=12, elem_classes="pg-mono", max_length=None
    )
    parts["upload"] = gr.File(
        label=f"or upload files, up to {size}", type="filepath", file_count="multiple",
        height=140, elem_id=f"{prefix}upload",
    )  # fmt: skip
    parts["field"] = gr.Textbox(
        label="Field or column with the text",
        placeholder="text, or meta.title",
        visible=False,
        elem_id=f"{prefix}json-field",
    )
    with gr.Accordion(
        "From a path or from Hugging Face", open=False, elem_classes="pg-fold", visible=not services.public
    ):
        parts["path"] = gr.Textbox(
            label="A file on this machine", placeholder="/home/me/corpus.txt", elem_id=f"{prefix}text-path"
        )
        parts["dataset"] = gr.Textbox(
            label="or a dataset on the Hugging Face Hub", placeholder="owner/name", elem_id=f"{prefix}dataset"
        )
        parts["column"] = gr.Textbox("text", label="Column with the text", elem_id=f"{prefix}dataset-column")
        parts["split"] = gr.Textbox(
            label="Split", placeholder="train, or else the first split", elem_id=f"{prefix}dataset-split"
        )
        parts["fetch"] = gr.Button("Load", elem_classes="pg-quiet", elem_id=f"{prefix}fetch-text")
    parts["uploaded"] = gr.Markdown(elem_classes="pg-note", elem_id=f"{prefix}uploaded")


def corpus_of(card: TextChoice, data: Mapping[Any, Any]) -> str:
    """The name of the chosen dataset, "own" for a user's own text."""
    return str(data[card.task] if data[card.text] == "task" else data[card.text])


def read_text_source(card: TextChoice, data: Mapping[Any, Any]) -> TextSource:
    """What the form says, from what Gradio hands to a handler with a set of inputs."""
    files = data[card.upload] or []
    return TextSource(
        corpus=corpus_of(card, data),
        pasted=data[card.pasted] or "",
        files=tuple(str(name) for name in (files if isinstance(files, list) else [files])),
        field=data[card.field] or "",
        path=data[card.path] or "",
        dataset=data[card.dataset] or "",
        column=data[card.column] or "",
        split=data[card.split] or "",
    )


# What the controls do


def show_text(choice: str, size: Any) -> tuple[Any, ...]:
    """The controls of the chosen kind of dataset, and a valid dataset size."""
    if not isinstance(choice, str) or (choice not in ABOUT and choice not in CORPORA):
        raise ValueError(f"Dataset must be one of {', '.join(CORPORA)}; {str(choice)[:40]!r} is not.")
    task = choice == "task"
    too_large = choice != "own" and _cap(size) > MAX_BYTES
    return (
        ABOUT.get(choice) or find_corpus(choice).blurb,
        gr.update(visible=task),
        gr.update(visible=choice == "own"),
        (TrainConfig().corpus_bytes if too_large else gr.skip()),
    )


def show_upload(
    services: Services, card: TextChoice, size: gr.components.Component, limit: int, data: Mapping[Any, Any]
) -> Any:
    """What was brought, in words; the field of rows where there are any; and a size for the form that takes it whole, or
    as much of it as `limit` bytes. Raises ValueError for what is no text.
    """
    source = read_text_source(card, {**data, card.text: "own"})
    rows = any(has_fields(Path(name)) for name in [*source.files, source.path.strip()])
    lines = gr.update(visible=True) if rows else gr.update(visible=False, value="")
    source = source if rows else replace(source, field="")  # ignore a field that is not shown
    if not source.has_files:
        return "", lines, gr.skip()
    text = own_text(services, source, _cap(data[size]))
    whole, words = size_of(text or ""), described(text or "")
    if whole > limit:
        whole, words = limit, f"{words} Its first {limit / 1e6:g} MB are read."
    return words, lines, whole if whole > _cap(data[size]) else gr.skip()


def _cap(size: Any) -> int:
    return int(size) if isinstance(size, (int, float)) and not isinstance(size, bool) and size == size else MAX_BYTES


def about_text(services: Services, source: TextSource, train: TrainConfig, imported: Tokenizer | None) -> DataCardValue:
    """The data card's value. Takes seconds for a new text. Raises ValueError."""
    own = own_text(services, source, train.corpus_bytes)
    text = loaded(services, own, train)
    title = own.name if isinstance(own, TextFile) else find_corpus(train.corpus).label
    card = {"title": title, **CARDS.get(text, train, imported).to_dict(), "nonce": time.monotonic_ns()}
    return cast(DataCardValue, card)


def wire_text_card(
    card: TextCard, services: Services, size: gr.components.Component, inputs: set[Any], card_view: list[Any],
    look: Callable[..., Any],
) -> None:  # fmt: skip
    """Connect the controls. `size` is the form's text size; `look` fills `card_view` from `inputs`."""
    wire_text_choice(card, services, size)
    card.look.click(look, inputs, card_view, show_progress="minimal", concurrency_limit=2, api_visibility="private")


def wire_text_choice(
    card: TextChoice, services: Services, size: gr.components.Component, limit: int = MAX_FILE_BYTES
) -> None:
    """Connect the controls to each other and to the form's text size, which never becomes more than `limit` by itself."""
    card.text.change(show_text, [card.text, size], [card.about, card.task, card.own, size], **QUIET)
    brought = services.bind(lambda s, data: show_upload(s, card, size, limit, data))
    note = [card.uploaded, card.field, size]
    gr.on(
        [card.upload.change, card.fetch.click, card.field.submit, card.field.blur, card.path.submit],
        brought, {*card.inputs, size}, note, **{**QUIET, "show_progress": "minimal"},
    )  # fmt: skip
