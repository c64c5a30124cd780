"""Sample: a checkpoint, a prompt, three sliders that shape the choice of the next token, and text as it is written."""

from __future__ import annotations

import base64
import secrets
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import gradio as gr
import numpy as np

from playground.config import SampleConfig
from playground.inference.generation import Reader, StreamDecoder, encode_prompt, generate
from playground.models.transformer import Transformer
from playground.runs.store import Run
from playground.tokenizers import decode, pieces
from playground.ui.components import next_token, token_text
from playground.ui.forms import Form, build_form
from playground.ui.picker import QUIET, Picker, build_picker, wire_picker
from playground.ui.services import Services

SHAPE = ("temperature", "top_k", "top_p")
LENGTH = ("max_new_tokens", "seed")
ALTERNATIVES = 5
LABELS = 12  # as many as the chart has rows
UPDATES_PER_SECOND = 8
MAX_PROMPT = 20_000
NOTICE = (
    "**What to notice.** Move the temperature and watch the bars: low makes the model repeat what it is sure of, high "
    "lets it stumble. Top-k and top-p cut the tail off, so that unlikely tokens cannot be drawn at all. The colours show "
    "where the model itself was surprised by what it drew."
)
ON_INPUT = """(temperature, top_k, top_p) => {
  document.dispatchEvent(new CustomEvent("playground:sampling", {detail: {temperature, top_k, top_p}})); }"""


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
    text: gr.HTML
    next: gr.HTML


def build(services: Services) -> SampleTab:
    """Lay the tab out."""
    parts: dict[str, Any] = {}
    defaults = SampleConfig()
    with gr.Tab("Sample", id="sample") as parts["tab"], gr.Row(elem_classes="pg-page"):
        with gr.Column(elem_classes="pg-side", min_width=300):
            with gr.Group(elem_classes="pg-card"):
                gr.Markdown("**1 · Model** who writes", elem_classes="pg-title")
                parts["picker"] = build_picker(services, "sample")
            with gr.Group(elem_classes="pg-card"):
                gr.Markdown("**2 · Prompt** how it begins", elem_classes="pg-title")
                parts["prompt"] = gr.Textbox(
                    "Once there was a", label="Prompt", show_label=False, lines=3, max_lines=8, elem_classes="pg-mono",
                    elem_id="sample-prompt",
                )  # fmt: skip
            with gr.Group(elem_classes="pg-card"):
                gr.Markdown("**3 · Shape the choice**", elem_classes="pg-title")
                parts["shape"] = build_form(SampleConfig, SHAPE, defaults, explain=False)
                parts["length"] = build_form(SampleConfig, LENGTH, defaults, explain=False)
                with gr.Row(elem_classes="pg-actions"):
                    parts["generate"] = gr.Button(
                        "Generate", variant="primary", elem_classes="pg-primary", elem_id="generate"
                    )
                    parts["one"] = gr.Button("One token", elem_classes="pg-quiet", elem_id="one-token")
                    parts["stop"] = gr.Button("Stop", elem_classes="pg-quiet", elem_id="stop-writing")
        with gr.Column(elem_classes="pg-main"):
            parts["text"] = token_text(elem_id="token-text")
            parts["next"] = next_token(elem_id="next-token")
            gr.Markdown(NOTICE, elem_classes="pg-note")
    return SampleTab(**parts)


def write(
    services: Services, run_id: str | None, step: Any, prompt: str, *rest: Any
) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """Continue the prompt, token by token; at the end, show what could come next."""
    *settings, token = rest
    config = SampleConfig(**dict(zip((*SHAPE, *LENGTH), settings, strict=True)))
    run = _chosen(services, run_id, token)
    model, tokenizer = services.models.get(run, step), run.tokenizer
    ids = encode_prompt(tokenizer, _checked_prompt(prompt))
    note = "" if prompt else "The prompt was empty: the model starts from a line end."
    if len(ids) > run.model.block_size:
        note = f"The prompt has {len(ids)} tokens; only the last {run.model.block_size} fit the context."
    decoder, tokens, shown, began = StreamDecoder(tokenizer), [], 0.0, time.monotonic()
    for drawn in generate(model, ids, config, ALTERNATIVES):
        ids.append(drawn.id)
        labels = pieces(tokenizer, [other for other, _ in drawn.alternatives])
        odds = [[name, round(p, 4)] for name, (_, p) in zip(labels, drawn.alternatives, strict=True)]
        tokens.append({"text": decoder.feed(drawn.id), "p": round(drawn.probability, 4), "alternatives": odds})
        if time.monotonic() - shown > 1 / UPDATES_PER_SECOND:
            shown = time.monotonic()
            yield _text(prompt, tokens, "writing", note), gr.skip()
    if cut_off := decoder.finish():
        tokens.append({"text": cut_off, "p": 1.0, "alternatives": []})
    speed = f"{len(tokens) / max(1e-3, time.monotonic() - began):,.0f} tokens/s with the KV cache."
    yield _text(prompt, tokens, "done", f"{note} {speed}".strip()), _distribution(run, model, ids, config)


