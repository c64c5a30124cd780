"""Each filter against transformers' own, llama.cpp's golden vectors and its definition; and draws against their odds."""

import numpy as np
import pytest
import torch
import transformers

from playground.config import SampleConfig, preset
from playground.inference.generation import Reader, StreamDecoder, encode_prompt, generate, write
from playground.inference.sampling import draw, entropy_bits, filter_distribution, softmax
from playground.tokenizers import build_tokenizer, decode
from tests.models.variants import VARIANTS, build

VECTOR = np.log([0.1, 0.2, 0.3, 0.4])


def test_filters_equal_those_of_transformers():
    rng = np.random.default_rng(0)
    for _ in range(500):
        logits = rng.normal(0, 3, 50)
        t, k, p = rng.uniform(0.3, 2), int(rng.integers(1, 50)), float(rng.uniform(0.05, 0.99))
        ours = filter_distribution(logits, SampleConfig(temperature=t, top_k=k, top_p=p)).after
        x = torch.from_numpy(logits)[None]
        for warper in (
            transformers.TemperatureLogitsWarper(t), transformers.TopKLogitsWarper(k), transformers.TopPLogitsWarper(p),
        ):  # fmt: skip
            x = warper(None, x)
        theirs = x.softmax(-1)[0].numpy()
        mass = np.sort(theirs)[::-1].cumsum()
        if np.abs(mass - p).min() > 1e-6:
            assert ((ours > 0) == (theirs > 0)).all()
            assert np.abs(ours - theirs).max() < 1e-6


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        (dict(temperature=1.0), [0.1, 0.2, 0.3, 0.4]),
        (dict(temperature=0.0), [0, 0, 0, 1]),
        (dict(top_k=1), [0, 0, 0, 1]),
        (dict(top_k=3), [0, 2 / 9, 3 / 9, 4 / 9]),
        (dict(top_k=4), [0.1, 0.2, 0.3, 0.4]),
        (dict(top_k=999), [0.1, 0.2, 0.3, 0.4]),
        (dict(top_p=0.0), [0, 0, 0, 1]),
        (dict(top_p=0.7), [0, 0, 3 / 7, 4 / 7]),
        (dict(top_p=0.8), [0, 2 / 9, 3 / 9, 4 / 9]),
        (dict(top_p=1.0), [0.1, 0.2, 0.3, 0.4]),
    ],
)
def test_golden_vectors(settings, expected):
    config = SampleConfig(**{"temperature": 1.0, **settings})
    assert np.abs(filter_distribution(VECTOR, config).after - expected).max() < 1e-5


def test_top_p_keeps_the_token_that_crosses():
    got = filter_distribution(np.log([0.5, 0.3, 0.2]), SampleConfig(temperature=1.0, top_p=0.6))
    assert got.removed_by == ["", "", "top-p"]


def test_ties_go_to_the_lower_ids_and_exactly_k_remain():
    got = filter_distribution(np.zeros(5), SampleConfig(temperature=1.0, top_k=2))
    assert got.after.tolist() == [0.5, 0.5, 0, 0, 0]
    assert got.removed_by == ["", "", "top-k", "top-k", "top-k"]


@pytest.mark.parametrize("temperature", [0.0, 1e-45, 1e-9, 5.0])
def test_extreme_temperatures_give_numbers(temperature):
    got = filter_distribution(np.array([5.0, 900.0, -3.0]), SampleConfig(temperature=temperature)).after
    assert np.isfinite(got).all()
    assert abs(got.sum() - 1) < 1e-12
    assert got.argmax() == 1


@pytest.mark.parametrize("settings", [{}, dict(temperature=0.5), dict(temperature=1.7), dict(top_k=3), dict(top_p=0.8)])
def test_draws_come_as_often_as_they_should(settings):
    """Chi-square over 200,000 draws; 23.5 is p = 1e-4 at 4 degrees of freedom."""
    config = SampleConfig(**{"temperature": 1.0, **settings})
    p = filter_distribution(np.log([0.05, 0.35, 0.25, 0.2, 0.15]), config).after
    rng = np.random.default_rng(0)
    counts = np.bincount([draw(p, rng) for _ in range(200_000)], minlength=5)
    assert counts[p == 0].sum() == 0
    expected = p[p > 0] * 200_000
    assert ((counts[p > 0] - expected) ** 2 / expected).sum() < 23.5


