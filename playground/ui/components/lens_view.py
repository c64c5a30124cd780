"""A text as a model reads it: how much each token surprised it, and what it would have said after every layer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import gradio as gr

from playground.ui.components._html import ServerFunction, component

TEMPLATE = """<div class="pg-lens">
  <div class="pg-lens-empty pg-panel">
    <div class="pg-empty">
      <strong>Watch a prediction form</strong>
      <p>Choose a model and a sentence: its next-token prediction appears after every layer.</p>
    </div>
  </div>
</div>"""


def lens_view(lens: ServerFunction, *, value: Mapping[str, Any] | None = None, elem_id: str | None = None) -> gr.HTML:
    """Show surprise and logit lens of a text.

    value: ``{"visitor": str, "run": str, "step": int, "text": str, "beside": {"run": str, "step": int} | None, "nonce":
    anything}``; an empty run shows an invitation, another checkpoint in `beside` is shown next to the first. lens:
    ``{"visitor", "run", "step", "text"}`` -> ``{"name", "tokens", "depths", "note"}`` or ``{"error": sentence}``; a depth
    is ``{"top": [[[piece, p], ...] per position], "entropy", "divergence", "actual"}``, the first depth the embedding, the
    last the model's own prediction, bits throughout.
    """
    return component("lens_view", TEMPLATE, value, {"lens": lens}, elem_id=elem_id)
