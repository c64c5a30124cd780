"""Settings that are said to change nothing in a run change nothing; the same settings do where they have an effect."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from playground.config import ModelConfig, TrainConfig, preset, without_effect
from playground.data.corpora import training_text
from playground.data.tasks import TASKS
from playground.tokenizers import build_tokenizer
from playground.train.dataset import prepare
from playground.train.trainer import TrainState, train

SHAPE: dict[str, Any] = {"n_layer": 2, "n_embd": 32, "n_head": 2, "n_kv_head": 2, "block_size": 16}
DENSE, MIXTURE = preset("modern", **SHAPE), preset("mixture", **SHAPE)
TRAIN = TrainConfig(
    corpus_bytes=20_000, steps=4, batch_size=2, warmup_steps=1, eval_interval=4, eval_tokens=64, sample_interval=0,
    checkpoint_interval=4, snapshots=0,
)  # fmt: skip
ADDITION = TRAIN.replace(corpus="addition")
BPE = TRAIN.replace(tokenizer="bpe", bpe_vocab=280)
LEARNED, UNGATED, SGD, CONSTANT = (
    DENSE.replace(position="learned"), DENSE.replace(mlp="gelu"), TRAIN.replace(optimizer="sgd"),
    TRAIN.replace(schedule="constant"),
)  # fmt: skip

# setting, another value, a run in which it has no effect, one in which it has
CASES: list[tuple[str, Any, tuple[ModelConfig, TrainConfig], tuple[ModelConfig, TrainConfig]]] = [
    ("rope_theta", 500.0, (LEARNED, TRAIN), (DENSE, TRAIN)),
    ("rope_fraction", 0.5, (LEARNED, TRAIN), (DENSE, TRAIN)),
    ("match_parameters", False, (UNGATED, TRAIN), (DENSE, TRAIN)),
    ("match_parameters", False, (DENSE.replace(mlp_width=40), TRAIN), (DENSE, TRAIN)),
    ("router_norm", False, (DENSE, TRAIN), (MIXTURE, TRAIN)),
    ("balance_loss", 0.5, (DENSE, TRAIN), (MIXTURE, TRAIN)),
    ("router_z_loss", 0.5, (DENSE, TRAIN), (MIXTURE, TRAIN)),
    ("bpe_vocab", 300, (DENSE, TRAIN), (DENSE, BPE)),
    ("task_version", 1, (DENSE, TRAIN), (DENSE, ADDITION)),
    ("min_lr_ratio", 0.9, (DENSE, CONSTANT), (DENSE, TRAIN)),
    ("beta2", 0.5, (DENSE, SGD), (DENSE, TRAIN)),
]


def trained(model: ModelConfig, config: TrainConfig) -> dict[str, torch.Tensor]:
    text = training_text(config)
    tokenizer = build_tokenizer(config.tokenizer, text, vocab_size=config.bpe_vocab)
    model = model.replace(vocab_size=tokenizer.vocab_size)
    state = TrainState.new(model, config)
    for _ in train(state, prepare(text, tokenizer, model, config), config, tokenizer):
        pass
    return state.tensors()["model"]


def changed(run: tuple[ModelConfig, TrainConfig], name: str, value: Any) -> tuple[ModelConfig, TrainConfig]:
    model, config = run
    if name in model.to_dict():
        return model.replace(**{name: value}), config
    return model, config.replace(**{name: value})


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(a[key].shape == b[key].shape and torch.equal(a[key], b[key]) for key in a)


@pytest.mark.parametrize(("name", "value", "off", "on"), CASES, ids=[case[0] for case in CASES])
def test_a_setting_without_effect_trains_the_same_model(
    name: str, value: Any, off: tuple[ModelConfig, TrainConfig], on: tuple[ModelConfig, TrainConfig]
) -> None:
    assert name in without_effect(*off) and name in without_effect(*changed(off, name, value))
    assert same(trained(*off), trained(*changed(off, name, value)))
    assert name not in without_effect(*on)
    assert not same(trained(*on), trained(*changed(on, name, value)))


def test_every_setting_that_may_have_no_effect_is_tried() -> None:
    classic = preset("classic").replace(n_expert=1)
    bare = without_effect(classic, SGD.replace(schedule="constant", corpus="own"))
    assert bare == {case[0] for case in CASES}


def test_the_tasks_of_the_config_are_those_there_are() -> None:
    assert all("task_version" not in without_effect(DENSE, TRAIN.replace(corpus=name)) for name in TASKS)
