"""Cost of a sliding window in training by text length: blocks of the window against the full masked scores.

Forward and backward pass of one attention, 4 texts, 4 heads of 32 numbers, window 64, in turns.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import torch

from playground.models.attention import attend, attention_mask
from tests.benchmarks._report import figure, machine, row

WINDOW, HEADS, SIZE = 64, 4, 32
TINY = ["--rounds", "2"]


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="window", description=__doc__)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args(arguments)
    machine()
    torch.set_num_threads(options.threads)
    middle: dict[tuple[str, int], float] = {}
    for length in (256, 512, 1024, 2048):
        kinds = {kind: _run(length, kind) for kind in ("masked", "blocks")}
        times: dict[str, list[float]] = {kind: [] for kind in kinds}
        for number in range(options.rounds + 2):
            for kind, run in kinds.items():
                began = time.perf_counter()
                run()
                if number >= 2:
                    times[kind].append(1000 * (time.perf_counter() - began))
        for kind, values in times.items():
            middle[kind, length] = row(f"{length} tokens, window {WINDOW}, {kind}", values, "ms")
    figure("window_2048_tokens_masked_over_blocks", middle["masked", 2048] / middle["blocks", 2048], "> 4")
    figure("window_blocks_2048_over_512_tokens", middle["blocks", 2048] / middle["blocks", 512], "about 4, not 16")


def _run(length: int, kind: str) -> Callable[[], None]:
    """One forward and backward pass over 4 texts."""
    q, k, v = (torch.randn(4, HEADS, length, SIZE, requires_grad=True) for _ in range(3))
    positions = torch.arange(length)
    mask = attention_mask(positions, positions, WINDOW)

    def run() -> None:
        for x in (q, k, v):
            x.grad = None
        out = attend(q, k, v, mask) if kind == "masked" else attend(q, k, v, None, window=WINDOW)
        out.sum().backward()

    return run
