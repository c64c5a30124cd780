"""Generation throughput: compared with transformers and llama2.c, over 100,000 tokens, and through the app.

``python -m tests.benchmarks decode [--llama2c DIR] [--endless N]``: DIR holds llama2.c's ``run``, built with -Ofast -fopenmp
-march=native, and its ``tokenizer.bin``. All models have the same shapes, random weights and the same threads; each number
is a median of turns in which everybody writes once. llama2.c writes as it does when nothing is said (temperature 1, top-p
0.9), and with top-p switched off; it is compared with the same settings here. "bf16 weights" are the same weights rounded
to what snapshots keep, for both sides: they are read in half the bytes here and computed with in float32, so the text is
that of the plain path.
"""

from __future__ import annotations

import argparse
import os
import re
import statistics
import struct
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import torch
import transformers

from playground.config import GenerationConfig, ModelConfig, preset
from playground.inference.generation import DecodingSession, generate, generate_batch
from playground.inference.native import decode_step
from playground.models.transformer import Transformer, initialise
from playground.reference.make_runs import reference_id
from playground.runs.store.paths import gallery_root
from playground.runs.store.processes import PATIENT_THREADS
from playground.runs.store.run_store import RunStore
from tests.benchmarks._report import figure, machine, row
from tests.e2e.conftest import App, end_workers
from tests.visitor import Visitor

SMALL = preset("modern", vocab_size=256, block_size=256, n_layer=4, n_embd=128)
LARGE = preset("modern", vocab_size=32_000, block_size=256, n_layer=6, n_embd=288, n_head=6, n_kv_head=6)
SAMPLING = GenerationConfig(temperature=1.0, seed=0)
NUCLEUS = 0.9  # llama2.c's top-p when nothing is said
TURNS = 5
ROLLS = 5
VISITORS, FIRSTS = 10, 12
READING = 25  # characters a second: 250 words a minute, with their blanks
TINY = ["--endless", "2000"]


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--llama2c", type=Path)
    parser.add_argument("--endless", type=int, default=100_000)
    parser.add_argument("--threads", type=int, default=psutil.cpu_count(logical=True) or 1, help="for everybody")
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    machine()
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads; compiled step: {decode_step.warm(wait=True)}")
    for name, config, n, goal in (("0.8M", SMALL, 240, 10), ("15M", LARGE, 120, 4)):
        _compare(name, config, n, goal, options.llama2c)
    _rolling(options.endless)
    _through_the_app()


def _compare(name: str, config: ModelConfig, n: int, goal: float, llama2c: Path | None) -> None:
    model = initialise(Transformer(config), 0).eval().requires_grad_(False)
    rounded = initialise(Transformer(config), 0).eval().requires_grad_(False)
    for weight in rounded.parameters():
        weight.copy_(weight.bfloat16())
    print(f"\n{name}: {model.n_parameters():,} parameters, {n} tokens after a prompt of 8")
    prompt = list(range(1, 9))
    settings = SAMPLING.replace(max_new_tokens=n)
    many, nucleus = settings.replace(n_sample=4), settings.replace(top_p=NUCLEUS)
    ways: dict[str, tuple[int, Callable[[], object]]] = {
        "playground": (n, lambda: _drain(generate(model, prompt, settings))),
        "playground, bf16 weights": (n, lambda: _drain(generate(rounded, prompt, settings))),
        f"playground, top-p {NUCLEUS}": (n, lambda: _drain(generate(model, prompt, nucleus))),
        f"playground, bf16 weights, top-p {NUCLEUS}": (n, lambda: _drain(generate(rounded, prompt, nucleus))),
        "playground, step not compiled": (n, lambda: _uncompiled(model, prompt, settings)),
        "playground, four texts at once (sum)": (4 * n, lambda: _drain(generate_batch(model, prompt, many))),
        "transformers.generate": (n, _transformers(config, prompt, n)),
    }  # fmt: skip
    speeds: dict[str, list[float]] = {way: [] for way in ways}
    others: dict[float, list[float]] = {NUCLEUS: [], 0.0: []}
    for turn in range(TURNS + 1):
        for way, (written, work) in ways.items():
            began = time.perf_counter()
            work()
            if turn:  # the first is for warming up
                speeds[way].append(written / (time.perf_counter() - began))
        for top_p, values in others.items() if llama2c is not None else ():
            values.append(_llama2c(config, llama2c, n, top_p))
    middle = {way: row(way, values, "tokens/s") for way, values in speeds.items()}
    first = [_first(model, prompt) for _ in range(TURNS)]
    row("first token of 128", first, "ms")
    ours = middle["playground"]
    figure(f"{name} against transformers.generate", ours / middle["transformers.generate"], f">= {goal}")
    print(f"(the compiled step: {ours / middle['playground, step not compiled']:.1f} times the plain path)")
    assert _texts(rounded, prompt, settings) == _texts(rounded, prompt, settings, compiled=False)
    assert _texts(model, prompt, settings) == _texts(model, prompt, settings, compiled=False)
    assert _texts(model, prompt, nucleus) == _texts(model, prompt, nucleus, compiled=False)
    for top_p, values in others.items() if llama2c is not None else ():
        how = f", top-p {top_p}" if top_p else ""
        other = row(f"llama2.c{how}", values[1:], "tokens/s")
        for weights in ("", ", bf16 weights"):
            target = ">= 1.5" if name == "15M" else "about 1"
            figure(f"{name} against llama2.c{how}{weights}", middle[f"playground{weights}{how}"] / other, target)


