"""The Inside tab: logit lens, head scores, ablation and patching, one head step by step, and more views."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import gradio as gr

from playground.ui import endpoints
from playground.ui.components import component
from playground.ui.inside import inside_endpoints
from playground.ui.inside.semantic_views import build_views, look_everywhere
from playground.ui.picker import QUIET, Picker, build_picker, build_second, wire_picker, wire_second
from playground.ui.scripts import page_function
from playground.ui.services import Services

TEXT = "Mila gave the key to Oren. Then Oren opened the box with the"
LENS_NOTICE = (
    "**What to notice.** Letters inside a word are easy to predict, the first letter of a word is the hardest. In the lens "
    "below, early layers predict what usually follows this letter, the last ones use the whole sentence. Where a column no "
    "longer changes, the layers above add nothing. Compare with an early checkpoint of the same run to see what it has "
    "learned to predict since."
)

HEADS_NOTICE = (
    "**What to notice.** An *induction* head attends to the token that followed the last copy of the current one, and "
    "so can repeat it. It needs a *previous-token* head in a layer below, and both appear together, often suddenly: "
    "see the run *Induction: two layers on Repeat*, or start *Attention → Watch an induction head form*. A model that "
    "never has to repeat anything rarely has such heads. A head with a high share on the first token is an attention sink."
)
CAUSES_NOTICE = (
    "**What to notice.** A head with a clear pattern may not matter, and a head without one may. Most heads can be "
    "removed one at a time, because others compensate; switch several off. A change smaller than about two standard "
    "errors is not significant."
)
HAND_NOTICE = (
    "**What to notice.** The softmax makes attention selective: scores that differ by 5 become weights that differ by "
    "a factor of 148. Without the division, scores would grow with the head size, and most of the attention would go "
    "to one token."
)


CLEAN = '"Not today," she said. Luc'
CORRUPTED = '"Not today," she said. Ros'
PATCHING_NOTICE = (
    "**What to notice.** In the embedding the whole difference is at the positions where the prompts differ; after the last "
    "layer it is at the last position, which predicts the next token. In between it moves from one to the other: see "
    "in which layer, and which head restores much. Try *Induction: two layers on Repeat* with qwertzuiop|qwe and "
    "qwextzuiop|qwe."
)


@dataclass(frozen=True)
class Prompts:
    """Two prompts, their answer tokens, and the button."""

    clean: gr.Textbox
    corrupted: gr.Textbox
    clean_answer: gr.Textbox
    corrupted_answer: gr.Textbox
    patch: gr.Button

    @property
    def all(self) -> list[gr.Textbox]:
        return [self.clean, self.corrupted, self.clean_answer, self.corrupted_answer]


@dataclass(frozen=True)
class InsideTab:
    """The tab's components."""

    tab: gr.Tab
    picker: Picker
    text: gr.Textbox
    look: gr.Button
    second: Picker
    lens: gr.HTML
    heads: gr.HTML
    causes: gr.HTML
    prompts: Prompts
    patching: gr.HTML
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
                parts["look"] = gr.Button("Analyze", variant="primary", elem_id="inside-look")
        with gr.Tabs(elem_id="inside-tabs", overflow_behavior="wrap"):
            with gr.Tab("Layer by layer", id="lens"):
                with gr.Group(elem_classes="pg-card"), gr.Row(elem_classes="pg-actions pg-bar"):
                    parts["second"] = build_second(services, "inside-second")
                parts["lens"] = component(
                    "lens_view", lens=partial(inside_endpoints.lens, services), elem_id="inside-lens"
                )
                gr.Markdown(LENS_NOTICE, elem_classes="pg-note")
            with gr.Tab("Heads", id="heads"):
                parts["heads"] = component(
                    "head_table", heads=partial(inside_endpoints.heads, services),
                    timeline=partial(endpoints.timeline, services), elem_id="inside-heads",
                )  # fmt: skip
                gr.Markdown(HEADS_NOTICE, elem_classes="pg-note")
            with gr.Tab("Ablation & patching", id="causes"):
                parts["causes"] = component(
                    "causes", parts=partial(inside_endpoints.parts, services),
                    ablate=partial(inside_endpoints.ablate, services), elem_id="inside-causes",
                )  # fmt: skip
                gr.Markdown(CAUSES_NOTICE, elem_classes="pg-note")
                parts["prompts"] = _build_prompts()
                parts["patching"] = component(
                    "patching", patch=partial(inside_endpoints.patch, services), elem_id="inside-patching"
                )
                gr.Markdown(PATCHING_NOTICE, elem_classes="pg-note")
            with gr.Tab("One head, step by step", id="hand"):
                parts["hand"] = component(
                    "head_by_hand", head_by_hand=partial(inside_endpoints.head_by_hand, services), elem_id="inside-hand"
                )
                gr.Markdown(HAND_NOTICE, elem_classes="pg-note")
            parts["more"] = build_views(services)
    return InsideTab(**parts)


