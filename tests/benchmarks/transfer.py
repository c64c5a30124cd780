"""The default learning rate at other widths and depths: half of it, itself, and twice as much.

python -m tests.benchmarks transfer [--preset modern] [--optimizer adamw] [--sizes 4x64 4x128 ...] [--factors 0.5 1 2]

Sizes are layers x width. What is usual follows from optimizer and width (`playground.config.rates`). Every run reads the
same windows of Tales, the same number of them; what is compared is the validation loss at its end, in nats per byte. A best
rate at the edge of those tried is marked: the true one may lie beyond.
"""

from __future__ import annotations

import argparse
import math
import statistics

import torch

from playground.config import ModelConfig, TrainConfig, preset
from playground.config.rates import usual_rate
from playground.data.tales import tales
from playground.tokenizers import build_tokenizer
from playground.train.dataset import prepare
from playground.train.estimate import count_parameters
from playground.train.events import Diverged, Evaluated
from playground.train.trainer import TrainState, train
from tests.benchmarks._report import figure, machine

SIZES = ("4x32", "4x64", "2x128", "4x128", "8x128", "4x256", "2x512")
N_BYTES = 1_000_000
TINY = ["--sizes", "4x32", "--factors", "1", "--steps", "20"]


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="transfer", description=__doc__)
    parser.add_argument("--preset", default="modern")
    parser.add_argument("--optimizer", default="adamw")
    parser.add_argument("--precision", default="bf16")
    parser.add_argument("--sizes", nargs="*", default=list(SIZES))
    parser.add_argument("--factors", nargs="*", type=float, default=[0.5, 1.0, 2.0], help="of the usual rate")
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
    text, factors = tales(N_BYTES), sorted({*options.factors, 1.0})
    print(f"{options.preset}, {options.optimizer}, {options.steps} steps of 8 x 64 bytes, seeds {options.seeds}")
    print("| layers x width | parameters | usual rate |", " | ".join(f"x {factor:g}" for factor in factors), "| lost |")
    print("| --- " * (len(factors) + 4) + "|")
    most = 0.0
    for size in options.sizes:
        model = _model(size, options.preset)
        usual = usual_rate(options.optimizer, model.n_embd)
        losses: dict[float, float] = {}
        for factor in factors:
            tried = (config.replace(learning_rate=usual * factor, seed=seed) for seed in range(options.seeds))
            losses[factor] = statistics.fmean(_loss(model, one, text) for one in tried)
        best = min(factors, key=lambda factor: losses[factor])
        most = max(most, losses[1.0] - losses[best])
        cells = " | ".join(f"{losses[factor]:.3f}" for factor in factors)
        lost = f"{losses[1.0] - losses[best]:.3f}" + (" (edge)" if best in (factors[0], factors[-1]) else "")
        print(f"| {size} | {count_parameters(model) / 1e6:.2f} M | {usual:g} | {cells} | {lost} |", flush=True)
    figure(f"transfer_most_lost_{options.preset}_{options.optimizer}", most, "-")


def _model(size: str, name: str) -> ModelConfig:
    """Heads of 32 numbers at every width."""
    layers, width = (int(part) for part in size.split("x"))
    return preset(name, n_layer=layers, n_embd=width, n_head=width // 32, block_size=64)


def _loss(model: ModelConfig, config: TrainConfig, text: str) -> float:
    """Validation loss at the end of a run; infinite if it diverges."""
    tokenizer, loss = build_tokenizer("byte", ""), math.inf
    for event in train(TrainState.new(model, config), prepare(text, tokenizer, model, config), config, tokenizer):
        if isinstance(event, Evaluated):
            loss = event.loss
        if isinstance(event, Diverged):
            return math.inf
    return loss
