"""Validation loss with bf16 and fp32: the runs that the Train tab proposes on Tales, from the same start."""

from __future__ import annotations

import argparse

import torch

from playground.config import TrainConfig, preset
from playground.data.corpora import load_text
from playground.tokenizers import build_tokenizer
from playground.train.dataset import prepare
from playground.train.events import Evaluated
from playground.train.trainer import TrainState, train
from tests.benchmarks._report import figure, machine, row

TINY = ["--presets", "modern", "--steps", "20"]


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="precision", description=__doc__)
    parser.add_argument("--presets", nargs="+", default=["classic", "modern"])
    parser.add_argument("--steps", type=int, default=TrainConfig().steps)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    machine()
    torch.set_num_threads(1)
    for name in options.presets:
        ends = {precision: _final_loss(name, precision, options) for precision in ("fp32", "bf16")}
        for precision, loss in ends.items():
            row(f"{name}, {precision}", [loss], "nats per token")
        figure(f"precision_{name}_bf16_over_fp32", ends["bf16"] / ends["fp32"], "0.98 to 1.02")


def _final_loss(name: str, precision: str, options: argparse.Namespace) -> float:
    """Validation loss after the last step, measured in fp32 both times."""
    tokenizer = build_tokenizer("byte", "")
    config = TrainConfig(
        steps=options.steps, warmup_steps=min(TrainConfig().warmup_steps, options.steps), seed=options.seed,
        precision=precision, sample_interval=0, eval_interval=options.steps,
    )  # fmt: skip
    model = preset(name, vocab_size=tokenizer.vocab_size)
    data = prepare(load_text(config.corpus, n_bytes=config.corpus_bytes), tokenizer, model, config)
    events = train(TrainState.new(model, config), data, config, tokenizer)
    return [event.loss for event in events if isinstance(event, Evaluated)][-1]
