"""The Sample tab: a checkpoint, a prompt, sampling parameters, and generated texts as a tree."""

from __future__ import annotations

import base64
import secrets
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, cast

import gradio as gr
import numpy as np

from playground.config import GenerationConfig, counted
from playground.inference.generation import DecodingSession, encode_prompt, generate, sequence_rng
from playground.inference.sampling import entropy_bits, softmax
from playground.models.transformer import Transformer
from playground.runs.store.run_store import Run
from playground.tokenizers import StreamDecoder, pieces
from playground.ui import layout
from playground.ui.cancel_previous import CancelPrevious
from playground.ui.components import component
from playground.ui.components.contracts.texts import Branch, NextTokenValue, TextTree
from playground.ui.forms import Form, build_form, unvalidated
from playground.ui.picker import QUIET, Picker, build_picker, wire_picker
from playground.ui.sample import branches, writing
from playground.ui.sample.prompts import STARTING, wire_prompt
from playground.ui.services import Services
from playground.ui.validation import checked_prompt, chosen_run, whole

SHAPE = ("temperature", "top_k", "top_p", "min_p", "repetition_penalty")
LENGTH = ("max_new_tokens", "n_sample", "seed", "special_tokens", "stop")
WRITERS = 16  # texts generated concurrently, for all visitors together
LABELS = 12  # as many as the chart has rows
NOTICE = (
    "**What to notice.** Move the temperature and watch the bars: a low one concentrates the probability on the most likely "
    "tokens, a high one spreads it out. Top-k, top-p and min-p cut the tail off, so that unlikely tokens cannot be drawn. "
    "The colours show which drawn tokens were unlikely under the model; choose another token there to continue from it."
)
ON_INPUT = """(...values) => {
  const names = ["temperature", "top_k", "top_p", "min_p", "repetition_penalty"];
  const detail = Object.fromEntries(names.map((name, n) => [name, values[n]]));
  document.dispatchEvent(new CustomEvent("playground:sampling", { detail })); }"""
Shown = tuple[TextTree, NextTokenValue | None]  # the texts, the next-token distribution


@dataclass(frozen=True)
class SampleTab:
    """The tab's components."""

    tab: gr.Tab
    picker: Picker
    prompt: gr.Textbox
    shape: Form
    length: Form
    generate: gr.Button
    stop: gr.Button
    one: gr.Button
    more: gr.Button
    ways: gr.Radio
    n_beam: gr.Slider
    other: Picker
    others: gr.Column
    generate_all: gr.Button
    text: gr.HTML
    next: gr.HTML


def build(services: Services) -> SampleTab:
    """Lay the tab out."""
    parts: dict[str, Any] = {}
    with layout.page("Sample", "sample") as parts["tab"]:
        with layout.side():
            with layout.card("1 · Model", "checkpoint to sample from"):
                parts["picker"] = build_picker(services, "sample")
            with layout.card("2 · Prompt", "text to continue"):
                parts["prompt"] = gr.Textbox(
                    STARTING, label="Prompt", show_label=False, lines=3, max_lines=8, elem_classes="pg-mono",
                    elem_id="sample-prompt",
                )  # fmt: skip
            with layout.card("3 · Sampling", ""):
                _build_choice(parts)
            with layout.card("4 · Compare outputs", "the same prompt"):
                _build_comparison(services, parts)
        with layout.main():
            parts["text"] = component("token_text", elem_id="token-text")
            parts["next"] = component("next_token", elem_id="next-token")
            gr.Markdown(NOTICE, elem_classes="pg-note")
    return SampleTab(**parts)


def _build_choice(parts: dict[str, Any]) -> None:
    defaults = GenerationConfig()
    parts["shape"] = build_form(GenerationConfig, SHAPE, defaults, explain=False)
    parts["length"] = build_form(GenerationConfig, LENGTH, defaults, explain=False)
    with gr.Row(elem_classes="pg-actions"):
        parts["generate"] = gr.Button("Generate", variant="primary", elem_classes="pg-primary", elem_id="generate")
        parts["more"] = gr.Button("Continue", elem_classes="pg-quiet", elem_id="continue")
    with gr.Row(elem_classes="pg-actions"):
        parts["one"] = gr.Button("One token", elem_classes="pg-quiet", elem_id="one-token")
        parts["stop"] = gr.Button("Stop", elem_classes="pg-quiet", elem_id="stop-writing")


