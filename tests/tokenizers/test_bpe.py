"""Byte pair encoding: every byte comes back, and three implementations agree on every id."""

import json
import random
from collections import Counter
from itertools import pairwise
from pathlib import Path

import pytest
import tiktoken
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Regex, Tokenizer, pre_tokenizers

from playground.data.tales import tales
from playground.tokenizers import (
    BPETokenizer,
    build_tokenizer,
    decode,
    decode_bytes,
    kind_in_words,
    learn_bpe,
    tokenizer_from_dict,
    tokenizers_json,
)
from playground.tokenizers import bpe_from_scratch as scratch
from playground.tokenizers.presplit import PATTERN, chunks, words
from tests.tokenizers.texts import HARD, fuzz

MIXED = tales(60_000) + "\n".join(HARD * 4) + "".join(fuzz(300, seed=7))
BPE = learn_bpe(MIXED, 2_000)
LIBRARY = Tokenizer.from_str(BPE.json_text)
TIKTOKEN = tiktoken.Encoding(
    "ours", pat_str=PATTERN, mergeable_ranks={token: n for n, token in enumerate(BPE.tokens)}, special_tokens={}
)


@pytest.mark.slow
@settings(max_examples=10_000, deadline=None)
@given(st.binary(max_size=60))
def test_any_bytes_come_back(data: bytes) -> None:
    ids = BPE.encode_bytes(data)
    assert decode_bytes(BPE, ids) == data
    assert len(ids) <= len(data)


@settings(max_examples=500, deadline=None)
@given(st.text(alphabet=st.characters(exclude_categories=["Cs"])))
def test_any_text_comes_back_with_the_ids_of_the_library(text: str) -> None:
    ids = BPE.encode(text)
    assert decode(BPE, ids) == text
    assert ids.tolist() == LIBRARY.encode(text).ids
    assert BPE.encode_bytes(text.encode()).tolist() == ids.tolist()


def test_the_library_tiktoken_and_the_page_from_scratch_give_the_same_ids() -> None:
    for text in [*HARD, "one long line, " * 700, *fuzz(1000)]:
        ids = BPE.encode(text).tolist()
        assert decode(BPE, ids) == text
        assert ids == LIBRARY.encode(text).ids, text
        assert ids == TIKTOKEN.encode_ordinary(text), text
        assert ids == scratch.encode(text, BPE.merges), text
    assert any(token >= 256 for token in ids)


def test_fast_splitting_is_the_pattern() -> None:
    split = pre_tokenizers.Split(Regex(PATTERN), "isolated")
    text = " ".join(HARD) + "".join(fuzz(2000, seed=1)) + "".join(map(chr, range(0x3000))) + tales(5_000)
    assert [piece for part in words(text) for piece in part] == [piece for piece, _ in split.pre_tokenize_str(text)]


@pytest.mark.parametrize("size", [1, 10, 333])
def test_a_text_may_be_cut_into_chunks(size: int) -> None:
    text = " ".join(HARD) + tales(3_000) + "".join(fuzz(200, seed=2))
    parts = list(chunks(text, size))
    assert "".join(parts) == text
    assert len(parts) > 3
    assert [n for part in parts for n in BPE.encode(part)] == BPE.encode(text).tolist()


@pytest.mark.parametrize(
    "text", [" " * 10**6, "a" * 10**6, "\u0301" * 10**6, "\n" * 10**6, "ab" * 500_000, "ab " * 333_333]
)
def test_a_million_of_anything_is_cut_into_short_pieces(text: str) -> None:
    longest = max(len(piece) for part in words(text) for piece in part)
    assert longest <= 65
    assert decode(BPE, BPE.encode(text)) == text


@pytest.mark.parametrize(
    "text",
    [tales(8_000), "\n".join(HARD) + "".join(fuzz(40, seed=4)), Path(__file__).read_text("utf-8")],
    ids=["stories", "hostile", "code"],
)
def test_each_merge_joins_a_most_frequent_pair(text: str) -> None:
    learned = learn_bpe(text, 330)
    assert learned.vocab_size == 330
    cut = Counter(piece.encode() for part in words(text) for piece in part)
    pieces = {piece: list(piece) for piece in cut}
    for n, pair in enumerate(learned.merges):
        counts: Counter[tuple[int, int]] = Counter()
        for piece, times in cut.items():
            for neighbours in pairwise(pieces[piece]):
                counts[neighbours] += times
        assert counts[pair] == max(counts.values())
        pieces = {piece: scratch.merge(ids, pair, 256 + n) for piece, ids in pieces.items()}
    assert all(ids == scratch.encode(piece.decode(), learned.merges) for piece, ids in pieces.items())


