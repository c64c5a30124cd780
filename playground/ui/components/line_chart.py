"""A few lines over an axis, with a legend that tells them apart without colour too: for results of an experiment."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import gradio as gr

from playground.ui.components._html import component

TEMPLATE = """<div class="pg-lines"></div>"""


def line_chart(*, value: Mapping[str, Any] | None = None, elem_id: str | None = None) -> gr.HTML:
    """Show one chart; nothing while there is no value.

    value: ``{"title": str, "about": str, "x": str, "y": str, "log": bool, "lines": [{"name": str, "x": [float], "y":
    [float], "dots": bool, "label": str}, ...], "marks": [{"x": float, "text": str}, ...], "ticks": [float], "note": str,
    "nonce": anything}``: x and y name the axes with their units, `log` makes y logarithmic, `dots` draws points instead of
    a line, lines of one name share a colour and a place in the legend, and `label` tells them apart on hovering; `marks`
    are vertical lines, `ticks` the places on x that get a number.
    """
    return component("line_chart", TEMPLATE, value, elem_id=elem_id)
