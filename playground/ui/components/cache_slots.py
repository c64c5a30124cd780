"""The slots of a KV cache as tokens come in: what is written where, what is evicted, where the sinks stay."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import gradio as gr

from playground.ui.components._html import component

TEMPLATE = """<div class="pg-slots"></div>"""


def cache_slots(*, value: Mapping[str, Any] | None = None, elem_id: str | None = None) -> gr.HTML:
    """Play a story of slots.

    value: ``{"capacity": int, "n_sink": int, "streams": bool, "tokens": [str, ...], "steps": [{"held": [int], "inside":
    [int], "slot": int, "evicted": int}, ...], "nonce": anything}``: one step a token, see `analysis.streaming.slot_story`.
    """
    return component("cache_slots", TEMPLATE, value, elem_id=elem_id)
