"""The prompt that a tab begins with, where the chosen model's tokenizer does not know its characters."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import gradio as gr

from playground.runs.texts import prompt_of
from playground.tokenizers.prompts import can_encode
from playground.ui.picker import QUIET, Picker
from playground.ui.services import Services
from playground.ui.validation import chosen_run

STARTING = "Once there was a"


def suited(services: Services, run_id: str | None, prompt: Any, token: str) -> Any:
    """The run's own default prompt in place of the starting one, if its tokenizer cannot encode that. What the visitor
    wrote stays."""
    if not run_id or prompt != STARTING:
        return gr.skip()
    run = chosen_run(services, run_id, token)
    return gr.skip() if can_encode(run.tokenizer, STARTING) else prompt_of(run)


def wire_prompt(
    events: Sequence[Any], picker: Picker, prompt: gr.Textbox, services: Services, visitor: gr.BrowserState
) -> list[Any]:
    """Change the starting prompt where it does not suit the run; returns the events after which it does."""
    inputs = [picker.run, prompt, visitor]
    return [event(services.bind(suited), inputs, prompt, **QUIET).success for event in events]
