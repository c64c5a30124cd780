"""Train: choose a text, a model and a budget; press Start; watch."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import partial
from typing import Any

import gradio as gr

from playground.config import PRESETS, ModelConfig, TrainConfig, config_diff, label, preset, spelled
from playground.data.corpora import CORPORA, check_text
from playground.data.tasks import TASKS
from playground.lab.architecture import describe
from playground.lab.pace import seconds_of
from playground.runs.create import create_run, prepare_run
from playground.train.estimate import estimate
from playground.ui import endpoints
from playground.ui.components import live_run
from playground.ui.endpoints import duration
from playground.ui.forms import Form, build_form, build_groups, read_form, remaining
from playground.ui.imports import keep, kept
from playground.ui.picker import QUIET
from playground.ui.services import Services

MODEL_FIRST = ("n_layer", "n_embd", "n_head", "block_size")
TRAIN_FIRST = ("steps", "batch_size", "learning_rate")
TOKENS = ("tokenizer", "bpe_vocab")
TEXTS = ("tales", "python_source", "tiny_shakespeare", "tiny_stories", "task", "own")
LABELS = {"task": "Algorithms", "own": "Your text"}
SMALL_PRINT = {
    "tales": "little stories, offline",
    "python_source": "this interpreter's own",
    "tiny_shakespeare": "1.1 MB, downloaded",
    "tiny_stories": "19 MB, downloaded",
    "task": "one right answer",
    "own": "paste or upload",
}
NOTICE = (
    "**What to notice.** Loss is the surprise per token, in nats; perplexity says between how many equally likely tokens "
    "the model still hesitates. The validation curve is measured on text the model never trains on."
)


@dataclass(frozen=True)
class TrainTab:
    """The tab's components."""

    tab: gr.Tab
    text: gr.Radio
    about: gr.Markdown
    task: gr.Dropdown
    pasted: gr.Textbox
    upload: gr.File
    uploaded: gr.Markdown
    preset: gr.Radio
    changed: gr.Markdown
    model: Form
    train: Form
    token_file: gr.File
    name: gr.Textbox
    estimate: gr.Markdown
    start: gr.Button
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
    view: gr.HTML

    @property
    def form(self) -> set[gr.components.Component]:
        """The controls that decide what a run will be and cost."""
        return {self.preset, self.token_file, *self.model.values(), *self.train.values()}


def build(services: Services) -> TrainTab:
    """Lay the tab out."""
    parts: dict[str, Any] = {}
    with gr.Tab("Train", id="train") as parts["tab"], gr.Row(elem_classes="pg-page"):
        with gr.Column(elem_classes="pg-side", min_width=300):
            _build_text(parts)
            _build_model(parts)
            _build_budget(parts)
        with gr.Column(elem_classes="pg-main"):
            _build_controls(parts, services)
            parts["view"] = live_run(partial(endpoints.curves, services), elem_id="live-run")
            gr.Markdown(NOTICE, elem_classes="pg-note")
    return TrainTab(**parts)


def _build_text(parts: dict[str, Any]) -> None:
    with gr.Group(elem_classes="pg-card"):
        gr.Markdown("**1 · Text** what it reads", elem_classes="pg-title")
        choices = [(f"{LABELS.get(name) or CORPORA[name].label}\n{SMALL_PRINT[name]}", name) for name in TEXTS]
        parts["text"] = gr.Radio(choices, value="tales", label="Text", show_label=False, elem_classes="pg-choice")
        parts["about"] = gr.Markdown(CORPORA["tales"].blurb, elem_classes="pg-note")
        tasks = [(task.label, task.name) for task in TASKS.values()]
        parts["task"] = gr.Dropdown(tasks, value="reverse", label="Task", visible=False, elem_classes="pg-compact")
        parts["pasted"] = gr.Textbox(
            label="Paste your text", lines=6, max_lines=12, visible=False, elem_classes="pg-mono", max_length=None
        )
        parts["upload"] = gr.File(
            label="or upload UTF-8 text, up to 20 MB", type="binary", visible=False, file_count="single", height=110
        )
        parts["uploaded"] = gr.Markdown(visible=False, elem_classes="pg-note")


