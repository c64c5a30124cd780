"""The Compare tab: races with a verdict, and any runs; below both, generated texts and losses on a text."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import gradio as gr
import pandas as pd

from playground.analysis.compare_models import check_comparable, compare_text
from playground.config import GenerationConfig, counted
from playground.inference.generation import encode_prompt, generate, until_end
from playground.races.comparison import differences, results, told_apart
from playground.runs.store.run_store import Run
from playground.tokenizers import StreamDecoder
from playground.ui import endpoints
from playground.ui.compare import race_tab
from playground.ui.compare.race_tab import EXAMPLE, RaceTab
from playground.ui.components import component
from playground.ui.components.contracts.training import CompareValue, Continuation, LossesValue, SideBySideValue
from playground.ui.endpoints import MAX_RUNS
from playground.ui.forms import Form, build_form, unvalidated
from playground.ui.picker import QUIET, list_update
from playground.ui.services import Services
from playground.ui.validation import strings

NOTICE = (
    "**What to notice.** Runs can only be ranked where everything else is equal: the same dataset, the same batches in the "
    "same order, about the same number of parameters. *What differs* lists the differences. Loss, perplexity and "
    "accuracy are per token, so they are comparable only between runs with the same tokenizer and the same separation of "
    "documents; bits per byte are "
    "comparable between all lossless tokenizers on the same validation text. ± is one standard error "
    "over windows of the validation text. A gap smaller than the gap between two seeds of the same model is not conclusive: "
    "race them instead."
)
ABSENT = (
    "Generated texts and losses per token are not available: only the curves of this race were kept. *Run again* trains its "
    "models again."
)
UPDATES_PER_SECOND = 6
MAX_COMPARED = 4_000  # characters


@dataclass(frozen=True)
class Outputs:
    """Prompt, sampling and texts: the part shared by races and runs."""

    body: gr.Column
    absent: gr.Markdown
    prompt: gr.Textbox
    settings: Form
    write: gr.Button
    texts: gr.HTML
    text: gr.Textbox
    compare: gr.Button
    losses: gr.HTML


@dataclass(frozen=True)
class CompareTab:
    """The tab's components."""

    tab: gr.Tab
    parts: gr.Tabs
    race: RaceTab
    race_outputs: Outputs
    overlay: gr.Tab
    runs: gr.Dropdown
    chart: gr.HTML
    differences: gr.Dataframe
    results: gr.Dataframe
    outputs: Outputs


def build(services: Services) -> CompareTab:
    """Lay the tab out."""
    parts: dict[str, Any] = {}
    with gr.Tab("Compare", id="compare") as parts["tab"], gr.Tabs(elem_id="compare-parts") as parts["parts"]:
        with gr.Tab("Races", id="races"):

            def inside() -> None:
                parts["race_outputs"] = _build_outputs("race")

            parts["race"] = race_tab.build(services, inside)
        with gr.Tab("Any runs", id="runs") as parts["overlay"], gr.Row(elem_classes="pg-page"):
            _build_overlay(services, parts)
    return CompareTab(**parts)


def _build_overlay(services: Services, parts: dict[str, Any]) -> None:
    with gr.Column(elem_classes="pg-main"):
        with gr.Group(elem_classes="pg-card"):
            gr.Markdown(f"**Runs** up to {MAX_RUNS}", elem_classes="pg-title")
            parts["runs"] = unvalidated(gr.Dropdown(
                services.choices(""), value=[], multiselect=True, max_choices=MAX_RUNS, label="Runs", show_label=False,
                elem_id="compare-runs",
            ))  # fmt: skip
        parts["chart"] = component("compare_chart", curves=partial(endpoints.curves, services), elem_id="compare-chart")
        gr.Markdown(NOTICE, elem_classes="pg-note")
        with gr.Group(elem_classes="pg-card"):
            gr.Markdown("**Results** at the last evaluation", elem_classes="pg-title")
            parts["results"] = gr.Dataframe(interactive=False, show_label=False, elem_id="results", wrap=False)
    with gr.Column(elem_classes="pg-side", min_width=300):
        with gr.Group(elem_classes="pg-card"):
            gr.Markdown("**What differs** settings that are not equal", elem_classes="pg-title")
            parts["differences"] = gr.Dataframe(interactive=False, show_label=False, elem_id="differences", wrap=True)
        parts["outputs"] = _build_outputs("compare")


