"""The compiled decode step against the model itself: every variant, far beyond the window, and token for token."""

import shutil

import numpy as np
import pytest
import torch

from playground.config import GenerationConfig
from playground.inference.decoders import NativeDecoder
from playground.inference.generation import SHORT, DecodingSession, generate, generate_batch
from playground.inference.native import decode_step
from playground.inference.native.decode_step import COMPILERS, DecodeStep, covers
from playground.models.kv_cache import KVCache
from tests.models.variants import VARIANTS, build

pytestmark = pytest.mark.skipif(not any(map(shutil.which, COMPILERS)), reason="there is no C compiler")


@pytest.fixture(autouse=True)
def ready():
    assert decode_step.warm(wait=True)


@pytest.fixture
def plain(monkeypatch):
    """Switches the compiled step off."""
    return lambda: monkeypatch.setattr(decode_step, "_library", None)


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
    config = GenerationConfig(seed=3, max_new_tokens=250, n_sample=2, top_p=0.95, min_p=0.01)

    def texts():
        return [[token.id for token in row] for row in zip(*generate_batch(model, [5, 6, 7], config), strict=True)]

    compiled = texts()
    plain()
    assert compiled == texts()


@pytest.mark.parametrize(
    "settings",
    [
        dict(temperature=0.0), dict(temperature=1.0), dict(temperature=5.0), dict(temperature=1e-9), dict(top_k=1),
        dict(top_k=7), dict(top_k=10_000), dict(top_p=0.0), dict(top_p=0.5), dict(top_p=0.999), dict(min_p=0.05),
        dict(top_k=300, top_p=0.9), dict(top_p=0.9, temperature=3.0),
        dict(min_p=1.0), dict(repetition_penalty=1.4), dict(repetition_penalty=0.7, temperature=0.0),
        dict(top_k=40, top_p=0.8, min_p=0.02, repetition_penalty=1.1, temperature=1.3),
    ],
    ids=str,
)  # fmt: skip
def test_it_chooses_as_the_reference_does(settings):
    """Tokens, their probabilities and the likeliest others, from a vocabulary of several blocks and one of few tokens."""
    for vocabulary in (61, 700):
        model = build(VARIANTS["modern"].replace(vocab_size=vocabulary, tie_embeddings=False)).requires_grad_(False)
        with torch.no_grad():
            model.head.weight[5] = model.head.weight[9] = model.head.weight[44]  # ties, all the way
        config = GenerationConfig(**{"seed": 8, "max_new_tokens": 90, "n_sample": 2, **settings})
        with pytest.MonkeyPatch.context() as patch:
            fast = [token for row in generate_batch(model, [5, 6, 7], config, n_alternatives=6) for token in row]
            patch.setattr(decode_step, "_library", None)
            slow = [token for row in generate_batch(model, [5, 6, 7], config, n_alternatives=6) for token in row]
        assert [token.id for token in fast] == [token.id for token in slow]
        for one, other in zip(fast, slow, strict=True):
            assert one.probability == pytest.approx(other.probability, abs=1e-5)
            assert [id for id, _ in one.alternatives] == [id for id, _ in other.alternatives]
            assert np.allclose([p for _, p in one.alternatives], [p for _, p in other.alternatives], atol=1e-5)


@pytest.mark.parametrize(
    "settings", [dict(top_k=300), dict(top_p=0.4321), dict(top_k=1), dict(top_k=37, top_p=0.77)], ids=str
)
def test_among_equals_the_first_are_kept(settings):
    """Thousands of tokens that are all as likely, and a few that are more so."""
    model = build(VARIANTS["modern"].replace(vocab_size=3000, tie_embeddings=False)).requires_grad_(False)
    model.head.weight.zero_()
    model.head.weight[2001:2004] = 1.0
    config = GenerationConfig(seed=2, max_new_tokens=60, **settings)
    with pytest.MonkeyPatch.context() as patch:
        fast = [token.id for token in generate(model, [5, 6, 7], config)]
        patch.setattr(decode_step, "_library", None)
        assert fast == [token.id for token in generate(model, [5, 6, 7], config)]


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("name", ["modern", "classic swiglu", "untied", "alibi"])
def test_weights_that_are_bfloat16_numbers_are_read_as_such(name, threads):
    """Half the bytes, and the very same numbers: what the plain pass gives, at every position."""
    config = VARIANTS[name]
    model, cache, before = build(config).requires_grad_(False), KVCache(config), torch.get_num_threads()
    ids = np.random.default_rng(0).integers(0, config.vocab_size, 60)
    with torch.inference_mode():
        model.hidden(torch.from_numpy(ids[:5])[None], cache=cache)
    assert not DecodeStep(model, cache)._session.half
    for weight in model.parameters():
        weight.copy_(weight.bfloat16())
    cache = KVCache(config)
    torch.set_num_threads(threads)
    try:
        with torch.inference_mode():
            expected = model(torch.from_numpy(ids)[None])[0].numpy()
            model.hidden(torch.from_numpy(ids[:5])[None], cache=cache)
        step = DecodeStep(model, cache)
    finally:
        torch.set_num_threads(before)
    assert step._session.half
    for position in range(5, 60):
        assert np.abs(step.feed(int(ids[position])) - expected[position]).max() < 2e-5, position


