"""The learning rate of a form: it follows optimizer and width while it has a default value (`config.rates`)."""

from __future__ import annotations

from typing import Any

import gradio as gr

from playground.config import ModelConfig, TrainConfig, followed_rate, spelled
from playground.ui.forms import Form
from playground.ui.picker import QUIET
from playground.ui.services import Services


def follow_rate(rate: Any, optimizer: Any, width: Any) -> Any:
    """The default rate for the new settings, if the current one is a default; any other rate is kept."""
    try:
        width = ModelConfig.from_dict({"n_embd": width, "n_head": 1, "n_kv_head": 1}).n_embd
        rate = TrainConfig.from_dict({"learning_rate": rate, "optimizer": optimizer}).learning_rate
    except (ValueError, TypeError):
        return gr.skip()  # the error is shown below the form
    new = followed_rate(rate, optimizer, width)
    if new == rate:
        return gr.skip()
    gr.Info(f"Learning rate {new:g}: default for {spelled(optimizer)} at embedding size {width}.", duration=8)
    return new


def wire_rate(model: Form, train: Form, services: Services) -> None:
    """Let the rate follow the user's changes, unless the host has frozen it."""

    def follow(rate: Any, optimizer: Any, width: Any) -> Any:
        frozen = "learning_rate" in services.limits.frozen
        return gr.skip() if frozen else follow_rate(rate, optimizer, width)

    rate, followed = train["learning_rate"], [train["optimizer"], model["n_embd"]]
    gr.on(
        [control.input for control in followed],  # type: ignore[attr-defined]
        follow, [rate, *followed], rate, trigger_mode="always_last", **QUIET,
    )  # fmt: skip
