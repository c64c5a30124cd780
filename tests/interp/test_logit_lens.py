"""The logit lens, against models that really end after so many layers."""

import math

import numpy as np
import pytest
import torch

from playground.interp.logit_lens import logit_lens
from playground.models.transformer import Transformer
from tests.models.variants import VARIANTS, build, tokens


def shortened(model: Transformer, depth: int) -> np.ndarray:
    """Probabilities (T, V) of a function that stops after `depth` layers, float64: a smaller model with these weights."""
    if depth == 0:
        return lambda ids: model.unembed(model.norm(model.positions.add(model.embed(ids), torch.arange(ids.size(1)))))
    every = model.config.global_every  # of fewer layers than that none is global, and the config says so
    small = Transformer(model.config.replace(n_layer=depth, global_every=every if every <= depth else 0)).eval()
    small.load_state_dict({name: w for name, w in model.state_dict().items() if name in small.state_dict()})
    return small


@pytest.mark.parametrize("name", VARIANTS)
def test_every_depth_is_the_model_that_ends_there(name):
    config = VARIANTS[name]
    model, ids = build(config, scale=2), tokens(config, n=20, batch=1)
    lens = logit_lens(model, ids[0].tolist(), k=3)
    with torch.no_grad():
        p = np.stack([shortened(model, depth)(ids)[0].double().softmax(-1).numpy() for depth in range(4)])
    assert lens.top.shape == (4, 20, 3)
    order = np.argsort(-p, axis=-1, kind="stable")[..., :3]
    np.testing.assert_allclose(np.take_along_axis(p, lens.top, -1), np.take_along_axis(p, order, -1), atol=1e-5)
    np.testing.assert_allclose(lens.top_probability, np.take_along_axis(p, order, -1), atol=1e-5)
    for depth in range(4):
        for t in range(20):
            here, final = p[depth, t], p[3, t]
            assert lens.entropy[depth, t] == pytest.approx(-sum(x * math.log2(x) for x in here if x > 0), abs=1e-4)
            divergence = sum(f * math.log2(f / x) for f, x in zip(final, here, strict=True) if f > 0)
            assert lens.divergence[depth, t] == pytest.approx(divergence, abs=1e-3)
            if t < 19:
                assert lens.actual[depth, t] == pytest.approx(here[ids[0, t + 1]], abs=1e-5)
    assert np.isnan(lens.actual[:, -1]).all()
    assert np.all(lens.divergence[-1] == 0)


def test_the_last_depth_is_the_model_itself_and_surprise_adds_up_to_its_loss():
    config = VARIANTS["modern"]
    model, ids = build(config), tokens(config, n=30, batch=1)
    lens = logit_lens(model, ids[0].tolist())
    loss = torch.nn.functional.cross_entropy(model(ids)[0, :-1], ids[0, 1:]).item()
    assert -np.log(lens.actual[-1, :-1]).mean() == pytest.approx(loss, rel=1e-5)


def test_a_lens_refuses_what_the_model_cannot_read():
    model = build(VARIANTS["modern"])
    for ids in ([], [1] * 97):
        with pytest.raises(ValueError, match="this model reads 1 to 96"):
            logit_lens(model, ids)
    assert logit_lens(model, [5]).top.shape == (4, 1, 5)
