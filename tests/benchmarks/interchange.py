"""How exact interchange is: logits against Transformers for each architecture, and losses of the exported program.

Weights are random, five times their initial size; programs run for 20 steps by a Python that cannot import the playground.
"""

from __future__ import annotations

import argparse
import tempfile
from collections import defaultdict
from pathlib import Path

from playground.config import TrainConfig
from playground.interchange.check import load_back
from playground.interchange.package import write_transformers
from playground.interchange.program import write_program
from playground.tokenizers import build_tokenizer
from playground.train.dataset import prepare
from playground.train.events import StepDone
from playground.train.trainer import TrainState, train
from tests.benchmarks._report import figure, machine, row
from tests.interchange import test_program as programs
from tests.interchange.models import CASES, package

QUICK = ("classic", "modern", "mixture", "gpt-oss")


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="interchange", description=__doc__)
    parser.add_argument("--all", action="store_true", help="all programs of the tests instead of four")
    options = parser.parse_args(arguments)
    machine()
    differences = defaultdict(list)
    for class_name, config in CASES.values():
        differences[class_name].append(_logit_difference(config))
    for class_name, values in differences.items():
        row(class_name, values, "logits")
        figure(f"interchange_logits_{class_name}", max(values), "<= 2e-5")
    names = list(programs.CASES) if options.all else list(QUICK)
    losses = [_loss_difference(name) for name in names]
    row("exported programs, 20 steps", losses, "nats")
    figure("interchange_code_loss", max(losses), "<= 1e-5")


def _logit_difference(config: programs.ModelConfig) -> float:
    with tempfile.TemporaryDirectory() as folder:
        write_transformers(Path(folder), package(config))
        return load_back(Path(folder), package(config)).difference


def _loss_difference(name: str) -> float:
    """The largest difference of a loss between the app's trainer and the program that it exports."""
    model, changes = programs.CASES[name]
    config = TrainConfig(
        **{"corpus": "own", "steps": 20, "batch_size": 3, "warmup_steps": 5, "sample_interval": 0, "seed": 7, **changes}
    )
    tokenizer = build_tokenizer(config.tokenizer, programs.TEXT)
    model = model.replace(vocab_size=tokenizer.vocab_size)
    data = prepare(programs.TEXT, tokenizer, model, config)
    streams = {"train": data.train, "validation": data.validation}
    program = write_program(name, model, config, tokenizer, programs.TEXT, streams)
    with tempfile.TemporaryDirectory() as folder:
        theirs, _ = programs.run(program.source, program.data_name, program.data, Path(folder))
    events = train(TrainState.new(model, config), data, config, tokenizer)
    ours = [event.loss for event in events if isinstance(event, StepDone)]
    return max(abs(a - b) for a, b in zip(ours, theirs, strict=True))