def _build_prompts() -> Prompts:
    """The form above the patches."""
    parts: dict[str, Any] = {}
    with gr.Group(elem_classes="pg-card"):
        gr.Markdown(
            "**Activation patching** activations of the clean prompt, put into the corrupted one",
            elem_classes="pg-title",
        )
        for name, text in (("clean", CLEAN), ("corrupted", CORRUPTED)):
            with gr.Row(elem_classes="pg-actions pg-bar"):
                with gr.Column(scale=4, min_width=240):
                    parts[name] = gr.Textbox(
                        text, label=f"{name.capitalize()} prompt", lines=1, max_lines=3, elem_classes="pg-mono",
                        elem_id=f"patching-{name}",
                    )  # fmt: skip
                with gr.Column(scale=1, min_width=140):
                    parts[f"{name}_answer"] = gr.Textbox(
                        "", label="Answer token (default: the model's)", lines=1, max_lines=1, elem_classes="pg-mono",
                        elem_id=f"patching-{name}-answer",
                    )  # fmt: skip
        with gr.Row(elem_classes="pg-actions pg-inline"):
            parts["patch"] = gr.Button("Patch", variant="primary", elem_id="patching-patch")
    return Prompts(**parts)


# Questions are made in the page (see `makeQuestion` in view.js), so that they reach the views in the order of the clicks.
LOOK = page_function(
    "run, step, text, second, secondStep, visitor",
    "((question) => [view.withSecond(question, second, secondStep), question, question, question])"
    "(view.makeQuestion(visitor, run, { step, text }))",
)
LOOK_SECOND = page_function("question, second, secondStep", "view.withSecond(question, second, secondStep)")
LOOK_PATCHED = page_function(
    "run, step, clean, corrupted, cleanAnswer, corruptedAnswer, visitor",
    """view.makeQuestion(visitor, run, { step, "clean prompt": clean, "corrupted prompt": corrupted,
    "clean answer": cleanAnswer, "corrupted answer": corruptedAnswer })""",
)


def wire(tab: InsideTab, services: Services, visitor: gr.BrowserState) -> None:
    """Connect the controls."""
    inputs = [*tab.picker.both, tab.text, *tab.second.both, visitor]
    wired = wire_picker(tab.picker, services, visitor, tab.tab)
    for event in (*wired, tab.look.click, tab.text.submit):
        event(None, inputs, [tab.lens, tab.heads, tab.causes, tab.hand], js=LOOK, **QUIET)
        event(None, [*tab.picker.both, tab.text, visitor], tab.more, js=look_everywhere(len(tab.more)), **QUIET)
    for event in (*wired, tab.prompts.patch.click, *(box.submit for box in tab.prompts.all)):
        event(None, [*tab.picker.both, *tab.prompts.all, visitor], tab.patching, js=LOOK_PATCHED, **QUIET)
    for event in wire_second(tab.second, tab.picker, services, visitor, tab.tab):
        event(None, [tab.lens, *tab.second.both], tab.lens, js=LOOK_SECOND, **QUIET)
