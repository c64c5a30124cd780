"""Where losses begin, where they may not go, and that they are the ones they were.

The golden file holds the losses of twenty steps of five models. ``python -m tests.train.test_losses`` writes it anew, which
is right only when training is meant to give other numbers.
"""

import json
import math
from pathlib import Path

import numpy as np
import pytest

from playground.config import TrainConfig, preset
from playground.tokenizers import build_tokenizer
from playground.train.dataset import Dataset, prepare
from playground.train.events import Evaluated, StepDone
from playground.train.trainer import TrainState, train
from tests.train.test_trainer import BYTES, FAST, TEXT

GOLDEN = Path(__file__).with_name("golden.json")
SMALL = dict(vocab_size=256, block_size=32, n_layer=2, n_embd=32)
CASES = {
    "classic": (preset("classic", **SMALL, dropout=0.1), dict(grad_accum=2)),
    "modern": (preset("modern", **SMALL, window=8, qk_norm=True), dict(optimizer="muon", schedule="wsd")),
    "mixture": (preset("mixture", **SMALL, shared_expert=True), dict(router_z_loss=1e-3)),
    "gpt-oss": (preset("gpt-oss", **SMALL), dict(z_loss=1e-3, ema=0.9)),
    "alibi": (
        preset("classic", **SMALL, position="alibi", norm_placement="post", mlp="relu2"),
        dict(optimizer="sgd", learning_rate=0.1),
    ),
}


def twenty_steps(name: str) -> list[float]:
    model, changes = CASES[name]
    config = TrainConfig(**FAST).replace(**{"steps": 20, "learning_rate": 3e-3, "eval_interval": 100, **changes})
    events = train(TrainState.new(model, config), prepare(TEXT, BYTES, model, config), config, BYTES)
    return [event.loss for event in events if isinstance(event, StepDone)]


@pytest.mark.parametrize("name", CASES)
def test_twenty_steps_lose_what_they_always_lost(name: str) -> None:
    """To 1e-4: other processors add up in another order."""
    golden = json.loads(GOLDEN.read_text("utf-8"))
    assert golden.keys() == CASES.keys()
    np.testing.assert_allclose(twenty_steps(name), golden[name], rtol=1e-4)
    assert golden[name][-1] < golden[name][0] - 0.3, "it learns, so that equal losses mean something"


@pytest.mark.parametrize("vocab_size", [256, 512])
@pytest.mark.parametrize("name", ["classic", "modern", "mixture"])
def test_nothing_can_be_learned_from_random_tokens(name: str, vocab_size: int) -> None:
    """Training learns some of its tokens by heart; of others nobody can know more than the logarithm of their number."""
    model = preset(name, vocab_size=vocab_size, block_size=16, n_layer=2, n_embd=32)
    config = TrainConfig(**FAST).replace(steps=60, eval_interval=10, eval_tokens=8_000, learning_rate=1e-2)
    rng = np.random.default_rng(0)
    data = Dataset(rng.integers(0, vocab_size, 2_000), rng.integers(0, vocab_size, 8_000), 1.0)
    events = list(train(TrainState.new(model, config), data, config, BYTES))
    measured = [event.loss for event in events if isinstance(event, Evaluated)]
    assert measured[0] == pytest.approx(math.log(vocab_size), abs=0.05)
    assert min(measured) > math.log(vocab_size)
    assert [event.loss for event in events if isinstance(event, StepDone)][-1] < measured[-1] - 0.1


@pytest.mark.slow
def test_a_run_at_half_precision_ends_where_one_at_full_precision_does() -> None:
    """Within 2 %. That the proposed settings do is measured by ``python -m tests.benchmarks precision``."""
    model, ends = preset("modern", **SMALL), {}
    for precision in ("fp32", "bf16"):
        config = TrainConfig(**FAST).replace(
            steps=120, batch_size=6, eval_interval=120, eval_tokens=1_000, learning_rate=5e-3, precision=precision
        )
        events = train(TrainState.new(model, config), prepare(TEXT, BYTES, model, config), config, BYTES)
        ends[precision] = [event.loss for event in events if isinstance(event, Evaluated)][-1]
    assert ends["fp32"] < 1.5
    assert ends["bf16"] == pytest.approx(ends["fp32"], rel=0.02)


def test_a_loss_of_bytes_and_one_of_their_merges_are_the_same_bits_per_byte() -> None:
    """Of a model that knows nothing: the logarithm of its vocabulary, a token, over the bytes of the text."""
    text = "the cat sat on the mat, äöü\n" * 80
    for name in ("byte", "bpe"):
        tokenizer = build_tokenizer(name, text, vocab_size=280)
        model = preset("classic", **{**SMALL, "vocab_size": tokenizer.vocab_size})
        config = TrainConfig(**FAST)
        data = prepare(text, tokenizer, model, config)
        n_bytes = sum(len(tokenizer.token_bytes(n)) for n in data.validation)
        total = len(data.validation) * math.log(tokenizer.vocab_size)  # nats
        by_hand = total / math.log(2) / n_bytes
        assert math.log(tokenizer.vocab_size) * data.bits_per_nat == pytest.approx(by_hand, abs=1e-6)


if __name__ == "__main__":
    import torch

    torch.set_num_threads(1)
    GOLDEN.write_text(json.dumps({name: [round(x, 7) for x in twenty_steps(name)] for name in CASES}, indent=1) + "\n")
