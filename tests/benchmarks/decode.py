"""How fast one text is written: against transformers' generate, against llama2.c, and over 100,000 tokens.

``python -m tests.benchmarks decode [--llama2c DIR] [--endless N]``: DIR holds llama2.c's ``run``, built with -Ofast -fopenmp
-march=native, and its ``tokenizer.bin``. All models have the same shapes, random weights and the same threads; each number
is a median.
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
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import torch
import transformers

from playground.config import ModelConfig, SampleConfig, preset
from playground.inference import decode_step
from playground.inference.generation import Reader, generate, generate_rows
from playground.models.transformer import Transformer, initialise
from tests.benchmarks._report import figure, machine, row

SMALL = preset("modern", vocab_size=256, block_size=256, n_layer=4, n_embd=128)
LARGE = preset("modern", vocab_size=32_000, block_size=256, n_layer=6, n_embd=288, n_head=6, n_kv_head=6)
SAMPLING = SampleConfig(temperature=1.0, seed=0)
TURNS = 3


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--llama2c", type=Path)
    parser.add_argument("--endless", type=int, default=100_000)
    options = parser.parse_args(arguments)
    torch.set_num_threads(psutil.cpu_count(logical=True) or 1)
    machine()
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads; compiled step: {decode_step.warm(wait=True)}")
    for name, config, n, goal in (("0.8M", SMALL, 240, 10), ("15M", LARGE, 120, 4)):
        _compare(name, config, n, goal, options.llama2c)
    _rolling(options.endless)


def _compare(name: str, config: ModelConfig, n: int, goal: float, llama2c: Path | None) -> None:
    model = initialise(Transformer(config), 0).eval().requires_grad_(False)
    print(f"\n{name}: {model.n_parameters():,} parameters, {n} tokens after a prompt of 8")
    prompt = list(range(1, 9))
    settings = SAMPLING.replace(max_new_tokens=n)
    ours = _speed("playground", n, lambda: _drain(generate(model, prompt, settings)))
    plain = _speed("playground, step not compiled", n, lambda: _uncompiled(model, prompt, settings))
    many = settings.replace(n_sample=4)
    _speed("playground, four texts at once (sum)", 4 * n, lambda: _drain(generate_rows(model, prompt, many)))
    theirs = _speed("transformers.generate", n, _transformers(config, prompt, n))
    first = [_first(model, prompt) for _ in range(TURNS)]
    row("first token", first, "ms")
    figure(f"{name} against transformers.generate", ours / theirs, f">= {goal}")
    figure(f"{name} first token, ms", statistics.median(first), "<= 150")
    print(f"(the compiled step alone: {ours / plain:.1f} times the plain path)")
    if llama2c is not None:
        speeds = [_llama2c(config, llama2c, n) for _ in range(TURNS)]
        other = row("llama2.c", speeds, "tokens/s")
        figure(f"{name} against llama2.c", ours / other, ">= 1.5" if name == "15M" else "about 1")


def _speed(name: str, n: int, work: Callable[[], object]) -> float:
    work()
    values = []
    for _ in range(TURNS):
        began = time.perf_counter()
        work()
        values.append(n / (time.perf_counter() - began))
    return row(name, values, "tokens/s")


def _drain(items: Iterable[object]) -> None:
    for _ in items:
        pass


def _uncompiled(model: Transformer, prompt: list[int], settings: SampleConfig) -> None:
    step, decode_step._step = decode_step._step, None
    try:
        _drain(generate(model, prompt, settings))
    finally:
        decode_step._step = step


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


def _llama2c(config: ModelConfig, folder: Path, n: int) -> float:
    """Tokens a second as its own program prints them."""
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "model.bin"
        _write_llama2c(config, path)
        command = [
            str(folder / "run"),
            str(path),
            "-z",
            str(folder / "tokenizer.bin"),
            "-t",
            "1.0",
            "-p",
            "0",
            "-n",
            str(n),
        ]
        threads = {"OMP_NUM_THREADS": str(torch.get_num_threads())}
        for seed in range(1, 20):  # a random model may draw its end-of-text token early
            done = subprocess.run(
                [*command, "-s", str(seed)], capture_output=True, env={**os.environ, **threads}, check=False
            )
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
    """A rolling buffer of 128 over many tokens: memory at the start and the end, time per token early and late."""
    config = SMALL.replace(window=128)
    model = initialise(Transformer(config), 0).eval().requires_grad_(False)
    reader, process = Reader(model), psutil.Process()
    reader.feed([1])
    times, began = [], time.perf_counter()
    memory = 0
    for at in range(1, n + 1):
        reader.feed([at % 251])
        if at % 1000 == 0:
            times.append(time.perf_counter() - began)
            began = time.perf_counter()
            memory = memory or process.memory_info().rss
    print(f"\nrolling buffer of 128, {n:,} tokens")
    tenth = max(1, len(times) // 10)
    early, late = (statistics.median(part) for part in (times[:tenth], times[-tenth:]))
    row("a token, first tenth", [1000 * t for t in times[:tenth]], "µs")
    row("a token, last tenth", [1000 * t for t in times[-tenth:]], "µs")
    figure("rolling buffer, late / early time per token", late / early, "0.95 to 1.05")
    figure("rolling buffer, memory gained, MiB", (process.memory_info().rss - memory) / 2**20, "about 0")
