"""The parts against their formulas, written out again in float64 numpy."""

import math
from typing import get_args

import numpy as np
import pytest
import torch

from playground.config import MLPKind, preset
from playground.models.mlp import MLPS
from playground.models.normalization import NORMS
from playground.models.positional import POSITIONS, RotaryPositions, apply_rotary_emb
from playground.models.transformer import Transformer, initialise
from playground.train.estimate import count_parameters
from tests.models.variants import SMALL, VARIANTS, build, tokens


def linear(x, layer):
    bias = 0 if layer.bias is None else layer.bias.detach().double().numpy()
    return x @ layer.weight.detach().double().numpy().T + bias


def test_rms_norm_divides_by_the_root_mean_square():
    norm, x = NORMS["rmsnorm"](16, True, 1e-6), torch.randn(3, 16) * 4
    norm.weight.data.normal_()
    y = x.double().numpy()
    expected = y / np.sqrt((y**2).mean(-1, keepdims=True) + 1e-6) * norm.weight.detach().double().numpy()
    assert np.abs(norm(x).detach().numpy() - expected).max() < 2e-6
    assert not hasattr(norm, "bias"), "RMSNorm has no bias, whatever the config's other biases are"


def test_layer_norm_centres_and_scales():
    norm, x = NORMS["layernorm"](16, True, 1e-5), torch.randn(3, 16) * 4 + 2
    y = x.double().numpy()
    expected = (y - y.mean(-1, keepdims=True)) / np.sqrt(y.var(-1, keepdims=True) + 1e-5)
    assert np.abs(norm(x).detach().numpy() - expected).max() < 2e-6


def gelu(x):
    return 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))


def silu(x, alpha=1.0):
    return x / (1 + np.exp(-alpha * x))


FORMULAS = {
    "gelu": lambda up, gate: gelu(up),
    "gelu_exact": lambda up, gate: up * (1 + np.vectorize(math.erf)(up / math.sqrt(2))) / 2,
    "relu2": lambda up, gate: np.maximum(up, 0) ** 2,
    "swiglu": lambda up, gate: silu(gate) * up,
    "geglu": lambda up, gate: gelu(gate) * up,
    "clamped_swiglu": lambda up, gate: (np.clip(up, -7, 7) + 1) * silu(np.minimum(gate, 7), 1.702),
}


@pytest.mark.parametrize("kind", get_args(MLPKind))
def test_mlps_are_their_formulas(kind):
    """With inputs large enough that every clamp acts."""
    mlp, x = MLPS[kind](8, 32, True), torch.randn(50, 8) * 12
    y = x.double().numpy()
    gate = None if mlp.gate is None else linear(y, mlp.gate)
    expected = linear(FORMULAS[kind](linear(y, mlp.up), gate), mlp.down)
    assert np.abs(mlp(x).detach().numpy() - expected).max() < 1e-5 * np.abs(expected).max()
    assert kind != "clamped_swiglu" or ((gate > 7).any() and (np.abs(linear(y, mlp.up)) > 7).any())


def test_rope_turns_each_plane_by_position_times_frequency():
    rope, x = RotaryPositions(8, 10_000.0), torch.randn(1, 1, 6, 8)
    turned = apply_rotary_emb(x, rope.rotation(torch.arange(6)))
    complex_x = x[..., :4].double().numpy() + 1j * x[..., 4:].double().numpy()
    angles = np.arange(6)[:, None] * 10_000.0 ** -(np.arange(4) / 4)
    expected = complex_x * np.exp(1j * angles)
    assert np.abs(turned[..., :4].numpy() - expected.real).max() < 1e-6
    assert np.abs(turned[..., 4:].numpy() - expected.imag).max() < 1e-6


def test_rope_scores_depend_on_distance_alone():
    rope = RotaryPositions(16, 10_000.0)
    q, k = torch.randn(1, 1, 1, 16), torch.randn(1, 1, 1, 16)
    scores = [
        (
            apply_rotary_emb(q, rope.rotation(torch.tensor([t + 5])))
            * apply_rotary_emb(k, rope.rotation(torch.tensor([t])))
        )
        .sum()
        .item()
        for t in (0, 7, 60)
    ]
    assert max(scores) - min(scores) < 1e-5


def test_sinusoidal_positions_are_the_papers_up_to_their_scale():
    scheme = POSITIONS["sinusoidal"](preset("classic", **SMALL, position="sinusoidal"))
    table = scheme.add(torch.zeros(1, 10, 32), torch.arange(10))[0].numpy() * np.sqrt(32)
    for pos in range(10):
        for i in range(16):
            angle = pos / 10_000 ** (2 * i / 32)
            assert abs(table[pos, 2 * i] - np.sin(angle)) < 1e-5
            assert abs(table[pos, 2 * i + 1] - np.cos(angle)) < 1e-5


def test_matching_parameters_gives_swiglu_the_weights_of_a_gelu_mlp():
    gelu = preset("classic", n_embd=384, bias=False)
    swiglu = gelu.replace(mlp="swiglu")
    wide = swiglu.replace(match_parameters=False)
    assert count_parameters(swiglu) == count_parameters(gelu), "8/3 of 384 is a whole multiple of 8"
    assert count_parameters(wide) - count_parameters(gelu) == gelu.n_layer * 4 * 384 * 384


@pytest.mark.parametrize("name", VARIANTS)
def test_counted_parameters_are_those_of_the_model(name):
    assert count_parameters(VARIANTS[name]) == sum(p.numel() for p in build(VARIANTS[name]).parameters())


def test_arms_of_a_comparison_start_from_the_same_numbers():
    classic = dict(initialise(Transformer(VARIANTS["classic"]), 7).named_parameters())
    modern = dict(initialise(Transformer(VARIANTS["modern"]), 7).named_parameters())
    shared = [n for n in classic.keys() & modern.keys() if classic[n].shape == modern[n].shape and classic[n].ndim > 1]
    assert {"embed.weight", "blocks.0.attn.query.weight", "blocks.2.attn.out.weight"} <= set(shared)
    assert all(torch.equal(classic[name], modern[name]) for name in shared)
    other = dict(initialise(Transformer(VARIANTS["classic"]), 8).named_parameters())
    assert not torch.equal(classic["embed.weight"], other["embed.weight"])


def test_dropout_is_off_when_evaluating_and_on_when_training():
    config = VARIANTS["classic"].replace(dropout=0.3)
    model, x = build(config), tokens(config)
    plain = build(VARIANTS["classic"])
    with torch.no_grad():
        assert torch.equal(model(x), plain(x))
        assert not torch.equal(model.train()(x), plain(x))
