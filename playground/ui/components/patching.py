"""Activation patching: which activations carry what makes the difference between two prompts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import gradio as gr

from playground.ui.components._html import ServerFunction, component

TEMPLATE = """<div class="pg-patching">
  <div class="pg-patching-empty pg-panel">
    <div class="pg-empty">
      <strong>Find which activations carry the answer</strong>
      <p>Two prompts that differ in a word: activations of the one are put into the other, one at a time.</p>
    </div>
  </div>
</div>"""


def patching(patch: ServerFunction, *, value: Mapping[str, Any] | None = None, elem_id: str | None = None) -> gr.HTML:
    """Show what patching restores.

    value: ``{"visitor": str, "run": str, "step": int, "clean prompt": str, "corrupted prompt": str, "clean answer": str,
    "corrupted answer": str, "nonce": anything}``; an empty run shows an invitation. patch: the same -> ``{"tokens",
    "others", "answers", "clean", "corrupted", "residual", "heads", "mlps", "note"}`` or ``{"error": sentence}``: `residual`
    are shares by depth (the embedding first) and position, `heads` by layer and head, `mlps` by layer.
    """
    return component("patching", TEMPLATE, value, {"patch": patch}, elem_id=elem_id)
