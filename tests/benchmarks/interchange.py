"""Accuracy of import and export: logits against Transformers per architecture, and losses of the exported program.

Weights are random, five times their initial size; programs run for 20 steps by a Python that cannot import the playground.
"""

from __future__ import annotations

import argparse
import tempfile
from collections import defaultdict
from pathlib import Path

from playground.config import ModelConfig
from playground.interchange.check import load_back
from playground.interchange.folders import write_transformers
from tests.benchmarks._report import figure, machine, row
from tests.interchange import test_program as programs
from tests.interchange.models import CASES, package

QUICK = ("classic", "modern", "mixture", "gpt-oss")
TINY = []


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="interchange", description=__doc__)
    parser.add_argument("--all", action="store_true", help="all programs of the tests in fp32 instead of four")
    options = parser.parse_args(arguments)
    machine()
    differences = defaultdict(list)
    for class_name, config in CASES.values():
        differences[class_name].append(_logit_difference(config))
    for class_name, values in differences.items():
        row(class_name, values, "logits")
        figure(f"interchange_logits_{class_name}", max(values), "<= 2e-5")
    names = [name for name in programs.CASES if name != "half precision"] if options.all else list(QUICK)
    found = [_loss_difference(name) for name in names]
    row(f"{len(names)} exported programs, 20 steps", found, "nats")
    figure("interchange_code_loss", max(found), "<= 1e-5")


def _logit_difference(config: ModelConfig) -> float:
    with tempfile.TemporaryDirectory() as folder:
        write_transformers(Path(folder), package(config))
        return load_back(Path(folder), package(config)).difference


def _loss_difference(name: str) -> float:
    """The largest difference of a loss between the app's trainer and the program that it exports."""
    with tempfile.TemporaryDirectory() as folder:
        ours, theirs, _ = programs.losses(name, Path(folder))
    return max(abs(a - b) for a, b in zip(ours, theirs, strict=True))