def _build_model(parts: dict[str, Any]) -> None:
    start = preset("modern")
    with gr.Group(elem_classes="pg-card"):
        gr.Markdown("**2 · Model** how it thinks", elem_classes="pg-title")
        parts["preset"] = gr.Radio(
            [(spelled(name), name) for name in PRESETS], value="modern", label="Preset", show_label=False,
            elem_classes=["pg-choice", "pg-segmented"],
        )  # fmt: skip
        parts["model"] = build_form(ModelConfig, MODEL_FIRST, start, explain=False)
        parts["changed"] = gr.Markdown(describe(start), elem_classes="pg-note")
        parts["train"] = build_form(TrainConfig, TOKENS, TrainConfig(), explain=False)
        parts["train"]["bpe_vocab"].visible = False
        parts["token_file"] = gr.File(
            label="tokenizer.json, up to 4 MB", type="binary", visible=False, file_count="single", height=110,
            file_types=[".json"], elem_id="token-file",
        )  # fmt: skip
        with gr.Accordion("Every architecture choice", open=False, elem_classes="pg-fold"):
            parts["model"] |= build_groups(ModelConfig, remaining(ModelConfig, MODEL_FIRST), start)


def _build_budget(parts: dict[str, Any]) -> None:
    with gr.Group(elem_classes="pg-card"):
        gr.Markdown("**3 · Budget** how long it learns", elem_classes="pg-title")
        parts["train"] |= build_form(TrainConfig, TRAIN_FIRST, TrainConfig(), explain=False)
        with gr.Accordion("Every training setting", open=False, elem_classes="pg-fold"):
            parts["train"] |= build_groups(TrainConfig, remaining(TrainConfig, TRAIN_FIRST, TOKENS), TrainConfig())
            parts["name"] = gr.Textbox(
                label="Name", placeholder="chosen for you", max_length=60, elem_classes="pg-compact"
            )
        parts["estimate"] = gr.Markdown("", elem_classes="pg-note", elem_id="estimate")
        parts["start"] = gr.Button("Start training", variant="primary", elem_classes="pg-primary", elem_id="start")


def _build_controls(parts: dict[str, Any], services: Services) -> None:
    with gr.Group(elem_classes="pg-card"):
        with gr.Row(elem_classes="pg-actions"):
            parts["run"] = gr.Dropdown(
                services.choices(""), value=None, label="Run", show_label=False, scale=3, min_width=200,
                elem_id="train-run", info=None,
            )  # fmt: skip
            for key in ("pause", "resume", "stop"):
                parts[key] = gr.Button(
                    key.capitalize(), elem_classes="pg-quiet", min_width=80, scale=0, elem_id=f"{key}-run"
                )
        with gr.Accordion("Continue, rename, share, delete", open=False, elem_classes="pg-fold"):
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


# What the buttons do


def show_text(choice: str) -> tuple[Any, ...]:
    """The controls that belong to the chosen kind of text."""
    own, task = choice == "own", choice == "task"
    about = "Six small problems with one right answer; *exact match* says how often it is found." if task else ""
    return (
        about or CORPORA[choice].blurb,
        gr.update(visible=task),
        gr.update(visible=own),
        gr.update(visible=own),
        gr.update(visible=own),
    )


def show_upload(data: bytes | None) -> str:
    """What an uploaded file holds. Raises ValueError when it is no text."""
    if data is None:
        return ""
    text = check_text(data, name="file")
    return f"{len(text):,} characters, {len(set(text)):,} different ones."


def show_preset(name: str, n_head: float) -> list[Any]:
    """The preset's values for the fields that it sets, leaving sizes alone."""
    values = preset(name, n_head=int(n_head)).to_dict()
    return [values[key] for key in _preset_fields()]


