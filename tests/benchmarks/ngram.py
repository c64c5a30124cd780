"""Time of the data card and its n-gram entropies on 4 MB of text."""

from __future__ import annotations

import argparse
import time

from playground.analysis.data_card import data_card
from playground.config import TrainConfig
from playground.data.ngram import ngram_entropies
from playground.data.python_source import python_source
from playground.data.tales import tales
from playground.tokenizers import build_tokenizer
from playground.train.dataset import split
from tests.benchmarks._report import figure, machine, row

TINY = ["--rounds", "1"]


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="ngram", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args(arguments)
    machine()
    slowest = {"entropies": 0.0, "card": 0.0}
    for name, text in (("Tales", tales(4_000_000)), ("Python source", python_source(4_000_000))):
        head, tail = (part.encode() for part in split(text, 0.1))
        counted, carded = [], []
        for _ in range(options.rounds):
            began = time.perf_counter()
            ngram_entropies(head, tail, 5)
            counted.append(time.perf_counter() - began)
            began = time.perf_counter()
            data_card(text, build_tokenizer("byte", text), TrainConfig())
            carded.append(time.perf_counter() - began)
        slowest["entropies"] = max(slowest["entropies"], row(f"{name}: entropies of orders 1 to 5", counted, "s"))
        slowest["card"] = max(slowest["card"], row(f"{name}: the whole data card", carded, "s"))
    figure("ngram_entropies_4mb_seconds", slowest["entropies"], "< 4")
    figure("data_card_4mb_seconds", slowest["card"], "< 6")
