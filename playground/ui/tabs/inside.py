"""Inside: what a checkpoint would say after every layer, and what surprised it."""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import partial
from typing import Any

import gradio as gr

from playground.ui import inside_endpoints
from playground.ui.components import lens_view
from playground.ui.picker import QUIET, Picker, build_picker, wire_picker
from playground.ui.services import Services

TEXT = "Mila gave the key to Oren. Then Oren opened the box with the"
LENS_NOTICE = (
    "**What to notice.** Letters inside a word surprise little, the first letter of a word surprises most: that is where "
    "something is decided. Below, early layers say what usually follows this letter; the last ones know the sentence. "
    "Where a column does not change any more, the layers above had nothing to add."
)


@dataclass(frozen=True)
class InsideTab:
    """The tab's components."""

    tab: gr.Tab
    picker: Picker
    text: gr.Textbox
    look: gr.Button
    lens: gr.HTML


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
        with gr.Tabs(elem_id="inside-tabs"), gr.Tab("Layer by layer", id="lens"):
            parts["lens"] = lens_view(partial(inside_endpoints.lens, services), elem_id="inside-lens")
            gr.Markdown(LENS_NOTICE, elem_classes="pg-note")
    return InsideTab(**parts)


def look(run_id: str | None, step: Any, text: str, token: str) -> dict[str, Any]:
    """What the views should ask for; without a run they show their invitations."""
    return {"visitor": token, "run": run_id or "", "step": step, "text": text or "", "nonce": time.monotonic_ns()}


def wire(tab: InsideTab, services: Services, visitor: gr.BrowserState) -> None:
    """Connect the controls."""
    asked = [*tab.picker.both, tab.text, visitor]
    for event in (*wire_picker(tab.picker, services, visitor, tab.tab), tab.look.click, tab.text.submit):
        event(look, asked, tab.lens, **QUIET)
