"""The Inside tab's views on experts and on meaning: each an inner tab with a component and a sentence on what to notice."""

from __future__ import annotations

from functools import partial

import gradio as gr

from playground.ui import endpoints, experts_endpoints, semantics_endpoints
from playground.ui.components import embeddings, experts, meaning, positions, probes
from playground.ui.services import Services

NOTICES = {
    "experts": "**What to notice.** At the start a router sends tokens anywhere; soon it may favour two experts, and only "
    "then spread out again. Experts come to differ mostly by kind of token, hardly by topic. With the balance loss at 0 a "
    "layer may come to live on a few experts: race it with one click, *Compare → Race → Experts without balance*, and look "
    "at both runs here.",
    "embeddings": "**What to notice.** Vowels, consonants and capitals end up near their like, because they are used "
    "alike; nobody told the model what a vowel is. Analogies often fail at this size, and where they seem to succeed the "
    "nearest neighbour alone often would have too.",
    "positions": "**What to notice.** A model that adds learned vectors has to find out that position 11 lies beside 12; "
    "RoPE has it built in. Its fast planes tell neighbours apart, the slow ones the beginning of a text from its end.",
    "probes": "**What to notice.** The kind of a token is there from the start. Where a word ends and whether a "
    "quotation is open need context, and layers put them there; who is speaking cannot be read off the shipped model at "
    "all. A probe is worth as much as its distance from shuffled labels and from the "
    "commonest answer; that a label can be read does not say that the model uses it.",
    "meaning": "**What to notice.** Whether the model adds anything is measured, not felt: look at the trial. So small a "
    "model mostly knows the form of a sentence; names that two passages share are found as well by counting letters.",
}


def build_views(services: Services) -> list[gr.HTML]:
    """Lay the inner tabs out; all components take the question of `look_everywhere`."""
    at, meant = endpoints, semantics_endpoints
    views = []
    with gr.Tab("Experts", id="experts"):
        views.append(
            experts(
                partial(experts_endpoints.experts, services), partial(experts_endpoints.routes, services),
                partial(at.timeline, services), elem_id="inside-experts",
            )
        )  # fmt: skip
        _notice("experts")
    with gr.Tab("Embeddings", id="embeddings"):
        views.append(
            embeddings(
                partial(meant.embeddings, services), partial(meant.near, services), partial(meant.analogies, services),
                partial(at.timeline, services), elem_id="inside-embeddings",
            )
        )  # fmt: skip
        _notice("embeddings")
    with gr.Tab("Positions", id="positions"):
        views.append(positions(partial(meant.positions, services), elem_id="inside-positions"))
        _notice("positions")
    with gr.Tab("Probes", id="probes"):
        views.append(probes(partial(meant.probes, services), elem_id="inside-probes"))
        _notice("probes")
    with gr.Tab("Search", id="meaning"):
        views.append(
            meaning(partial(meant.search, services), partial(meant.similar, services), elem_id="inside-meaning")
        )
        _notice("meaning")
    return views


def look_everywhere(n: int) -> str:
    """The script that gives each of n views its question about a run, a step and a text, all made in the page."""
    return f"(run, step, text, visitor) => Array({n}).fill(Playground.question(visitor, run, {{ step, text }}))"


def _notice(name: str) -> None:
    gr.Markdown(NOTICES[name], elem_classes="pg-note")
