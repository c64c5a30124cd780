"""Sink mass against the definition spelled out, and against heads made to look where we know."""

import numpy as np
import pytest
import torch

from playground.interp.sinks import SinkPoint, even_mass, in_words, sink_mass, sink_rate, through_training
from playground.models.trace import Trace
from tests.models.variants import VARIANTS, build

TEXTS = np.random.default_rng(0).integers(0, 61, (3, 20))


def test_mass_is_the_mean_attention_on_the_first_token():
    model = build(VARIANTS["modern"])
    expected = torch.zeros(3, 4, dtype=torch.float64)
    for text in TEXTS:
        with torch.no_grad(), Trace(model, keep=["*.pattern"]) as trace:
            model.hidden(torch.from_numpy(text)[None])
        for layer in range(3):
            for head in range(4):
                weights = [trace.kept[f"blocks.{layer}.pattern"][0, head, i, 0].item() for i in range(20)]
                expected[layer, head] += sum(weights) / 20 / 3
    assert np.abs(sink_mass(model, TEXTS) - expected.numpy()).max() < 1e-6


def test_heads_without_a_view_look_evenly():
    model = build(VARIANTS["no positions"])
    with torch.no_grad():
        for block in model.blocks:
            block.attn.query.weight.zero_()
            block.attn.query.bias.zero_()
    assert np.abs(sink_mass(model, TEXTS) - even_mass(20)).max() < 1e-6
    assert even_mass(64) == pytest.approx(0.0741, abs=1e-4)


def test_a_sink_is_dated_by_its_own_head_and_read_above_its_threshold():
    """A head that was one for a while says nothing of one that is one now; 30.4 % is above 30 %."""
    none = np.zeros((1, 2))
    masses = [np.array([[0.1, 0.1]]), np.array([[0.5, 0.1]]), np.array([[0.1, 0.304]])]
    words = in_words([SinkPoint(10 * n, mass, none) for n, mass in enumerate(masses)], 64)
    assert words.startswith(
        "**1 of 2 heads puts more than 30 % of attention on the first token, first seen at step 20.**"
    )
    assert "layer 1 head 2 with 30.4 %" in words


def test_rate_and_words():
    early, late = np.full((2, 2), 0.1), np.array([[0.1, 0.31], [0.3, 0.9]])
    assert sink_rate(late) == 0.5
    nothing = np.zeros((2, 2))
    points = [SinkPoint(0, early, nothing), SinkPoint(50, late, nothing)]
    assert in_words(points, 64).startswith("**2 of 4 heads put more than 30 %")
    assert "seen at step 50" in in_words(points, 64)
    assert "layer 2 head 2 with 90.0 %" in in_words(points, 64)
    assert in_words(points[:1], 64).startswith("**No head of 4")
    idle = in_words([SinkPoint(50, late, np.array([[0.1, 0.5], [0.4, 0.2]]))], 64)
    assert idle.endswith(
        " The sink logits take 30.0 % of all attention; heads with more than 30 %: 2 of 4; the highest is layer 1 head 2 "
        "with 50.0 %."
    )
    assert "nothing" not in in_words(points, 64)
    models = {0: build(VARIANTS["modern"]), 5: build(VARIANTS["classic"])}
    found = list(through_training(models.__getitem__, [0, 5], TEXTS))
    assert [point.step for point in found] == [0, 5]
    assert np.array_equal(found[1].mass, sink_mass(models[5], TEXTS))