def _build_comparison(services: Services, parts: dict[str, Any]) -> None:
    parts["ways"] = gr.Radio(
        [(f"{way}\n{what}", way) for way, what in writing.WAYS.items()],
        value=next(iter(writing.WAYS)), show_label=False, label="Compare",
        elem_classes=["pg-choice"], elem_id="sample-ways",
    )  # fmt: skip
    beams = gr.Slider(1, 16, 4, step=1, label="Beams", buttons=[], elem_classes="pg-compact")
    parts["n_beam"] = unvalidated(beams)
    with gr.Column(visible=False) as parts["others"]:
        parts["other"] = build_picker(services, "sample-other")
    parts["generate_all"] = gr.Button("Generate all", elem_classes="pg-quiet", elem_id="generate-all")


def write(services: Services, run_id: str | None, step: Any, prompt: str, *rest: Any) -> Iterator[Shown]:
    """Continue the prompt, one or several times; then show the next-token distribution."""
    *settings, token = rest
    config = _config(*settings)
    services.limits.check_writing(config.max_new_tokens)
    run = chosen_run(services, run_id, token)
    model, ids = services.models.get(run, step), _ids(run, prompt, config)
    note = "" if prompt else f"The prompt was empty: the model starts from {_start(run, ids)}."
    if len(ids) > run.model.block_size:
        note = f"The prompt has {counted(len(ids), 'token')}; only the last {run.model.block_size} fit the context."
    names = [f"{n}" for n in range(1, config.n_sample + 1)] if config.n_sample > 1 else [""]
    tree = branches.new_tree(prompt, [branches.branch(name, run=run.id, step=step) for name in names], note)
    yield from _grown(run, model, ids, config, tree, tree["branches"])


def _start(run: Run, ids: list[int]) -> str:
    """A note on the token that the model starts with if there is no prompt."""
    piece = pieces(run.tokenizer, ids[-1:])[0]
    return "a line break" if piece == "\n" else f"“{piece}”"


def continue_text(services: Services, text: Any, prompt: str, *rest: Any) -> Iterator[Shown]:
    """Continue the selected branch with the same model; equals a longer generation."""
    *settings, token = rest
    if not text:
        raise ValueError("There is no text to continue yet. Press Generate first.")
    tree = branches.read_tree(text)
    each = tree["branches"][tree["chosen"]]
    each["writing"] = True
    yield from _longer(services, tree, _config(*settings), token)


def branch_off(services: Services, event: gr.EventData, text: Any, *rest: Any) -> Iterator[Shown]:
    """Choose another token at a position, and continue from there."""
    *settings, token = rest
    tree, clicked = branches.read_tree(text), event._data if isinstance(event._data, dict) else {}
    branches.sprout(tree, clicked.get("branch"), clicked.get("at"), clicked.get("id"))
    yield from _longer(services, tree, _config(*settings), token)


def _longer(services: Services, tree: TextTree, config: GenerationConfig, token: str) -> Iterator[Shown]:
    """Continue the selected branch with the model that generated it."""
    services.limits.check_writing(config.max_new_tokens)
    each, whole = tree["branches"][tree["chosen"]], branches.path(tree, tree["chosen"])
    run = chosen_run(services, each.get("run"), token)
    model = services.models.get(run, each.get("step"))
    ids = writing.whole_ids(run, tree["prompt"], whole, config)
    row = tree["chosen"] if each["parent"] is None and each["name"].isdigit() else 0
    yield from _grown(run, model, ids, config.replace(n_sample=1), tree, [each], drawn=len(whole), row=row)


