"""The form that starts a race: one click for a ready-made question, or arms of one's own; then text, size, budget, seeds."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import gradio as gr

from playground.config import PRESETS, ModelConfig, TrainConfig, label, preset, setting_kinds
from playground.data.corpora import MAX_BYTES
from playground.data.sources import TextFile
from playground.lab.pace import seconds_of
from playground.lab.recipes import DEFAULTS, RECIPES, race_of
from playground.runs.races import plan_race
from playground.runs.texts import beginning
from playground.train.estimate import estimate
from playground.train.race import MAX_ARMS, MAX_SEEDS, UNITS, RaceSpec
from playground.ui.endpoints import duration
from playground.ui.forms import Form, build_form, read_form
from playground.ui.services import Services
from playground.ui.text_card import TextChoice, build_text_choice, corpus_of, wish_of
from playground.ui.texts import own_text

MODEL_FIELDS = ("n_layer", "n_embd", "n_head", "block_size")
TEXT_FIELDS, TRAIN_FIELDS = ("corpus_bytes",), ("batch_size", "learning_rate")
MATCHES = {"none": "nothing", "parameters": "parameters", "flops": "FLOPs per token"}
BY = {"mlp": "MLP size", "width": "width"}


@dataclass(frozen=True)
class RaceForm:
    """The form's controls."""

    recipes: dict[str, gr.Button]
    arms: gr.Dropdown
    start_from: gr.Dropdown
    change: gr.Dropdown
    to: gr.Textbox
    add: gr.Button
    text: TextChoice
    model: Form
    train: Form
    budget: gr.Dropdown
    amount: gr.Number
    seeds: gr.Slider
    match: gr.Dropdown
    match_by: gr.Dropdown
    preview: gr.Markdown
    start: gr.Button

    @property
    def settings(self) -> set[gr.components.Component]:
        """What a race is planned from: everything but the words of a text that is brought."""
        controls = {self.text.text, self.text.task, *self.model.values(), *self.train.values()}
        return controls | {self.budget, self.amount, self.seeds, self.arms, self.match, self.match_by}

    @property
    def inputs(self) -> set[gr.components.Component]:
        """All that decides what a race is."""
        return {*self.settings, *self.text.inputs}


def build_race_form(services: Services) -> RaceForm:
    """Lay the form out in the current column."""
    parts: dict[str, Any] = {}
    with gr.Group(elem_classes="pg-card"):
        gr.Markdown("**Start a race** one click", elem_classes="pg-title")
        parts["recipes"] = {}
        for name, recipe in RECIPES.items():
            parts["recipes"][name] = gr.Button(recipe.title, elem_classes="pg-quiet", elem_id=f"recipe-{name}")
        gr.Markdown(
            "\n".join(f"- **{recipe.title}** {recipe.question}" for recipe in RECIPES.values()),
            elem_classes=["pg-note", "pg-questions"],
        )
        with gr.Accordion("Text, size, budget, seeds", open=False, elem_classes="pg-fold"):
            _build_settings(parts, services)
    with gr.Group(elem_classes="pg-card"), gr.Accordion("Arms of your own", open=False, elem_classes="pg-fold"):
        _build_arms(parts)
    return RaceForm(**parts)


def _build_settings(parts: dict[str, Any], services: Services) -> None:
    parts["text"] = build_text_choice(services, "race-", MAX_BYTES)
    training = TrainConfig(**{name: DEFAULTS[name] for name in (*TEXT_FIELDS, *TRAIN_FIELDS)})
    parts["train"] = build_form(TrainConfig, TEXT_FIELDS, training, explain=False)
    start = preset("modern", **{name: DEFAULTS[name] for name in MODEL_FIELDS})
    parts["model"] = build_form(ModelConfig, MODEL_FIELDS, start, explain=False)
    parts["train"] |= build_form(TrainConfig, TRAIN_FIELDS, training, explain=False)
    units = [(words, kind) for kind, words in UNITS.items()]
    parts["budget"] = gr.Dropdown(units, value="steps", label="Budget in", elem_classes="pg-compact")
    parts["amount"] = gr.Number(300, label="Budget of each run", elem_classes="pg-compact", elem_id="race-amount")
    parts["seeds"] = gr.Slider(
        1, MAX_SEEDS, value=3, step=1, label="Seeds", buttons=[], elem_classes="pg-compact", elem_id="race-seeds"
    )


