"""The next token's distribution, before and after the filters, answering sliders at once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import gradio as gr

from playground.ui.components._html import component

TEMPLATE = """<div class="pg-next">
  <div class="pg-next-empty pg-panel">
    <div class="pg-empty">
      <strong>Next-token distribution</strong>
      <p>Enter a prompt: the probabilities of the next token appear here.</p>
    </div>
  </div>
</div>"""


def next_token(*, value: Mapping[str, Any] | None = None, elem_id: str | None = None) -> gr.HTML:
    """Show one distribution.

    value: ``{"labels": [str], "logits": str, "low": float, "high": float, "by_id": str, "uniform": float, "seen": [int],
    "temperature": float, "top_k": int, "top_p": float, "min_p": float, "repetition_penalty": float, "padding": {"p":
    float, "entropy": float}, "note": str, "nonce": anything}``. Tokens come likeliest first; `labels` are those of the first
    rows, `logits` base64 of uint16 from `low` to `high`: all of them, because the filters need the tail too. `by_id`, base64
    of uint16 too, is where each id stands in that order, `seen` where the tokens of the text so far do; `uniform` in [0, 1)
    is what chooses; `padding` is the probability of ids that only pad the vocabulary, and what they add to the entropy in
    bits. Sliders re-shape it without a round trip by dispatching ``playground:sampling`` on the document with the settings
    as ``detail``.
    """
    return component("next_token", TEMPLATE, value, elem_id=elem_id)