def test_learning_is_deterministic_and_a_smaller_vocabulary_is_its_beginning() -> None:
    assert learn_bpe(MIXED, 2_000).merges == BPE.merges
    assert learn_bpe(MIXED, 700).merges == BPE.truncated(700).merges
    assert BPE.truncated(700).vocab_size == 700
    assert BPE.truncated(10).vocab_size == 256


def test_progress_is_told() -> None:
    heard: list[tuple[float, str]] = []
    learn_bpe(tales(500_000), 300, lambda share, what: heard.append((share, what)))
    assert [share for share, _ in heard] == sorted(share for share, _ in heard)
    assert heard[0][1] == "counting words"
    assert heard[-1] == (0.9, "merging the most frequent pairs")


@pytest.mark.slow
def test_of_a_text_without_repetition_only_enough_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """Random letters without a space: every piece is a new word, and twenty megabytes would be merged for minutes."""
    monkeypatch.setattr("playground.tokenizers.bpe.DIFFERENT_CHARACTERS", 400_000)
    text = "".join(random.Random(0).choices("abcdefgh", k=1_600_000))
    heard: list[float] = []
    learned = learn_bpe(text, 400, lambda share, what: heard.append(share))
    assert heard[-1] == pytest.approx(0.9 * 500_000 / 1_600_000)
    assert learned.merges == learn_bpe(text[:500_000], 400).merges


@pytest.mark.parametrize(
    ("text", "reached"), [("a", 256), ("ab", 256), ("abab" * 10, 260), ("abcdefgh", 256), ("x" * 10**6, 262)]
)
def test_it_stops_where_no_pair_occurs_twice(text: str, reached: int) -> None:
    assert learn_bpe(text, 5_000).vocab_size == reached


def test_special_tokens_in_a_text_are_plain_text() -> None:
    ids = BPE.encode("<|endoftext|>")
    assert len(ids) > 3
    assert decode(BPE, ids) == "<|endoftext|>"


def test_a_saved_tokenizer_is_the_same_and_the_file_is_the_librarys_own() -> None:
    saved = json.loads(json.dumps(BPE.to_dict()))
    again = tokenizer_from_dict(saved)
    assert isinstance(again, BPETokenizer)
    assert again.merges == BPE.merges
    assert saved == json.loads(Tokenizer.from_str(json.dumps(saved)).to_str())


@pytest.mark.parametrize("size", [0, 255, 32_001])
def test_sizes_out_of_bounds(size: int) -> None:
    with pytest.raises(ValueError, match="BPE vocabulary size must be 256 to 32,000"):
        learn_bpe("text", size)


def test_surrogates_are_refused_with_their_place() -> None:
    for wrong in (lambda: BPE.encode("ab\ud800"), lambda: learn_bpe("ab\ud800", 300)):
        with pytest.raises(ValueError, match="invalid character at position 3"):
            wrong()


@pytest.mark.parametrize("merges", [[(0, 300)], [(-1, 0)], [(97, 98), (97, 98)]])
def test_impossible_merges_are_refused(merges: list[tuple[int, int]]) -> None:
    with pytest.raises(ValueError, match=r"do not both exist|same token"):
        BPETokenizer(merges)


def test_the_cache_of_words_may_overflow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("playground.tokenizers.bpe.CACHED_WORDS", 50)
    fresh = BPETokenizer(BPE.merges)
    for text in fuzz(100, seed=3):
        assert fresh.encode(text).tolist() == BPE.encode(text).tolist()


@pytest.mark.parametrize("name", ["byte", "char", "bpe"])
def test_every_kind_can_be_written_for_the_library(name: str) -> None:
    text = MIXED[-4000:]
    ours = build_tokenizer(name, text, vocab_size=500)
    library = Tokenizer.from_str(tokenizers_json(ours))
    assert library.encode(text).ids == ours.encode(text).tolist()
    assert library.decode(ours.encode(text).tolist()) == text
    assert library.get_vocab_size() == ours.vocab_size


def test_names_on_a_card() -> None:
    assert kind_in_words("byte", 256, False) == "bytes"
    assert kind_in_words("char", 65, False) == "65 characters" == kind_in_words("char", 66, True)
    assert kind_in_words("bpe", 1000, True) == "BPE 1,000"
    assert kind_in_words("imported", 50_257, True) == "imported tokenizer, 50,257"
