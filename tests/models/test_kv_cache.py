"""Cached equals uncached, at every position, however the text is cut up; and memory does not grow."""

import pytest
import torch

from playground.models.kv_cache import KVCache
from tests.models.variants import VARIANTS, build, tokens


def read_in_chunks(model, x, cache, chunk):
    with torch.no_grad():
        parts = [model.unembed(model.hidden(part, cache=cache)) for part in x.split(chunk, dim=1)]
    return torch.cat(parts, dim=1)


@pytest.mark.parametrize("name", ["window", "window and sinks"])
def test_a_rolling_cache_keeps_its_size_and_its_promise(name):
    """After wrapping several times it still equals one masked pass over the whole history."""
    config = VARIANTS[name]
    model, x = build(config), tokens(config, n=96, batch=1)
    cache = KVCache(config)
    shapes, size = {part.shape for part in cache.keys}, cache.n_bytes
    assert shapes == {(1, config.n_kv_head, config.window + config.n_sink, config.head_dim)}
    got = read_in_chunks(model, x, cache, 1)
    with torch.no_grad():
        assert (got - model(x)).abs().max() < 2e-5
    assert {part.shape for part in cache.keys} == shapes
    assert cache.n_bytes == size
    assert cache.length == 96
    recent = set(range(96 - config.window, 96)) | set(range(config.n_sink))
    assert set(cache.rings[config.window].held[0].tolist()) == recent


def test_slots_take_turns_as_the_docstring_shows():
    config = VARIANTS["window and sinks"].replace(window=4, n_sink=2)
    cache = KVCache(config)
    for _ in range(9):
        cache.begin(1)
        cache.advance()
    assert cache.rings[4].held.tolist() == [[0, 1, 6, 7, 8, 5]]


def test_rereading_only_the_window_is_not_the_same():
    """Layers stack windows: a rolling cache remembers more than its last W tokens, so rereading those is another model."""
    config = VARIANTS["window"]
    model, x = build(config), tokens(config, n=64, batch=1)
    rolled = read_in_chunks(model, x, KVCache(config), 1)[0, -1]
    reach = config.n_layer * (config.window - 1) + 1
    with torch.no_grad():
        assert (model(x[:, -config.window :])[0, -1] - rolled).abs().max() > 1e-3
        assert (model(x[:, -reach:])[0, -1] - rolled).abs().max() < 2e-5


def test_a_full_cache_refuses_instead_of_forgetting():
    config = VARIANTS["modern"]
    model, x = build(config), tokens(config, n=90, batch=1)
    cache = KVCache(config)
    model.hidden(x, cache=cache)
    with pytest.raises(ValueError, match="96 slots and holds 90; 7 more do not fit"):
        model.hidden(x[:, :7], cache=cache)


def test_learned_positions_end_with_the_context():
    config = VARIANTS["classic"]
    with pytest.raises(ValueError, match="end at the context of 96 tokens; this text has 97"):
        build(config)(torch.zeros(1, 97, dtype=torch.long))


def test_bytes_are_what_the_formula_says():
    config = VARIANTS["modern"]
    expected = 2 * config.n_layer * config.n_kv_head * config.head_dim * config.block_size * 4
    assert KVCache(config).n_bytes == expected
