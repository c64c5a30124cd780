"""Vectors of tokens or words as points that move through training, their neighbours, and analogies."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import gradio as gr

from playground.ui.components._html import ServerFunction, component

TEMPLATE = """<div class="pg-embeddings">
  <div class="pg-embeddings-empty pg-panel">
    <div class="pg-empty">
      <strong>Watch embeddings form</strong>
      <p>Choose a model: its tokens or words as points, from the random initialization to the last step.</p>
    </div>
  </div>
</div>"""


def embeddings(
    embeddings: ServerFunction,
    near: ServerFunction,
    analogies: ServerFunction,
    timeline: ServerFunction,
    *,
    value: Mapping[str, Any] | None = None,
    elem_id: str | None = None,
) -> gr.HTML:
    """Show named vectors.

    value: ``{"visitor": str, "run": str, "step": int, "text": str, "nonce": anything}``; an empty run shows an
    invitation, the text is not used. The server functions are those of `ui.inside.semantics_endpoints`, and
    `ui.endpoints.timeline`; each may answer ``{"error": sentence}``.
    """
    functions = {"embeddings": embeddings, "near": near, "analogies": analogies, "timeline": timeline}
    return component("embeddings", TEMPLATE, value, functions, elem_id=elem_id)
