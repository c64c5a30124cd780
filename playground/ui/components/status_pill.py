"""The header's pill: what is training right now, in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import gradio as gr

from playground.ui.components._html import ServerFunction, component

TEMPLATE = """<div class="pg-pill" data-state="idle"></div>"""


def status_pill(live: ServerFunction, *, value: Mapping[str, Any] | None = None, elem_id: str | None = None) -> gr.HTML:
    """Say what is running.

    value: ``{"visitor": str}``. live: ``{"visitor": str}`` -> ``{"state": str, "text": str}``, asked once a second while
    visible.
    """
    return component("status_pill", TEMPLATE, value, {"live": live}, elem_id=elem_id)