def test_halves_follow_the_weights():
    model = build(VARIANTS["modern"]).requires_grad_(False)
    for weight in model.parameters():
        weight.copy_(weight.bfloat16())

    def last():
        reader = DecodingSession(model)
        reader.feed([1, 2])
        return reader.feed([3]), reader.decoder.steps[0]._session.half

    before, halved = last()
    assert halved
    model.blocks[0].mlp.up.weight.mul_(2)  # still bfloat16 numbers
    after, halved = last()
    assert halved
    assert np.abs(after - before).max() > 0.1
    model.blocks[2].attn.out.weight[-1, -1] += 1e-3  # no longer
    assert not last()[1]


def test_what_it_does_not_cover_goes_the_plain_way(plain):
    config = VARIANTS["modern"]
    model = build(config)
    assert not covers(model, KVCache.streaming(config, 2, 8))
    assert not covers(model.double(), KVCache(config))
    assert not covers(build(config).train(), KVCache(config))
    assert not any(covers(build(VARIANTS[name]), KVCache(VARIANTS[name])) for name in set(VARIANTS) - set(covered()))
    plain()
    assert not covers(build(config), KVCache(config))
    assert len(list(generate(build(config), [1], GenerationConfig(max_new_tokens=5)))) == 5


def test_weights_that_change_are_seen_at_once():
    """Panels are copies, and made anew: a model in training can write between its steps."""
    model = build(VARIANTS["modern"]).requires_grad_(False)
    before = DecodingSession(model)
    before.feed([1, 2])
    old = before.feed([3])
    model.embed.weight.mul_(2)
    reader = DecodingSession(model)
    reader.feed([1, 2])
    with torch.no_grad():
        expected = model(torch.tensor([[1, 2, 3]]))[0, -1].numpy()
    new = reader.feed([3])
    assert np.abs(new - expected).max() < 2e-5
    assert np.abs(new - old).max() > 0.1


@pytest.mark.slow
def test_the_number_of_threads_changes_no_bit():
    """Each sum belongs to one thread and has one order: text and probabilities are the same to the last bit."""
    model = build(VARIANTS["modern"].replace(vocab_size=700)).requires_grad_(False)
    config = GenerationConfig(seed=2, max_new_tokens=60, temperature=0.9, repetition_penalty=1.2)
    before, texts = torch.get_num_threads(), []
    try:
        for threads in (1, 2, 3, 5):
            torch.set_num_threads(threads)
            texts.append(list(generate(model, [5, 6, 7], config, n_alternatives=4)))
    finally:
        torch.set_num_threads(before)
    assert texts[0] == texts[1] == texts[2] == texts[3]


def test_threads_are_shared_by_all_who_write_at_once():
    model = build(VARIANTS["modern"]).requires_grad_(False)
    one, other = (DecodeStep(model, KVCache(model.config)) for _ in range(2))
    before = torch.get_num_threads()
    torch.set_num_threads(4)
    try:
        with decode_step._at_work(one._session):
            assert one._session.n_threads == 4
            with decode_step._at_work(other._session):
                assert other._session.n_threads == 2
        with decode_step._at_work(other._session):
            assert other._session.n_threads == 4
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize(
    "settings", [{}, {"temperature": 0.0}, {"top_k": 5, "repetition_penalty": 2.0}, {"top_p": 0.5}]
)
def test_a_model_of_no_numbers_still_ends(settings):
    """Weights that diverged to NaN: whatever is drawn is a token, and nothing loops or reads beyond its arrays."""
    model = build(VARIANTS["modern"]).requires_grad_(False)
    model.embed.weight.fill_(float("nan"))
    step, size = DecodeStep(model, KVCache(model.config)), model.config.vocab_size
    drawn = step.write(
        1, np.full(20, 0.5), GenerationConfig(**settings), np.zeros(size, dtype=np.uint8), n_alternatives=3
    )["id"]
    assert ((drawn[:, 0] >= 0) & (drawn[:, 0] < size)).all()


def test_short_prompts_are_read_by_the_step_and_long_ones_by_the_model():
    model = build(VARIANTS["modern"]).requires_grad_(False)
    for n in (1, SHORT, SHORT + 1):
        reader, ids = DecodingSession(model), list(range(1, n + 1))
        with torch.no_grad():
            expected = model(torch.tensor([ids]))[0, -1].numpy()
        assert np.abs(reader.feed(ids) - expected).max() < 2e-5
        assert isinstance(reader.decoder, NativeDecoder) == (n <= SHORT)
