"""Text goes to ids and comes back, whatever the text."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from playground.tokenizers import build_tokenizer, decode, pieces, tokenizer_from_dict

HARD = "NUL \0, CRLF \r\n, a\u0308, \u202eRTL\u202c, 👩‍👩‍👧, \ufeffBOM, \U0010ffff"


@given(st.text())
def test_bytes_round_trip(text):
    tokenizer = build_tokenizer("byte", "")
    if any("\ud800" <= c <= "\udfff" for c in text):
        with pytest.raises(ValueError, match="invalid character at position"):
            tokenizer.encode(text)
    else:
        ids = tokenizer.encode(text)
        assert ids.tolist() == list(text.encode("utf-8"))
        assert decode(tokenizer, ids) == text


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"]), min_size=2))
def test_characters_round_trip(text):
    if len(set(text)) < 2:
        with pytest.raises(ValueError, match="different character"):
            build_tokenizer("char", text)
        return
    tokenizer = build_tokenizer("char", text)
    ids = tokenizer.encode(text)
    assert [sorted(set(text))[i] for i in ids] == list(text)
    assert decode(tokenizer, ids) == text
    assert tokenizer.vocab_size == len(set(text))


@pytest.mark.parametrize("name", ["byte", "char"])
def test_a_saved_tokenizer_is_the_same(name):
    tokenizer = build_tokenizer(name, HARD)
    again = tokenizer_from_dict(tokenizer.to_dict())
    assert again.encode(HARD).tolist() == tokenizer.encode(HARD).tolist()
    assert again.vocab_size == tokenizer.vocab_size


def test_strangers_are_named():
    with pytest.raises(ValueError, match=r"has never seen 'x', 'é'"):
        build_tokenizer("char", "abc").encode("axéa")


def test_parts_of_a_character_are_shown_as_bytes():
    tokenizer = build_tokenizer("byte", "")
    assert pieces(tokenizer, tokenizer.encode("aé")) == ["a", "\\xC3", "\\xA9"]


@pytest.mark.parametrize(
    "values", [{}, {"name": "bpe"}, {"name": "char"}, {"name": "char", "characters": 5}, {"name": None}]
)
def test_what_is_no_tokenizer_is_refused(values):
    with pytest.raises(ValueError, match="not a saved tokenizer"):
        tokenizer_from_dict(values)


def test_a_vocabulary_out_of_order_is_refused():
    with pytest.raises(ValueError, match="once, in order"):
        tokenizer_from_dict({"name": "char", "characters": "ba"})