def test_entropy_of_a_fair_die_is_log2_of_its_sides():
    assert abs(entropy_bits(softmax(np.zeros(8))) - 3) < 1e-12
    assert entropy_bits(np.array([0.0, 1.0])) == 0


@pytest.mark.parametrize("name", VARIANTS)
def test_greedy_text_is_the_argmax_of_full_passes(name):
    config = VARIANTS[name]
    model = build(config)
    ids = [3, 1, 4, 1, 5]
    got = [t.id for t in generate(model, ids, SampleConfig(temperature=0.0, max_new_tokens=60, top_p=0.3, seed=9))]
    for _ in range(60):
        with torch.no_grad():
            ids.append(int(model(torch.tensor([ids]))[0, -1].argmax()))
    assert got == ids[5:]


def test_the_same_seed_writes_the_same_and_probabilities_are_the_models():
    config = VARIANTS["modern"]
    model = build(config)
    once, again = (list(generate(model, [1, 2], SampleConfig(seed=3, max_new_tokens=30), 3)) for _ in range(2))
    other = list(generate(model, [1, 2], SampleConfig(seed=4, max_new_tokens=30), 3))
    assert once == again
    assert once != other
    ids = [1, 2] + [t.id for t in once]
    with torch.no_grad():
        p = model(torch.tensor([ids[:-1]]))[0].softmax(-1)
    for position, token in enumerate(once, start=1):
        assert abs(token.probability - p[position, token.id].item()) < 1e-5
        assert token.alternatives[0][1] == pytest.approx(p[position].max().item(), abs=1e-5)


def test_writing_goes_on_beyond_the_context():
    """A full-attention model rereads the last half of its context; a rolling one never stops remembering."""
    config = preset("classic", vocab_size=61, block_size=16, n_layer=2, n_embd=16)
    model = build(config)
    reader, ids = Reader(model), [5]
    logits = reader.feed(ids)
    for _ in range(60):
        ids.append(int(logits.argmax()))
        logits = reader.feed(ids[-1:])
        seen = len(reader.context)
        assert 8 <= seen <= 16 or seen == len(ids)
        with torch.no_grad():
            assert np.abs(model(torch.tensor([ids[-seen:]]))[0, -1].numpy() - logits).max() < 2e-5
    rolling = build(VARIANTS["window"])
    written = list(generate(rolling, [1], SampleConfig(max_new_tokens=300)))
    assert len(written) == 300


def test_of_a_long_prompt_the_end_is_read():
    config = VARIANTS["classic"]
    model = build(config)
    long = list(np.random.default_rng(0).integers(0, 61, 300))
    with torch.no_grad():
        expected = model(torch.tensor([long[-96:]]))[0, -1].numpy()
    assert np.abs(Reader(model).feed(long) - expected).max() < 2e-5


def test_characters_of_several_bytes_arrive_whole():
    tokenizer = build_tokenizer("byte", "")
    decoder = StreamDecoder(tokenizer)
    text = "añ€😀"
    assert [decoder.feed(int(b)) for b in tokenizer.encode(text)] == ["a", "", "ñ", "", "", "€", "", "", "", "😀"]
    decoder.feed(0xE2)
    assert decoder.finish() == "\N{REPLACEMENT CHARACTER}"


def test_an_empty_prompt_starts_a_line_and_no_tokens_are_refused():
    assert encode_prompt(build_tokenizer("byte", ""), "") == [10]
    assert encode_prompt(build_tokenizer("char", "abc"), "") == [0]
    with pytest.raises(ValueError, match="prompt is empty"):
        list(generate(build(VARIANTS["modern"]), [], SampleConfig()))


def test_write_leaves_the_model_in_its_mode():
    model = build(VARIANTS["modern"].replace(vocab_size=256)).train()
    tokenizer = build_tokenizer("byte", "")
    text = write(model, tokenizer, "ab", SampleConfig(max_new_tokens=5, seed=1))
    assert model.training
    assert text == decode(
        tokenizer, [t.id for t in generate(model.eval(), [97, 98], SampleConfig(max_new_tokens=5, seed=1))]
    )
