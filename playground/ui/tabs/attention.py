"""Attention: where each token of a text looks, in every layer and head, from the first step of a run to its last."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import gradio as gr

from playground.ui import endpoints, inside_endpoints
from playground.ui.components import attention_grid
from playground.ui.latest import Pages
from playground.ui.picker import QUIET, build_run, wire_run
from playground.ui.readings import READINGS, Reading
from playground.ui.services import Services

TEXT = "Mila gave the key to Oren. Then Oren opened the box with the"
NOTICE = (
    "**What to notice.** A bright diagonal just below the main one is a head that looks at the previous token; a bright "
    "first column is a *sink*, where a head rests when it has nothing to do; short columns are the beginnings of words. "
    "Bright spots far from the diagonal are memory; small models have little of it after a minute. Press ▶: none of this "
    "was there at step 0, it was learned, and much of it early."
)
ROUNDING = 10_000  # nanoseconds: what numbers lose in a browser, once a machine has been up for months


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
                    parts["look"] = gr.Button("Look", variant="primary", elem_id="look")
            parts["special"] = gr.Checkbox(
                True, label="Special tokens",
                info="Those that the text names, and what the tokenizer's file puts around it.",
                visible=False, elem_classes="pg-compact", elem_id="attention-special",
            )  # fmt: skip
            with gr.Row(elem_classes="pg-actions pg-inline"):
                parts["readings"] = {
                    name: gr.Button(f"▶ {one.title}", size="sm", elem_id=f"reading-{name}")
                    for name, one in READINGS.items()
                }
        parts["grid"] = attention_grid(
            partial(endpoints.attention, services), partial(endpoints.timeline, services),
            partial(inside_endpoints.heads, services), partial(inside_endpoints.ablate, services),
            elem_id="attention-grid",
        )  # fmt: skip
        gr.Markdown(NOTICE, elem_classes="pg-note")
    return AttentionTab(**parts)


def look(run_id: str | None, text: str, special: Any, token: str) -> dict[str, Any]:
    """What the grid should ask for; without a run it shows its invitation."""
    shown = {"visitor": token, "run": run_id or "", "text": text or "", "special": special is not False}
    return {**shown, "nonce": time.monotonic_ns()}


def show_special(services: Services, run_id: str | None, token: str) -> Any:
    """The switch for special tokens, for a run whose tokenizer has some that a text may be read with."""
    tokenizer = services.run(run_id, token).tokenizer if run_id else None
    return gr.update(visible=tokenizer is not None and (tokenizer.bos, tokenizer.eos) != (None, None))


class Begun:
    """When each page was last given a guided reading. Opening the tab looks too, and must not put itself in its place."""

    def __init__(self) -> None:
        self._nonces: Pages[int] = Pages()

    def opening(self, reading: Reading) -> Callable[..., tuple[Any, str, dict[str, Any]]]:
        """A handler that chooses the run and text of a guided reading, and shows the grid at its first stage."""

        def read(services: Services, token: str, request: gr.Request) -> tuple[Any, str, dict[str, Any]]:
            run = gr.update(choices=services.choices(token, trained=True), value=reading.run)
            shown = look(reading.run, reading.text, True, token)
            self._nonces[request.session_hash] = shown["nonce"]
            return run, reading.text, {**shown, "reading": reading.as_value()}

        return read

    def look_on_opening(
        self, run_id: str | None, text: str, special: Any, token: str, grid: dict[str, Any] | None, request: gr.Request
    ) -> Any:
        """`look`, unless a reading goes on there or is on its way to the page, which asked before it had arrived."""
        known = grid if isinstance(grid, dict) else {}
        nonce = known.get("nonce")
        arrived = nonce if isinstance(nonce, int) else 0
        reads = bool(known.get("reading")) and (known.get("run"), known.get("text")) == (run_id, text)
        if reads or arrived + ROUNDING < self._nonces.get(request.session_hash, 0):
            return gr.skip()
        return look(run_id, text, special, token)


def wire(tab: AttentionTab, services: Services, visitor: gr.BrowserState) -> None:
    """Connect the controls."""
    asked, begun = [tab.run, tab.text, tab.special, visitor], Begun()
    opened, chosen = wire_run(tab.run, services, visitor, tab.tab)
    opened(begun.look_on_opening, [*asked, tab.grid], tab.grid, **QUIET)
    shows = services.bind(show_special)
    for event in (opened, chosen):
        event(shows, [tab.run, visitor], tab.special, **QUIET)
    for event in (chosen, tab.look.click, tab.text.submit, tab.special.input):
        event(look, asked, tab.grid, **QUIET)
    for name, button in tab.readings.items():
        read = services.bind(begun.opening(READINGS[name]))
        button.click(read, visitor, [tab.run, tab.text, tab.grid], **QUIET)
