"""The streaming lab against plain recomputation, masks spelled out, and counting by hand."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch

from playground.analysis import streaming
from playground.analysis.streaming import (
    by_position,
    cache_formula,
    cache_measured,
    cache_proof,
    cache_variants,
    readings,
    slot_story,
)
from playground.config import GenerationConfig, preset
from playground.inference.generation import generate
from tests.models.variants import VARIANTS, build

WINDOW, SINKS, N = 9, 3, 70


@pytest.fixture(scope="module", autouse=True)
def not_timed_for_long():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(streaming, "TIMED", 3)
        yield


@pytest.fixture(scope="module")
def read():
    """All readings of two texts by one model, and the model."""
    model = build(VARIANTS["modern"])
    texts = np.random.default_rng(0).integers(0, 61, (2, N))
    return model, texts, {reading.name: reading for reading in readings(model, texts, WINDOW, SINKS)}


def last_of(model, ids):
    return model(torch.from_numpy(ids)[None])[0, -1]


def nats(logits, target):
    return -logits.double().log_softmax(-1)[target].item()


def test_dense_and_recomputed_are_what_plain_passes_give(read):
    model, texts, got = read
    for at in (0, 1, 8, 9, 10, 40, N - 2):
        with torch.no_grad():
            whole = np.mean([nats(last_of(model, text[: at + 1]), text[at + 1]) for text in texts])
            last = np.mean(
                [nats(last_of(model, text[max(0, at + 1 - WINDOW) : at + 1]), text[at + 1]) for text in texts]
            )
        assert got["dense"].nll[at] == pytest.approx(whole, abs=2e-5)
        assert got["window, recomputed"].nll[at] == pytest.approx(last, abs=2e-5)


def test_the_rolling_buffer_is_the_sliding_window_in_less_memory(read):
    model, _, got = read
    rolling, sliding = got["rolling buffer"], got["sliding window"]
    assert np.abs(rolling.nll - sliding.nll).max() < 2e-5
    config = model.config
    per_slot = 2 * config.n_layer * config.n_kv_head * config.head_dim * 4
    assert rolling.cache_bytes == per_slot * WINDOW
    assert sliding.cache_bytes == got["dense"].cache_bytes == per_slot * N
    assert got[f"window + {SINKS} sinks"].cache_bytes == per_slot * (WINDOW + SINKS)
    assert got["window, recomputed"].cache_bytes == 0


def test_sinks_stand_inside_the_cache(read):
    """One layer, spelled out by hand: what is kept, at positions 0, 1, 2, ..., as if it were all there ever was."""
    config = VARIANTS["modern"].replace(n_layer=1)
    model = build(config)
    text = np.random.default_rng(1).integers(0, 61, (1, N))
    name = f"window + {SINKS} sinks"
    got = next(reading for reading in readings(model, text, WINDOW, SINKS) if reading.name == name).nll
    for at in (5, 11, 12, 13, 40, N - 2):
        kept = text[0][[p for p in range(at + 1) if p < SINKS or p > at - WINDOW]]
        with torch.no_grad():
            expected = nats(last_of(model, kept), text[0][at + 1])
        assert got[at] == pytest.approx(expected, abs=2e-5)


@pytest.mark.parametrize("name", ["multi-query", "no positions", "window"])
def test_other_models_stream_too(name):
    texts = np.random.default_rng(0).integers(0, 61, (1, 40))
    got = {reading.name: reading.nll for reading in readings(build(VARIANTS[name]), texts, 7, 2)}
    assert np.abs(got["rolling buffer"] - got["sliding window"]).max() < 2e-5
    assert all(np.isfinite(nll).all() and len(nll) == 39 for nll in got.values())


def test_readings_that_another_thread_finishes_leave_the_first_able_to_train():
    """Gradio resumes a generator in whichever thread of its pool is free."""
    generator = readings(build(VARIANTS["modern"]), np.zeros((1, 40), int), 7, 2)
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(next, generator).result().name == "dense"
        assert not pool.submit(torch.is_inference_mode_enabled).result()
        assert len(list(generator)) == 4
        assert not pool.submit(torch.is_inference_mode_enabled).result()
    assert not torch.is_inference_mode_enabled()


@pytest.mark.parametrize("name", ["classic", "sinusoidal"])
def test_positions_that_end_are_refused(name):
    with pytest.raises(ValueError, match="Choose a run with RoPE"):
        next(readings(build(VARIANTS[name]), np.zeros((1, 40), int), 7, 2))


@pytest.mark.parametrize(
    ("window", "n_sink", "field"), [(0, 1, "Window"), (True, 1, "Window"), (8, -1, "Sinks"), (8, 99, "Sinks")]
)
def test_settings_out_of_range_are_refused(window, n_sink, field):
    with pytest.raises(ValueError, match=f"{field} must be a whole number from"):
        next(readings(build(VARIANTS["modern"]), np.zeros((1, 40), int), window, n_sink))


@pytest.mark.parametrize("name", ["classic", "modern", "window"])
def test_with_and_without_the_cache_the_text_is_the_same(name):
    model, config = build(VARIANTS[name]), GenerationConfig(seed=4, max_new_tokens=500, top_p=0.9)
    *_, proof = cache_proof(model, [1, 2, 3], config)
    assert proof.same
    assert len(proof.cached) == len(proof.uncached) == model.config.block_size - 3
    expected = [t.id for t in generate(model, [1, 2, 3], config.replace(max_new_tokens=len(proof.cached)))]
    assert proof.cached == proof.uncached == expected
    assert len(proof.cached_ms) == len(proof.uncached_ms) == len(proof.cached)
    with pytest.raises(ValueError, match="leave room for new ones"):
        next(cache_proof(model, [1] * 96, config))


def test_cache_sizes_measured_are_those_of_the_formula():
    config = preset("modern", n_layer=3, n_head=8, n_embd=64)
    variants = cache_variants(config, 32)
    assert [name.split(",")[0] for name in variants] == ["MHA", "GQA", "MQA", "window of 32", "rolling buffer of 32"]
    for variant in variants.values():
        for context in (8, 32, 100, 1000):
            assert cache_measured(variant, context) == cache_formula(variant, context)
    sizes = [cache_formula(variant, 1000) for variant in variants.values()]
    assert sizes[0] == 2 * 3 * 8 * 8 * 1000 * 4
    assert sizes[0] == 2 * sizes[1] == 8 * sizes[2]
    assert cache_formula(variants["window of 32, all kept"], 1000) == 2 * 3 * config.n_kv_head * 8 * 1000 * 4
    assert cache_formula(variants["rolling buffer of 32"], 1000) == cache_formula(variants["rolling buffer of 32"], 32)


def test_the_story_of_the_slots():
    story = slot_story(4, 2, 10, streams=True)
    assert story[8].held == [0, 1, 6, 7, 8, 5]
    assert (story[8].slot, story[8].evicted) == (4, 4)
    assert story[8].inside == [0, 1, 3, 4, 5, 2]
    assert [step.evicted for step in story[:6]] == [-1] * 6
    rolling = slot_story(4, 0, 10, streams=False)
    assert rolling[9].held == [8, 9, 6, 7]
    assert rolling[9].inside == rolling[9].held


def test_perplexity_by_position():
    at, perplexity = by_position(np.log([2, 2, 8, 8]), bins=2)
    assert at == [1.5, 3.5]
    assert perplexity == pytest.approx([2, 8])
