"""What can be read off each layer by linear probes, beside a baseline and a control."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import gradio as gr

from playground.ui.components._html import ServerFunction, component

TEMPLATE = """<div class="pg-probes">
  <div class="pg-probes-empty pg-panel">
    <div class="pg-empty">
      <strong>What does each layer represent?</strong>
      <p>Choose a model: can a linear probe read where words end, whether a quotation is open, who is speaking?</p>
    </div>
  </div>
</div>"""


def probes(probes: ServerFunction, *, value: Mapping[str, Any] | None = None, elem_id: str | None = None) -> gr.HTML:
    """Show probes.

    value: ``{"visitor": str, "run": str, "step": int, "text": str, "nonce": anything}``; an empty run shows an
    invitation, the text is not used. The server function is that of `semantics_endpoints`; it may answer ``{"error":
    sentence}``.
    """
    return component("probes", TEMPLATE, value, {"probes": probes}, elem_id=elem_id)
