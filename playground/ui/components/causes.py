"""Switching parts of a model off: what the loss, the next token and the continuation become."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import gradio as gr

from playground.ui.components._html import ServerFunction, component

TEMPLATE = """<div class="pg-causes">
  <div class="pg-causes-empty pg-panel">
    <div class="pg-empty">
      <strong>Switch a head off and measure the effect</strong>
      <p>Choose a model: every head and MLP can be switched off, and all of them ranked.</p>
    </div>
  </div>
</div>"""


def causes(
    parts: ServerFunction, ablate: ServerFunction, *, value: Mapping[str, Any] | None = None, elem_id: str | None = None
) -> gr.HTML:
    """Show a model's parts as switches.

    value: ``{"visitor": str, "run": str, "step": int, "text": str, "nonce": anything}``; an empty run shows an
    invitation. parts: ``{"visitor", "run"}`` -> ``{"n_layer", "n_head", "parts": [[layer, kind, head], ...]}``. ablate:
    ``{"visitor", "run", "step", "parts", "how": "zero" | "mean", "text"?}`` -> ``{"loss", "change",
    "standard_error", "n_tokens", "n_windows"}`` (nats per token), with a text also ``{"next": [[piece, p, p without],
    ...], "before", "after", "note"}``. Either may answer ``{"error": sentence}``. Ranking asks for one part after the other.
    """
    return component("causes", TEMPLATE, value, {"parts": parts, "ablate": ablate}, elem_id=elem_id)
