"""The document setting of a form: it follows the tokenizer while it has a default value (`config.documents`)."""

from __future__ import annotations

from typing import Any

import gradio as gr

from playground.config import usual_documents
from playground.ui.forms import Form
from playground.ui.picker import QUIET
from playground.ui.services import Services


def follow_documents(documents: Any, tokenizer: Any) -> Any:
    """The default for the chosen tokenizer, if the current value is another tokenizer's default."""
    new = usual_documents(str(tokenizer))
    if documents == new or documents not in ("joined", "separated"):
        return gr.skip()
    return new


def wire_documents(train: Form, services: Services) -> None:
    """Let the setting follow the user's choice, unless the host has frozen it."""

    def follow(documents: Any, tokenizer: Any) -> Any:
        return gr.skip() if "documents" in services.limits.frozen else follow_documents(documents, tokenizer)

    documents, tokenizer = train["documents"], train["tokenizer"]
    gr.on([tokenizer.input], follow, [documents, tokenizer], documents, trigger_mode="always_last", **QUIET)  # type: ignore[attr-defined]