def _text(prompt: str, tokens: list[dict[str, Any]], state: str, note: str) -> dict[str, Any]:
    return {"prompt": prompt, "tokens": list(tokens), "state": state, "note": note, "nonce": time.monotonic_ns()}


def stopped(value: Any) -> Any:
    """The text as it stood when *Stop* was pressed."""
    writing = isinstance(value, dict) and value.get("state") == "writing"
    return {**value, "state": "stopped", "nonce": time.monotonic_ns()} if writing else gr.skip()


def look_ahead(
    services: Services, run_id: str | None, step: Any, prompt: str, temperature: Any, top_k: Any, top_p: Any, token: str
) -> dict[str, Any] | None:
    """The distribution of the token after the prompt; nothing while there is no run."""
    if not run_id:
        return None
    config = SampleConfig(temperature=temperature, top_k=top_k, top_p=top_p)
    run = _chosen(services, run_id, token)
    model = services.models.get(run, step)
    return _distribution(run, model, encode_prompt(run.tokenizer, _checked_prompt(prompt)), config)


def one_token(
    services: Services, run_id: str | None, step: Any, prompt: str, temperature: Any, top_k: Any, top_p: Any, token: str
) -> str:
    """The prompt with one more token, drawn afresh each time."""
    config = SampleConfig(
        temperature=temperature, top_k=top_k, top_p=top_p, max_new_tokens=1, seed=secrets.randbelow(2**32)
    )
    run = _chosen(services, run_id, token)
    ids = encode_prompt(run.tokenizer, _checked_prompt(prompt))
    drawn = next(iter(generate(services.models.get(run, step), ids, config)))
    return prompt + decode(run.tokenizer, [drawn.id])


def _distribution(run: Run, model: Transformer, ids: list[int], config: SampleConfig) -> dict[str, Any]:
    logits = Reader(model).feed(ids[-run.model.block_size :])
    order = np.argsort(-logits, kind="stable")
    return {
        "labels": pieces(run.tokenizer, order[:LABELS].tolist()),
        **packed(logits[order]),
        "temperature": config.temperature,
        "top_k": config.top_k,
        "top_p": config.top_p,
        "note": "",
        "nonce": time.monotonic_ns(),
    }


def packed(logits: np.ndarray) -> dict[str, Any]:
    """Logits (V,) for the page, in two bytes each: a vocabulary of 32,000 is 85 kB, and off by at most range / 131,070."""
    low, high = float(logits.min()), float(logits.max())
    steps = np.round((logits.astype(np.float64) - low) / ((high - low) or 1.0) * 65_535).astype("<u2")
    return {"logits": base64.b64encode(steps.tobytes()).decode("ascii"), "low": low, "high": high}


def _chosen(services: Services, run_id: str | None, token: str) -> Run:
    if not run_id:
        raise ValueError("No run is chosen. Choose one, or train one first.")
    return services.run(run_id, token)


def _checked_prompt(prompt: Any) -> str:
    if not isinstance(prompt, str):
        raise ValueError(f"Prompt must be text; a {type(prompt).__name__} was sent.")
    if len(prompt) > MAX_PROMPT:
        raise ValueError(f"Prompt has {len(prompt):,} characters; the limit is {MAX_PROMPT:,}. Shorten it.")
    return prompt


def wire(tab: SampleTab, services: Services, visitor: gr.BrowserState) -> None:
    """Connect the controls."""
    shape, length = list(tab.shape.values()), list(tab.length.values())
    ahead = [*tab.picker.both, tab.prompt, *shape, visitor]
    look = services.bind(look_ahead)
    for event in (*wire_picker(tab.picker, services, visitor, tab.tab), tab.prompt.change):
        event(look, ahead, tab.next, trigger_mode="always_last", **QUIET)
    for slider in shape:
        slider.input(None, shape, None, js=ON_INPUT)  # type: ignore[attr-defined]
    writing = tab.generate.click(
        services.bind(write), [*tab.picker.both, tab.prompt, *shape, *length, visitor], [tab.text, tab.next],
        show_progress="hidden", concurrency_limit=8, api_visibility="private",
    )  # fmt: skip
    tab.stop.click(stopped, tab.text, tab.text, cancels=[writing], **QUIET)
    tab.one.click(services.bind(one_token), ahead, tab.prompt, **QUIET)
