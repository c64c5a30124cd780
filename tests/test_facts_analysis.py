"""What the data card, the streaming lab, comparisons and a description state, against other ways to know it."""

from __future__ import annotations

import json
import re
from typing import Any

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer as Library
from tokenizers import decoders, models, normalizers, pre_tokenizers

from playground.analysis import streaming
from playground.analysis.compare_models import compare_text
from playground.analysis.data_card import data_card
from playground.analysis.describe import describe
from playground.analysis.semantic_search import Corpus, Trial, in_words, passages_of
from playground.analysis.streaming import cache_proof, cache_variants, check_streaming, readings
from playground.config import GenerationConfig, TrainConfig, preset
from playground.interp.attention import attention_patterns
from playground.models.transformer import Transformer, initialise
from playground.tokenizers import BPETokenizer, ImportedTokenizer, build_tokenizer
from tests.models.variants import SMALL, VARIANTS, build

OWN = TrainConfig(corpus="own", validation_fraction=0.2)
BYTES = build_tokenizer("byte", "")


# The data card


@pytest.mark.parametrize("text", ["", "a"])
def test_a_text_that_is_too_short_is_split_when_some_is_added(text: str) -> None:
    with pytest.raises(ValueError, match=r"too short to be split into training and validation text\. Add some text\."):
        data_card(text, BYTES, OWN)
    card = data_card(text + "and so on", BYTES, OWN)
    assert card.train_bytes + card.validation_bytes == card.n_bytes and min(card.train_bytes, card.validation_bytes) > 0


def imported(model: object, normalizer: object = None) -> ImportedTokenizer:
    library = Library(model)
    library.normalizer = normalizer
    return ImportedTokenizer(json.loads(library.to_str()))


@pytest.mark.parametrize(
    ("text", "part"), [("w" * 80 + "x" * 20, "validation"), ("x" * 80 + "w" * 20, "training"), ("x" * 100, "training")]
)
def test_the_part_that_has_no_tokens_is_named(text: str, part: str) -> None:
    only_w = imported(models.BPE({"w": 0}, []))
    head, tail = (len(only_w.encode(some)) for some in (text[:80], text[80:]))
    assert (tail == 0) if part == "validation" else (head == 0)
    with pytest.raises(ValueError, match=f"no tokens in the {part} text. Choose another tokenizer or text"):
        data_card(text, only_w, OWN)
    assert data_card(text, BYTES, OWN).train_tokens == 80
    assert data_card("w" * 100, only_w, OWN).validation_tokens == 20


@pytest.mark.parametrize(
    ("text", "lost"), [("A" * 80 + "a" * 15 + "A" * 5, "25"), ("A" * 80 + "a" * 20, ""), ("a" * 99 + "A", "5")]
)
def test_what_a_lossy_tokenizer_loses_is_counted_in_the_text_that_is_named(text: str, lost: str) -> None:
    lower = Library(models.BPE({"a": 0}, []))
    lower.normalizer, lower.pre_tokenizer = normalizers.Lowercase(), pre_tokenizers.Split("", "isolated")
    lower.decoder = decoders.Fuse()
    found = data_card(text, ImportedTokenizer(json.loads(lower.to_str())), OWN)
    share = sum(character != character.lower() for character in text[80:]) / 20
    assert found.no_bits == (
        f"{lost}\u00a0% of the characters of the validation text do not come back from this tokenizer, so there are no "
        "bits per byte."
        if share
        else ""
    )
    assert not share or float(lost) == pytest.approx(100 * share)
    assert all((gram.nats_per_token is None) == bool(share) for gram in found.grams)


# Streaming


@pytest.mark.parametrize(("name", "low", "high"), [("Window", 1, 1024), ("Sinks", 0, 64), ("Text", 16, 16_384)])
def test_the_range_that_is_named_is_the_one_that_is_accepted(name: str, low: int, high: int) -> None:
    config = VARIANTS["modern"]
    given_ = {"Window": 8, "Sinks": 2, "Text": 40}
    for value in (low, high):
        check_streaming(config, *{**given_, name: value}.values())
    for value in (low - 1, high + 1, 2.5, True, None):
        with pytest.raises(
            ValueError, match=f"^{name} must be a whole number from {low} to {high:,}. You sent {value}.$"
        ):
            check_streaming(config, *{**given_, name: value}.values())


