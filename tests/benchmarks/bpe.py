"""BPE: seconds to learn 8,000 tokens from 10 MB, and throughput of encoding.

The text is 2 MB of Tales and 8 MB of Python source. *Cold*: a new tokenizer that has met no word yet. *Warm*: one that has
read a text like it before, which is the state it is in for most of a larger text. The ids are checked against the library's.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import numpy as np
from tokenizers import Tokenizer

from playground.data.python_source import python_source
from playground.data.tales import tales
from playground.tokenizers import BPETokenizer, decode, learn_bpe
from tests.benchmarks._report import figure, machine, row

TINY = ["--turns", "1"]


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="bpe", description=__doc__)
    parser.add_argument("--turns", type=int, default=5)
    options = parser.parse_args(arguments)
    machine()
    text = tales(2_000_000) + python_source(8_000_000)
    size = len(text.encode()) / 1e6
    print(f"text: {size:.2f} MB")
    heard: list[float] = []
    learn = lambda: learn_bpe(text, 8_000, lambda share, _: heard.append(share))  # noqa: E731
    learning = [_seconds(learn) for _ in range(options.turns)]
    learned = learn_bpe(text, 8_000)
    print(f"vocabulary {learned.vocab_size:,}, progress told {len(heard) // options.turns} times a turn")
    cold, warm = [], []
    for _ in range(options.turns):
        fresh = BPETokenizer(learned.merges)
        cold.append(size / _seconds(lambda: fresh.encode(text)))  # noqa: B023 - called at once
        warm.append(size / _seconds(lambda: fresh.encode(text)))  # noqa: B023
    library = Tokenizer.from_str(learned.json_text)
    parts = [text[start : start + 100_000] for start in range(0, len(text), 100_000)]
    plain = [size / _seconds(lambda: library.encode_batch_fast(parts)) for _ in range(options.turns)]
    ids = learned.encode(text)
    assert decode(learned, ids[:1_000_000].tolist()) == text.encode()[: _length(learned, ids[:1_000_000])].decode()
    assert np.array_equal(learned.encode(text[:400_000]), library.encode(text[:400_000]).ids)
    seconds = row("learn 8,000 tokens", learning, "s")
    library_speed = row("the tokenizers library itself, in parallel", plain, "MB/s")
    slow, fast = row("encode, cold", cold, "MB/s"), row("encode, warm", warm, "MB/s")
    figure("bpe_learn_8000_on_10_mb_seconds", seconds, "< 20")
    figure("bpe_encode_cold_mb_per_second", slow, ">= 10")
    figure("bpe_encode_warm_mb_per_second", fast, ">= 10")
    figure("bpe_encode_cold_over_library", slow / library_speed, ">= 1.2")  # else `tokenizers.presplit` is of no use


def _seconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def _length(tokenizer: BPETokenizer, ids: np.ndarray) -> int:
    return sum(len(tokenizer.tokens[token]) for token in ids)
