"""Each filter against transformers' own, llama.cpp's golden vectors and its definition; and draws against their odds."""

import itertools

import numpy as np
import pytest
import torch
import transformers

from playground.config import GenerationConfig, preset
from playground.inference.beam import beam_search
from playground.inference.generation import (
    DecodingSession,
    StopStringMatcher,
    StreamDecoder,
    encode_prompt,
    generate,
    generate_batch,
    generate_text,
    generate_text_batch,
)
from playground.inference.sampling import entropy_bits, filter_distribution, sample_token, softmax, topk
from playground.tokenizers import build_tokenizer, decode
from tests.models.variants import VARIANTS, build

VECTOR = np.log([0.1, 0.2, 0.3, 0.4])


def test_filters_equal_those_of_transformers():
    rng = np.random.default_rng(0)
    for _ in range(500):
        logits = rng.normal(0, 3, 50)
        t, k, p = rng.uniform(0.3, 2), int(rng.integers(1, 50)), float(rng.uniform(0.05, 0.99))
        min_p, penalty, seen = float(rng.uniform(0, 0.5)), float(rng.uniform(0.5, 2)), rng.integers(0, 50, 9)
        config = GenerationConfig(temperature=t, top_k=k, top_p=p, min_p=min_p, repetition_penalty=penalty)
        ours = filter_distribution(logits, config, seen).after
        x = torch.from_numpy(logits)[None]
        for step in (
            transformers.RepetitionPenaltyLogitsProcessor(penalty), transformers.TemperatureLogitsWarper(t),
            transformers.TopKLogitsWarper(k),
        ):  # fmt: skip
            x = step(torch.from_numpy(seen)[None], x)
        before_p = x.softmax(-1)[0].numpy()
        for step in (transformers.TopPLogitsWarper(p), transformers.MinPLogitsWarper(min_p)):
            x = step(None, x)
        theirs = x.softmax(-1)[0].numpy()
        mass = np.sort(before_p)[::-1].cumsum()
        if min(np.abs(mass - p).min(), np.abs(before_p - min_p * before_p.max()).min()) > 1e-6:
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
        (dict(min_p=0.6), [0, 0, 3 / 7, 4 / 7]),
        (dict(min_p=1.0), [0, 0, 0, 1]),
        (dict(min_p=0.0, repetition_penalty=1.0), [0.1, 0.2, 0.3, 0.4]),
    ],
)
def test_golden_vectors(settings, expected):
    config = GenerationConfig(**{"temperature": 1.0, **settings})
    assert np.abs(filter_distribution(VECTOR, config).after - expected).max() < 1e-5


def test_top_p_keeps_the_token_that_crosses():
    got = filter_distribution(np.log([0.5, 0.3, 0.2]), GenerationConfig(temperature=1.0, top_p=0.6))
    assert got.removed_by == ["", "", "top-p"]


def test_a_repetition_penalty_divides_positive_logits_and_multiplies_negative_ones():
    logits, config = np.array([2.0, -1.0, 0.0, 1.0]), GenerationConfig(temperature=1.0, repetition_penalty=2.0)
    got = filter_distribution(logits, config, seen=[0, 1, 1, 2])
    assert np.abs(got.after - softmax(np.array([1.0, -2.0, 0.0, 1.0]))).max() < 1e-15
    assert np.abs(got.before - softmax(logits)).max() < 1e-15


def test_the_filter_that_comes_first_takes_the_blame():
    config = GenerationConfig(temperature=1.0, top_k=3, top_p=0.6, min_p=0.5)
    got = filter_distribution(np.log([0.45, 0.3, 0.2, 0.05]), config)
    assert got.removed_by == ["", "", "top-p", "top-k"]
    got = filter_distribution(np.log([0.45, 0.3, 0.2, 0.05]), config.replace(top_p=0.9))
    assert got.removed_by == ["", "", "min-p", "top-k"]


def test_the_likeliest_are_found_without_sorting_the_rest():
    rng = np.random.default_rng(0)
    for n in (0, 1, 5, 50, 99):
        logits = rng.integers(-3, 3, 50).astype(np.float32)
        assert topk(logits, n).tolist() == np.argsort(-logits, kind="stable")[:n].tolist()


def test_ties_go_to_the_lower_ids_and_exactly_k_remain():
    got = filter_distribution(np.zeros(5), GenerationConfig(temperature=1.0, top_k=2))
    assert got.after.tolist() == [0.5, 0.5, 0, 0, 0]
    assert got.removed_by == ["", "", "top-k", "top-k", "top-k"]


