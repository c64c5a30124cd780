"""The model card: what it states of a model is true of it, and its example runs."""

from __future__ import annotations

import ast
import re
from dataclasses import replace
from typing import Any

import pytest
import torch

from playground.config import TrainConfig, preset
from playground.interchange.card import model_card
from playground.interchange.package import Package
from playground.models.transformer import Transformer
from playground.tokenizers import Tokenizer, build_tokenizer

EVENTS: list[dict[str, Any]] = [{"event": "Evaluated", "step": 10, "loss": 1.5}]


def package(tokenizer: Tokenizer, **train: Any) -> Package:
    torch.manual_seed(0)
    config = preset("classic", vocab_size=tokenizer.vocab_size, block_size=16, n_layer=1, n_embd=16, n_head=2)
    weights = Transformer(config).state_dict()
    return Package("a model", config, weights, tokenizer, 10, TrainConfig(**train), "classic", tuple(EVENTS))


def prompt_of(card: str) -> str:
    found = re.search(r"tokenizer\((\".*\"), return_tensors", card)
    assert found
    return str(ast.literal_eval(found[1]))


@pytest.mark.parametrize(
    ("tokenizer", "train", "unit"),
    [
        (build_tokenizer("byte", ""), {}, "token"),
        (build_tokenizer("char", "привет мир\n"), {"corpus": "own"}, "token"),
        (build_tokenizer("char", "0123456789+=\n"), {"corpus": "addition"}, "token of the answers"),
    ],
)
def test_its_prompt_is_one_that_the_tokenizer_knows_and_its_loss_has_the_unit(
    tokenizer: Tokenizer, train: dict[str, Any], unit: str
) -> None:
    card = model_card(package(tokenizer, **train), "GPT2LMHeadModel")
    assert len(tokenizer.encode(prompt_of(card))) > 0
    assert f"Validation loss at step 10: 1.5000 nats per {unit}." in card


def test_nothing_is_said_of_how_long_a_model_was_trained() -> None:
    """A model that was imported, or trained for days, has a card too."""
    card = model_card(replace(package(build_tokenizer("byte", "")), train=None, events=()), None)
    assert "minutes" not in card and "little text" not in card and "Validation loss" not in card
