"""Searching a corpus by a model's hidden states and by counting letters, and lines of text against each other."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import gradio as gr

from playground.ui.components._html import ServerFunction, component

TEMPLATE = """<div class="pg-meaning">
  <div class="pg-meaning-empty pg-panel">
    <div class="pg-empty">
      <strong>Search with the model's embeddings</strong>
      <p>Choose a model: search its dataset by hidden states, next to a search by letter n-grams.</p>
    </div>
  </div>
</div>"""


def meaning(
    search: ServerFunction,
    similar: ServerFunction,
    *,
    value: Mapping[str, Any] | None = None,
    elem_id: str | None = None,
) -> gr.HTML:
    """Show search and similarity.

    value: ``{"visitor": str, "run": str, "step": int, "text": str, "nonce": anything}``; an empty run shows an
    invitation, the text is the first query. The server functions are those of `semantics_endpoints`; each may answer
    ``{"error": sentence}``.
    """
    return component("meaning", TEMPLATE, value, {"search": search, "similar": similar}, elem_id=elem_id)
