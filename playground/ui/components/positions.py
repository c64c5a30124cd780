"""How a model tells positions apart: a map of similarities, RoPE's frequencies, ALiBi's slopes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import gradio as gr

from playground.ui.components._html import ServerFunction, component

TEMPLATE = """<div class="pg-positions">
  <div class="pg-positions-empty pg-panel">
    <div class="pg-empty">
      <strong>How positions are encoded</strong>
      <p>Choose a model: the similarity of its positions, and the frequencies of RoPE.</p>
    </div>
  </div>
</div>"""


def positions(
    positions: ServerFunction, *, value: Mapping[str, Any] | None = None, elem_id: str | None = None
) -> gr.HTML:
    """Show a model's positions.

    value: ``{"visitor": str, "run": str, "step": int, "text": str, "nonce": anything}``; an empty run shows an
    invitation, the text is not used. The server function is that of `semantics_endpoints`; it may answer ``{"error":
    sentence}``.
    """
    return component("positions", TEMPLATE, value, {"positions": positions}, elem_id=elem_id)