@pytest.mark.parametrize("temperature", [0.0, 1e-45, 1e-9, 5.0])
def test_extreme_temperatures_give_numbers(temperature):
    got = filter_distribution(np.array([5.0, 900.0, -3.0]), GenerationConfig(temperature=temperature)).after
    assert np.isfinite(got).all()
    assert abs(got.sum() - 1) < 1e-12
    assert got.argmax() == 1


@pytest.mark.parametrize("settings", [{}, dict(temperature=0.5), dict(temperature=1.7), dict(top_k=3), dict(top_p=0.8)])
def test_draws_come_as_often_as_they_should(settings):
    """Chi-square over 200,000 draws; 23.5 is p = 1e-4 at 4 degrees of freedom."""
    config = GenerationConfig(**{"temperature": 1.0, **settings})
    p = filter_distribution(np.log([0.05, 0.35, 0.25, 0.2, 0.15]), config).after
    rng = np.random.default_rng(0)
    counts = np.bincount([sample_token(p, rng) for _ in range(200_000)], minlength=5)
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
    got = [t.id for t in generate(model, ids, GenerationConfig(temperature=0.0, max_new_tokens=60, top_p=0.3, seed=9))]
    for _ in range(60):
        with torch.no_grad():
            ids.append(int(model(torch.tensor([ids]))[0, -1].argmax()))
    assert got == ids[5:]


def test_the_same_seed_writes_the_same_and_probabilities_are_the_models():
    config = VARIANTS["modern"]
    model = build(config)
    once, again = (list(generate(model, [1, 2], GenerationConfig(seed=3, max_new_tokens=30), 3)) for _ in range(2))
    other = list(generate(model, [1, 2], GenerationConfig(seed=4, max_new_tokens=30), 3))
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
    reader, ids = DecodingSession(model), [5]
    logits = reader.feed(ids)
    for _ in range(60):
        ids.append(int(logits.argmax()))
        logits = reader.feed(ids[-1:])
        seen = len(reader.context)
        assert 8 <= seen <= 16 or seen == len(ids)
        with torch.no_grad():
            assert np.abs(model(torch.tensor([ids[-seen:]]))[0, -1].numpy() - logits).max() < 2e-5
    rolling = build(VARIANTS["window"])
    written = list(generate(rolling, [1], GenerationConfig(max_new_tokens=300)))
    assert len(written) == 300


def test_of_a_long_prompt_the_end_is_read():
    config = VARIANTS["classic"]
    model = build(config)
    long = list(np.random.default_rng(0).integers(0, 61, 300))
    with torch.no_grad():
        expected = model(torch.tensor([long[-96:]]))[0, -1].numpy()
    assert np.abs(DecodingSession(model).feed(long) - expected).max() < 2e-5


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
        list(generate(build(VARIANTS["modern"]), [], GenerationConfig()))


def test_write_leaves_the_model_in_its_mode():
    model = build(VARIANTS["modern"].replace(vocab_size=256)).train()
    tokenizer = build_tokenizer("byte", "")
    text = generate_text(model, tokenizer, "ab", GenerationConfig(max_new_tokens=5, seed=1))
    assert model.training
    assert text == decode(
        tokenizer, [t.id for t in generate(model.eval(), [97, 98], GenerationConfig(max_new_tokens=5, seed=1))]
    )


@pytest.mark.parametrize("name", ["classic", "modern", "window"])
def test_samples_written_at_once_are_those_written_one_by_one(name):
    """A reference in plain words: one text after the other, each from full passes and its own random numbers."""
    model = build(VARIANTS[name])
    config = GenerationConfig(seed=5, n_sample=3, max_new_tokens=40, top_p=0.9, repetition_penalty=1.3)
    together = [[token.id for token in row] for row in zip(*generate_batch(model, [3, 1, 4], config), strict=True)]
    for row, got in enumerate(together):
        ids, rng = [3, 1, 4], np.random.default_rng([5, row] if row else 5)
        for _ in range(40):
            with torch.no_grad():
                logits = model(torch.tensor([ids]))[0, -1].numpy()
            ids.append(sample_token(filter_distribution(logits, config, ids).after, rng))
        assert got == ids[3:]
    assert together[0] != together[1]


def test_going_on_gives_what_a_longer_text_would_have_been():
    model = build(VARIANTS["modern"])
    config = GenerationConfig(seed=2, max_new_tokens=30, n_sample=2)
    whole = [[token.id for token in row] for row in zip(*generate_batch(model, [1, 2], config), strict=True)]
    shorter = config.replace(max_new_tokens=20, n_sample=1)
    rest = [row[0].id for row in generate_batch(model, [1, 2, *whole[0][:10]], shorter, drawn=10)]
    assert rest == whole[0][10:]


