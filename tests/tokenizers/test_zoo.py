"""Tokenizer files of every kind against the `tokenizers` library: the same ids, the same text, at once and bit by bit."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers

from playground.tokenizers import (
    ImportedTokenizer,
    StreamDecoder,
    build_tokenizer,
    decode,
    import_tokenizer,
    round_trip,
    spans_of,
    text_with_ends,
)
from tests.tokenizers.zoo import KINDS, TEXT, file_of, library_of

TEXTS = st.one_of(
    st.text("abc xé🦊\n\t.'_▁fox½Ａ", max_size=40),
    st.integers(0, len(TEXT) - 60).flatmap(lambda at: st.integers(0, 60).map(lambda n: TEXT[at : at + n])),
)


@cache
def ours(kind: str) -> ImportedTokenizer:
    tokenizer = import_tokenizer(file_of(kind))
    assert isinstance(tokenizer, ImportedTokenizer)
    return tokenizer


@pytest.mark.parametrize("kind", KINDS)
def test_ids_and_text_are_the_librarys(kind: str) -> None:
    library, tokenizer = library_of(kind), ours(kind)

    @given(TEXTS)
    @settings(max_examples=25 if tokenizer.trusted else 4, deadline=None)  # a process for each text: fewer
    def check(text: str) -> None:
        ids = tokenizer.encode(text).tolist()
        assert ids == library.encode(text, add_special_tokens=False).ids
        back = library.decode(ids, skip_special_tokens=False)
        assert decode(tokenizer, ids) == back
        found = round_trip(tokenizer, text, np.array(ids))
        assert found.exact == (back == text)
        assert found.lost == 0 if found.exact else 0 <= found.lost <= 1

    check()


@pytest.mark.parametrize("kind", KINDS)
def test_any_ids_come_as_the_same_text_one_by_one(kind: str) -> None:
    tokenizer = ours(kind)
    ids = sorted(tokenizer._ids.values())

    @given(st.lists(st.sampled_from(ids), max_size=60), st.lists(st.sampled_from(ids), max_size=50), st.integers(1, 7))
    @settings(max_examples=40, deadline=None)
    def check(context: list[int], new: list[int], step: int) -> None:
        whole = library_of(kind).decode(new, skip_special_tokens=False)
        one = StreamDecoder(tokenizer)
        assert "".join(map(one.feed, new)) + one.finish() == whole
        some = StreamDecoder(tokenizer)
        parts = [some.feed_all(new[at : at + step]) for at in range(0, len(new), step)]
        assert "".join(parts) + some.finish() == whole
        if tokenizer.in_pieces and not any(map(tokenizer.is_byte, context)) and not tokenizer.byte_level:
            after = StreamDecoder(tokenizer, context)
            told = "".join(map(after.feed, new)) + after.finish()
            before, together = decode(tokenizer, context), decode(tokenizer, [*context, *new])
            assert before + told == together

    check()


IN_PIECES = set(KINDS) - {"joined, then replaced"}


@pytest.mark.parametrize("kind", KINDS)
def test_usual_decoders_write_word_by_word(kind: str) -> None:
    assert (ours(kind).in_pieces or ours(kind).byte_level) == (kind in IN_PIECES)


@pytest.mark.parametrize("kind", ["llama", "unigram", "bert", "word level"])
def test_each_token_is_shown_as_what_it_adds(kind: str) -> None:
    tokenizer = ours(kind)
    ids = tokenizer.encode("The fox was a fox and said, the owl.").tolist()
    joined = b"".join(map(tokenizer.token_bytes, ids)).decode()
    assert joined.removeprefix(" ") == decode(tokenizer, ids)


def changed(kind: str, **parts: Any) -> str:
    return json.dumps(json.loads(file_of(kind)) | parts)


def test_two_tokens_with_one_id_are_refused() -> None:
    library = json.loads(Tokenizer(models.WordLevel({"a": 0, "b": 1, "c": 2}, unk_token="a")).to_str())
    library["model"]["vocab"] = {"a": 0, "b": 1, "c": 1}
    with pytest.raises(ValueError, match=r"'b' and 'c' of this tokenizer.json have the same id 1"):
        import_tokenizer(json.dumps(library))


def test_added_tokens_that_the_normalizer_makes_equal_are_refused() -> None:
    """The library finds one or the other, by chance of the process."""
    library = library_of("gpt2 lower")
    library.add_tokens([AddedToken(text, normalized=True) for text in ("FOX", "owl", "fox")])
    with pytest.raises(ValueError, match=r"makes 'fox' of both added tokens 'FOX' and 'fox', so .* be up to chance\."):
        import_tokenizer(library.to_str())
    plain = library_of("gpt2 lower")
    plain.add_tokens([AddedToken("FOX", normalized=True), AddedToken("fox", normalized=False)])
    tokenizer = import_tokenizer(plain.to_str())
    assert tokenizer.encode("fox FOX").tolist() == plain.encode("fox FOX", add_special_tokens=False).ids


def test_a_regular_expression_in_the_decoder_is_refused() -> None:
    library = library_of("gpt2")
    library.decoder = decoders.Sequence([decoders.Replace(Regex("(a+)+b"), "x")])
    with pytest.raises(ValueError, match=r"The decoder of this tokenizer.json has a regular expression"):
        import_tokenizer(library.to_str())


@pytest.mark.parametrize(("start", "stop", "works"), [(1, 0, True), (0, 1, False), (5, 9, False)])
def test_a_decoder_that_fails_is_refused(start: int, stop: int, works: bool) -> None:
    """The library's Strip panics on an empty text if it strips from the end."""
    library = library_of("llama")
    library.decoder = decoders.Sequence([decoders.Fuse(), decoders.Strip(" ", start, stop)])
    if works:
        assert import_tokenizer(library.to_str())
        return
    with pytest.raises(
        ValueError, match=r"^The decoder of this tokenizer.json cannot decode every text or token \(.*\)\. Ch"
    ):
        import_tokenizer(library.to_str())


