"""The Streaming tab: the KV cache, its memory and slots, and models far beyond their context."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Any

import gradio as gr
import numpy as np

from playground.analysis import streaming as lab
from playground.config import GenerationConfig, counted
from playground.inference.generation import DecodingSession, continue_batch, encode_prompt
from playground.interp import sinks
from playground.models.kv_cache import KVCache
from playground.models.transformer import Transformer
from playground.reference.make_sinks import ARMS, measured, run_id
from playground.runs.store.run_store import Run, RunNotFound
from playground.tokenizers import StreamDecoder
from playground.ui import layout
from playground.ui.cancel_previous import CancelPrevious
from playground.ui.components import component
from playground.ui.components.contracts.texts import SlotsValue, WrittenToken
from playground.ui.forms import unvalidated
from playground.ui.picker import QUIET, Picker, build_picker, wire_picker
from playground.ui.sample import branches
from playground.ui.sample import streaming_view as view
from playground.ui.sample.prompts import STARTING, wire_prompt
from playground.ui.sample.streaming_view import TAIL, TEXTS
from playground.ui.server.fair_queue import SHARE_SECONDS, must_end
from playground.ui.services import Services
from playground.ui.texts import DATASETS
from playground.ui.validation import checked_prompt, chosen_run, whole

LONGEST, TIMES_CONTEXT = 2_048, 8  # maximum length of evaluated texts, in tokens and in contexts
ENDLESS_TOKENS, ENDLESS_SECONDS = 100_000, 600
UPDATE_SECONDS = 0.25
SINK_TEXTS = 32
READERS = 8  # concurrent computations of all visitors
STORY = 40  # tokens in the animation of the slots
STORY_TEXT = "Once there was a small dragon who would not sleep."
START = "What does a KV cache store, and what does a bounded one cost? Start one of the experiments."
NOTICE = (
    "**What to notice.** With the cache the time per token hardly depends on its position; without it, it grows with the "
    "length of the text. A rolling buffer gives the same results as the sliding window, in constant memory. Whether a few "
    "sinks help a model that was trained with full attention depends on whether it has learned to put attention on its "
    "first tokens, which small models often have not: the measurements show what this run does."
)


@dataclass(frozen=True)
class StreamingTab:
    """The tab's components."""

    tab: gr.Tab
    picker: Picker
    window: gr.Slider
    n_sink: gr.Slider
    prompt: gr.Textbox
    prove: gr.Button
    read: gr.Button
    endless: gr.Button
    sinks: gr.Button
    three: gr.Button
    stop: gr.Button
    answer: gr.Markdown
    text: gr.HTML
    slots: gr.HTML
    first: gr.HTML
    second: gr.HTML
    table: gr.Markdown


def build(services: Services) -> StreamingTab:
    """Lay the tab out."""
    parts: dict[str, Any] = {}
    words, first, second, table, _ = show_three(services)
    with layout.page("Streaming", "streaming") as parts["tab"]:
        with layout.side():
            with layout.card("1 · Model", "checkpoint to stream"):
                parts["picker"] = build_picker(services, "streaming")
            with layout.card("2 · KV cache", "what it keeps"):
                _build_memory(parts)
            with layout.card("3 · Experiments", ""):
                _build_tries(parts)
        with layout.main():
            parts["answer"] = gr.Markdown(words, elem_classes="pg-answer", elem_id="streaming-answer")
            parts["first"] = component("line_chart", value=first, elem_id="streaming-first")
            parts["second"] = component("line_chart", value=second, elem_id="streaming-second")
            parts["table"] = gr.Markdown(table, elem_id="streaming-table", elem_classes="pg-figures")
            parts["text"] = component("token_text", elem_id="streaming-text")
            parts["slots"] = component("cache_slots", value=story(8, 4, True), elem_id="cache-slots")
            gr.Markdown(NOTICE, elem_classes="pg-note")
    return StreamingTab(**parts)


def _build_memory(parts: dict[str, Any]) -> None:
    look: dict[str, Any] = {"buttons": [], "elem_classes": "pg-compact"}
    parts["window"] = unvalidated(gr.Slider(4, 256, 64, step=4, label="Window", elem_id="streaming-window", **look))
    parts["n_sink"] = unvalidated(gr.Slider(0, 16, 4, step=1, label="Sinks", **look))


def _build_tries(parts: dict[str, Any]) -> None:
    parts["prompt"] = gr.Textbox(STARTING, label="Prompt", lines=2, max_lines=6, elem_classes="pg-mono")
    parts["prove"] = gr.Button(
        "With and without cache", variant="primary", elem_classes="pg-primary", elem_id="prove-cache"
    )
    parts["read"] = gr.Button("Evaluate on a long text", elem_classes="pg-quiet", elem_id="read-long")
    parts["endless"] = gr.Button("Generate without end", elem_classes="pg-quiet", elem_id="write-endlessly")
    parts["sinks"] = gr.Button("Sinks during training", elem_classes="pg-quiet", elem_id="find-sinks")
    parts["three"] = gr.Button("Three softmax variants", elem_classes="pg-quiet", elem_id="three-softmaxes")
    parts["stop"] = gr.Button("Stop", elem_classes="pg-quiet", elem_id="stop-streaming")


