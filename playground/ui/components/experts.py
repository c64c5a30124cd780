"""A mixture of experts at work: who does how much over training, where the user's tokens go, who prefers which kind."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import gradio as gr

from playground.ui.components._html import ServerFunction, component

TEMPLATE = """<div class="pg-experts">
  <div class="pg-experts-empty pg-panel">
    <div class="pg-empty">
      <strong>See which expert handles which token</strong>
      <p>Choose a model with experts: their load over training, your text coloured by expert, and their specialisation.</p>
    </div>
  </div>
</div>"""


def experts(
    experts: ServerFunction,
    routes: ServerFunction,
    timeline: ServerFunction,
    *,
    value: Mapping[str, Any] | None = None,
    elem_id: str | None = None,
) -> gr.HTML:
    """Show a mixture's experts.

    value: ``{"visitor": str, "run": str, "step": int, "text": str, "nonce": anything}``; an empty run shows an
    invitation. The server functions are those of `ui.inside.experts_endpoints`, and `ui.endpoints.timeline`; each may answer
    ``{"error": sentence}``.
    """
    return component(
        "experts", TEMPLATE, value, {"experts": experts, "routes": routes, "timeline": timeline}, elem_id=elem_id
    )
