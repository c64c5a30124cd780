"""Generated texts, each token coloured by how much it surprised the model, growing into a tree one can walk."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import gradio as gr

from playground.ui.components._html import component

TEMPLATE = """<div class="pg-tokens">
  <div class="pg-tokens-empty pg-panel">
    <div class="pg-empty">
      <strong>Generate text</strong>
      <p>Enter a prompt and press <b>Generate</b>. Colours show which tokens were unlikely under the model.</p>
    </div>
  </div>
</div>"""


def token_text(*, value: Mapping[str, Any] | None = None, elem_id: str | None = None) -> gr.HTML:
    """Show texts as they are written, and let a reader branch off them.

    value: ``{"prompt": str, "branches": [branch, ...], "chosen": int, "state": "idle" | "writing" | "done" | "stopped",
    "note": str, "plain": bool, "fixed": bool, "nonce": anything}``; plain: no colours to explain; fixed: nobody
    branches off. A branch is
    ``{"name": str, "note": str, "parent": int | None, "at": int, "tokens": [{"id": int, "text": str, "p": float,
    "alternatives": [[id, str, float], ...]}, ...]}``: it goes on where its parent's whole text had `at` tokens. p is a
    token's probability before any filter. Replace the whole value as often as eight times a second: what is on the page
    already is kept.

    The event ``branch`` asks to go on elsewhere: ``{"branch": int, "at": int, "id": int}``, another token instead of
    number `at` of that branch's whole text. The event ``choose`` tells which branch the reader chose: ``{"branch": int}``.
    """
    return component("token_text", TEMPLATE, value, elem_id=elem_id)
