"""The compiled decode step against the model itself: every variant, far beyond the window, and token for token."""

import shutil

import numpy as np
import pytest
import torch

from playground.config import SampleConfig
from playground.inference import decode_step
from playground.inference.decode_step import COMPILERS, DecodeStep, covers
from playground.inference.generation import Reader, generate, generate_rows
from playground.models.kv_cache import KVCache
from tests.models.variants import VARIANTS, build

pytestmark = pytest.mark.skipif(not any(map(shutil.which, COMPILERS)), reason="there is no C compiler")


@pytest.fixture(autouse=True)
def ready():
    assert decode_step.warm(wait=True)


@pytest.fixture
def plain(monkeypatch):
    """Switches the compiled step off."""
    return lambda: monkeypatch.setattr(decode_step, "_step", None)


def covered():
    return [name for name, config in VARIANTS.items() if config.n_expert == 1 and config.norm_placement == "pre"]


@pytest.mark.parametrize("name", covered())
def test_logits_are_those_of_a_full_pass_at_every_position(name):
    config = VARIANTS[name]
    model, cache = build(config).requires_grad_(False), KVCache(config)
    ids = np.random.default_rng(0).integers(0, config.vocab_size, 90)
    with torch.inference_mode():
        expected = model(torch.from_numpy(ids)[None])[0].numpy()
        model.hidden(torch.from_numpy(ids[:11])[None], cache=cache)
    assert covers(model, cache)
    step = DecodeStep(model, cache)
    for position in range(11, 90):
        assert np.abs(step.feed(int(ids[position])) - expected[position]).max() < 2e-5, position


@pytest.mark.parametrize("name", covered())
def test_the_same_seed_writes_the_same_text_as_the_plain_path(name, plain):
    model = build(VARIANTS[name]).requires_grad_(False)
    config = SampleConfig(seed=3, max_new_tokens=250, n_sample=2, top_p=0.95, min_p=0.01)

    def texts():
        return [[token.id for token in row] for row in zip(*generate_rows(model, [5, 6, 7], config), strict=True)]

    compiled = texts()
    plain()
    assert compiled == texts()


def test_what_it_does_not_cover_goes_the_plain_way(plain):
    config = VARIANTS["modern"]
    model = build(config)
    assert not covers(model, KVCache.streaming(config, 2, 8))
    assert not covers(model.double(), KVCache(config))
    assert not covers(build(config).train(), KVCache(config))
    assert not any(covers(build(VARIANTS[name]), KVCache(VARIANTS[name])) for name in set(VARIANTS) - set(covered()))
    plain()
    assert not covers(build(config), KVCache(config))
    assert len(list(generate(build(config), [1], SampleConfig(max_new_tokens=5)))) == 5


def test_weights_that_change_are_seen_at_once():
    """Nothing is copied: a model in training can write between its steps."""
    model = build(VARIANTS["modern"]).requires_grad_(False)
    before = Reader(model)
    before.feed([1, 2])
    old = before.feed([3])
    model.embed.weight.mul_(2)
    reader = Reader(model)
    reader.feed([1, 2])
    with torch.no_grad():
        expected = model(torch.tensor([[1, 2, 3]]))[0, -1].numpy()
    new = reader.feed([3])
    assert np.abs(new - expected).max() < 2e-5
    assert np.abs(new - old).max() > 0.1
