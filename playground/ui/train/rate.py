"""The learning rate in a form: it follows optimizer and width as long as it is a usual one (`config.rates`)."""

from __future__ import annotations

from typing import Any

import gradio as gr

from playground.config import ModelConfig, TrainConfig, followed_rate, spelled
from playground.runs.limits import Limits
from playground.ui.forms import Form
from playground.ui.picker import QUIET


def follow_rate(rate: Any, optimizer: Any, width: Any) -> Any:
    """The usual rate for what has just been chosen, in place of one that is usual elsewhere; any other stays."""
    try:
        width = ModelConfig.from_dict({"n_embd": width, "n_head": 1, "n_kv_head": 1}).n_embd
        rate = TrainConfig.from_dict({"learning_rate": rate, "optimizer": optimizer}).learning_rate
    except (ValueError, TypeError):
        return gr.skip()  # what is wrong is said below the form
    new = followed_rate(rate, optimizer, width)
    if new == rate:
        return gr.skip()
    gr.Info(f"Learning rate {new:g}: default for {spelled(optimizer)} at embedding size {width}.", duration=8)
    return new


def wire_rate(model: Form, train: Form, limits: Limits) -> None:
    """Let the rate follow what a person changes, unless the host has fixed it."""
    if "learning_rate" in limits.frozen:
        return
    rate, followed = train["learning_rate"], [train["optimizer"], model["n_embd"]]
    gr.on(
        [control.input for control in followed],  # type: ignore[attr-defined]
        follow_rate, [rate, *followed], rate, trigger_mode="always_last", **QUIET,
    )  # fmt: skip
