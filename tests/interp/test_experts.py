"""Loads and mutual information against sums written out, and routing against the model's own."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch

from playground.config import preset
from playground.interp.experts import by_kind, effective, information, mutual_information, route
from playground.models.moe import Routing
from playground.models.transformer import Transformer, initialise

SHAPE = {"vocab_size": 40, "block_size": 16, "n_layer": 2, "n_embd": 16, "n_head": 2}


def mixture(**changes) -> Transformer:
    return initialise(Transformer(preset("mixture", **{**SHAPE, **changes})), 3).eval().requires_grad_(False)


@pytest.mark.parametrize("active", [1, 2, 3])
def test_routes_are_those_that_training_sees(active):
    model = mixture(n_expert_active=active)
    ids = np.random.default_rng(0).integers(0, 40, (5, 16))
    routes, seen = route(model, ids), []
    with torch.no_grad():
        model(torch.from_numpy(ids), seen)
    for layer, routing in enumerate(seen):
        assert isinstance(routing, Routing)
        assert (routes.chosen[layer] == routing.chosen.numpy()).all()
        np.testing.assert_allclose(routes.probabilities[layer], routing.logits.double().softmax(-1), atol=1e-6)
        counted = [(routing.chosen == expert).sum().item() / (80 * active) for expert in range(4)]
        np.testing.assert_allclose(routes.load[layer], counted)
    assert (routes.probabilities.argmax(-1) == routes.chosen[..., 0]).all(), "the first choice is the likeliest"


def test_a_dense_model_is_refused_with_what_to_do():
    with pytest.raises(ValueError, match=r"dense.*train one: Train, preset Mixture\.$"):
        route(initialise(Transformer(preset("modern", **SHAPE)), 0), np.zeros((1, 4), int))


def test_effective_experts_run_from_one_to_all():
    load = np.array([[1, 0, 0, 0], [0.25] * 4, [0.5, 0.5, 0, 0]])
    np.testing.assert_allclose(effective(load), [1, 4, 2])


def test_mutual_information_is_the_sum_of_its_definition():
    rng = np.random.default_rng(1)
    a = rng.integers(0, 3, 500)
    b = (a + rng.integers(0, 2, 500)) % 4
    expected = 0.0
    for i, j in itertools.product(range(3), range(4)):
        joint = np.mean((a == i) & (b == j))
        if joint:
            expected += joint * math.log2(joint / (np.mean(a == i) * np.mean(b == j)))
    assert mutual_information(a, b) == pytest.approx(expected, abs=1e-12)


def test_information_tells_what_is_there_and_finds_nothing_in_noise():
    rng = np.random.default_rng(2)
    kinds = rng.integers(0, 4, 4000)
    planted = information(kinds, kinds.copy())
    assert planted.bits == pytest.approx(2, abs=0.01)
    assert planted.shuffled < 0.01
    nothing = information(kinds, rng.integers(0, 4, 4000))
    assert abs(nothing.bits - nothing.shuffled) < 4 * nothing.spread
    assert nothing.shuffled > 0, "counting finds a little in noise too: that is why the control is shown"


def test_a_table_by_kind_has_rows_that_sum_to_one():
    table = by_kind(np.array([0, 0, 0, 2]), np.array([1, 1, 0, 3]), 3, 4)
    np.testing.assert_allclose(table, [[1 / 3, 2 / 3, 0, 0], [0, 0, 0, 0], [0, 0, 0, 1]])
