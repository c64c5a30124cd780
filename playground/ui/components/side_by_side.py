"""What several models write from the same prompt, each under its name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import gradio as gr

from playground.ui.components._html import component

TEMPLATE = """<div class="pg-beside">
  <div class="pg-beside-empty pg-panel">
    <div class="pg-empty">
      <strong>Compare continuations</strong>
      <p>Press <b>Generate from all</b>: each chosen run continues the prompt with the same random numbers.</p>
    </div>
  </div>
</div>"""


def side_by_side(*, value: Mapping[str, Any] | None = None, elem_id: str | None = None) -> gr.HTML:
    """Show texts beside each other.

    value: ``{"prompt": str, "items": [{"name": str, "role": "classic" | "modern" | "other", "tokens": [[text, p], ...],
    "note": str}, ...], "differs": [str, ...], "nonce": anything}``; p is a token's probability before any filter; the note
    says what is going on, or why there is no text; ``differs`` are the settings in which the models differ.
    """
    return component("side_by_side", TEMPLATE, value, elem_id=elem_id)
