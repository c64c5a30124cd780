"""A batch of training: its rows, one row's inputs over its targets, and one position on its way to a loss."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import gradio as gr

from playground.ui.components._html import ServerFunction, component

TEMPLATE = """<div class="pg-batch">
  <div class="pg-batch-empty pg-panel">
    <div class="pg-empty">
      <strong>What a training step reads</strong>
      <p>A few windows of the text as inputs, and the same windows one token later as targets. Choose a run, or press
      <b>Preview a batch</b> in the Train tab.</p>
    </div>
  </div>
</div>"""


def batch_view(
    explain: ServerFunction, *, value: Mapping[str, Any] | None = None, elem_id: str | None = None
) -> gr.HTML:
    """Show a batch.

    value: ``{"visitor", "run": id or "", "step": checkpoint or None, "batch": training step, "n_rows": int, "title": str,
    "rows": [{"ids": [int], "pieces": [str], "loss": [float | None] | None, "counts": [bool]}, ...],
    "code": [{"name", "text"}], "note": str, "nonce"}``. A row has one more token than targets: target t is token t + 1.
    explain: ``{"visitor", "run", "step", "ids", "position", "target"}`` -> one position's logits, weights and
    probabilities, or ``{"error": str}``.
    """
    return component("batch_view", TEMPLATE, value, {"explain": explain}, elem_id=elem_id)
