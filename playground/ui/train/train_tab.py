"""The Train tab: choose a dataset, a model and a budget, start training, and follow it."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import gradio as gr

from playground.analysis.describe import describe
from playground.analysis.time_estimate import seconds_of
from playground.config import (
    PRESETS,
    ModelConfig,
    TrainConfig,
    config_diff,
    counted,
    duration,
    label,
    preset,
    spelled,
)
from playground.races.numerics import numerics_race
from playground.runs.create import Prepared, create_run, prepare_run
from playground.tokenizers import Tokenizer
from playground.tokenizers.imported import MAX_BYTES as MAX_TOKENIZER_BYTES
from playground.train.estimate import LEARNED_FROM_TEXT, estimate, expected_vocabulary
from playground.train.race_spec import RaceSpec
from playground.ui import allowance, endpoints
from playground.ui.allowance import Allowance
from playground.ui.components import component
from playground.ui.forms import Form, build_form, build_groups, read_form, remaining, unvalidated
from playground.ui.imports import keep, kept
from playground.ui.picker import QUIET
from playground.ui.progress import Tell, with_progress
from playground.ui.scripts import page_function
from playground.ui.services import Services, for_toast
from playground.ui.text_card import TextCard, about_text, build_text_card, read_text_source, wire_text_card
from playground.ui.texts import own_text
from playground.ui.train.assignment_card import AssignmentCard, build_assignment, wire_assignment, with_fixed
from playground.ui.train.export_panel import TakeAway, build_take_away, wire_take_away
from playground.ui.train.follow_documents import wire_documents
from playground.ui.train.import_panel import BringIn, build_bring_in, wire_bring_in
from playground.ui.train.presets import preset_fields, recipe_fields, show_preset, show_recipe
from playground.ui.train.rate import wire_rate
from playground.ui.train.run_actions import act, continue_training, delete, follow, rename
from playground.ui.train.schedule_chart import FIELDS as SCHEDULE_FIELDS
from playground.ui.train.schedule_chart import schedule_chart, show_schedule
from playground.ui.train.your_data import YourData, build_your_data, wire_your_data

MODEL_FIRST = ("n_layer", "n_embd", "n_head", "block_size")
TRAIN_FIRST = ("steps", "batch_size", "learning_rate")
TOKENS = ("tokenizer", "bpe_vocab", "documents")
NOTICE = (
    "**What to notice.** Loss is the mean negative log-likelihood per token, in nats; perplexity, its exponential, is the "
    "number of equally likely tokens that would give the same loss. The validation curve is measured on text that is not "
    "trained on."
)
NUMERICS = (
    "What does the number format change? *Compare numerics* trains this configuration with the same seed in fp32, bf16 and "
    "fp16, with gradient accumulation and with gradient checkpointing, and compares loss, time and memory."
)


@dataclass(frozen=True)
class TrainTab:
    """The tab's components."""

    tab: gr.Tab
    assignment: AssignmentCard
    text: TextCard
    preset: gr.Radio
    changed: gr.Markdown
    model: Form
    train: Form
    token_file: gr.File
    name: gr.Textbox
    schedule: gr.HTML
    estimate: gr.Markdown
    allowance: Allowance
    start: gr.Button
    numerics: gr.Button
    link: gr.Button
    run: gr.Dropdown
    stop: gr.Button
    pause: gr.Button
    resume: gr.Button
    more_steps: gr.Number
    more: gr.Button
    new_name: gr.Textbox
    rename: gr.Button
    share: gr.Button
    delete: gr.Button
    away: TakeAway
    bring: BringIn
    view: gr.HTML
    about: gr.Group
    card: gr.HTML
    yours: YourData

    @property
    def form(self) -> set[gr.components.Component]:
        """The controls that determine a run and its estimate."""
        return {self.preset, self.token_file, *self.model.values(), *self.train.values()}

    @property
    def inputs(self) -> set[gr.components.Component]:
        """All controls that determine a run."""
        return {*self.text.inputs, *self.form, self.assignment.id}