def _preset_fields() -> list[str]:
    """What any preset sets: choosing one also takes back what another had set."""
    named = {key for values in PRESETS.values() for key in values} - {"n_head"}
    return [item.name for item in fields(ModelConfig) if item.name in named]


def show_estimate(tab: TrainTab, data: Mapping[Any, Any]) -> tuple[str, str]:
    """What the run will need, or what stands in its way; and the architecture in words."""
    try:
        train = TrainConfig.from_dict(read_form(tab.train, data))
        size = _expected_vocabulary(train, data[tab.token_file])
        model = ModelConfig.from_dict({**read_form(tab.model, data), "vocab_size": size})
    except (ValueError, TypeError) as error:
        return f"⚠ {error}", gr.skip()
    need = estimate(model, train)
    active = f" ({need.active_parameters / 1e6:.2f} M a token)" if need.active_parameters < need.parameters else ""
    words = (
        f"{need.parameters / 1e6:.2f} M parameters{active} · about {duration(seconds_of(need, model, train))} here"
        f" · {need.memory_bytes / 1e6:.0f} MB"
    )
    plain = preset(data[tab.preset], n_head=model.n_head).to_dict()
    changed = list(config_diff(model, ModelConfig.from_dict({**model.to_dict(), **_axes(plain)})))
    note = f"  \nchanged from the preset: {', '.join(label(ModelConfig, key) for key in changed)}" if changed else ""
    return words, describe(model) + note


def _expected_vocabulary(train: TrainConfig, file: bytes | None) -> int:
    """The vocabulary before the text is read: learned and character vocabularies may turn out smaller."""
    if train.tokenizer == "imported" and file:
        return kept(keep(file)).vocab_size
    return train.bpe_vocab if train.tokenizer == "bpe" else 256


def _axes(values: dict[str, Any]) -> dict[str, Any]:
    return {key: values[key] for key in _preset_fields()}


def start(services: Services, tab: TrainTab, visitor: gr.BrowserState, data: Mapping[Any, Any]) -> tuple[Any, Any]:
    """Create a run from the form, queue it, and show it."""
    token = data[visitor]
    corpus = data[tab.task] if data[tab.text] == "task" else data[tab.text]
    own = None
    if corpus == "own":
        own = check_text(data[tab.upload], name="file") if data[tab.upload] else check_text(data[tab.pasted] or "")
    train = read_form(tab.train, data)
    file = data[tab.token_file] if train["tokenizer"] == "imported" else None
    prepared = prepare_run(
        data[tab.preset],
        read_form(tab.model, data),
        {**train, "corpus": corpus},
        own_text=own,
        cache_dir=services.cache_dir,
        imported=kept(keep(file)) if file else None,
        learning=_tell_learning,
    )
    for note in prepared.notes:
        gr.Info(note, duration=20)
    run = create_run(services.store, prepared, name=data[tab.name] or "", owner=services.visitor(token))
    services.launcher.start(run, services.visitor(token))
    return follow(services, run.id, token)


def show_tokenizer(name: str) -> tuple[Any, Any]:
    """The controls that belong to the chosen kind of tokenizer."""
    return gr.update(visible=name == "bpe"), gr.update(visible=name == "imported")


def _tell_learning(share: float, what: str) -> None:
    gr.Progress()(share, desc=f"BPE: {what}")


def follow(services: Services, run_id: str | None, token: str) -> tuple[Any, Any]:
    """The run list with this run chosen, and the live view of it."""
    run = services.run(run_id, token) if run_id else None
    return gr.update(choices=services.choices(token, shared=run), value=run_id), show_run(run_id, token)


def show_run(run_id: str | None, token: str) -> dict[str, Any]:
    """The live view's value."""
    return {"visitor": token, "run": run_id or "", "nonce": time.monotonic_ns()}


def act(services: Services, action: str, run_id: str | None, token: str) -> dict[str, Any]:
    """Pause, resume or stop the chosen run."""
    getattr(services.launcher, action)(_chosen(run_id), services.visitor(token))
    return show_run(run_id, token)


