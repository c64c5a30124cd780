"""The Attention tab: attention patterns of every layer and head on a text, from the first step of a run to its last."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import gradio as gr

from playground.ui import endpoints
from playground.ui.components import component
from playground.ui.components.contracts.inside import AttentionValue
from playground.ui.inside import attention_endpoints, inside_endpoints
from playground.ui.inside.guided_tours import READINGS, Reading
from playground.ui.picker import QUIET, build_run, wire_run
from playground.ui.scripts import page_function
from playground.ui.services import Services

TEXT = "Mila gave the key to Oren. Then Oren opened the box with the"
NOTICE = (
    "**What to notice.** A bright diagonal just below the main one is a head that attends to the previous token; a bright "
    "first column is an attention *sink*; short columns are the beginnings of words. Bright spots far from the diagonal are "
    "long-range attention, of which small models have little after a minute of training. Press ▶ to see at which step of "
    "the training each pattern appears."
)


@dataclass(frozen=True)
class AttentionTab:
    """The tab's components."""

    tab: gr.Tab
    run: gr.Dropdown
    text: gr.Textbox
    look: gr.Button
    special: gr.Checkbox
    readings: dict[str, gr.Button]  # by their names in `READINGS`
    grid: gr.HTML


def build(services: Services) -> AttentionTab:
    """Lay the tab out."""
    parts: dict[str, Any] = {}
    with gr.Tab("Attention", id="attention") as parts["tab"], gr.Column(elem_classes="pg-main"):
        with gr.Group(elem_classes="pg-card"):
            with gr.Row(elem_classes="pg-actions pg-bar"):
                with gr.Column(scale=2, min_width=200):
                    parts["run"] = build_run(services, "attention")
                with gr.Column(scale=4, min_width=240):
                    parts["text"] = gr.Textbox(
                        TEXT, label="Text", lines=1, max_lines=4, elem_classes="pg-mono", elem_id="attention-text"
                    )
                with gr.Column(scale=0, min_width=90):
                    parts["look"] = gr.Button("Analyze", variant="primary", elem_id="look")
            parts["special"] = gr.Checkbox(
                True, label="Special tokens",
                info="Special tokens written in the text, and those that the tokenizer adds to it.",
                visible=False, elem_classes="pg-compact", elem_id="attention-special",
            )  # fmt: skip
            with gr.Row(elem_classes="pg-actions pg-inline"):
                parts["readings"] = {
                    name: gr.Button(f"▶ {one.title}", size="sm", elem_id=f"reading-{name}")
                    for name, one in READINGS.items()
                }
        parts["grid"] = component(
            "attention_grid", attention=partial(attention_endpoints.attention, services),
            timeline=partial(endpoints.timeline, services), heads=partial(inside_endpoints.heads, services),
            ablate=partial(inside_endpoints.ablate, services), elem_id="attention-grid",
        )  # fmt: skip
        gr.Markdown(NOTICE, elem_classes="pg-note")
    return AttentionTab(**parts)


# Questions are made in the page (`makeQuestion` in view.js), so that they reach the grid in the order of the clicks. Opening
# the tab also analyzes, but does not interrupt a guided tour.
ASKED = "view.makeQuestion(visitor, run, { text, special })"
LOOK = page_function("run, text, special, visitor", ASKED)
LOOK_ON_OPENING = page_function(
    "run, text, special, visitor, shown",
    f"shown?.reading && shown.run === run && shown.text === text ? shown : {ASKED}",
)


def show_special(services: Services, run_id: str | None, token: str) -> Any:
    """The switch for special tokens, for a run whose tokenizer has some that a text may be read with."""
    tokenizer = services.run(run_id, token).tokenizer if run_id else None
    return gr.update(visible=tokenizer is not None and (tokenizer.bos, tokenizer.eos) != (None, None))


def opening(reading: Reading) -> Callable[[Services, str], tuple[Any, str, AttentionValue]]:
    """A handler that selects the run and text of a guided tour, and shows the grid at its first stage."""

    def read(services: Services, token: str) -> tuple[Any, str, AttentionValue]:
        run = gr.update(choices=services.choices(token, trained=True), value=reading.run)
        return run, reading.text, {
            "visitor": token, "run": reading.run, "text": reading.text, "special": True,
            "reading": reading.as_value(), "nonce": time.monotonic_ns(),
        }  # fmt: skip

    return read


def wire(tab: AttentionTab, services: Services, visitor: gr.BrowserState) -> None:
    """Connect the controls."""
    inputs = [tab.run, tab.text, tab.special, visitor]
    opened, chosen = wire_run(tab.run, services, visitor, tab.tab)
    opened(None, [*inputs, tab.grid], tab.grid, js=LOOK_ON_OPENING, **QUIET)
    shows = services.bind(show_special)
    for event in (opened, chosen):
        event(shows, [tab.run, visitor], tab.special, **QUIET)
    for event in (chosen, tab.look.click, tab.text.submit, tab.special.input):
        event(None, inputs, tab.grid, js=LOOK, **QUIET)
    for name, button in tab.readings.items():
        read = services.bind(opening(READINGS[name]))
        button.click(read, visitor, [tab.run, tab.text, tab.grid], **QUIET)