def build(services: Services) -> TrainTab:
    """Lay the tab out."""
    parts: dict[str, Any] = {}
    with gr.Tab("Train", id="train") as parts["tab"], gr.Row(elem_classes="pg-page"):
        with gr.Column(elem_classes="pg-side", min_width=300):
            parts["assignment"] = build_assignment()
            parts["text"] = build_text_card(services)
            _build_model(parts)
            _build_budget(parts, services)
        with gr.Column(elem_classes="pg-main"):
            with (
                gr.Group(elem_classes="pg-card", visible=False) as parts["about"],
                gr.Accordion("About this dataset", open=True, elem_classes="pg-fold", elem_id="about-text"),
            ):
                parts["card"] = component("data_card", elem_id="data-card")
            _build_controls(parts, services)
            parts["view"] = component(
                "live_run", curves=partial(endpoints.curves, services), band=partial(endpoints.band, services),
                elem_id="live-run",
            )  # fmt: skip
            gr.Markdown(NOTICE, elem_classes="pg-note")
            parts["yours"] = build_your_data(services)
    allowance.freeze(services.limits, parts["model"], parts["train"])
    return TrainTab(**parts)


def _build_model(parts: dict[str, Any]) -> None:
    start = preset("modern")
    with gr.Group(elem_classes="pg-card"):
        gr.Markdown("**2 · Model** architecture", elem_classes="pg-title")
        parts["preset"] = gr.Radio(
            [(spelled(name), name) for name in PRESETS], value="modern", label="Preset", show_label=False,
            elem_classes=["pg-choice", "pg-segmented"],
        )  # fmt: skip
        parts["model"] = build_form(ModelConfig, MODEL_FIRST, start, explain=False)
        parts["changed"] = gr.Markdown(describe(start), elem_classes="pg-note")
        parts["train"] = build_form(TrainConfig, TOKENS, TrainConfig(), explain=False)
        parts["train"]["bpe_vocab"].visible = False
        parts["token_file"] = gr.File(
            label=f"tokenizer.json, up to {MAX_TOKENIZER_BYTES / 1e6:.0f} MB", type="binary", visible=False,
            file_count="single", height=110, file_types=[".json"], elem_id="token-file",
        )  # fmt: skip
        with gr.Accordion("All architecture settings", open=False, elem_classes="pg-fold"):
            parts["model"] |= build_groups(ModelConfig, remaining(ModelConfig, MODEL_FIRST), start)


def _build_budget(parts: dict[str, Any], services: Services) -> None:
    with gr.Group(elem_classes="pg-card"):
        gr.Markdown("**3 · Budget** steps and batch size", elem_classes="pg-title")
        parts["train"] |= build_form(TrainConfig, TRAIN_FIRST, TrainConfig(), explain=False)
        with gr.Accordion("All training settings", open=False, elem_classes="pg-fold"):
            parts["schedule"] = gr.HTML(schedule_chart(TrainConfig()), elem_id="schedule")
            parts["train"] |= build_groups(TrainConfig, remaining(TrainConfig, TRAIN_FIRST, TOKENS), TrainConfig())
            gr.Markdown(NUMERICS, elem_classes="pg-note")
            parts["numerics"] = gr.Button(
                "Compare numerics", elem_classes="pg-quiet", size="sm", elem_id="compare-numerics"
            )
            parts["name"] = gr.Textbox(
                label="Name", placeholder="chosen automatically", max_length=60, elem_classes="pg-compact"
            )
        parts["estimate"] = gr.Markdown("", elem_classes="pg-note", elem_id="estimate")
        parts["allowance"] = allowance.build(services)
        parts["start"] = gr.Button("Start training", variant="primary", elem_classes="pg-primary", elem_id="start")
        parts["link"] = gr.Button(
            "Copy link to this configuration", elem_classes="pg-quiet", size="sm", elem_id="setup-link"
        )


def _build_controls(parts: dict[str, Any], services: Services) -> None:
    with gr.Group(elem_classes=["pg-card", "pg-run"]):
        gr.Markdown("**Or open an existing run**", elem_classes=["pg-title", "pg-run-none"])
        with gr.Row(elem_classes="pg-actions"):
            parts["run"] = unvalidated(gr.Dropdown(
                services.choices(""), value=None, label="Run", show_label=False, scale=3, min_width=200,
                elem_id="train-run", info=None,
            ))  # fmt: skip
            for key in ("pause", "resume", "stop"):
                parts[key] = gr.Button(
                    key.capitalize(), elem_classes="pg-quiet", min_width=80, scale=0, elem_id=f"{key}-run"
                )
        with gr.Accordion("Continue, rename, share, delete", open=False, elem_classes="pg-fold", elem_id="manage-run"):
            with gr.Row(elem_classes="pg-actions"):
                parts["more_steps"] = gr.Number(500, label="More steps", precision=0, minimum=1, scale=1, min_width=120)
                parts["more"] = gr.Button("Continue training", elem_classes="pg-quiet", scale=1)
            with gr.Row(elem_classes="pg-actions"):
                parts["new_name"] = gr.Textbox(label="New name", max_length=60, scale=1, min_width=120)
                parts["rename"] = gr.Button("Rename", elem_classes="pg-quiet", scale=1)
            with gr.Row(elem_classes="pg-actions"):
                parts["share"] = gr.Button(
                    "Share by link", elem_classes="pg-quiet", visible=services.public, elem_id="share-run"
                )
                parts["delete"] = gr.Button("Delete run", elem_classes="pg-quiet", variant="stop", elem_id="delete-run")
        parts["away"] = build_take_away(services)
        parts["bring"] = build_bring_in(services)