def _texts(model: Transformer, prompt: list[int], settings: GenerationConfig, compiled: bool = True) -> list[int]:
    """The ids of a text, for the check that none of this changes it."""
    library, decode_step._library = decode_step._library, decode_step._library if compiled else None
    try:
        return [token.id for token in generate(model, prompt, settings)]
    finally:
        decode_step._library = library


def _drain(items: Iterable[object]) -> None:
    for _ in items:
        pass


def _uncompiled(model: Transformer, prompt: list[int], settings: GenerationConfig) -> None:
    _texts(model, prompt, settings, compiled=False)


def _first(model: Transformer, prompt: list[int]) -> float:
    began = time.perf_counter()
    next(iter(generate(model, prompt * 16, SAMPLING)))
    return 1000 * (time.perf_counter() - began)


def _transformers(config: ModelConfig, prompt: list[int], n: int) -> Callable[[], object]:
    other = transformers.LlamaForCausalLM(
        transformers.LlamaConfig(
            vocab_size=config.vocab_size, hidden_size=config.n_embd, intermediate_size=config.mlp_hidden,
            num_hidden_layers=config.n_layer, num_attention_heads=config.n_head, num_key_value_heads=config.n_kv_head,
            max_position_embeddings=config.block_size, tie_word_embeddings=True, bos_token_id=None, eos_token_id=None,
            pad_token_id=0,
        )
    ).eval()  # fmt: skip
    ids = torch.tensor([prompt])
    options: dict[str, Any] = {"do_sample": True, "top_k": 0, "min_new_tokens": n, "max_new_tokens": n}
    return lambda: other.generate(ids, attention_mask=torch.ones_like(ids), **options)


def _llama2c(config: ModelConfig, folder: Path, n: int, top_p: float) -> float:
    """Tokens a second as its own program prints them."""
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "model.bin"
        _write_llama2c(config, path)
        options = {"-z": folder / "tokenizer.bin", "-t": 1.0, "-p": top_p, "-n": n}
        command = [str(folder / "run"), str(path), *(str(part) for option in options.items() for part in option)]
        own = {name: value for name, value in os.environ.items() if name not in PATIENT_THREADS}  # as it comes
        own["OMP_NUM_THREADS"] = str(torch.get_num_threads())
        for seed in range(1, 20):  # a random model may draw its end-of-text token early
            done = subprocess.run([*command, "-s", str(seed)], capture_output=True, env=own, check=False)
            found = re.search(rb"tok/s: ([\d.]+)", done.stderr)
            if found:
                return float(found[1])
    raise RuntimeError(f"llama2.c did not say how fast it was: {done.stderr.decode(errors='replace')[-300:]}")


