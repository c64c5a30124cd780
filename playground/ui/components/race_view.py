"""A race on the page: its verdict in words, its curves with bands over seeds, what differs, the waterfall, the table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import gradio as gr

from playground.ui.components._html import ServerFunction, component

TEMPLATE = """<div class="pg-race">
  <div class="pg-race-empty pg-panel pg-invite">
    <svg viewBox="0 0 560 170" aria-hidden="true" preserveAspectRatio="none">
      <path class="pg-ghost-grid" d="M0 20H560M0 65H560M0 110H560M0 155H560"/>
      <path class="pg-ghost-band" d="M4 12C70 62 130 104 220 122S420 138 556 142"/>
      <path class="pg-ghost-line pg-ghost-classic" d="M4 12C70 62 130 104 220 122S420 138 556 142"/>
      <path class="pg-ghost-line" d="M4 12C50 84 100 122 190 136S400 150 556 153"/>
    </svg>
    <div class="pg-empty">
      <strong>Which one learns better?</strong>
      <p>Choose a question under <b>Start a race</b>, or a finished race above. All arms train on the same batches in the
      same order, and the verdict has a confidence interval.</p>
    </div>
  </div>
</div>"""


def race_view(
    news: ServerFunction,
    file: ServerFunction,
    *,
    value: Mapping[str, Any] | None = None,
    elem_id: str | None = None,
) -> gr.HTML:
    """Follow one race.

    value: ``{"visitor": str, "race": race id or "", "nonce": anything}``; an empty race shows an invitation. news:
    ``{"visitor": str, "race": id, "cursor": str or None}`` -> what `races.payload.race_news` says, or ``{"error": str}``.
    The events ``opened`` and ``moved`` tell that another race is shown, and that it is in another state.
    Asked once a second while it trains and is visible, every six seconds once it has ended. file: ``{"visitor", "race",
    "kind": "report" | "csv" | "json"}`` -> ``{"name": str, "type": str, "text": str}``, for the browser to save.
    """
    return component("race_view", TEMPLATE, value, {"race": news, "file": file}, elem_id=elem_id)
