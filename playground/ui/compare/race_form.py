"""The form that starts a race: one-click recipes or custom arms, dataset, size, budget and seeds."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, get_args, get_type_hints

import gradio as gr

from playground.analysis.time_estimate import seconds_of
from playground.config import (
    PRESETS,
    ModelConfig,
    TrainConfig,
    counted,
    duration,
    label,
    preset,
    setting_kinds,
    spelled,
)
from playground.data.corpora import MAX_BYTES, find_corpus
from playground.data.sources import TextFile
from playground.races.recipes import DEFAULTS, RECIPES, race_of
from playground.runs.races import plan_race
from playground.runs.texts import beginning_of
from playground.train.estimate import LEARNED_FROM_TEXT, estimate
from playground.train.race_spec import MAX_ARMS, MAX_SEEDS, UNITS, Arm, RaceSpec, arm_name, parse_arm, written
from playground.ui.forms import Form, build_form, read_form
from playground.ui.services import Services
from playground.ui.text_card import TextChoice, build_text_choice, corpus_of, read_text_source
from playground.ui.texts import TextSource, own_text

MODEL_FIELDS = ("n_layer", "n_embd", "n_head", "block_size")
TEXT_FIELDS, TRAIN_FIELDS = ("corpus_bytes",), ("batch_size", "learning_rate")
STEPS = 300  # the default budget of a race
MATCHES = {"none": "nothing", "parameters": "parameters", "flops": "FLOPs per token"}
BY = {"mlp": "MLP hidden size", "width": "embedding size"}


@dataclass(frozen=True)
class RaceForm:
    """The form's controls."""

    recipes: dict[str, gr.Button]
    waiting: gr.Markdown  # what one click will start, and that it is being prepared
    own: gr.Accordion
    arms: gr.Dropdown
    start_from: gr.Dropdown
    change: gr.Dropdown
    to: gr.Dropdown
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
        """The inputs of a race's plan: everything but the content of the user's own text."""
        controls = {self.text.text, self.text.task, *self.model.values(), *self.train.values()}
        return controls | {self.budget, self.amount, self.seeds, self.arms, self.match, self.match_by}

    @property
    def inputs(self) -> set[gr.components.Component]:
        """All inputs that determine a race."""
        return {*self.settings, *self.text.inputs}


def build_race_form(services: Services) -> RaceForm:
    """Lay the form out in the current column."""
    parts: dict[str, Any] = {}
    with gr.Group(elem_classes="pg-card"):
        gr.Markdown("**Start a race** with one click", elem_classes="pg-title")
        parts["waiting"] = gr.Markdown("", elem_classes="pg-note", elem_id="race-sizes")
        parts["recipes"] = {}
        for name, recipe in RECIPES.items():  # its first line is the title, see style.css
            words = f"{recipe.title}\n{recipe.question}"
            parts["recipes"][name] = gr.Button(words, elem_classes=["pg-quiet", "pg-recipe"], elem_id=f"recipe-{name}")
        with gr.Accordion("Dataset, size, budget, seeds", open=False, elem_classes="pg-fold"):
            _build_settings(parts, services)
    own = gr.Accordion("Custom arms", open=False, elem_classes="pg-fold", render=False)
    with gr.Group(elem_classes="pg-card"):
        own.render()
    with own:
        _build_arms(parts)
    parts["own"] = own
    form = RaceForm(**parts)
    form.waiting.value = sizes(form, {control: control.value for control in form.settings})
    return form


def _build_settings(parts: dict[str, Any], services: Services) -> None:
    parts["text"] = build_text_choice(services, "race-", MAX_BYTES)
    training = TrainConfig(**{name: DEFAULTS[name] for name in (*TEXT_FIELDS, *TRAIN_FIELDS)})
    parts["train"] = build_form(TrainConfig, TEXT_FIELDS, training, explain=False)
    start = preset("modern", **{name: DEFAULTS[name] for name in MODEL_FIELDS})
    parts["model"] = build_form(ModelConfig, MODEL_FIELDS, start, explain=False)
    parts["train"] |= build_form(TrainConfig, TRAIN_FIELDS, training, explain=False)
    units = [(words, kind) for kind, words in UNITS.items()]
    parts["budget"] = gr.Dropdown(units, value="steps", label="Budget in", elem_classes="pg-compact")
    parts["amount"] = gr.Number(STEPS, label="Budget of each run", elem_classes="pg-compact", elem_id="race-amount")
    parts["seeds"] = gr.Slider(
        1, MAX_SEEDS, value=3, step=1, label="Seeds", buttons=[], elem_classes="pg-compact", elem_id="race-seeds"
    )


