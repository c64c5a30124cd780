"""How byte pair encoding learns: a slider replays the merges on a text, with the counts that decided each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import gradio as gr

from playground.ui.components._html import ServerFunction, component

TEMPLATE = """<div class="pg-replay"></div>"""


def merge_replay(
    replay: ServerFunction, *, value: Mapping[str, Any] | None = None, elem_id: str | None = None
) -> gr.HTML:
    """Replay the learning of a vocabulary.

    value: ``{"text": str, "nonce": anything}``. replay: ``{"text": str, "learned": "text" | corpus}`` -> ``{"bytes": base64
    of the text, "removed": [int], "merges": [...], "learned": str, "stopped": bool}`` or ``{"error": str}``; ``removed``
    tells for each boundary between two bytes which merge removes it (0: none), so that the slider asks nobody.
    """
    return component("merge_replay", TEMPLATE, value, {"replay": replay}, elem_id=elem_id)
