"""What kind of head each is: six scores, now and at every saved step."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import gradio as gr

from playground.ui.components._html import ServerFunction, component

TEMPLATE = """<div class="pg-headtable">
  <div class="pg-headtable-empty pg-panel">
    <div class="pg-empty">
      <strong>See what each head does</strong>
      <p>Choose a model: six attention scores of every head, at each saved step.</p>
    </div>
  </div>
</div>"""


def head_table(
    heads: ServerFunction,
    timeline: ServerFunction,
    *,
    value: Mapping[str, Any] | None = None,
    elem_id: str | None = None,
) -> gr.HTML:
    """Show scores of heads.

    value: ``{"visitor": str, "run": str, "step": int, "text": str, "nonce": anything}``; an empty run shows an
    invitation. heads: ``{"visitor", "run", "step", "text"}`` -> ``{"scores": [{"id", "name", "unit", "definition",
    "source"}, ...], "values": {id: numbers by layer and head}, "note"}``; asked for every step of ``timeline``:
    ``{"visitor", "run"}`` -> ``{"steps", "live", ...}``. Either may answer ``{"error": sentence}``.
    """
    return component("head_table", TEMPLATE, value, {"heads": heads, "timeline": timeline}, elem_id=elem_id)
