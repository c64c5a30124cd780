"""The Compare tab's chart: up to eight runs over one another, and one sentence on who is ahead."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import gradio as gr

from playground.ui.components._html import ServerFunction, component

TEMPLATE = """<div class="pg-compare">
  <div class="pg-compare-empty pg-panel pg-invite">
    <svg viewBox="0 0 560 170" aria-hidden="true" preserveAspectRatio="none">
      <path class="pg-ghost-grid" d="M0 20H560M0 65H560M0 110H560M0 155H560"/>
      <path class="pg-ghost-line pg-ghost-classic" d="M4 12C70 62 130 104 220 122S420 138 556 142"/>
      <path class="pg-ghost-line" d="M4 12C50 84 100 122 190 136S400 150 556 153"/>
    </svg>
    <div class="pg-empty">
      <strong>Compare training curves</strong>
      <p>Choose runs to overlay, best of the same dataset with one setting changed.</p>
    </div>
  </div>
</div>"""


def compare_chart(
    curves: ServerFunction, *, value: Mapping[str, Any] | None = None, elem_id: str | None = None
) -> gr.HTML:
    """Overlay runs.

    value: ``{"visitor": str, "runs": [run ids], "nonce": anything}``; the first eight are drawn, none shows an
    invitation. curves: as in `live_run`. The event ``measured`` tells that one of the runs has a new evaluation.
    """
    return component("compare_chart", TEMPLATE, value, {"curves": curves}, elem_id=elem_id)
