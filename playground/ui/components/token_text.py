"""Generated text, each token coloured by how much it surprised the model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import gradio as gr

from playground.ui.components._html import component

TEMPLATE = """<div class="pg-tokens">
  <div class="pg-tokens-empty pg-panel">
    <div class="pg-empty">
      <strong>Let it write</strong>
      <p>Give it a beginning and press <b>Generate</b>. Colour shows which tokens surprised the model itself.</p>
    </div>
  </div>
</div>"""


def token_text(*, value: Mapping[str, Any] | None = None, elem_id: str | None = None) -> gr.HTML:
    """Show a text as it is written.

    value: ``{"prompt": str, "tokens": [{"text": str, "p": float, "alternatives": [[str, float], ...]}, ...], "state":
    "idle" | "writing" | "done" | "stopped", "note": str, "nonce": anything}``; p is the token's probability before any
    filter. Replace the whole value as often as eight times a second: what is on the page already is kept.
    """
    return component("token_text", TEMPLATE, value, elem_id=elem_id)