def results(words: str, first: Any = None, second: Any = None, table: str = "", text: Any = None) -> tuple[Any, ...]:
    """The outputs of a button: a sentence, two charts, a table and text; missing ones are hidden."""
    return words, first, second, table, text


def show_three(services: Services) -> tuple[Any, ...]:
    """The results of the three reference runs, or a message if they are missing."""
    found = {}
    for name, sink_logit in ARMS.items():
        with suppress(RunNotFound):
            run = services.store.get(run_id(sink_logit))
            if (known := measured(run)) is not None:
                found[name] = known
    if not found:
        return results(START)
    return results(*view.three(found, run.model.block_size))


def story(window: int, n_sink: int, streams: bool) -> SlotsValue:
    """The animation of the slots."""
    window, n_sink = min(window, 12), min(n_sink, 6)
    steps = [asdict(step) for step in lab.slot_story(window, n_sink, STORY, streams)]
    return {
        "capacity": window + n_sink, "n_sink": n_sink, "streams": streams, "steps": steps,
        "tokens": list(STORY_TEXT[:STORY]), "nonce": time.monotonic_ns(),
    }  # fmt: skip


def show_slots(window: Any, n_sink: Any) -> SlotsValue:
    """The animation for new slider values."""
    return story(*_memory(window, n_sink), True)