def go_on(services: Services, run_id: str | None, steps: Any, token: str) -> dict[str, Any]:
    """Train the chosen run for more steps."""
    if isinstance(steps, bool) or not isinstance(steps, (int, float)) or not 1 <= steps <= 1_000_000:
        raise ValueError(f"More steps must be 1 to 1,000,000; {steps!r} is not.")
    services.launcher.continue_for(_chosen(run_id), int(steps), services.visitor(token))
    return show_run(run_id, token)


def rename(services: Services, run_id: str | None, name: str, token: str) -> tuple[Any, Any]:
    """Give the chosen run another name."""
    services.store.rename(_chosen(run_id), name or "", services.visitor(token))
    return follow(services, run_id, token)


def share(services: Services, run_id: str | None, token: str) -> None:
    """Let whoever has the link look at the run."""
    run = services.store.share(_chosen(run_id), True, services.visitor(token))
    gr.Info(f"Shared: add ?run={run.id} to this page's address.", duration=20)


def delete(services: Services, run_id: str | None, token: str) -> tuple[Any, Any]:
    """Delete the chosen run and show none."""
    services.store.delete(_chosen(run_id), services.visitor(token))
    return follow(services, None, token)


def _chosen(run_id: str | None) -> str:
    if not run_id:
        raise ValueError("No run is chosen. Choose one from the list, or start one.")
    return run_id


def arrive(services: Services, token: str, wanted: str = "") -> tuple[Any, Any]:
    """What a page shows when it opens: the run its address names, else the newest own one."""
    own = [run.id for run in services.store.list(services.visitor(token)) if not run.reference]
    try:
        return follow(services, services.run(wanted, token).id, token)
    except ValueError:
        return follow(services, own[0] if own else None, token)


def wire(tab: TrainTab, services: Services, visitor: gr.BrowserState) -> None:
    """Connect the controls."""
    tab.text.change(show_text, tab.text, [tab.about, tab.task, tab.pasted, tab.upload, tab.uploaded], **QUIET)
    tab.upload.change(services.bind(lambda _, data: show_upload(data)), tab.upload, tab.uploaded, **QUIET)
    kind, size = (tab.train[name] for name in TOKENS)
    kind.change(show_tokenizer, kind, [size, tab.token_file], **QUIET)  # type: ignore[attr-defined]
    tab.preset.input(
        show_preset, [tab.preset, tab.model["n_head"]], [tab.model[key] for key in _preset_fields()], **QUIET
    )
    gr.on(
        [control.change for control in tab.form],  # type: ignore[attr-defined]
        partial(show_estimate, tab),
        tab.form,
        [tab.estimate, tab.changed],
        trigger_mode="always_last",
        **QUIET,
    )
    inputs: set[gr.blocks.Block] = {visitor, tab.text, tab.task, tab.pasted, tab.upload, tab.name, *tab.form}
    tab.start.click(
        services.bind(lambda s, data: start(s, tab, visitor, data)), inputs, [tab.run, tab.view],
        show_progress="minimal", concurrency_limit=4, api_visibility="private",
    )  # fmt: skip
    tab.run.input(show_run, [tab.run, visitor], tab.view, **QUIET)
    for action in ("pause", "resume", "stop"):
        handler = services.bind(lambda s, run_id, token, action=action: act(s, action, run_id, token))
        getattr(tab, action).click(handler, [tab.run, visitor], tab.view, **QUIET)
    tab.more.click(services.bind(go_on), [tab.run, tab.more_steps, visitor], tab.view, **QUIET)
    tab.rename.click(services.bind(rename), [tab.run, tab.new_name, visitor], [tab.run, tab.view], **QUIET)
    tab.share.click(services.bind(share), [tab.run, visitor], None, **QUIET)
    tab.delete.click(services.bind(delete), [tab.run, visitor], [tab.run, tab.view], **QUIET)
