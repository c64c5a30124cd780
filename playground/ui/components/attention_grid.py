"""Attention maps through training: every head as a thumbnail, one of them large, and a timeline that moves them all."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import gradio as gr

from playground.ui.components._html import ServerFunction, component

TEMPLATE = """<div class="pg-attention">
  <div class="pg-attention-empty pg-panel">
    <div class="pg-empty">
      <strong>See what each token attends to</strong>
      <p>Choose a model and a sentence: every head's attention appears here.</p>
    </div>
  </div>
</div>"""


def attention_grid(
    attention: ServerFunction,
    timeline: ServerFunction,
    heads: ServerFunction,
    ablate: ServerFunction,
    *,
    value: Mapping[str, Any] | None = None,
    elem_id: str | None = None,
) -> gr.HTML:
    """Show a run's attention on a text, at any of its saved steps.

    value: ``{"visitor": str, "run": str, "text": str, "nonce": anything, "reading": {"title", "stages"} | None}``; an empty
    run shows an invitation, a reading (`ui.inside.guided_tours`) opens at its first stage. heads and ablate: as in
    `ui.inside.inside_endpoints`, asked about the chosen head at the step that is shown. timeline:
    ``{"visitor", "run"}`` -> ``{"steps", "last", "live", "curve": {"step", "loss"}}``. attention: ``{"visitor", "run",
    "step", "text", "layer": int | None}`` -> ``{"tokens", "n_layer", "n_head", "layers", "size", "png", "note",
    "windows", "n_sink"}``. Either may answer ``{"error": sentence}``. The png is an 8-bit greyscale sprite in base64, its
    rows the returned layers, its columns the heads, a pixel round(sqrt(weight) * 255). Asked again with a layer when one
    is chosen that no sprite of that step has shown yet.
    """
    functions = {"attention": attention, "timeline": timeline, "heads": heads, "ablate": ablate}
    return component("attention_grid", TEMPLATE, value, functions, elem_id=elem_id)