@pytest.mark.parametrize("part", ["normalizer", "decoder"])
def test_a_text_that_would_explode_is_refused(part: str) -> None:
    library = library_of("gpt2")
    if part == "normalizer":
        library.normalizer = normalizers.Sequence([normalizers.Replace("a", "aaaa")] * 9)
    else:
        library.decoder = decoders.Sequence([decoders.Replace("a", "aaaa")] * 9)
    with pytest.raises(
        ValueError,
        match=f"The steps of the {part} of this tokenizer.json could together make a text up to 262144 times as long",
    ):
        import_tokenizer(library.to_str())


@pytest.mark.parametrize("kind", KINDS)
def test_spans_tile_the_text_at_the_librarys_offsets(kind: str) -> None:
    tokenizer, library = ours(kind), library_of(kind)

    @given(TEXTS)
    @settings(max_examples=25 if tokenizer.trusted else 3, deadline=None)
    def check(text: str) -> None:
        found = spans_of(tokenizer, text)
        theirs = library.encode(text, add_special_tokens=False)
        assert found.ids.tolist() == theirs.ids == tokenizer.encode(text).tolist()
        assert not found.added.any()
        if not len(found.ids):
            return
        assert (np.diff(found.ends, prepend=0) >= 0).all()
        assert found.ends[-1] == len(text)
        if theirs.offsets == sorted(theirs.offsets):
            assert found.ends[:-1].tolist() == [end for _, end in theirs.offsets[:-1]]

    check()


@pytest.mark.parametrize("kind", KINDS)
def test_the_places_of_tokens_in_a_decoded_text(kind: str) -> None:
    tokenizer = ours(kind)
    ids = tokenizer.encode(TEXT[:500]).tolist()
    data, ends = text_with_ends(tokenizer, ids)
    assert data.decode() == decode(tokenizer, ids)
    assert len(ends) == len(ids)
    assert (np.diff(ends, prepend=0) >= 0).all()
    assert ends[-1] == len(data)


def test_what_is_put_around_a_prompt_stands_for_nothing_in_it() -> None:
    found = spans_of(ours("bert"), "the fox", prompt=True)
    assert found.ids[0] == 1  # [CLS]
    assert found.added.tolist() == [True] + [False] * (len(found.ids) - 1)
    assert (found.ends[0], found.ends[-1]) == (0, 7)


@pytest.mark.parametrize("kind", ["byte", "char", "bpe"])
def test_spans_of_ours(kind: str) -> None:
    text = "é🦊 a fox\n"
    tokenizer = build_tokenizer(kind, text, vocab_size=256)
    wanted = list(range(1, 10)) if kind == "char" else [1, 1, 2, 2, 2, 2, *range(3, 10)]
    assert spans_of(tokenizer, text).ends.tolist() == wanted
