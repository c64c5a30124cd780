"""The header's *Copy link*: the address of what is in front, copied, and shown where it could not be."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import gradio as gr

from playground.ui.components._html import component

TEMPLATE = """<div class="pg-link"></div>"""


def link_box(*, value: Mapping[str, Any] | None = None, elem_id: str | None = None) -> gr.HTML:
    """A button that copies links.

    The event ``ask`` wants the link of a tab: ``{"tab": str}``, the id of the one in front. value: what to copy and show,
    ``{"query": {name: str}, "note": str, "nonce": anything}``; a new nonce copies again.
    """
    return component("link_box", TEMPLATE, value, elem_id=elem_id)
