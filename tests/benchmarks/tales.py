"""Long-range structure of Tales: a 1M-parameter model against n-grams, in bits per byte.

Both learn from the same stories and are judged on the same held-out ones. An n-gram of order 6 sees five characters back;
what it cannot know is who has the key.
"""

from __future__ import annotations

import argparse
import math
import time

from playground.config import TrainConfig, preset
from playground.data.ngram import ngram_bits_per_byte
from playground.data.tales import tales
from playground.tokenizers import build_tokenizer
from playground.train.dataset import prepare, split
from playground.train.evaluation import evaluate
from playground.train.events import StepDone
from playground.train.trainer import TrainState, train
from tests.benchmarks._report import figure, machine, row

N_BYTES = 4_000_000
TINY = ["--steps", "20"]


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="tales", description=__doc__)
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--seeds", type=int, default=1)
    options = parser.parse_args(arguments)
    machine()
    config = TrainConfig(steps=options.steps, batch_size=8, eval_interval=options.steps, sample_interval=0)
    text = tales(N_BYTES)
    head, tail = (part.encode() for part in split(text, config.validation_fraction))
    grams = {order: ngram_bits_per_byte(head, tail[:200_000], order) for order in (1, 2, 3, 4, 5, 6, 8)}
    for order, bits in grams.items():
        row(f"{order}-gram, interpolated", [bits], "bits/byte")
    scores = [_model(text, config.replace(seed=seed)) for seed in range(options.seeds)]
    middle = row(f"modern, 0.96 M parameters, {options.steps} steps", scores, "bits/byte")
    figure("tales_model_over_6gram_bits_per_byte", middle / grams[6], "< 0.9")


def _model(text: str, config: TrainConfig) -> float:
    tokenizer = build_tokenizer("byte", "")
    model = preset("modern", n_embd=144, block_size=256)
    data = prepare(text, tokenizer, model, config)
    state = TrainState.new(model, config)
    began = time.monotonic()
    for event in train(state, data, config, tokenizer):
        if isinstance(event, StepDone) and event.step % 500 == 0:
            print(f"  step {event.step}, loss {event.loss:.3f}, {time.monotonic() - began:.0f} s", flush=True)
    print(f"  {state.model.n_parameters():,} parameters")
    loss, *_ = evaluate(state.model, data.validation[:200_000], None, 200_000)
    return loss / math.log(2)
