"""What the Tokenizer tab shows, against the plain definitions; and a duel in which everybody spends the same."""

import threading
import time
from functools import lru_cache

import numpy as np
import pytest

from playground.analysis import tokenization
from playground.analysis.tokenization import (
    compression,
    corpus_bpe,
    lesson,
    lesson_text,
    read,
    removed_at,
    vocabulary_share,
)
from playground.config import preset
from playground.data.corpora import load_text
from playground.models.transformer import Transformer
from playground.races import tokenizer_comparison
from playground.tokenizers import build_tokenizer, learn_bpe
from playground.tokenizers.bpe_from_scratch import encode
from playground.train.estimate import estimate
from tests.tokenizers.texts import HARD, fuzz

TEXT = "the cat sat on the mat. the rat sat on the cat.\n" * 3


def test_a_reading_is_counted_in_bytes_and_words():
    reading = read(build_tokenizer("byte", ""), "añ b")
    assert reading.ids == (97, 0xC3, 0xB1, 32, 98)
    assert reading.pieces == ("a", "\\xC3", "\\xB1", " ", "b")
    assert (reading.bytes_per_token, reading.tokens_per_word) == (1.0, 2.5)
    bpe = read(learn_bpe(TEXT, 300), TEXT)
    assert bpe.bytes_per_token == len(TEXT) / len(bpe.ids)
    assert bpe.tokens_per_word == len(bpe.ids) / len(TEXT.split())


@pytest.mark.parametrize(("size", "width"), [(256, 128), (4000, 64), (32_000, 24)])
def test_the_share_of_the_vocabulary_is_counted_in_a_real_model(size, width):
    heads = 4 if width % 8 == 0 else 2
    model = Transformer(preset("modern", vocab_size=size, n_embd=width, n_layer=4, n_head=heads))
    assert vocabulary_share(size, width) == pytest.approx(model.embed.weight.numel() / model.n_parameters())


def test_compression_only_grows_with_the_vocabulary():
    text = load_text("tales", n_bytes=5_000)
    curve = compression(corpus_bpe("tales"), text)
    assert curve[0] == (256, 1.0)
    assert np.all(np.diff([ratio for _, ratio in curve]) >= 0)
    assert curve[-1] == (corpus_bpe("tales").vocab_size, len(text) / len(corpus_bpe("tales").encode(text)))
    with pytest.raises(ValueError, match="learned from one of tales, python_source"):
        corpus_bpe("nonsense")


@pytest.mark.parametrize("text", [*HARD[1:], *fuzz(30, seed=9), TEXT], ids=lambda text: repr(text[:12]))
def test_the_replay_at_every_position_is_the_encoding_with_so_many_merges(text):
    data, pairs = text.encode(), [step.pair for step in lesson(TEXT + text, 60)]
    removed = removed_at(text, pairs)
    assert len(removed) == len(data) - 1
    for step in (0, 1, 2, 5, 20, len(pairs)):
        cuts = [0, *(i + 1 for i, at in enumerate(removed) if not 0 < at <= step), len(data)]
        shown = [data[a:b] for a, b in zip(cuts, cuts[1:], strict=False)]  # noqa: RUF007 - as the script does it
        tokens = [bytes([byte]) for byte in range(256)]
        for left, right in pairs:
            tokens.append(tokens[left] + tokens[right])
        assert shown == [tokens[token] for token in encode(text, pairs[:step])]


def test_a_lesson_is_learned_from_the_text_or_a_corpus():
    assert lesson_text("text", "mine") == "mine"
    assert lesson_text("tales", "mine").startswith(load_text("tales", n_bytes=1_000)[:100])
    assert len(lesson("abababab")) == 2


MODEL = {"n_layer": 2, "n_embd": 32, "n_head": 2, "block_size": 32}


def test_all_arms_of_a_duel_spend_the_same():
    plans = tokenizer_comparison.plan([300, 900], MODEL, {"corpus": "tales", "steps": 200, "warmup_steps": 0})
    assert [plan.arm.name for plan in plans] == ["bytes", "59 characters", "BPE 300", "BPE 900"]
    budget = plans[0].flops
    for plan in plans:
        need = estimate(plan.model, plan.train)
        assert plan.flops == need.flops_per_step * plan.train.steps
        assert abs(plan.flops - budget) <= need.flops_per_step / 2
        assert plan.train.warmup_steps <= plan.train.steps
        assert 15 <= plan.train.steps / plan.train.eval_interval <= 40
        assert plan.train.eval_tokens * plan.arm.bytes_per_token == pytest.approx(32_768, rel=0.01)
        plain = plan.model.to_dict() | {"vocab_size": 0}
        assert plain == plans[0].model.to_dict() | {"vocab_size": 0}
    assert plans[3].train.steps < plans[2].train.steps < plans[0].train.steps < plans[1].train.steps
    assert plans[3].bytes_read > plans[0].bytes_read


@pytest.mark.parametrize(
    ("sizes", "train", "message"),
    [
        ([500, 500], {}, "come out the same"),
        ([300, 900], {"corpus": "own"}, "must be one of tales, python_source"),
        ([300, 900], {"steps": 0}, "Steps must be"),
    ],
)
def test_a_duel_that_makes_no_sense_is_refused(sizes, train, message):
    with pytest.raises(ValueError, match=message):
        tokenizer_comparison.plan(sizes, MODEL, {"corpus": "tales", "warmup_steps": 0, **train})


def test_many_first_requests_learn_a_vocabulary_once(monkeypatch):
    learned = []

    def learn(text, size):
        time.sleep(0.05)
        learned.append(size)
        return "learned"

    monkeypatch.setattr(tokenization, "learn_bpe", learn)
    monkeypatch.setattr(tokenization, "_corpus_bpe", lru_cache(tokenization._corpus_bpe.__wrapped__))
    threads = [threading.Thread(target=corpus_bpe, args=("tales",)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert learned == [tokenization.LARGEST]