def _build_arms(parts: dict[str, Any]) -> None:
    parts["arms"] = gr.Dropdown(
        ["classic", "modern"], value=["classic", "modern"], multiselect=True, allow_custom_value=True, max_choices=MAX_ARMS,
        label="Arms", info="The first is the baseline. Format: Name: preset + setting=value", elem_id="race-arms",
    )  # fmt: skip
    gr.Markdown("Add an arm that changes one setting:", elem_classes="pg-note")
    parts["start_from"] = gr.Dropdown(
        list(PRESETS), value="modern", label="Start from", elem_classes="pg-compact", elem_id="race-start-from",
    )  # fmt: skip
    kinds = setting_kinds()
    names = sorted(
        (label(kinds[name], name), name)
        for name in kinds
        if name not in ("seed", "steps", "corpus", "prompt", "task_version")
    )
    parts["change"] = gr.Dropdown(
        names, value="position", label="Change", elem_classes="pg-compact", elem_id="race-change",
    )  # fmt: skip
    values = _values("modern", "position")
    parts["to"] = gr.Dropdown(
        values, value=values[0][1], label="To", allow_custom_value=True, elem_classes="pg-compact", elem_id="race-to",
    )  # fmt: skip
    parts["add"] = gr.Button("Add arm", elem_classes="pg-quiet", elem_id="race-add")
    equal = [(words, name) for name, words in MATCHES.items()]
    parts["match"] = gr.Dropdown(equal, value="parameters", label="Match", elem_classes="pg-compact")
    by = [(words, name) for name, words in BY.items()]
    parts["match_by"] = gr.Dropdown(by, value="mlp", label="By adjusting", elem_classes="pg-compact")
    parts["preview"] = gr.Markdown("", elem_classes=["pg-note", "pg-questions"], elem_id="race-preview")
    parts["start"] = gr.Button("Start race", variant="primary", elem_classes="pg-primary", elem_id="race-start")