def _grown(
    run: Run,
    model: Transformer,
    ids: list[int],
    config: GenerationConfig,
    tree: TextTree,
    growing: list[Branch],
    drawn: int = 0,
    row: int = 0,
) -> Iterator[Shown]:
    began, n = time.monotonic(), sum(len(each["tokens"]) for each in growing)
    for shown in writing.grow(model, run.tokenizer, ids, config, tree, growing, drawn, row):
        yield shown, gr.skip()
    n = sum(len(each["tokens"]) for each in growing) - n
    speed = f"{n / max(1e-3, time.monotonic() - began):,.0f} tokens/s with the KV cache."
    whole = branches.path(tree, tree["chosen"])
    ahead = distribution(run, model, writing.whole_ids(run, tree["prompt"], whole, config), config, len(whole))
    yield branches.snapshot(tree, "done", f"{tree['note']} {speed}".strip()), ahead


def generate_all(
    services: Services,
    way: str,
    n_beam: Any,
    other_id: Any,
    other_step: Any,
    run_id: Any,
    step: Any,
    prompt: str,
    *rest: Any,
) -> Iterator[TextTree]:
    """The same prompt continued in several ways, or by several checkpoints, with the same random numbers."""
    *settings, token = rest
    config, run = _config(*settings), chosen_run(services, run_id, token)
    services.limits.check_writing(config.max_new_tokens)
    if way not in writing.WAYS:
        raise ValueError(f"Compare must be one of {', '.join(writing.WAYS)}.")
    other = chosen_run(services, other_id, token) if way == "Two checkpoints" else None
    jobs = writing.jobs(way, config, whole("Beams", n_beam, 1, 16), run, step, other, other_step)
    yield from writing.generate_all(services.models.get, jobs, checked_prompt(prompt))


def look_ahead(services: Services, run_id: str | None, step: Any, prompt: str, *rest: Any) -> NextTokenValue | None:
    """The next-token distribution after the prompt; empty without a run."""
    *settings, token = rest
    if not run_id:
        return None
    run = chosen_run(services, run_id, token)
    config = _config(*settings)
    return distribution(run, services.models.get(run, step), _ids(run, prompt, config), config)


def look_after(services: Services, event: gr.EventData, text: Any, *rest: Any) -> tuple[Any, Any]:
    """Select a branch, and show the next-token distribution after its text."""
    *settings, token = rest
    tree, clicked = branches.read_tree(text), event._data if isinstance(event._data, dict) else {}
    number = clicked.get("branch")
    tree["chosen"] = number if type(number) is int and 0 <= number < len(tree["branches"]) else 0
    each, whole = tree["branches"][tree["chosen"]], branches.path(tree, tree["chosen"])
    run = chosen_run(services, each.get("run"), token)
    config = _config(*settings)
    ids = writing.whole_ids(run, tree["prompt"], whole, config)
    ahead = distribution(run, services.models.get(run, each.get("step")), ids, config, len(whole))
    return branches.snapshot(tree, "done"), ahead


def one_token(services: Services, run_id: str | None, step: Any, prompt: str, *rest: Any) -> str:
    """The prompt with one more token, sampled with a new random number each time."""
    *settings, token = rest
    config = _config(*settings).replace(max_new_tokens=1, seed=secrets.randbelow(2**32))
    run = chosen_run(services, run_id, token)
    ids = _ids(run, prompt, config)
    drawn = next(iter(generate(services.models.get(run, step), ids, config)))
    decoder = StreamDecoder(run.tokenizer, ids)
    return prompt + decoder.feed(drawn.id) + decoder.finish()


def _ids(run: Run, prompt: str, config: GenerationConfig) -> list[int]:
    return encode_prompt(run.tokenizer, checked_prompt(prompt), config.special_tokens)


