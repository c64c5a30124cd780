"""One head, one token, by hand: q·k, scale, mask, softmax, weighted values, and the code that ran."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import gradio as gr

from playground.ui.components._html import ServerFunction, component

TEMPLATE = """<div class="pg-hand">
  <div class="pg-hand-empty pg-panel">
    <div class="pg-empty">
      <strong>Compute one head by hand</strong>
      <p>Choose a model and a sentence: every number from a query to the output of its head.</p>
    </div>
  </div>
</div>"""


def head_by_hand(
    head_by_hand: ServerFunction, *, value: Mapping[str, Any] | None = None, elem_id: str | None = None
) -> gr.HTML:
    """Show the arithmetic of one head.

    value: ``{"visitor": str, "run": str, "step": int, "text": str, "nonce": anything}``; an empty run shows an
    invitation. head_by_hand: ``{"visitor", "run", "step", "text", "layer", "head", "position", "key"}`` -> ``{"tokens",
    "n_layer", "n_head", "size", "layer", "head", "position", "key", "query", "key_vector", "rows", "sink", "top",
    "output", "difference", "source", "note"}`` or ``{"error": sentence}``; a row is ``[dot, bias, visible, score,
    weight]``, `top` holds ``[key, weight, value vector]``.
    """
    return component("head_by_hand", TEMPLATE, value, {"head_by_hand": head_by_hand}, elem_id=elem_id)
