"""Contribution of each choice of the speedrun recipe: one reverted at a time, steps and seconds to 1.88.

python -m tests.benchmarks speedrun --text FILE [--seeds 3] [--only NAME ...] [--longest 1]

Every row trains the recipe with one change. A schedule ends with its run, so a row that misses the loss in the recipe's
steps is trained again from the start with more of them, until it reaches it: "steps" is the shortest run that does, of
lengths that grow by a fifth, up to `--longest` times the recipe's. With 1 every row gets the recipe's steps, and its loss
after them is what tells.
"""

from __future__ import annotations

import argparse
import statistics
from pathlib import Path
from typing import Any

import torch

from playground.config import RECIPES, ModelConfig, TrainConfig, setting_kinds
from playground.runs.create import prepare_run
from playground.runs.store.processes import cores
from playground.runs.worker import malloc
from playground.train.dataset import prepare
from playground.train.estimate import count_parameters
from playground.train.events import Evaluated
from playground.train.trainer import TrainState, train
from tests.benchmarks._report import figure, machine
from tests.texts import real_text

GOAL, GROWTH, LONGEST = 1.88, 1.2, 4.0
BASE = RECIPES["speedrun"]
CHANGES: dict[str, dict[str, Any]] = {
    "the recipe": {},
    "AdamW at 0.003 instead of Muon": {"optimizer": "adamw", "learning_rate": 3e-3},
    "GELU instead of ReLU²": {"mlp": "gelu"},
    "learned positions instead of RoPE": {"position": "learned"},
    "RoPE with base 10,000": {"rope_theta": 10_000.0},
    "no QK-norm": {"qk_norm": False},
    "blocks start as in GPT-2, not at zero": {"init": "gpt2"},
    "tied head": {"tie_embeddings": True},
    "betas 0.9 and 0.99": {"beta1": 0.9, "beta2": 0.99},
    "rate does not fall": {"schedule": "constant"},
    "half the rate": {"learning_rate": BASE["learning_rate"] / 2},
    "twice the rate": {"learning_rate": BASE["learning_rate"] * 2},
    "4 layers": {"n_layer": 4},
    "batch 12, as nanoGPT's": {"batch_size": 12},
    "fp32": {"precision": "fp32"},
}
TINY = ["--only", "the recipe", "--seeds", "1", "--shorter", "20"]


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="speedrun", description=__doc__)
    parser.add_argument("--text", type=Path, help="default: Tiny Shakespeare")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=cores())
    parser.add_argument("--only", nargs="*", default=list(CHANGES))
    parser.add_argument("--longest", type=float, default=LONGEST, help="of the runs tried, over the recipe's")
    parser.add_argument(
        "--shorter", type=float, default=1, help="how many times shorter than the recipe the first run is"
    )
    options = parser.parse_args(arguments)
    machine()
    malloc.configure_malloc()
    torch.set_num_threads(options.threads)
    text = (options.text or real_text()).read_text("utf-8")
    print("| change | parameters | steps | reach 1.88 | seconds | ms a step | loss then |")
    print("| --- " * 7 + "|")
    for name in (name for name in CHANGES if any(name.startswith(wish) for wish in options.only)):
        found = [_reached(text, CHANGES[name], seed, options.longest, options.shorter) for seed in range(options.seeds)]
        steps, seconds, losses, sizes = zip(*found, strict=True)
        spread = f"{min(seconds):.1f} to {max(seconds):.1f}"
        per_step = statistics.median(1000 * s / n for s, n in zip(seconds, steps, strict=True))
        print(
            f"| {name} | {sizes[0] / 1e6:.2f} M | {_set(steps)} | {sum(loss <= GOAL for loss in losses)} of {len(losses)} | "
            f"{statistics.median(seconds):.1f} ({spread}) | {per_step:.1f} | "
            f"{statistics.fmean(losses):.3f} ({min(losses):.3f} to {max(losses):.3f}) |",
            flush=True,
        )
        if not CHANGES[name]:
            figure("speedrun_recipe_seconds", statistics.median(seconds), "-")


def _set(values: tuple[int, ...]) -> str:
    return str(values[0]) if len(set(values)) == 1 else f"{min(values)} to {max(values)}"


def _reached(
    text: str, changes: dict[str, Any], seed: int, longest: float, shorter: float
) -> tuple[int, float, float, int]:
    """Steps, seconds of training and loss of the shortest run that reaches the goal; and the model's size."""
    length = 1 / shorter
    while True:
        steps = round(BASE["steps"] * length)
        seconds, loss, size = _trained(text, {**changes, "steps": steps}, seed)
        length *= GROWTH
        if loss <= GOAL or length > longest or shorter > 1:
            return steps, seconds, loss, size


def _trained(text: str, changes: dict[str, Any], seed: int) -> tuple[float, float, int]:
    quiet = {"eval_interval": changes["steps"], "sample_interval": 0, "eval_tokens": 10_000_000, "seed": seed}
    both = {**changes, **quiet}
    kinds = setting_kinds()
    model, wish = ({key: both[key] for key in both if kinds[key] is kind} for kind in (ModelConfig, TrainConfig))
    prepared = prepare_run("speedrun", model, wish, text)
    data = prepare(text, prepared.tokenizer, prepared.model, prepared.train)
    state, loss = TrainState.new(prepared.model, prepared.train), float("inf")
    for event in train(state, data, prepared.train, prepared.tokenizer):
        if isinstance(event, Evaluated) and event.step:
            loss = event.loss
    return state.seconds, loss, count_parameters(prepared.model)
