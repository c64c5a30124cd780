"""Each axis of the architecture is one field with one dictionary behind it, and explains itself."""

import re
from functools import partial
from typing import Literal, get_args, get_origin, get_type_hints

import pytest
import torch
import torch.nn.functional as F

from playground.config import GenerationConfig, ModelConfig, TrainConfig
from playground.inference.generation import generate
from playground.inference.native import decode_step
from playground.interchange.architectures import choose
from playground.interchange.program import write_program
from playground.models.attention import SINK_LOGITS
from playground.models.kv_cache import KVCache
from playground.models.mlp import ACTIVATIONS, MLP, MLPS
from playground.models.normalization import NORMS
from playground.models.positional import POSITIONS
from playground.models.transformer import BLOCKS, INITS
from playground.tokenizers import build_tokenizer
from playground.train.estimate import estimate
from tests.models.variants import VARIANTS, build, tokens

AXES = {
    "position": POSITIONS,
    "norm": NORMS,
    "norm_placement": BLOCKS,
    "mlp": ACTIVATIONS,
    "sink_logit": SINK_LOGITS,
    "init": INITS,
}
SWAPS = [
    ("position", "rope", "alibi"),
    ("position", "none", "sinusoidal"),
    ("norm", "layernorm", "rmsnorm"),
    ("norm_placement", "pre", "post"),
    ("norm_placement", "post", "pre"),
    ("mlp", "relu2", "gelu"),
    ("mlp", "relu2", "gelu_exact"),
    ("mlp", "swiglu", "geglu"),
    ("sink_logit", "none", "zero"),
    ("init", "gpt2", "depth_scaled"),
]


def test_every_choice_of_a_setting_is_an_entry_and_every_entry_a_choice():
    hints = get_type_hints(ModelConfig)
    assert {name for name, hint in hints.items() if get_origin(hint) is Literal} == AXES.keys()
    for name, entries in AXES.items():
        assert set(get_args(hints[name])) == entries.keys()
    assert MLPS.keys() == ACTIVATIONS.keys()


@pytest.mark.parametrize("base", ["no positions", "mixture"])
@pytest.mark.parametrize(("axis", "choice", "other"), SWAPS)
def test_what_a_choice_means_is_said_in_its_entry_and_nowhere_else(axis, choice, other, base, monkeypatch):
    """With another's entry under its name, a choice becomes the other: nothing else in a model asks for the name."""
    config = VARIANTS[base].replace(bias=False, **{axis: choice})
    x = tokens(config)
    with torch.no_grad():
        plain, expected = build(config)(x), build(config.replace(**{axis: other}))(x)
        monkeypatch.setitem(AXES[axis], choice, AXES[axis][other])
        swapped = build(config)(x)
    assert torch.equal(swapped, expected)
    assert (swapped - plain).abs().max() > 1e-3


def test_a_new_choice_works_before_anybody_else_knows_it(monkeypatch):
    """It trains, fits its caches, writes text and is estimated; what cannot write it down says so."""
    monkeypatch.setitem(MLPS, "silu", partial(MLP, "silu"))
    monkeypatch.setitem(ACTIVATIONS, "silu", F.silu)
    config = VARIANTS["modern"].replace()
    object.__setattr__(config, "mlp", "silu")  # what a word in the `Literal` would let through
    model, x = build(config), tokens(config)
    with torch.no_grad():
        cached = model.unembed(model.hidden(x, cache=KVCache(config, batch_size=2)))
        assert (cached - model(x)).abs().max() < 2e-5
        ids = [1, 2, 3]
        for _ in range(20):
            ids.append(int(model(torch.tensor([ids]))[0, -1].argmax()))
    decode_step.warm(wait=True)
    greedy = generate(model, [1, 2, 3], GenerationConfig(temperature=0, max_new_tokens=20))
    assert [token.id for token in greedy] == ids[3:]
    assert estimate(config, TrainConfig()).memory_bytes > estimate(VARIANTS["modern"], TrainConfig()).memory_bytes
    with pytest.raises(ValueError, match=r"MLP silu cannot be expressed in any of GPT2"):
        choose(config)
    with pytest.raises(ValueError, match=r"MLP \(silu\) cannot be written as code"):
        write_program("x", config, TrainConfig(), build_tokenizer("byte", ""), "", {})


SIZES = {"vocab_size", "block_size", "n_layer", "n_embd", "n_head", "head_size", "mlp_width", "norm_eps"}


def test_every_setting_but_sizes_names_where_it_comes_from():
    """A paper or the model that made it known, with its year."""
    for name, field in ModelConfig.__dataclass_fields__.items():
        assert name in SIZES or re.search(r"\b(19|20)\d\d\b", field.metadata["help"]), name
