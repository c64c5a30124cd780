"""Cached equals uncached, at every position, however the text is cut up; and memory does not grow."""

import pytest
import torch

from playground.config import preset
from playground.inference.decoders import prefill
from playground.models.kv_cache import KVCache
from tests.models.oracle import oracle, streamed
from tests.models.variants import DEVICES, SMALL, VARIANTS, build, tokens


def read_in_chunks(model, x, cache, chunk):
    with torch.no_grad():
        parts = [model.unembed(model.hidden(part, cache=cache)) for part in x.split(chunk, dim=1)]
    return torch.cat(parts, dim=1)


# How tokens are forgotten: never; in local layers beside global ones; in all layers; but for the first, at positions inside
# the cache. And how a text is cut: token by token; into parts of mixed sizes; a prompt beyond any window, then tokens.
N, WINDOW, SINKS = 96, 7, 3
CACHES = {
    "full": {},
    "window": {"window": WINDOW, "global_every": 2},
    "rolling": {"window": WINDOW},
    "sinks": {},
}
CUTS = {"one by one": [1] * N, "chunks": [1, 7, 40] * 2, "long prompt": [41] + [1] * (N - 41)}


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("cut", CUTS)
@pytest.mark.parametrize("position", ["learned", "rope", "alibi", "none"])
@pytest.mark.parametrize("kind", CACHES)
def test_each_cache_read_in_each_way_with_each_kind_of_positions_equals_one_masked_pass(kind, position, cut, device):
    """At every position, and so every greedy choice; every ring goes round seven times at least. Sinks that move cannot be
    had with learned positions, which says so."""
    config = preset("modern", **SMALL, position=position, **CACHES[kind])
    model, x, squares = build(config), tokens(config, n=N), None
    if kind == "sinks":
        if position == "learned":
            with pytest.raises(ValueError, match="learned positions are already mixed into them"):
                KVCache.streaming(config, SINKS, WINDOW, batch_size=2)
            return
        squares = [streamed(N, SINKS, WINDOW)] * config.n_layer
    cache = KVCache.streaming(config, SINKS, WINDOW, 2) if kind == "sinks" else KVCache(config, batch_size=2)
    with torch.no_grad():
        expected = oracle(model, x, squares)
        model, x = model.to(device), x.to(device)
        parts = [model.unembed(prefill(model, part, cache)) for part in x.split(CUTS[cut], dim=1)]
    got = torch.cat(parts, dim=1).cpu()
    assert (got - expected).abs().max() < 2e-5
    assert torch.equal(got.argmax(-1), expected.argmax(-1))


@pytest.mark.parametrize("name", ["window", "window and sinks"])
def test_a_rolling_cache_keeps_its_size_and_its_promise(name):
    """After wrapping several times it still equals one masked pass over the whole history."""
    config = VARIANTS[name]
    model, x = build(config), tokens(config, n=96, batch=1)
    cache = KVCache(config)
    size, ring, n_sink = cache.n_bytes, cache.rings[config.window], config.n_sink
    for at in range(96):
        with torch.no_grad():
            got = model.unembed(model.hidden(x[:, at : at + 1], cache=cache))[:, -1]
            assert (got - model(x[:, : at + 1])[:, -1]).abs().max() < 2e-5
        shapes = {part.shape for part in (*cache.keys, *cache.values)}
        assert shapes == {(1, config.n_kv_head, config.window + n_sink, config.head_dim)}
        assert cache.n_bytes == size
        slot = at if at < n_sink else n_sink + (at - n_sink) % config.window
        assert ring.slot_positions[0, slot] == at
    assert set(ring.slot_positions[0].tolist()) == set(range(96 - config.window, 96)) | set(range(n_sink))


def test_slots_take_turns_as_the_docstring_shows():
    config = VARIANTS["window and sinks"].replace(window=4, n_sink=2)
    cache = KVCache(config)
    for _ in range(9):
        cache.next_positions(1)
        cache.advance()
    assert cache.rings[4].slot_positions.tolist() == [[0, 1, 6, 7, 8, 5]]


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
