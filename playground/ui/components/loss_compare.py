"""One text, two models: each piece coloured by which of them knew better, and where they differ most."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import gradio as gr

from playground.ui.components._html import component

TEMPLATE = """<div class="pg-losses">
  <div class="pg-losses-empty pg-panel">
    <div class="pg-empty">
      <strong>Where does one predict better?</strong>
      <p>Press <b>Compare on this text</b>: every token is coloured by the model with the lower loss.</p>
    </div>
  </div>
</div>"""


def loss_compare(*, value: Mapping[str, Any] | None = None, elem_id: str | None = None) -> gr.HTML:
    """Show per-token losses of two models on the same text.

    value: ``{"a": name, "b": name, "spans": [[text, a's nats or null, b's nats or null], ...], "differs": [str, ...],
    "note": str, "nonce": anything}``.
    """
    return component("loss_compare", TEMPLATE, value, elem_id=elem_id)
