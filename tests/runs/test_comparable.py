"""Digests of what a run's losses measure: equal where tokens and validation text are equal, different where they are not."""

import pytest

from playground.config import TrainConfig, preset
from playground.runs.comparable import same_batches, text_of, tokens_of
from playground.runs.store.run_store import RunStore
from playground.tokenizers import build_tokenizer, learn_bpe

TEXT = "the cat sat on the mat and the hat. " * 100


@pytest.fixture
def make(tmp_path):
    store = RunStore(tmp_path)

    def run(tokenizer=None, own_text=None, block_size=16, **train):
        model = preset("modern", n_layer=1, n_embd=16, n_head=2, block_size=block_size)
        config = TrainConfig(**{"corpus": "own" if own_text else "tales", **train})
        return store.create(
            model, config, tokenizer or build_tokenizer("byte", ""), name="run", preset="modern", own_text=own_text
        )

    return run


def test_tokens_are_those_of_the_tokenizer_not_of_its_kind(make):
    small, large = make(learn_bpe(TEXT, 260)), make(learn_bpe(TEXT, 270))
    assert tokens_of(small) == tokens_of(make(learn_bpe(TEXT, 260))) != tokens_of(large)
    assert tokens_of(make(build_tokenizer("char", "abc"))) != tokens_of(make(build_tokenizer("char", "abd")))


def test_ways_to_keep_documents_apart_are_other_tokens_of_the_same_text(make):
    runs = [make(learn_bpe(TEXT, 260), documents=way) for way in ("joined", "separated", "isolated", "separated")]
    tokens = [tokens_of(run) for run in runs]
    assert len(set(tokens)) == 3 and tokens[1] == tokens[3]
    assert len({text_of(run) for run in runs}) == 1


@pytest.mark.parametrize(
    ("one", "two"),
    [
        ({"corpus": "tales"}, {"corpus": "python_source"}),
        ({"corpus_bytes": 50_000}, {"corpus_bytes": 60_000}),
        ({"validation_fraction": 0.1}, {"validation_fraction": 0.2}),
        ({"own_text": TEXT}, {"own_text": TEXT + "x"}),
        ({"own_text": TEXT, "corpus_bytes": 1_000}, {"own_text": TEXT, "corpus_bytes": 2_000}),
    ],
)
def test_another_text_or_another_part_of_it_is_another_validation_text(make, one, two):
    assert text_of(make(**one)) == text_of(make(**one))
    assert text_of(make(**one)) != text_of(make(**two))


def test_a_limit_beyond_the_text_changes_nothing(make):
    assert text_of(make(own_text=TEXT, corpus_bytes=1_000_000)) == text_of(make(own_text=TEXT, corpus_bytes=2_000_000))
    shakespeare = [make(corpus="tiny_shakespeare", corpus_bytes=size) for size in (2_000_000, 4_000_000)]
    assert text_of(shakespeare[0]) == text_of(shakespeare[1])


def test_batches_are_the_same_only_with_the_same_tokens_context_and_number_of_sequences(make):
    first = make(batch_size=4)
    assert same_batches([first, make(batch_size=2, grad_accum=2, learning_rate=0.1)])
    assert not same_batches([first, make(batch_size=2)])
    assert not same_batches([first, make(batch_size=4, block_size=32)])
    assert not same_batches([first, make(learn_bpe(TEXT, 260), batch_size=4)])