def _write_llama2c(config: ModelConfig, path: Path) -> None:
    """Random weights in its format (version 0): header, then tensors by kind."""
    c, m, kv, n_layer = config.n_embd, config.mlp_hidden, config.n_kv_head * config.head_dim, config.n_layer
    rng = np.random.default_rng(0)
    layers = [n_layer * size for size in (c, c * c, c * kv, c * kv, c * c, c, c * m, m * c, c * m)]
    sizes = [config.vocab_size * c, *layers, c, config.block_size * config.head_dim]
    with open(path, "wb") as file:
        file.write(
            struct.pack("7i", c, m, n_layer, config.n_head, config.n_kv_head, config.vocab_size, config.block_size)
        )
        for size in sizes:
            file.write(rng.normal(0, 0.02, size).astype("<f4").tobytes())


def _rolling(n: int) -> None:
    """A rolling buffer of 128 over many tokens, in turns: memory gained, time per token early and late."""
    config = SMALL.replace(window=128)
    model = initialise(Transformer(config), 0).eval().requires_grad_(False)
    process = psutil.Process()
    print(f"\nrolling buffer of 128, {n:,} tokens")
    tenths, ratios, gained = ([], []), [], []
    for _ in range(ROLLS):
        reader, times, memory = DecodingSession(model), [], 0
        reader.feed([1])
        began = time.perf_counter()
        for at in range(1, n + 1):
            reader.feed([at % 251])
            if at % 1000 == 0:
                times.append(1000 * (time.perf_counter() - began))  # µs a token
                began = time.perf_counter()
                memory = memory or process.memory_info().rss
        part = max(1, len(times) // 10)
        for kept, values in zip(tenths, (times[:part], times[-part:]), strict=True):
            kept.append(statistics.median(values))
        ratios.append(tenths[1][-1] / tenths[0][-1])
        gained.append((process.memory_info().rss - memory) / 2**20)
    row("a token, first tenth", tenths[0], "µs")
    row("a token, last tenth", tenths[1], "µs")
    figure("rolling buffer, late / early time per token", statistics.median(ratios), "0.95 to 1.05")
    figure("rolling buffer, memory gained, MiB", statistics.median(gained), "about 0")


def _through_the_app() -> None:
    """What a visitor waits for after Generate, and how fast ten visitors' texts grow, over HTTP as the page does it."""
    with tempfile.TemporaryDirectory() as folder:
        app = App(Path(folder) / "data")
        app.start()
        try:
            time.sleep(6)  # the step is compiled, the spare worker warms up: as when a person reads the page first
            run = RunStore(Path(folder) / "none", gallery_root()).get(reference_id("modern", 0))
            print(f"\nthrough the app: {run.name}")
            waits = [_visit(app.url, run.id, 20, number)[0] for number in range(1 + FIRSTS)][1:]  # the first loads it
            row("first token after Generate", waits, "ms")
            figure("first token after Generate, ms", statistics.median(waits), "<= 150")
            with ThreadPoolExecutor(VISITORS) as pool:
                visits = list(pool.map(lambda number: _visit(app.url, run.id, 800, number), range(VISITORS)))
            row(f"first token, {VISITORS} at once", [first for first, _, _ in visits], "ms")
            row("longest pause, each", [pause for _, pause, _ in visits], "ms")
            slowest = min(speed for _, _, speed in visits)
            row("characters a second, each", [speed for _, _, speed in visits], "")
            figure(f"slowest of {VISITORS} visitors, characters a second", slowest, f">= {READING}")
        finally:
            app.stop()
            end_workers(app.data)


def _visit(url: str, run_id: str, n: int, seed: int) -> tuple[float, float, float]:
    """Milliseconds to the first token, the longest pause after it, and characters a second as a whole."""
    with Visitor(url) as visitor:
        began = time.perf_counter()
        visitor.generate(run_id, None, "Once there was a", max_new_tokens=n, seed=seed)
        seen: list[float] = []
        for kind, _ in visitor.answers():
            if kind in ("process_generating", "process_completed"):
                seen.append(time.perf_counter() - began)
    return 1000 * seen[0], 1000 * max(np.diff(seen), default=0.0), n / seen[-1]  # a token is a byte
