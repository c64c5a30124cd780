"""Limits on the Train tab: a line that states them, frozen settings, and the password that unlocks training for the host."""

from __future__ import annotations

import secrets
import time
from dataclasses import dataclass
from typing import Any

import gradio as gr

from playground.runs.limits import Limits
from playground.ui.forms import Form
from playground.ui.picker import QUIET
from playground.ui.services import Services

WRONG_SECONDS = 1.0  # delay after a wrong password, against guessing


@dataclass(frozen=True)
class Allowance:
    """The components. The password is visible only while nobody but the host can train."""

    words: gr.Markdown
    host: gr.Row
    password: gr.Textbox
    unlock: gr.Button


def build(services: Services) -> Allowance:
    """Build the line, and the password if it is required."""
    limits = services.limits
    words = gr.Markdown(in_words(limits), visible=bool(in_words(limits)), elem_classes="pg-note", elem_id="allowance")
    with gr.Row(visible=limits.trainers == "owner", elem_classes="pg-actions") as host:
        password = gr.Textbox(
            label="Host's password", type="password", max_length=200, min_width=120, elem_id="host-password"
        )
        unlock = gr.Button("Unlock training", elem_classes="pg-quiet", scale=0, min_width=120, elem_id="host-unlock")
    return Allowance(words, host, password, unlock)


def in_words(limits: Limits) -> str:
    """The limits, and who can train, in a line; empty without limits."""
    who = {
        "everyone": "",
        "owner": "Only the host can train on this server.",
        "nobody": "Training is disabled on this server.",
    }
    return " ".join(part for part in (who[limits.trainers], limits.in_words()) if part)


def too_long(limits: Limits, seconds: float) -> str:
    """A warning for a run that is likely to reach its time limit and then stop early."""
    if limits.run_minutes is None or seconds <= 60 * limits.run_minutes:
        return ""
    return f" · ⚠ a run ends after {limits.run_minutes:g} min here, with its last checkpoint"


def freeze(limits: Limits, *forms: Form) -> None:
    """Disable the settings that the host has frozen."""
    for form in forms:
        for name in limits.frozen:
            if name in form:
                form[name].interactive = False


def opened(services: Services) -> list[Any]:
    """What a page shows when it opens: `allowance.words` and `allowance.host`, as the limits are now."""
    words = in_words(services.limits)
    return [gr.update(value=words, visible=bool(words)), gr.update(visible=services.limits.trainers == "owner")]


def opened_settings(services: Services, *forms: Form) -> dict[str, Any]:
    """For each setting that has been frozen or released since the start, the update that shows it."""
    frozen, now = services.limits.frozen, {name: control for form in forms for name, control in form.items()}
    return {
        name: gr.update(interactive=name not in frozen)
        for name, control in now.items()
        if (name in frozen) != (control.interactive is False)
    }


def opened_forms(services: Services, *forms: Form) -> list[Any]:
    """What a page shows when it opens, for every control of the forms."""
    changed = opened_settings(services, *forms)
    return [changed.get(name, gr.skip()) for form in forms for name in form]


def unlock(services: Services, password: str, token: str) -> tuple[str, str]:
    """Unlock training with the host's password. Raises ValueError for a wrong password, after a delay."""
    _check_host(services, password)
    services.launcher.trust(services.visitor(token))
    return "", f"You are training as the host. {services.limits.in_words()}".strip()


def _check_host(services: Services, password: str) -> None:
    known = services.hosting.host_password
    given = password if isinstance(password, str) else ""
    if not known or not secrets.compare_digest(given.encode("utf-8", "surrogatepass"), known.encode()):
        time.sleep(WRONG_SECONDS)
        raise ValueError("This is not the host's password. Ask the host of this page.")


def wire(allowance: Allowance, services: Services, visitor: gr.BrowserState) -> None:
    """Connect the password. Wrong ones take a place for as long as they are delayed, so few can be tried."""
    few: dict[str, Any] = {**QUIET, "concurrency_limit": 2, "concurrency_id": "host"}
    out = [allowance.password, allowance.words]
    ways = [allowance.unlock.click, allowance.password.submit]
    gr.on(ways, services.bind(unlock), [allowance.password, visitor], out, **few)
