"""Forms generated from the config dataclasses, with one control per field."""

from __future__ import annotations

import dataclasses
from abc import ABCMeta
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any, TypeVar, get_args, get_type_hints

import gradio as gr

from playground.config import Settings, spelled

# Slider ranges that are useful on a laptop. The command line and the API allow the full range of the config.
RANGES: dict[str, tuple[float, float, float]] = {
    "block_size": (16, 512, 16),
    "n_layer": (1, 12, 1),
    "n_embd": (16, 512, 8),
    "n_head": (1, 16, 1),
    "n_kv_head": (1, 16, 1),
    "head_size": (0, 128, 8),
    "window": (0, 512, 8),
    "n_sink": (0, 16, 1),
    "global_every": (0, 12, 1),
    "n_expert": (1, 16, 1),
    "n_expert_active": (1, 8, 1),
    "logit_softcap": (0, 100, 1),
    "balance_loss": (0, 0.1, 0.005),
    "router_z_loss": (0, 0.05, 0.001),
    "z_loss": (0, 0.01, 0.0001),
    "ema": (0, 0.999, 0.001),
    "steps": (50, 5000, 50),
    "batch_size": (1, 64, 1),
    "grad_accum": (1, 16, 1),
    "weight_decay": (0, 1, 0.01),
    "grad_clip": (0, 10, 0.1),
    "warmup_steps": (0, 1000, 10),
    "top_k": (0, 256, 1),
    "repetition_penalty": (0.5, 2, 0.01),
    "max_new_tokens": (1, 1000, 1),
    "n_sample": (1, 8, 1),
}
# Number fields instead of sliders, because useful values span several orders of magnitude.
NUMBERS = {"learning_rate", "rope_theta", "norm_eps", "seed", "eval_interval", "sample_interval", "checkpoint_interval",
           "eval_tokens", "corpus_bytes", "bpe_vocab"}  # fmt: skip
HIDDEN = {
    "vocab_size": "follows from the tokenizer",
    "corpus": "chosen as tiles, with a box for one's own text",
    "task_version": "new runs follow the latest rules",
}
Form = dict[str, gr.components.Component]
Shown = TypeVar("Shown", bound=gr.components.Component)


def build_form(kind: type[Settings], names: Iterable[str], values: Settings, explain: bool = True) -> Form:
    """Controls for the named fields, showing `values`, in the current layout; with `explain` each says what it does."""
    items = {item.name: item for item in dataclasses.fields(kind)}  # type: ignore[arg-type]
    hints = get_type_hints(kind)
    return {name: _control(items[name], hints[name], getattr(values, name), explain) for name in names}


def remaining(kind: type[Settings], *taken: Iterable[str]) -> list[str]:
    """Fields that have a control but are in none of the given groups, in declaration order."""
    used = {name for group in taken for name in group} | HIDDEN.keys()
    return [item.name for item in dataclasses.fields(kind) if item.name not in used]  # type: ignore[arg-type]


def groups(kind: type[Settings], names: Iterable[str]) -> dict[str, list[str]]:
    """Field names by the group of their settings, groups in order of first use."""
    headings: dict[str, list[str]] = {}
    items = {item.name: item for item in dataclasses.fields(kind)}  # type: ignore[arg-type]
    for name in names:
        headings.setdefault(items[name].metadata["group"], []).append(name)
    return headings


def build_groups(kind: type[Settings], names: Iterable[str], values: Settings) -> Form:
    """Controls that explain themselves, as `build_form` makes them, under small headings."""
    form: Form = {}
    for heading, members in groups(kind, names).items():
        if heading:
            gr.Markdown(f"#### {heading}", elem_classes="pg-heading")
        form |= build_form(kind, members, values)
    return form


def read_form(form: Form, data: Mapping[Any, Any]) -> dict[str, Any]:
    """The values of a form's controls, by field name, from what Gradio hands to a handler with a set of inputs."""
    return {name: data[control] for name, control in form.items()}


def _control(item: dataclasses.Field[Any], kind: Any, value: Any, explain: bool) -> gr.components.Component:
    info = item.metadata["help"] if explain else None
    common: dict[str, Any] = {
        "label": item.metadata["label"], "info": info, "value": value, "elem_classes": ["pg-compact"],
    }  # fmt: skip
    return unvalidated(_widget(item, kind, common))


def unvalidated(component: Shown) -> Shown:
    """Disable a component's own validation, so that it passes on the value that was sent.

    The page only sends valid values. For others, sent over HTTP, Gradio would answer "Value 9 is greater than maximum value
    5", or round them; our own validation names the field and the remedy. Choices that change are known to a session only:
    for a page that was open while the app restarted, Gradio would refuse the value and list the choices of a new page.
    """
    component.__class__ = _unvalidated_class(type(component))
    return component


@cache
def _unvalidated_class(kind: type[Shown]) -> type[Shown]:
    """A class, not a method of the instance: for each update of its options Gradio makes a new instance.

    Gradio's metaclass, which writes type stubs for the classes of an author, is passed over.
    """
    body = {
        "preprocess": lambda self, payload: payload,
        "__module__": kind.__module__,
        "__qualname__": kind.__qualname__,
    }
    return ABCMeta.__new__(type(kind), kind.__name__, (kind,), body)


def _widget(item: dataclasses.Field[Any], kind: Any, common: dict[str, Any]) -> gr.components.Component:
    if get_args(kind):
        return gr.Dropdown(choices=[(spelled(word), word) for word in get_args(kind)], **common)
    if kind is bool:
        return gr.Checkbox(**common)
    if kind is str:
        return gr.Textbox(**common)
    if item.name in NUMBERS:
        return gr.Number(step=item.metadata["step"], **common)  # not rounded: 1.5 is an error of a whole number
    low, high, step = RANGES.get(item.name, (item.metadata["low"], item.metadata["high"], item.metadata["step"]))
    return gr.Slider(minimum=low, maximum=high, step=step, buttons=[], **common)
