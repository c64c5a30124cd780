"""Validation shared by several tabs: each error names the field and the remedy."""

from __future__ import annotations

from typing import Any

from playground.config import counted
from playground.runs.store.run_store import Run
from playground.ui.services import Services

MAX_PROMPT = 20_000  # characters


def chosen_run(services: Services, run_id: Any, token: str) -> Run:
    """The run of a dropdown. Raises ValueError when none is chosen, RunNotFound when there is none of that id."""
    if not run_id:
        raise ValueError("No run is chosen. Choose one, or train one first.")
    return services.run(run_id, token)


def strings(value: Any) -> list[str]:
    """The strings of a list with several choices; over the API it may be anything."""
    return [each for each in value if isinstance(each, str)] if isinstance(value, list) else []


def whole(name: str, value: Any, low: int, high: int) -> int:
    """A slider's value as an integer; over the API it may be anything."""
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not (number and low <= value <= high and value == int(value)):
        raise ValueError(f"{name} must be a whole number from {low} to {high:,}. You sent {str(value)[:40]}.")
    return int(value)


def checked_prompt(prompt: Any) -> str:
    """A prompt, checked for type and length."""
    if not isinstance(prompt, str):
        raise ValueError(f"Prompt must be text; a {type(prompt).__name__} was sent.")
    if len(prompt) > MAX_PROMPT:
        raise ValueError(f"Prompt has {counted(len(prompt), 'character')}; the limit is {MAX_PROMPT:,}. Shorten it.")
    return prompt
