"""Frequencies against the closed formula and against what the model turns; similarity against the vectors themselves."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from playground.config import preset
from playground.interp.positions import rope_frequencies, shown_positions, similarity, slopes
from playground.models.positional import apply_rotary_emb
from playground.models.transformer import Transformer, initialise

SHAPE = {"vocab_size": 20, "block_size": 24, "n_layer": 1, "n_embd": 32, "n_head": 2}


def tiny(**changes) -> Transformer:
    return initialise(Transformer(preset("modern", **{**SHAPE, **changes})), 1).eval().requires_grad_(False)


@pytest.mark.parametrize(("theta", "fraction"), [(10_000.0, 1.0), (500.0, 0.5)])
def test_frequencies_are_those_of_the_paper_and_of_the_model(theta, fraction):
    model = tiny(rope_theta=theta, rope_fraction=fraction)
    found = rope_frequencies(model.config)
    dims = int(16 * fraction)
    assert len(found) == dims // 2
    for i, one in enumerate(found):
        assert one.frequency == pytest.approx(theta ** (-2 * i / dims))
        assert one.wavelength == pytest.approx(2 * math.pi * theta ** (2 * i / dims))
        assert one.turns == pytest.approx(24 * one.frequency / (2 * math.pi))
    np.testing.assert_allclose([one.frequency for one in found], model.positions.frequencies, rtol=1e-6)


def test_similarity_under_rope_is_what_turning_does_to_a_vector():
    model = tiny()
    vector = torch.ones(1, 1, 24, 16)
    turned = apply_rotary_emb(vector, model.positions.rotation(torch.arange(24)))[0, 0].double().numpy()
    expected = turned @ turned.T / 16
    np.testing.assert_allclose(similarity(model), expected, atol=1e-6)


@pytest.mark.parametrize("position", ["learned", "sinusoidal"])
def test_similarity_of_added_vectors_is_their_cosine(position):
    model = tiny(position=position)
    if position == "learned":
        rows = model.positions.table.weight.double().numpy()
    else:
        at = np.arange(24)[:, None] * np.exp(-np.log(1e4) * np.arange(0, 32, 2) / 32)
        rows = np.concatenate((np.sin(at), np.cos(at)), axis=1)
    expected = [[x @ y / math.sqrt((x @ x) * (y @ y)) for y in rows] for x in rows]
    np.testing.assert_allclose(similarity(model), expected, atol=1e-5)


def test_schemes_without_vectors_have_no_map():
    assert similarity(tiny(position="none")) is None
    assert similarity(tiny(position="alibi")) is None
    assert slopes(tiny(position="alibi").config) == [2**-4, 2**-8]
    assert slopes(tiny().config) is None


@pytest.mark.parametrize(("block_size", "n"), [(24, 24), (128, 128), (256, 128), (1024, 128), (200, 100)])
def test_long_contexts_are_thinned(block_size, n):
    at = shown_positions(block_size)
    assert (len(at), at[0]) == (n, 0)
    assert len(set(np.diff(at))) == 1
