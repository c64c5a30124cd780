"""How documents are kept apart, in a form: it follows the tokenizer as long as it is what is usual (`config.documents`)."""

from __future__ import annotations

from typing import Any

import gradio as gr

from playground.config import usual_documents
from playground.runs.limits import Limits
from playground.ui.forms import Form
from playground.ui.picker import QUIET


def follow_documents(documents: Any, tokenizer: Any) -> Any:
    """What is usual for the tokenizer that has just been chosen, in place of what is usual for others."""
    new = usual_documents(str(tokenizer))
    if documents == new or documents not in ("joined", "separated"):
        return gr.skip()
    return new


def wire_documents(train: Form, limits: Limits) -> None:
    """Let the setting follow what a person chooses, unless the host has fixed it."""
    if "documents" in limits.frozen:
        return
    documents, tokenizer = train["documents"], train["tokenizer"]
    gr.on([tokenizer.input], follow_documents, [documents, tokenizer], documents, trigger_mode="always_last", **QUIET)  # type: ignore[attr-defined]