def _build_outputs(name: str) -> Outputs:
    """Build the generated texts and the losses on a text; element ids begin with `name`."""
    absent = gr.Markdown(ABSENT, visible=False, elem_classes="pg-note", elem_id=f"{name}-absent")
    with gr.Column(elem_classes="pg-stack") as body:
        with gr.Group(elem_classes="pg-card"):
            gr.Markdown("**Same prompt, same random numbers** one continuation each", elem_classes="pg-title")
            prompt = gr.Textbox(
                "Once there was a", label="Prompt", lines=2, elem_classes="pg-mono", elem_id=f"{name}-prompt"
            )
            settings = build_form(
                GenerationConfig,
                ("temperature", "max_new_tokens", "seed", "special_tokens"),
                GenerationConfig(max_new_tokens=160),
                explain=False,
            )
            write = gr.Button(
                "Generate from all", variant="primary", elem_classes="pg-primary", elem_id=f"{name}-write"
            )
        texts = component("side_by_side", elem_id="side-by-side" if name == "compare" else f"{name}-side-by-side")
        with gr.Group(elem_classes="pg-card"):
            gr.Markdown("**Same text** loss per token of the first and the last", elem_classes="pg-title")
            text = gr.Textbox(EXAMPLE, label="Text", lines=3, elem_classes="pg-mono", elem_id=f"{name}-text")
            compare = gr.Button("Compare on this text", elem_classes="pg-quiet", elem_id=f"{name}-losses-button")
        losses = component("loss_compare", elem_id=f"{name}-losses")
    return Outputs(body, absent, prompt, settings, write, texts, text, compare, losses)


def choose(services: Services, run_ids: list[str] | None, token: str) -> tuple[Any, pd.DataFrame, Any]:
    """Chart, differences and results of the chosen runs."""
    runs = _runs(services, run_ids, token)
    value: CompareValue = {"visitor": token, "runs": [run.id for run in runs], "nonce": time.monotonic_ns()}
    return value, differences(runs), _table(services, runs)


def measured(services: Services, run_ids: list[str] | None, token: str) -> Any:
    """The current results of the chosen runs."""
    return _table(services, _runs(services, run_ids, token))


def _table(services: Services, runs: list[Run]) -> Any:
    table: Any = results(runs, services.curves).style  # the types of `format` are stricter than the function
    for digits, columns in ((4, None), (3, ["perplexity"]), (1, ["seconds"])):
        table = table.format(precision=digits, subset=columns, thousands=",", na_rep="–")
    return table


def _runs(services: Services, run_ids: list[str] | None, token: str) -> list[Run]:
    """The chosen runs that still exist, each once."""
    found = []
    for run_id in dict.fromkeys(strings(run_ids)):
        try:
            found.append(services.run(run_id, token))
        except ValueError:
            continue  # deleted meanwhile
    return found[:MAX_RUNS]


Named = list[tuple[str, Run]]


def _chosen(services: Services, run_ids: list[str], token: str) -> Named:
    """The chosen runs with saved weights."""
    return [(run.name, run) for run in _runs(services, run_ids, token) if run.steps_available()]


def _raced(services: Services, race_id: str | None, token: str) -> Named:
    """One run of each arm of a race that has saved weights, of one seed, under the arm's name."""
    return [(race.spec.arms[arm].name, run) for race, arm, run in race_tab.race_runs(services, race_id, token)]


def suit(services: Services, race_id: str | None, token: str) -> list[Any]:
    """Set a prompt and text for the shown race, or a note if it kept no models, and clear old texts."""
    try:
        race = services.race(race_id, token)
    except ValueError:
        return [gr.update()] * 6
    kept = not race.reference or any(run.steps_available() for arm in race.members for run in arm)
    return [
        gr.update(visible=kept),
        gr.update(visible=not kept),
        race_tab.prompt(race),
        race_tab.reading(race),
        None,
        None,
    ]


def write(
    runs: Named, prompt: str, temperature: Any, tokens: Any, seed: Any, special: Any, services: Services
) -> Iterator[SideBySideValue]:
    """Every run continues the prompt with the same seed; streams the texts with token probabilities."""
    config = GenerationConfig(temperature=temperature, max_new_tokens=tokens, seed=seed, special_tokens=special)
    services.limits.check_writing(config.max_new_tokens)
    if not runs:
        raise ValueError("No run with saved weights is chosen. Choose at least one above.")
    items: list[Continuation] = [
        {"name": name, "role": run.preset or "other", "tokens": [], "note": "waiting"} for name, run in runs
    ]
    shown, apart = 0.0, told_apart([run for _, run in runs])
    for (_, run), item in zip(runs, items, strict=True):
        item["note"] = "generating"
        try:
            for written in _texts(services, run, prompt or "", config):
                item["tokens"] = written
                if time.monotonic() - shown > 1 / UPDATES_PER_SECOND:
                    shown = time.monotonic()
                    yield _side_by_side(prompt, items, apart)
            item["note"] = ""
        except ValueError as error:  # this model's tokenizer cannot encode the prompt, another's may
            item["note"] = str(error)
        yield _side_by_side(prompt, items, apart)