def prove(
    services: Services, run_id: Any, step: Any, window: Any, prompt: Any, token: str
) -> Iterator[tuple[Any, ...]]:
    """Generate the same text with and without the cache; then show the memory of other caches."""
    run, model = _model(services, run_id, step, token)
    ids = encode_prompt(run.tokenizer, checked_prompt(prompt))[-max(1, run.model.block_size // 2) :]
    config, shown, proof = GenerationConfig(max_new_tokens=1024), 0.0, None
    kinds = view.memory(run, whole("Window", window, 1, 1024))
    for proof in lab.cache_proof(model, ids, config):
        if time.monotonic() - shown > 2 * UPDATE_SECONDS:
            shown = time.monotonic()
            texts = view.twice(run, prompt, proof, "writing")
            yield results("Generating the same text twice…", view.pace(proof, len(ids)), kinds, text=texts)
    assert proof is not None
    yield results(view.verdict(proof), view.pace(proof, len(ids)), kinds, text=view.twice(run, prompt, proof, "done"))


def read(services: Services, run_id: Any, step: Any, window: Any, n_sink: Any, token: str) -> Iterator[tuple[Any, ...]]:
    """Perplexity over position, far beyond the context, with five strategies."""
    run, model = _model(services, run_id, step, token)
    window, n_sink = _memory(window, n_sink)
    texts = held_out(run, services)
    found: list[lab.Reading] = []
    yield results(
        f"Reading {TEXTS} texts of {counted(texts.shape[1], 'token')}, "
        f"{texts.shape[1] / run.model.block_size:.1f} times the context…"
    )
    for reading in lab.readings(model, texts, window, n_sink):
        found.append(reading)
        names = ", ".join(each.name for each in found)
        yield results(f"Read: {names}…", view.perplexity(run, found), None, view.table(found, run.model.block_size))
    yield results(
        view.seen(found, run.model.block_size, window), view.perplexity(run, found), view.memory_read(found),
        view.table(found, run.model.block_size),
    )  # fmt: skip


def held_out(run: Run, services: Services) -> np.ndarray:
    """Stretches (B, N) of the run's validation tokens, documents kept apart as in its training.

    Raises ValueError when there are too few.
    """
    ids = DATASETS.get(run, services.cache_dir).validation
    n = min(LONGEST, TIMES_CONTEXT * run.model.block_size, len(ids) // TEXTS)
    if n <= run.model.block_size:
        raise ValueError(
            f"This run's held-out text has {counted(len(ids), 'token')}: too few for {TEXTS} texts longer than "
            "its context of "
            f"{run.model.block_size}. Choose a run on a longer text."
        )
    return np.asarray(ids[: TEXTS * n], dtype=np.int64).reshape(TEXTS, n)


def endless(
    services: Services, run_id: Any, step: Any, window: Any, n_sink: Any, prompt: Any, token: str
) -> Iterator[tuple[Any, ...]]:
    """Generate without end with a rolling or streaming cache, in constant memory, until stopped."""
    run, model = _model(services, run_id, step, token)
    window, n_sink = _memory(window, n_sink)
    lab.check_streaming(run.model, window, n_sink, LONGEST)
    if n_sink:
        cache = KVCache.streaming(run.model, n_sink, window)
    else:  # equivalent to a rolling buffer, which the compiled step supports
        model = lab.windowed(model, window)
        cache = KVCache(model.config)
    began = shown = time.monotonic()
    counted, n, lines = 0, 0, ([], [])  # type: tuple[int, int, tuple[list[float], list[float]]]
    tail: list[WrittenToken] = []
    others = False
    for n, tail in _written(run, model, cache, checked_prompt(prompt)):
        now = time.monotonic()
        if now - shown < UPDATE_SECONDS:
            continue
        lines[0].append(n)
        lines[1].append(1000 * (now - shown) / max(1, n - counted))
        counted, shown = n, now
        words = view.endless_words(n, cache, now - began, False)
        yield results(words, view.endless_pace(*lines), text=view.tail(tail, "writing"))
        if now - began > ENDLESS_SECONDS or (others := must_end()):
            break
    words = view.endless_words(n, cache, time.monotonic() - began, True)
    if others:
        words += f" It ended after {SHARE_SECONDS:.0f} s because others are waiting."
    yield results(words, view.endless_pace(*lines), text=view.tail(tail, "done"))


def _written(run: Run, model: Transformer, cache: KVCache, prompt: str) -> Iterator[tuple[int, list[WrittenToken]]]:
    """The number of tokens, and the last ones."""
    reader, ids = DecodingSession(model, cache), encode_prompt(run.tokenizer, prompt)
    decoder = StreamDecoder(run.tokenizer, ids)
    tail: list[WrittenToken] = []
    for n, (token,) in enumerate(continue_batch(reader, ids, GenerationConfig(), ENDLESS_TOKENS), start=1):
        tail.append(branches.as_token(run.tokenizer, token, decoder.feed(token.id)))
        del tail[: len(tail) - TAIL]
        yield n, tail


def find_sinks(services: Services, run_id: Any, step: Any, token: str) -> Iterator[tuple[Any, ...]]:
    """The attention of each head to the first token, at each checkpoint."""
    run, _ = _model(services, run_id, step, token)
    length = min(sinks.LENGTH, run.model.block_size)
    if (known := measured(run)) is not None:
        points = list(known.points)
        yield results(sinks.in_words(points, length), view.masses(points, length), view.rates(points))
        return
    ids = held_out(run, services).ravel()
    texts = ids[: len(ids) // length * length].reshape(-1, length)[:SINK_TEXTS]
    points = []
    for point in sinks.through_training(lambda at: services.models.get(run, at), run.steps_available(), texts):
        points.append(point)
        yield results(f"Step {point.step:,}…", view.masses(points, length))
    yield results(sinks.in_words(points, length), view.masses(points, length), view.rates(points))


def stopped(words: Any, text: Any) -> tuple[Any, Any]:
    """The message and text after stopping."""
    said = words.replace(", running**", ", stopped**") if isinstance(words, str) else gr.skip()
    return said, branches.stopped(text)


def cleared(services: Services, words: Any) -> tuple[Any, ...]:
    """The outputs once another checkpoint is chosen: results of the one before are taken away, those of the three variants
    stay."""
    if words == show_three(services)[0]:
        return (gr.skip(),) * 5
    return results(START)


def _model(services: Services, run_id: Any, step: Any, token: str) -> tuple[Run, Transformer]:
    run = chosen_run(services, run_id, token)
    return run, services.models.get(run, step)


def _memory(window: Any, n_sink: Any) -> tuple[int, int]:
    return whole("Window", window, 1, 1024), whole("Sinks", n_sink, 0, 64)


def wire(tab: StreamingTab, services: Services, visitor: gr.BrowserState) -> None:
    """Connect the controls. Each button updates all outputs; a second click waits for the first to end."""
    wire_prompt(wire_picker(tab.picker, services, visitor, tab.tab)[:2], tab.picker, tab.prompt, services, visitor)
    for slider in (tab.window, tab.n_sink):
        slider.release(show_slots, [tab.window, tab.n_sink], tab.slots, **QUIET)
    slow: dict[str, Any] = {"show_progress": "hidden", "concurrency_limit": READERS, "api_visibility": "private"}
    slow |= {"concurrency_id": "streaming"}
    chosen, memory = tab.picker.both, [tab.window, tab.n_sink]
    results = [tab.answer, tab.first, tab.second, tab.table, tab.text]
    latest = CancelPrevious()
    tries: list[tuple[gr.Button, Any, list[Any]]] = [
        (tab.prove, prove, [*chosen, tab.window, tab.prompt, visitor]),
        (tab.read, read, [*chosen, *memory, visitor]),
        (tab.endless, endless, [*chosen, *memory, tab.prompt, visitor]),
        (tab.sinks, find_sinks, [*chosen, visitor]),
    ]
    running: list[Any] = [
        button.click(latest.only(services.bind(handler)), needs, results, **slow) for button, handler, needs in tries
    ]
    tab.three.click(services.bind(show_three), None, results, **QUIET)
    for choice in (tab.picker.run, tab.picker.step):
        choice.input(latest.end_what_runs, None, None, cancels=running, **QUIET).then(
            services.bind(cleared), [tab.answer], results, **QUIET
        )
    # What is on its way when somebody says stop still arrives: only after that is it known what to say.
    tab.stop.click(latest.end_what_runs, None, None, cancels=running, **QUIET).then(
        stopped, [tab.answer, tab.text], [tab.answer, tab.text], **QUIET
    )