def _values(start: str, name: str) -> list[tuple[str, str]]:
    """Values to offer for a setting, other than the base arm's: choices, or numbers near it."""
    kind = setting_kinds()[name]
    arm = parse_arm(start)
    if name in arm.changes:
        now = arm.changes[name]
    else:
        base = preset(arm.preset) if kind is ModelConfig else TrainConfig()
        now = {**base.to_dict(), **DEFAULTS}[name]
    wanted = get_type_hints(kind)[name]
    if get_args(wanted):
        return [(spelled(word), word) for word in get_args(wanted) if word != now]
    if wanted is bool:
        return [(spelled(not now), str(not now).lower())]
    halved, doubled = (now // 2, now * 2) if wanted is int else (now / 2, now * 2)
    return [(f"{value:g}", f"{value:g}") for value in (halved, doubled) if value != now]


def offer(start: str, name: str) -> Any:
    """Update the offered values for another setting or base arm. Typed values are checked when the arm is added."""
    try:
        values = _values(start, name)
    except (ValueError, KeyError, TypeError):
        values = []
    return gr.update(choices=values, value=values[0][1] if values else "")


def add_arm(arms: list[str] | None, start: str, change: str, to: str) -> Any:
    """The list of arms with one more, and all of them to start from the next time."""
    if not isinstance(arms or [], list) or not isinstance(to or "", str) or not isinstance(start, str):
        raise ValueError("Arms must be a list, and a changed value a word or a number. Choose them in the form.")
    found = [*(arms or []), _changed(start, change, (to or "").strip())]
    RaceSpec.from_dict({"arms": found if len(found) > 1 else [*found, start]})  # raises with a message
    known = list(dict.fromkeys([*PRESETS, *found]))
    return gr.update(value=found, choices=known), gr.update(choices=known)


def _changed(start: str, change: str, to: str) -> str:
    """The base arm with one change, in short notation."""
    arm = parse_arm(start)
    rest = {name: value for name, value in arm.changes.items() if name != change}
    return f"{written(Arm(arm_name(arm.preset, rest), arm.preset, rest))} + {change}={to}"


def filled_with(form: RaceForm, spec: RaceSpec, own: str | None) -> dict[Any, Any]:
    """Values for every control of the form from a race, including the user's own text. Settings without a control go
    into the arms."""
    values = {**DEFAULTS, **spec.shared}
    shown = {**form.model, **form.train}
    rest = {name: value for name, value in values.items() if name not in shown and name != "corpus"}
    rest = {name: value for name, value in rest.items() if value != DEFAULTS.get(name)}
    arms = [written(Arm(arm.name, arm.preset, {**rest, **arm.changes})) for arm in spec.arms]
    corpus = str(values["corpus"])
    task = find_corpus(corpus).kind == "task"
    return {
        form.own: gr.update(open=True),
        form.arms: gr.update(value=arms, choices=list(dict.fromkeys([*PRESETS, *arms]))),
        form.text.text: "task" if task else corpus,
        form.text.task: corpus if task else gr.update(),
        form.text.pasted: own or "",
        **{control: values[name] for name, control in shown.items() if name in values},
        form.budget: spec.budget,
        form.amount: spec.amount,
        form.seeds: len(spec.seeds),
        form.match: spec.match,
        form.match_by: spec.match_by,
    }


def _shared(form: RaceForm, data: Mapping[Any, Any]) -> dict[str, Any]:
    values = {**read_form(form.model, data), **read_form(form.train, data)}
    return {**DEFAULTS, **values, "corpus": corpus_of(form.text, data)}


def brought_text(services: Services, form: RaceForm, data: Mapping[Any, Any]) -> str | None:
    """The user's own text for all arms, or None. Raises ValueError."""
    return text_for_all(services, read_text_source(form.text, data), data[form.train["corpus_bytes"]])


def text_for_all(services: Services, source: TextSource, corpus_bytes: Any) -> str | None:
    """Somebody's own text, for all arms, or None. All models of a race read it from memory: of a larger one its beginning
    is taken. Raises ValueError."""
    size = TrainConfig(corpus_bytes=corpus_bytes).corpus_bytes
    text = own_text(services, source, size)
    return beginning_of(text, MAX_BYTES) if isinstance(text, TextFile) else text


def _budget(form: RaceForm, data: Mapping[Any, Any]) -> dict[str, Any]:
    return {"budget": data[form.budget], "amount": data[form.amount], "seeds": data[form.seeds]}


def usual_amount(form: RaceForm, data: Mapping[Any, Any]) -> float:
    """The default budget: the cost of 300 steps of the first arm in the chosen unit, to two digits."""
    unit = data[form.budget]
    if unit == "seconds":
        return 20
    try:
        values = {"arms": data[form.arms] or [], "shared": _shared(form, data), "amount": STEPS}
        first = plan_race(RaceSpec.from_dict(values))[0]
        tokens, flops = first.tokens_per_step, first.flops_per_token
    except (ValueError, TypeError, KeyError):
        tokens, flops = 1_024, 1e6  # the form says elsewhere what is wrong with it
    each = {"tokens": tokens, "flops": tokens * flops}.get(unit, 1)
    return float(f"{STEPS * each:.2g}")


def own_spec(form: RaceForm, data: Mapping[Any, Any]) -> RaceSpec:
    """The race that the form describes. Raises ValueError."""
    matched = {"match": data[form.match], "match_by": data[form.match_by]}
    return RaceSpec.from_dict(
        {"arms": data[form.arms] or [], "shared": _shared(form, data), **_budget(form, data), **matched}
    )


def recipe_spec(name: str, form: RaceForm, data: Mapping[Any, Any]) -> RaceSpec:
    """A ready-made race with the form's text, size, budget and seeds. Raises ValueError."""
    return race_of(RECIPES[name], _shared(form, data), **_budget(form, data))


def sizes(form: RaceForm, data: Mapping[Any, Any]) -> str:
    """What every arm of a one-click race will have in common, in a line."""
    try:
        shared, budget = _shared(form, data), _budget(form, data)
        n, layers = int(budget["seeds"]), shared["n_layer"]
        words = [
            find_corpus(shared["corpus"]).label,
            f"{counted(layers, 'layer')}, d_model {shared['n_embd']}",
            _budget_in_words(float(budget["amount"]), budget["budget"]),
            f"{counted(n, 'seed')}",
        ]
    except (KeyError, TypeError, ValueError):
        return ""
    return f"Each: {' · '.join(words)}."


def _budget_in_words(amount: float, unit: str) -> str:
    """ "300 steps", "1 step"."""
    words = UNITS[unit]
    one = {"steps": "step", "tokens": "token", "flops": "training FLOP", "seconds": "second of training"}
    return f"{amount:,.6g} {one.get(unit, words) if amount == 1 else words}"


def preview(form: RaceForm, data: Mapping[Any, Any]) -> tuple[str, str]:
    """Describe what any race has in common (`sizes`), and the custom race."""
    return sizes(form, data), own_preview(form, data)


def own_preview(form: RaceForm, data: Mapping[Any, Any]) -> str:
    """The matched arms and the estimated duration, or an error."""
    try:
        spec = own_spec(form, data)
        arms = plan_race(spec)
    except (ValueError, TypeError, KeyError) as error:
        return f"⚠ {error}"
    rows, seconds = [], 0.0
    for arm in arms:
        solved = f" · {arm.solved}" if arm.solved else ""
        about = "about " if arm.train.tokenizer in LEARNED_FROM_TEXT else ""
        rows.append(
            f"- **{_plain(arm.name)}** {about}{counted(arm.parameters, 'parameter')} · {arm.flops_per_token / 1e6:.2f} "
            f"MFLOPs/token{solved}"
        )
        seconds += seconds_of(estimate(arm.model, arm.train), arm.model, arm.train)
    if spec.budget == "seconds":
        seconds = spec.amount * len(arms)
    total = duration(seconds * len(spec.seeds))
    n = len(spec.seeds)
    seeds = counted(n, "seed")
    return "\n".join(rows) + f"\n\n{counted(len(arms), 'arm')} × {seeds}: about {total} here if nothing else runs."


def _plain(name: str) -> str:
    """A name with Markdown escaped."""
    return re.sub(r"([!-/:-@\[-`{-~])", r"\\\1", name)