@pytest.mark.parametrize(("window", "n_sink"), [(1, 0), (1024, 64), (15, 1)])
def test_the_shortest_text_streams_with_any_window(window: int, n_sink: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streaming, "TIMED", 1)
    model = build(VARIANTS["modern"].replace(n_layer=1))
    text = np.random.default_rng(0).integers(0, 61, (1, 16))
    every = list(readings(model, text, window, n_sink))
    slots = {"rolling buffer": min(window, 16), every[3].name: min(window + n_sink, 16), "window, recomputed": 0}
    for reading in every:  # keys and values of one layer in fp32
        size = 2 * model.config.n_kv_head * model.config.head_dim * 4
        assert reading.cache_bytes == size * slots.get(reading.name, 16)
    found = {reading.name: reading.nll for reading in every}
    assert all(len(nll) == 15 and np.isfinite(nll).all() for nll in found.values())
    if window >= 15:  # everything is visible, so all of them are full attention
        for nll in found.values():
            np.testing.assert_allclose(nll, found["dense"], atol=2e-5)


@pytest.mark.parametrize("kind", ["learned", "sinusoidal"])
def test_the_runs_that_are_recommended_can_stream(kind: str) -> None:
    config = preset("classic", **SMALL, position=kind)
    with pytest.raises(ValueError, match=f"has {kind} positions.* up to the context of 96 tokens, so it cannot stream"):
        check_streaming(config, 8, 2, 40)
    for other in ("rope", "alibi", "none"):  # RoPE, ALiBi or no positions
        check_streaming(config.replace(position=other), 8, 2, 40)
        with torch.no_grad():
            assert torch.isfinite(build(config.replace(position=other))(torch.zeros(1, 120, dtype=torch.long))).all()
    if kind == "learned":
        assert Transformer(config).positions.table.weight.shape[0] == 96  # type: ignore[union-attr, operator]


@pytest.mark.parametrize("n", [0, 96, 97])
def test_the_lengths_of_a_prompt_that_leave_room_are_the_named_ones(n: int) -> None:
    model, config = build(VARIANTS["modern"]), GenerationConfig(max_new_tokens=2)
    with pytest.raises(ValueError, match=f"The prompt has {n} tokens; it needs 1 to 95 to leave room for new ones"):
        next(cache_proof(model, [1] * n, config))
    for length, new in ((1, 2), (95, 1)):
        *_, last = cache_proof(model, [1] * length, config)
        assert len(last.cached) == new and last.same


@pytest.mark.parametrize("n_head", [1, 2, 3, 4, 6, 8])
def test_a_cache_has_the_heads_of_its_name(n_head: int) -> None:
    for name, config in cache_variants(preset("modern", n_layer=1, n_embd=48, n_head=n_head, n_kv_head=1), 16).items():
        if heads := re.fullmatch(r"(MHA|GQA|MQA), (\d+) KV head(s?)", name):
            assert (config.n_kv_head, heads[3]) == (int(heads[2]), "" if heads[2] == "1" else "s"), name
            assert heads[1] != "GQA" or 1 < config.n_kv_head < config.n_head
        else:
            assert name in ("window of 16, all kept", "rolling buffer of 16")


# An architecture in words


