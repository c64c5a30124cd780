"""A text under several tokenizers: its pieces in colour, what they cost, and how a larger vocabulary would pay off."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import gradio as gr

from playground.ui.components._html import ServerFunction, component

TEMPLATE = """<div class="pg-readings">
  <div class="pg-readings-empty pg-panel">
    <div class="pg-empty">
      <strong>What does a model read?</strong>
      <p>Not letters, not words: tokens. Enter a text, or choose an example, and see it tokenized.</p>
    </div>
  </div>
</div>"""


def tokenizer_view(
    tokenize: ServerFunction, *, value: Mapping[str, Any] | None = None, elem_id: str | None = None
) -> gr.HTML:
    """Show how tokenizers read a text.

    value: ``{"visitor": str, "text": str, "tokenizers": [keys], "learned": str, "width": int, "nonce": anything}``; without
    a text an invitation. tokenize: that dictionary -> ``{"rows": [...], "curve": [...], "notice": str, ...}`` or
    ``{"error": str}``, as `ui.data.tokenizer_endpoints.tokenize` says.
    """
    return component("tokenizer_view", TEMPLATE, value, {"tokenize": tokenize}, elem_id=elem_id)