# What the buttons do


def show_estimate(services: Services, tab: TrainTab, data: Mapping[Any, Any]) -> tuple[str, str]:
    """The estimate of the run, or an error; and a description of the architecture."""
    try:
        train = TrainConfig.from_dict(read_form(tab.train, data))
        size = _expected_vocabulary(train, data[tab.token_file])
        model = ModelConfig.from_dict({**read_form(tab.model, data), "vocab_size": size})
        services.limits.check_run(model, train)
    except (ValueError, TypeError) as error:
        return f"⚠ {error}", gr.skip()
    need = estimate(model, train)
    active = f" ({_size(need.active_parameters)} active per token)" if need.active_parameters < need.parameters else ""
    seconds = seconds_of(need, model, train)
    about = "about " if train.tokenizer in LEARNED_FROM_TEXT else ""
    words = (
        f"{about}{_size(need.parameters)}{active} · about {duration(seconds)} here"
        f" · {max(1, round(need.memory_bytes / 1e6)):,} MB"
    )
    words += allowance.too_long(services.limits, seconds)
    plain = preset(data[tab.preset], n_head=model.n_head).to_dict()
    changed = list(config_diff(model, ModelConfig.from_dict({**model.to_dict(), **_axes(plain)})))
    note = f"  \nChanged from the preset: {', '.join(label(ModelConfig, key) for key in changed)}" if changed else ""
    return words, describe(model) + note


def _size(n: int) -> str:
    """A formatted number of parameters: "0.85 M parameters", and a small one in full."""
    return f"{n / 1e6:.2f} M parameters" if n >= 10_000 else counted(n, "parameter")


def _expected_vocabulary(train: TrainConfig, file: bytes | None) -> int:
    """The vocabulary before the text is read."""
    if train.tokenizer == "imported" and file:
        return kept(keep(file)).vocab_size
    return expected_vocabulary(train)


def _axes(values: dict[str, Any]) -> dict[str, Any]:
    return {key: values[key] for key in preset_fields()}


def start(
    services: Services, tab: TrainTab, visitor: gr.BrowserState, data: Mapping[Any, Any]
) -> Iterator[tuple[Any, Any, Any]]:
    """Create a run from the form, queue it, and show it; reports the progress of tokenizer training."""
    token, estimated = data[visitor], show_estimate(services, tab, data)[0]
    services.launcher.admit(services.visitor(token))
    try:
        prepared = yield from _told(with_progress(lambda tell: _prepare(services, tab, data, tell)))
    except ValueError:
        yield gr.skip(), gr.skip(), estimated
        raise
    for note in prepared.notes:
        gr.Info(for_toast(note), duration=20)
    run = create_run(services.store, prepared, name=data[tab.name] or "", owner=services.visitor(token))
    services.files.used(run.id, data[tab.text.upload] or [])
    services.launcher.begin(run, services.visitor(token))
    yield *follow(services, run.id, token), estimated


def _told(words: Generator[str, None, Prepared]) -> Generator[tuple[Any, Any, Any], None, Prepared]:
    """The words in the place of the estimate, and their result."""
    while True:
        try:
            yield gr.skip(), gr.skip(), next(words)
        except StopIteration as end:
            return end.value


def _prepare(services: Services, tab: TrainTab, data: Mapping[Any, Any], tell: Tell) -> Prepared:
    """The run that the form describes, checked; nothing is written."""
    source = read_text_source(tab.text, data)
    settings = with_fixed(services, tab.assignment, data, {**read_form(tab.train, data), "corpus": source.corpus})
    size = TrainConfig.from_dict(settings).corpus_bytes
    own = own_text(services, source, size) if settings["corpus"] == source.corpus == "own" else None
    return prepare_run(
        data[tab.preset],
        with_fixed(services, tab.assignment, data, read_form(tab.model, data)),
        settings,
        own_text=own,
        cache_dir=services.cache_dir,
        limits=services.limits,
        imported=imported_tokenizer(tab, data),
        learning=lambda share, what: tell(share, f"learning BPE: {what}"),
    )


