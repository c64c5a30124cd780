"""The Inside tab's views on experts, embeddings, positions, probes and search, each an inner tab with a component."""

from __future__ import annotations

from functools import partial

import gradio as gr

from playground.ui import endpoints
from playground.ui.components import component
from playground.ui.inside import experts_endpoints, semantics_endpoints
from playground.ui.scripts import page_function
from playground.ui.services import Services

NOTICES = {
    "experts": "**What to notice.** At first a router sends tokens to any expert; soon it may favour two, and only "
    "then spread out again. Experts come to differ mostly by kind of token, hardly by topic. With the balance loss at "
    "0 a layer may end up using only a few experts: race it with one click, *Compare → Races → Experts without "
    "balance*, and view both runs here.",
    "embeddings": "**What to notice.** Vowels, consonants and capitals form clusters, because they occur in similar "
    "contexts; the model is not given these classes. Analogies often fail at this size, and where they succeed, the "
    "nearest neighbour alone often would have too.",
    "positions": "**What to notice.** A model with learned position vectors has to learn that position 11 is next to "
    "12; RoPE has it built in. Its fast planes distinguish neighbours, the slow ones the beginning of a text from its end.",
    "probes": "**What to notice.** The kind of a token can be read from the embedding. Where a word ends and whether a "
    "quotation is open need context, which the layers add; who is speaking cannot be read from the model that ships. "
    "Compare a probe with shuffled labels and with the majority class; that a label can be read does not mean that "
    "the model uses it.",
    "meaning": "**What to notice.** The test measures whether the model is better than n-grams. So small a model mostly "
    "represents the form of a sentence; names that two passages share are found equally well by letter n-grams.",
}


def build_views(services: Services) -> list[gr.HTML]:
    """Lay the inner tabs out; all components take the question of `look_everywhere`."""
    at, meant = endpoints, semantics_endpoints
    views = []
    with gr.Tab("Experts", id="experts"):
        views.append(
            component(
                "experts", experts=partial(experts_endpoints.experts, services),
                routes=partial(experts_endpoints.routes, services), timeline=partial(at.timeline, services),
                elem_id="inside-experts",
            )
        )  # fmt: skip
        _notice("experts")
    with gr.Tab("Embeddings", id="embeddings"):
        views.append(
            component(
                "embeddings", embeddings=partial(meant.embeddings, services), near=partial(meant.near, services),
                analogies=partial(meant.analogies, services), timeline=partial(at.timeline, services),
                elem_id="inside-embeddings",
            )
        )  # fmt: skip
        _notice("embeddings")
    with gr.Tab("Positions", id="positions"):
        views.append(component("positions", positions=partial(meant.positions, services), elem_id="inside-positions"))
        _notice("positions")
    with gr.Tab("Probes", id="probes"):
        views.append(component("probes", probes=partial(meant.probes, services), elem_id="inside-probes"))
        _notice("probes")
    with gr.Tab("Search", id="meaning"):
        views.append(
            component(
                "meaning", search=partial(meant.search, services), similar=partial(meant.similar, services),
                elem_id="inside-meaning",
            )
        )  # fmt: skip
        _notice("meaning")
    return views


def look_everywhere(n: int) -> str:
    """The script that gives each of n views its question about a run, a step and a text, all made in the page."""
    return page_function(
        "run, step, text, visitor", f"Array({n}).fill(view.makeQuestion(visitor, run, {{ step, text }}))"
    )


def _notice(name: str) -> None:
    gr.Markdown(NOTICES[name], elem_classes="pg-note")