@pytest.mark.parametrize("name", [*VARIANTS, "one head"])
def test_every_word_of_a_description_is_true_of_the_model(name: str) -> None:
    config = VARIANTS.get(name) or preset("modern", **SMALL, n_head=1, n_kv_head=1)
    words, model = describe(config).split(" · "), Transformer(config)
    names = dict(model.named_parameters())
    heads = {"one head": (1, 1), "multi-query": (config.n_head, 1), "multi-head": (config.n_head, config.n_head)}
    (sharing,) = [word for word in words if word in (*heads, "grouped-query")]
    key = names["blocks.0.attn.key.weight"].shape[0] // config.head_dim
    query = names["blocks.0.attn.query.weight"].shape[0] // config.head_dim
    assert 1 < key < query if sharing == "grouped-query" else (query, key) == heads[sharing]
    assert sharing != "multi-head" or query > 1
    linear_bias = any(part.endswith(("query.bias", "down.bias", "down_bias")) for part in names)
    assert ("biases" in words, "no biases" in words) == (linear_bias, not linear_bias)
    assert ("learned sink logits" in words) == any(part.endswith("sinks") for part in names)
    assert ("untied head" in words) == ("head.weight" in names)
    assert (words[0] == "learned positions") == any(part.startswith("positions.") for part in names)
    norm = next(word for word in words if "Norm" in word)
    assert norm.startswith("LayerNorm") == isinstance(model.blocks[0].attn_norm, torch.nn.LayerNorm)
    assert norm.endswith("after each sublayer") == isinstance(model.norm, torch.nn.Identity)
    assert ("QK-norm" in words) == any("query_norm" in part for part in names)
    wide = [int(word.removeprefix("heads of ")) for word in words if word.startswith("heads of ")]
    size = names["blocks.0.attn.query.weight"].shape[0] // config.n_head
    assert wide == [size] if config.head_size else size * config.n_head == config.n_embd
    if config.n_expert == 1:
        assert any("GLU" in word for word in words) == ("blocks.0.mlp.gate.weight" in names)
    off_by_one = {"softmax-off-by-one", "learned sink logits"} & set(words)
    sums = attention_patterns(build(config), list(range(20))).sum(-1)
    assert (sums.max() < 1 - 1e-4) if off_by_one else np.allclose(sums, 1, atol=1e-5)
    rotated = model.positions.rotation(torch.arange(1))
    if found := re.fullmatch(r"RoPE(?: on (\d+) of (\d+) dimensions)?", words[0]):
        assert rotated is not None and 2 * rotated[0].shape[-1] == int(found[1] or config.head_dim)
        assert int(found[2] or config.head_dim) == config.head_dim
    else:
        assert rotated is None
    experts = [re.fullmatch(r"(\d+) of (\d+) experts?( and a shared one)?", word) for word in words]
    for match in filter(None, experts):
        n_active, n_expert, shared = int(match[1]), int(match[2]), bool(match[3])
        routed: list[object] = []
        with torch.no_grad():
            model(torch.zeros(1, 4, dtype=torch.long), routed)
        assert routed[0].chosen.shape[-1] == n_active  # type: ignore[attr-defined]
        assert routed[0].logits.shape[-1] == n_expert  # type: ignore[attr-defined]
        assert shared == any("shared" in part for part in names)
    assert any(experts) == (config.n_expert > 1)


@pytest.mark.parametrize("name", ["window and sinks", "local and global", "gpt-oss", "alibi", "partial rope"])
def test_a_window_and_its_exceptions_are_those_that_attention_has(name: str) -> None:
    config = VARIANTS[name]
    text = describe(config)
    pattern = attention_patterns(build(config), list(range(30)))[:, :, -1] > 0  # (L, H, 30): what the last token sees
    found = re.search(r"window (\d+)(?: \+ (\d+) sinks?)?(?: but in layers ([\d, ]+))?", text)
    full = [] if not found else [int(layer) for layer in (found[3] or "").split(", ") if layer.strip()]
    for layer, seen in enumerate(pattern.any(1), 1):
        expected = np.ones(30, bool)
        if found and layer not in full:
            expected[int(found[2] or 0) : 30 - int(found[1])] = False
        np.testing.assert_array_equal(seen, expected)