def distribution(
    run: Run, model: Transformer, ids: list[int], config: GenerationConfig, drawn: int = 0
) -> NextTokenValue:
    """The next-token distribution after `ids`, and the next random number after `drawn` were used."""
    whole = DecodingSession(model).feed(ids[-run.model.block_size :])
    logits, padding = whole[: model.n_tokens], softmax(whole)[model.n_tokens :]
    order = np.argsort(-logits, kind="stable")
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))
    value = {
        "labels": pieces(run.tokenizer, order[:LABELS].tolist()),
        **packed(logits[order]),
        "by_id": base64.b64encode(rank.astype("<u2").tobytes()).decode("ascii"),
        "uniform": float(sequence_rng(config.seed, 0, drawn).random()),
        "seen": sorted(rank[list(set(ids))].tolist()),
        **{name: getattr(config, name) for name in SHAPE},
        "padding": {"p": float(padding.sum()), "entropy": entropy_bits(padding)},
        "note": padding_note(padding),
        "nonce": time.monotonic_ns(),
    }
    return cast(NextTokenValue, value)


def padding_note(padding: np.ndarray) -> str:
    """What a model whose vocabulary is padded gives to ids that no tokenizer has, in a sentence; "" where there are none."""
    if not len(padding):
        return ""
    ids = counted(len(padding), "id")
    return f"Ids that only pad the vocabulary ({ids}) have a probability of {padding.sum():.3g} and are never drawn."


def packed(logits: np.ndarray) -> dict[str, Any]:
    """Logits (V,) for the page, in two bytes each: a vocabulary of 32,000 is 85 kB, and off by at most range / 131,070."""
    low, high = float(logits.min()), float(logits.max())
    steps = np.round((logits.astype(np.float64) - low) / ((high - low) or 1.0) * 65_535).astype("<u2")
    return {"logits": base64.b64encode(steps.tobytes()).decode("ascii"), "low": low, "high": high}


def _config(*settings: Any) -> GenerationConfig:
    return GenerationConfig(**dict(zip((*SHAPE, *LENGTH), settings, strict=True)))


def wire(tab: SampleTab, services: Services, visitor: gr.BrowserState) -> None:
    """Connect the controls."""
    shape, settings = list(tab.shape.values()), [*tab.shape.values(), *tab.length.values()]
    ahead = [*tab.picker.both, tab.prompt, *settings, visitor]
    look = services.bind(look_ahead)
    seed: Any = tab.length["seed"]
    *picked, stepped = wire_picker(tab.picker, services, visitor, tab.tab)
    suited = wire_prompt(picked, tab.picker, tab.prompt, services, visitor)
    for event in (*suited, stepped, tab.prompt.change, seed.input):
        event(look, ahead, tab.next, trigger_mode="always_last", **QUIET)
    wire_picker(tab.other, services, visitor, tab.tab, second=True)
    for slider in shape:
        slider.input(None, shape, None, js=ON_INPUT)  # type: ignore[attr-defined]
    slow: dict[str, Any] = {"show_progress": "hidden", "concurrency_limit": WRITERS, "api_visibility": "private"}
    slow |= {"concurrency_id": "sampling"}
    both, on = [tab.text, tab.next], [tab.text, *settings, visitor]
    latest = CancelPrevious()

    def alone(handler: Any) -> Any:
        return latest.only(services.bind(handler))

    compared = [tab.ways, tab.n_beam, *tab.other.both, *ahead]
    writes = [
        tab.generate.click(alone(write), ahead, both, **slow),
        tab.more.click(alone(continue_text), [tab.text, tab.prompt, *settings, visitor], both, **slow),
        tab.text.branch(alone(branch_off), on, both, **slow),
        tab.generate_all.click(alone(generate_all), compared, tab.text, **slow),
    ]
    tab.text.choose(services.bind(look_after), on, both, trigger_mode="always_last", **QUIET)
    # What is on its way when somebody says stop still arrives, and only after that is it known where the text stands.
    tab.stop.click(latest.end_what_runs, None, None, cancels=writes, **QUIET).then(
        branches.stopped, tab.text, tab.text, **QUIET
    )
    tab.one.click(services.bind(one_token), ahead, tab.prompt, **QUIET)
    tab.ways.change(show_way, tab.ways, [tab.n_beam, tab.others], **QUIET)


def show_way(way: str) -> tuple[Any, Any]:
    """Beams are asked for with beam search, another checkpoint with two checkpoints."""
    return gr.update(visible=way == next(iter(writing.WAYS))), gr.update(visible=way == "Two checkpoints")
