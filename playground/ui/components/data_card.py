"""What is in a text: sizes, split, what counting knows of it, what stands in it twice, and samples."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import gradio as gr

from playground.ui.components._html import component

TEMPLATE = """<div class="pg-data"></div>"""


def data_card(*, value: Mapping[str, Any] | None = None, elem_id: str | None = None) -> gr.HTML:
    """Show a text's card.

    value: ``{"title": str, ...}`` with the fields of `analysis.data_card.DataCard`; nothing is shown without one.
    """
    return component("data_card", TEMPLATE, value, elem_id=elem_id)
