"""The Train tab's answer: a run's state, numbers, curves, one sentence on what to notice, and what it writes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import gradio as gr

from playground.ui.components._html import ServerFunction, component

TEMPLATE = """<div class="pg-live">
  <div class="pg-live-empty pg-panel pg-invite">
    <svg viewBox="0 0 560 170" aria-hidden="true" preserveAspectRatio="none">
      <path class="pg-ghost-grid" d="M0 20H560M0 65H560M0 110H560M0 155H560"/>
      <path class="pg-ghost-band" d="M4 12C60 70 110 112 200 128S400 146 556 150"/>
      <path class="pg-ghost-line" d="M4 12C50 84 100 122 190 136S400 150 556 153"/>
    </svg>
    <div class="pg-empty">
      <strong>Training curves appear here</strong>
      <p>Press <b>Start training</b>. The first numbers appear as soon as the training has begun.</p>
    </div>
  </div>
</div>"""


def live_run(
    curves: ServerFunction,
    band: ServerFunction,
    *,
    value: Mapping[str, Any] | None = None,
    elem_id: str | None = None,
) -> gr.HTML:
    """Follow one run.

    value: ``{"visitor": str, "run": run id or "", "nonce": anything}``; an empty run shows an invitation to start one.
    curves: ``{"visitor": str, "cursors": {run id: cursor or None}}`` -> ``{"runs": [...], "error": str | absent}``, new
    points only. Asked twice a second while visible, every three seconds once the run has ended.
    A run carries a ``notice``, the run doctor's sentence. band: ``{"visitor": str, "run": id}`` -> ``{"band":
    `reference.bands.Band` as a dictionary, or null}``, asked once a run.
    """
    return component("live_run", TEMPLATE, value, {"curves": curves, "band": band}, elem_id=elem_id)