@pytest.mark.parametrize("init", ["gpt2", "depth_scaled", "zero"])
@pytest.mark.parametrize("cap", [0.0, 2.0])
def test_a_start_and_a_cap_are_those_of_the_weights_and_logits(init: str, cap: float) -> None:
    config = preset("modern", **SMALL, init=init, logit_softcap=cap)
    text = describe(config)
    out = [block.attn.out.weight.std().item() for block in initialise(Transformer(config), 0).blocks]
    assert ("blocks start at zero" in text) == (max(out) == 0)
    assert ("depth-scaled start" in text) == (0 < out[2] < 0.8 * out[0])
    with torch.no_grad():
        largest = build(config, scale=200)(torch.arange(40)[None]).abs().max().item()
    assert ("logits capped at 2" in text) == (largest <= 2)


# Two models on one text

TOKENS = "it has fewer than two tokens for one of the models"


def pair(left: list[tuple[int, int]], right: list[tuple[int, int]]) -> tuple[Any, Any]:
    def one(merges: list[tuple[int, int]]) -> Any:
        tokenizer = BPETokenizer(merges)
        return build(VARIANTS["classic"].replace(vocab_size=tokenizer.vocab_size, n_layer=1)), tokenizer

    return one(left), one(right)


@pytest.mark.parametrize(
    ("text", "why"),
    [("", TOKENS), ("ab", TOKENS), ("abc", "fewer than two of its pieces are whole tokens of both models")],
)  # fmt: skip
def test_why_a_text_is_too_short_to_compare_on_and_that_more_words_help(text: str, why: str) -> None:
    """Of "abc" the one has the tokens "ab" and "c", the other "a" and "bc"."""
    a, b = pair([(97, 98)], [(98, 99)])
    with pytest.raises(ValueError, match=rf"^The text is too short to compare on: {why}\. Write more words\.$"):
        compare_text(a, b, text)
    n_tokens = [len(tokenizer.encode(text)) for _, tokenizer in (a, b)]
    assert (min(n_tokens) < 2) == (len(text) < 3)
    spans, note = compare_text(a, b, text + " and more")
    assert "".join(span.text for span in spans) == text + " and more" and note == ""


@pytest.mark.parametrize("n", [1, 60, 96, 97, 130])
def test_as_many_characters_are_compared_as_the_note_says(n: int) -> None:
    a, b = pair([], [(97, 98)])
    text = "x" + "ab" * n
    spans, note = compare_text(a, b, text)
    compared = "".join(span.text for span in spans)
    assert text.startswith(compared) and (note == "") == (compared == text)
    assert len(compared) == (len(text) if len(text) <= 96 else 95), "of 96 bytes the last is half a token of the other"
    if note:
        limits = re.match(
            r"Only the first (\d+) characters are compared, up to .* each model ends within both contexts\.$", note
        )
        assert limits and int(limits[1]) == len(compared)


# Semantic search


@pytest.mark.parametrize("text", ["", "Short.", "One sentence that is long enough to be a passage."])
def test_a_longer_text_has_passages_to_search_in(text: str) -> None:
    with pytest.raises(
        ValueError, match=r"has fewer than two passages: there is nothing to search in\. Choose a longer text"
    ):
        Corpus(passages_of(text, 100))
    assert len(Corpus(passages_of(text + "\n\n" + "Another sentence that is long enough. " * 2, 100)).passages) >= 2


@pytest.mark.parametrize("model", [0.5, 0.61, 0.61003, 0.9])
@pytest.mark.parametrize("ngrams", [0.5, 0.61, 0.8])
@pytest.mark.parametrize("error", [0.0, 1e-5, 0.02, float("nan")])
def test_who_is_called_better_has_the_larger_number(model: float, ngrams: float, error: float) -> None:
    difference = model - ngrams
    words = in_words(Trial(20, model, error, ngrams, error, difference, error))
    shown = [float(number) for number in re.findall(r"(\d+\.\d+) %", words)]
    assert shown[0] > shown[1] or "The model is better" not in words
    assert shown[0] < shown[1] or "N-grams are better" not in words
    significant = abs(difference) > 2 * error
    assert ("within two standard errors" in words) == (not significant)
    assert ("not clearly better than chance" in words) == (
        significant and difference > 0 and not model > 0.5 + 2 * error
    )