def _build_arms(parts: dict[str, Any]) -> None:
    parts["arms"] = gr.Dropdown(
        ["classic", "modern"], value=["classic", "modern"], multiselect=True, allow_custom_value=True, max_choices=MAX_ARMS,
        label="Arms", info="The first is the baseline. Written as: Name: preset + setting=value", elem_id="race-arms",
    )  # fmt: skip
    gr.Markdown("Start from one and change one thing:", elem_classes="pg-note")
    parts["start_from"] = gr.Dropdown(list(PRESETS), value="modern", label="Start from", elem_classes="pg-compact")
    kinds = setting_kinds()
    names = sorted(
        (label(kinds[name], name), name) for name in kinds if name not in ("seed", "steps", "corpus", "prompt")
    )
    parts["change"] = gr.Dropdown(names, value="position", label="Change", elem_classes="pg-compact")
    parts["to"] = gr.Textbox("none", label="To", max_length=40, elem_classes="pg-compact")
    parts["add"] = gr.Button("Add this arm", elem_classes="pg-quiet", elem_id="race-add")
    equal = [(words, name) for name, words in MATCHES.items()]
    parts["match"] = gr.Dropdown(equal, value="parameters", label="Make equal", elem_classes="pg-compact")
    by = [(words, name) for name, words in BY.items()]
    parts["match_by"] = gr.Dropdown(by, value="mlp", label="By changing", elem_classes="pg-compact")
    parts["preview"] = gr.Markdown("", elem_classes=["pg-note", "pg-questions"], elem_id="race-preview")
    parts["start"] = gr.Button("Start this race", variant="primary", elem_classes="pg-primary", elem_id="race-start")


def add_arm(arms: list[str] | None, start: str, change: str, to: str) -> Any:
    """The list of arms with one more."""
    if not isinstance(arms or [], list) or not isinstance(to or "", str):
        raise ValueError("Arms must be a list, and what one changes to a word or a number. Choose them in the form.")
    found = [*(arms or []), f"{start} + {change}={(to or '').strip()}"]
    RaceSpec.from_dict({"arms": found if len(found) > 1 else [*found, start]})  # says what is wrong with it
    return gr.update(value=found, choices=list(dict.fromkeys([*PRESETS, *found])))


def _shared(form: RaceForm, data: Mapping[Any, Any]) -> dict[str, Any]:
    values = {**read_form(form.model, data), **read_form(form.train, data)}
    return {**DEFAULTS, **values, "corpus": corpus_of(form.text, data)}


def brought_text(services: Services, form: RaceForm, data: Mapping[Any, Any]) -> str | None:
    """The text that somebody brings for all arms, or None. All models of a race read it from memory: of a larger one its
    beginning is taken. Raises ValueError."""
    size = TrainConfig(corpus_bytes=data[form.train["corpus_bytes"]]).corpus_bytes
    text = own_text(services, wish_of(form.text, data), size)
    return beginning(text.path, MAX_BYTES) if isinstance(text, TextFile) else text


def _budget(form: RaceForm, data: Mapping[Any, Any]) -> dict[str, Any]:
    return {"budget": data[form.budget], "amount": data[form.amount], "seeds": data[form.seeds]}


def own_spec(form: RaceForm, data: Mapping[Any, Any]) -> RaceSpec:
    """The race that the form describes. Raises ValueError."""
    matched = {"match": data[form.match], "match_by": data[form.match_by]}
    return RaceSpec.from_dict(
        {"arms": data[form.arms] or [], "shared": _shared(form, data), **_budget(form, data), **matched}
    )


def recipe_spec(name: str, form: RaceForm, data: Mapping[Any, Any]) -> RaceSpec:
    """A ready-made race with the form's text, size, budget and seeds. Raises ValueError."""
    return race_of(RECIPES[name], _shared(form, data), **_budget(form, data))


def preview(form: RaceForm, data: Mapping[Any, Any]) -> str:
    """What the arms will be, matched, and how long the race takes; or what stands in its way."""
    try:
        spec = own_spec(form, data)
        arms = plan_race(spec)
    except (ValueError, TypeError, KeyError) as error:
        return f"⚠ {error}"
    rows, seconds = [], 0.0
    for arm in arms:
        solved = f" · {arm.solved}" if arm.solved else ""
        rows.append(
            f"- **{_plain(arm.name)}** {arm.parameters:,} parameters · {arm.flops_per_token / 1e6:.2f} MFLOPs/token{solved}"
        )
        seconds += seconds_of(estimate(arm.model, arm.train), arm.model, arm.train)
    if spec.budget == "seconds":
        seconds = spec.amount * len(arms)
    total = duration(seconds * len(spec.seeds))
    return "\n".join(rows) + f"\n\n{len(arms)} arms × {len(spec.seeds)} seeds: about {total} here if nothing else runs."


def _plain(name: str) -> str:
    """A name that is no Markdown, whatever it holds."""
    return re.sub(r"([!-/:-@\[-`{-~])", r"\\\1", name)