def numerics_spec(tab: TrainTab, data: Mapping[Any, Any]) -> RaceSpec:
    """The form's configuration as a race over number formats. Raises ValueError."""
    train = TrainConfig.from_dict({**read_form(tab.train, data), "corpus": read_text_source(tab.text, data).corpus})
    if train.tokenizer == "imported":
        raise ValueError("A race cannot use an imported tokenizer. Choose byte, char or BPE.")
    return numerics_race(data[tab.preset], ModelConfig.from_dict(read_form(tab.model, data)), train)


def imported_tokenizer(tab: TrainTab, data: Mapping[Any, Any]) -> Tokenizer | None:
    """The uploaded tokenizer, if the form selects it. Raises ValueError for a wrong file."""
    file = data[tab.token_file] if data[tab.train["tokenizer"]] == "imported" else None
    return kept(keep(file)) if file else None


def look_at_text(services: Services, tab: TrainTab, data: Mapping[Any, Any]) -> tuple[Any, Any]:
    """The card of the chosen text. Raises ValueError."""
    source = read_text_source(tab.text, data)
    train = TrainConfig.from_dict({**read_form(tab.train, data), "corpus": source.corpus})
    return gr.update(visible=True), about_text(services, source, train, imported_tokenizer(tab, data))


def show_tokenizer(name: str) -> tuple[Any, Any]:
    """The controls that belong to the chosen kind of tokenizer."""
    return gr.update(visible=name == "bpe"), gr.update(visible=name == "imported")


def wire(tab: TrainTab, services: Services, visitor: gr.BrowserState) -> None:
    """Connect the controls."""
    wire_text_card(
        tab.text, services, tab.train["corpus_bytes"], tab.inputs, [tab.about, tab.card],
        services.bind(lambda s, data: look_at_text(s, tab, data)),
    )  # fmt: skip
    kind, size = tab.train["tokenizer"], tab.train["bpe_vocab"]
    kind.change(show_tokenizer, kind, [size, tab.token_file], **QUIET)  # type: ignore[attr-defined]
    tab.preset.input(
        show_preset, [tab.preset, tab.model["n_head"]], [tab.model[key] for key in preset_fields()], **QUIET
    )
    of_model, of_train = recipe_fields()
    whole = [tab.text.text, *(tab.model[key] for key in of_model), *(tab.train[key] for key in of_train)]
    tab.preset.input(show_recipe, [tab.preset, *whole], whole, **QUIET)
    wire_rate(tab.model, tab.train, services)
    wire_documents(tab.train, services)
    gr.on(
        [control.change for control in tab.form],  # type: ignore[attr-defined]
        partial(show_estimate, services, tab),
        tab.form,
        [tab.estimate, tab.changed],
        trigger_mode="always_last",
        **QUIET,
    )
    drawn = [tab.train[name] for name in SCHEDULE_FIELDS]
    gr.on(
        [control.change for control in drawn],  # type: ignore[attr-defined]
        partial(show_schedule, tab.train), set(drawn), tab.schedule, trigger_mode="always_last", **QUIET,
    )  # fmt: skip
    inputs: set[gr.blocks.Block] = {visitor, tab.name, *tab.inputs}

    def begin(services: Services, data: Any) -> Iterator[tuple[Any, Any, Any]]:
        yield from start(services, tab, visitor, data)

    tab.start.click(
        services.bind(begin), inputs, [tab.run, tab.view, tab.estimate],
        show_progress="minimal", concurrency_limit=4, api_visibility="private",
    )  # fmt: skip
    shows = page_function("run, visitor", "view.makeQuestion(visitor, run, {})")
    tab.run.input(None, [tab.run, visitor], tab.view, js=shows, **QUIET)
    for action in ("pause", "resume", "stop"):
        handler = services.bind(lambda s, run_id, token, action=action: act(s, action, run_id, token))
        getattr(tab, action).click(handler, [tab.run, visitor], tab.view, **QUIET)
    tab.more.click(services.bind(continue_training), [tab.run, tab.more_steps, visitor], tab.view, **QUIET)
    tab.rename.click(services.bind(rename), [tab.run, tab.new_name, visitor], [tab.run, tab.view], **QUIET)
    tab.delete.click(services.bind(delete), [tab.run, visitor], [tab.run, tab.view], **QUIET)
    allowance.wire(tab.allowance, services, visitor)
    wire_take_away(tab.away, services, visitor, tab.run)
    wire_bring_in(tab.bring, services, visitor, follow, [tab.run, tab.view])
    wire_assignment(tab.assignment, services, visitor, tab.run)
    wire_your_data(tab.yours, services, visitor, [tab.run, tab.view])
