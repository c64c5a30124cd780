"""Does one learning rate serve every size? Rates against widths and depths: the best of each, and what the preset's loses.

python -m tests.benchmarks transfer [--preset modern] [--optimizer adamw] [--sizes 4x64 4x128 ...] [--rates 0.003 ...]

Sizes are layers x width. Every run reads the same windows of Tales, the same number of them; what is compared is the
validation loss at its end, in nats per byte. A best rate at the edge of those tried is marked: the true one may lie beyond.
"""

from __future__ import annotations

import argparse
import math
import statistics

import torch

from playground.config import ModelConfig, TrainConfig, preset
from playground.data.tales import tales
from playground.tokenizers import build_tokenizer
from playground.train.dataset import prepare
from playground.train.estimate import count_parameters
from playground.train.events import Diverged, Evaluated
from playground.train.trainer import TrainState, train
from tests.benchmarks._report import figure, machine

SIZES = ("1x128", "2x128", "4x64", "4x128", "4x256", "8x128")
RATES = tuple(TrainConfig().learning_rate * 2.0**power for power in (-2, -1, 0, 1, 2))
N_BYTES = 1_000_000


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="transfer", description=__doc__)
    parser.add_argument("--preset", default="modern")
    parser.add_argument("--optimizer", default="adamw")
    parser.add_argument("--precision", default="bf16")
    parser.add_argument("--sizes", nargs="*", default=list(SIZES))
    parser.add_argument("--rates", nargs="*", type=float, default=list(RATES))
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args(arguments)
    machine()
    torch.set_num_threads(options.threads)
    config = TrainConfig(
        steps=options.steps, batch_size=8, optimizer=options.optimizer, eval_interval=options.steps, sample_interval=0,
        eval_tokens=32_768, precision=options.precision, snapshots=0, warmup_steps=min(50, options.steps),
    )  # fmt: skip
    text, rates = tales(N_BYTES), sorted({*options.rates, config.learning_rate})
    print(f"{options.preset}, {options.optimizer}, {options.steps} steps of 8 x 64 bytes, seeds {options.seeds}")
    print(
        "| layers x width | parameters |", " | ".join(f"{rate:g}" for rate in rates), "| best | lost by the preset's |"
    )
    print("| --- " * (len(rates) + 4) + "|")
    worst = 0.0
    for size in options.sizes:
        losses: dict[float, float] = {}
        for rate in rates:
            tried = (config.replace(learning_rate=rate, seed=seed) for seed in range(options.seeds))
            losses[rate] = statistics.fmean(_loss(size, options.preset, one, text) for one in tried)
        best = min(rates, key=lambda rate: losses[rate])
        lost = losses[config.learning_rate] - losses[best]
        worst = max(worst, lost)
        cells = " | ".join(f"{losses[rate]:.3f}" for rate in rates)
        edge = " (edge)" if best in (rates[0], rates[-1]) else ""
        millions = count_parameters(_model(size, options.preset)) / 1e6
        print(
            f"| {size} | {millions:.2f} M | {cells} | {best:g}{edge} | {lost:.3f} |",
            flush=True,
        )
    figure(f"transfer_most_lost_{options.preset}_{options.optimizer}", worst, "-")


def _model(size: str, name: str) -> ModelConfig:
    """Heads of 32 numbers at every width."""
    layers, width = (int(part) for part in size.split("x"))
    return preset(name, n_layer=layers, n_embd=width, n_head=width // 32, block_size=64)


def _loss(size: str, name: str, config: TrainConfig, text: str) -> float:
    """Validation loss at the end of a run; infinite if it diverges."""
    model, tokenizer, loss = _model(size, name), build_tokenizer("byte", ""), math.inf
    for event in train(TrainState.new(model, config), prepare(text, tokenizer, model, config), config, tokenizer):
        if isinstance(event, Evaluated):
            loss = event.loss
        if isinstance(event, Diverged):
            return math.inf
    return loss
