"""Inside: what a checkpoint would say after every layer, what its heads do, and what breaks without them."""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import partial
from typing import Any

import gradio as gr

from playground.ui import endpoints, inside_endpoints
from playground.ui.components import causes, head_by_hand, head_table, lens_view
from playground.ui.meaning_views import ask_views, build_views
from playground.ui.picker import QUIET, Picker, build_beside, build_picker, wire_beside, wire_picker
from playground.ui.services import Services

TEXT = "Mila gave the key to Oren. Then Oren opened the box with the"
LENS_NOTICE = (
    "**What to notice.** Letters inside a word surprise little, the first letter of a word surprises most: that is where "
    "something is decided. Below, early layers say what usually follows this letter; the last ones know the sentence. "
    "Where a column does not change any more, the layers above had nothing to add. Put an early checkpoint of the same "
    "run beside it to see what it has learned to expect since."
)

HEADS_NOTICE = (
    "**What to notice.** An *induction* head looks behind the last copy of what it reads, so that it can go on with it. It "
    "needs a *previous-token* head in a layer below, and both appear together, often suddenly: see the run *Induction: two "
    "layers on Repeat*. A model that never had to repeat has no such heads. A high share on the first token is a head "
    "at rest."
)
CAUSES_NOTICE = (
    "**What to notice.** A striking picture may not matter, and a dull one may. Most heads can be missed one at a time, "
    "because others stand in; switch several off. A change smaller than about two standard errors says nothing."
)
HAND_NOTICE = (
    "**What to notice.** The softmax is what makes a head decide: scores that differ by 5 become weights that differ by a "
    "factor of 148. Without the division, scores would grow with the head's size, and every head would look at one token "
    "only."
)


@dataclass(frozen=True)
class InsideTab:
    """The tab's components."""

    tab: gr.Tab
    picker: Picker
    text: gr.Textbox
    look: gr.Button
    beside: Picker
    lens: gr.HTML
    heads: gr.HTML
    causes: gr.HTML
    hand: gr.HTML
    more: list[gr.HTML]


def build(services: Services) -> InsideTab:
    """Lay the tab out."""
    parts: dict[str, Any] = {}
    with gr.Tab("Inside", id="inside") as parts["tab"], gr.Column(elem_classes="pg-main"):
        with gr.Group(elem_classes="pg-card"), gr.Row(elem_classes="pg-actions pg-bar"):
            parts["picker"] = build_picker(services, "inside", columns=True)
            with gr.Column(scale=4, min_width=240):
                parts["text"] = gr.Textbox(
                    TEXT, label="Text", lines=1, max_lines=4, elem_classes="pg-mono", elem_id="inside-text"
                )
            with gr.Column(scale=0, min_width=90):
                parts["look"] = gr.Button("Look", variant="primary", elem_id="inside-look")
        with gr.Tabs(elem_id="inside-tabs", overflow_behavior="wrap"):
            with gr.Tab("Layer by layer", id="lens"):
                with gr.Group(elem_classes="pg-card"), gr.Row(elem_classes="pg-actions pg-bar"):
                    parts["beside"] = build_beside(services, "inside-beside")
                parts["lens"] = lens_view(partial(inside_endpoints.lens, services), elem_id="inside-lens")
                gr.Markdown(LENS_NOTICE, elem_classes="pg-note")
            with gr.Tab("Heads", id="heads"):
                parts["heads"] = head_table(
                    partial(inside_endpoints.heads, services), partial(endpoints.timeline, services),
                    elem_id="inside-heads",
                )  # fmt: skip
                gr.Markdown(HEADS_NOTICE, elem_classes="pg-note")
            with gr.Tab("Causes", id="causes"):
                parts["causes"] = causes(
                    partial(inside_endpoints.parts, services), partial(inside_endpoints.ablate, services),
                    elem_id="inside-causes",
                )  # fmt: skip
                gr.Markdown(CAUSES_NOTICE, elem_classes="pg-note")
            with gr.Tab("One head by hand", id="hand"):
                parts["hand"] = head_by_hand(partial(inside_endpoints.head_by_hand, services), elem_id="inside-hand")
                gr.Markdown(HAND_NOTICE, elem_classes="pg-note")
            parts["more"] = build_views(services)
    return InsideTab(**parts)


def look(
    run_id: str | None, step: Any, text: str, beside: str | None, beside_step: Any, token: str
) -> tuple[dict[str, Any], ...]:
    """What the views should ask for; without a run they show their invitations."""
    question = {"visitor": token, "run": run_id or "", "step": step, "text": text or "", "nonce": time.monotonic_ns()}
    return look_beside(question, beside, beside_step), question, question, question


def look_beside(question: dict[str, Any] | None, beside: str | None, beside_step: Any) -> dict[str, Any]:
    """A question about one checkpoint as one about two, or about one again."""
    return {**(question or {}), "beside": {"run": beside, "step": beside_step} if beside else None}


def wire(tab: InsideTab, services: Services, visitor: gr.BrowserState) -> None:
    """Connect the controls."""
    asked = [*tab.picker.both, tab.text, *tab.beside.both, visitor]
    for event in (*wire_picker(tab.picker, services, visitor, tab.tab), tab.look.click, tab.text.submit):
        event(look, asked, [tab.lens, tab.heads, tab.causes, tab.hand], **QUIET)
        event(partial(ask_views, len(tab.more)), [*tab.picker.both, tab.text, visitor], tab.more, **QUIET)
    for event in wire_beside(tab.beside, tab.picker, services, visitor, tab.tab):
        event(look_beside, [tab.lens, *tab.beside.both], tab.lens, **QUIET)