def _texts(services: Services, run: Run, prompt: str, config: GenerationConfig) -> Iterator[list[tuple[str, float]]]:
    """The texts so far, as tokens with their probabilities before any filter."""
    model, tokenizer = services.models.get(run), run.tokenizer
    ids = encode_prompt(tokenizer, prompt, config.special_tokens)
    decoder = StreamDecoder(tokenizer, ids)
    written: list[tuple[str, float]] = []
    for token in until_end(generate(model, ids, config), tokenizer, config):
        written.append((decoder.feed(token.id), round(token.probability, 5)))
        yield written
    if (rest := decoder.finish()) and written:
        written[-1] = (written[-1][0] + rest, written[-1][1])  # of the last token's bytes: no token of its own
    yield written


def _side_by_side(prompt: str, items: list[Continuation], apart: list[str]) -> SideBySideValue:
    return {"prompt": prompt, "items": [item.copy() for item in items], "differs": apart, "nonce": time.monotonic_ns()}


def read(services: Services, runs: Sequence[tuple[str, Run]], text: str) -> LossesValue:
    """The losses of the first and the last run on a text, piece by piece."""
    if len(runs) < 2:
        raise ValueError("Two runs with saved weights are needed to compare. Choose two above.")
    if not 0 < len(text or "") <= MAX_COMPARED:
        raise ValueError(f"The text has {counted(len(text or ''), 'character')}; give 1 to {MAX_COMPARED:,}.")
    (name_a, a), (name_b, b) = runs[0], runs[-1]
    if name_a == name_b:
        name_a, name_b = f"{name_a} (first)", f"{name_b} (last)"
    check_comparable({name_a: a.tokenizer, name_b: b.tokenizer}, text)
    pair = [(services.models.get(run), run.tokenizer) for run in (a, b)]
    spans, note = compare_text(pair[0], pair[1], text)
    rows = [(span.text, span.a and round(span.a, 4), span.b and round(span.b, 4)) for span in spans]
    apart = told_apart([a, b])
    return {"a": name_a, "b": name_b, "spans": rows, "differs": apart, "note": note, "nonce": time.monotonic_ns()}


def refresh(services: Services, run_ids: list[str] | None, token: str) -> Any:
    """The list of runs as it is now, keeping what is chosen and still exists; at first the reference runs."""
    choices = services.choices(token)
    known = {run_id for _, run_id in choices}
    chosen = [run_id for run_id in strings(run_ids) if run_id in known]
    return list_update(choices, chosen or _references(services), run_ids)


def _references(services: Services) -> list[str]:
    """One classic and one modern reference run, shown initially."""
    references = [run for run in services.store.list(services.visitor("")) if run.reference and run.steps_available()]
    of = {run.preset: run.id for run in reversed(references)}  # the first of each
    return [of[name] for name in ("classic", "modern") if name in of]


def wire(tab: CompareTab, services: Services, visitor: gr.BrowserState) -> None:
    """Connect the controls."""
    shown = [tab.chart, tab.differences, tab.results]
    tab.runs.change(services.bind(choose), [tab.runs, visitor], shown, **QUIET)
    opened = tab.overlay.select(services.bind(refresh), [tab.runs, visitor], tab.runs, **QUIET)
    opened.then(services.bind(choose), [tab.runs, visitor], shown, **QUIET)
    tab.chart.measured(services.bind(measured), [tab.runs, visitor], tab.results, trigger_mode="always_last", **QUIET)
    race_tab.wire(tab.race, services, visitor)
    tab.tab.select(services.bind(race_tab.refresh), [tab.race.race, visitor], [tab.race.race, tab.race.view], **QUIET)
    aside = tab.race_outputs
    tab.race.view.opened(
        services.bind(suit), [tab.race.race, visitor],
        [aside.body, aside.absent, aside.prompt, aside.text, aside.texts, aside.losses], **QUIET,
    )  # fmt: skip
    _wire_outputs(tab.outputs, tab.runs, _chosen, services, visitor)
    _wire_outputs(tab.race_outputs, tab.race.race, _raced, services, visitor)


def _wire_outputs(
    outputs: Outputs, chosen: gr.Dropdown, runs: Any, services: Services, visitor: gr.BrowserState
) -> None:
    """Connect one side-by-side part to what is chosen; `runs` finds the runs that are meant."""

    def writes(
        s: Services, ids: Any, prompt: str, temperature: Any, tokens: Any, seed: Any, special: Any, token: str
    ) -> Iterator[SideBySideValue]:
        yield from write(runs(s, ids, token), prompt, temperature, tokens, seed, special, s)

    def reads(s: Services, ids: Any, text: str, token: str) -> LossesValue:
        return read(s, runs(s, ids, token), text)

    outputs.write.click(
        services.bind(writes), [chosen, outputs.prompt, *outputs.settings.values(), visitor], outputs.texts,
        show_progress="hidden", concurrency_limit=4, api_visibility="private",
    )  # fmt: skip
    outputs.compare.click(
        services.bind(reads), [chosen, outputs.text, visitor], outputs.losses, show_progress="hidden",
        concurrency_limit=4, api_visibility="private",
    )  # fmt: skip