def test_writing_stops_before_a_stop_string_wherever_tokens_cut_it():
    model, tokenizer = build(VARIANTS["modern"].replace(vocab_size=256)), build_tokenizer("byte", "")
    config = GenerationConfig(seed=1, max_new_tokens=120, n_sample=3)
    free = [
        "".join(piece.text for piece in row)
        for row in zip(*generate_text_batch(model, tokenizer, [97], config), strict=True)
    ]
    stop = free[1][50:53]
    assert len(stop) == 3
    cut = list(generate_text_batch(model, tokenizer, [97], config.replace(stop=stop.replace("\n", r"\n"))))
    for row, text in enumerate(free):
        pieces = [step[row] for step in cut if step[row] is not None]
        got = "".join(piece.text for piece in pieces)
        if stop in text:
            assert got[: len(got) - pieces[-1].cut] == text[: text.index(stop)]
        else:
            assert got == text
    assert sum(stop in text for text in free) >= 1


def test_stop_strings_stand_one_a_line():
    assert GenerationConfig(stop="end\n\n\\n\\n").stops == ["end", "\n\n"]
    watch = StopStringMatcher(["abc", "cd"])
    assert [watch.feed(part) for part in ("xa", "b", "", "cde")] == [None, None, None, 5]
    with pytest.raises(ValueError, match="Stop strings have 2,000 characters"):
        GenerationConfig(stop="x" * 2000)


@pytest.mark.parametrize("field", ["temperature", "top_p", "min_p", "repetition_penalty"])
@pytest.mark.parametrize("value", [float("nan"), float("inf"), -1, "0.5", None, True, 99])
def test_settings_that_make_no_sense_are_refused(field, value):
    with pytest.raises(ValueError, match="must be"):
        GenerationConfig(**{field: value})


@pytest.mark.parametrize("n_beam", [1, 4, 125])
def test_beam_search_is_exhaustive_search_when_it_keeps_everything(n_beam):
    model = build(preset("modern", vocab_size=5, block_size=16, n_layer=2, n_embd=16))
    *_, beams = beam_search(model, [1, 2], 4, n_beam)
    texts = list(itertools.product(range(5), repeat=4))
    with torch.no_grad():
        log_p = model(torch.tensor([(1, 2, *text) for text in texts])).double().log_softmax(-1)
    scores = [sum(log_p[n, 1 + at, token].item() for at, token in enumerate(text)) for n, text in enumerate(texts)]
    by_text = dict(zip(texts, scores, strict=True))
    for beam in beams:
        assert beam.score == pytest.approx(by_text[beam.ids], abs=1e-5)
        assert beam.score == pytest.approx(np.log(beam.probabilities).sum(), abs=1e-9)
    assert [beam.score for beam in beams] == sorted((beam.score for beam in beams), reverse=True)
    if n_beam == 125:  # all beginnings of three tokens were kept
        assert beams[0].ids == max(by_text, key=by_text.get)
        assert len({beam.ids for beam in beams}) == 125
    if n_beam == 1:
        greedy = generate(model, [1, 2], GenerationConfig(temperature=0.0, max_new_tokens=4))
        assert list(beams[0].ids) == [token.id for token in greedy]
    with pytest.raises(ValueError, match="Beams must be 1 or more"):
        next(beam_search(model, [1], 4, 0))


def test_a_beam_that_has_ended_is_a_whole_text_among_the_others():
    model, end, n = build(preset("modern", vocab_size=5, block_size=16, n_layer=2, n_embd=16)), 3, 4
    log_p = {}
    with torch.no_grad():
        for text in itertools.product(range(5), repeat=n):
            rows = model(torch.tensor([(1, 2, *text)]))[0].double().log_softmax(-1)
            whole = text[: text.index(end) + 1] if end in text else text
            log_p[whole] = sum(rows[1 + at, token].item() for at, token in enumerate(whole))
    *_, beams = beam_search(model, [1, 2], n, 1000, ends={end})
    assert {beam.ids for beam in beams} == set(log_p)
    assert beams[0].ids == max(log_p, key=log_p.get)
    assert all(beam.score == pytest.approx(log_p[beam.ids], abs=1e-5) for beam in beams)
    assert len(list(beam_search(model, [1, 2], n, 2, ends=range(5)))) == 1, "all have ended"
