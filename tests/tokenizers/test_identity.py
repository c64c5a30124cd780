"""Two tokenizers count as the same only where they give the same ids for every text."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from playground.tokenizers import BPETokenizer, ImportedTokenizer, Tokenizer, import_tokenizer, learn_bpe
from playground.tokenizers.byte import ByteTokenizer
from playground.tokenizers.character import CharacterTokenizer
from playground.tokenizers.identity import fingerprint, same_tokens, saved_fingerprint
from tests.tokenizers.test_imported import gpt2_like

TEXT = "the cat sat on the mat, and the hat sat on that cat; " * 20
ALPHABET = "".join(sorted(set(TEXT)))


def own(n_merges: int) -> BPETokenizer:
    learned = learn_bpe(TEXT, 256 + n_merges)
    return learned.truncated(256 + n_merges)


ZOO: list[Tokenizer] = [
    ByteTokenizer(),
    *(own(n) for n in (0, 1, 2, 2, 8)),
    CharacterTokenizer(ALPHABET),
    CharacterTokenizer.from_text(TEXT),
    CharacterTokenizer("".join(sorted(set(ALPHABET + "xyz")))),
    ImportedTokenizer(json.loads(gpt2_like().to_str())),
]


def ids(tokenizer: Tokenizer, text: str) -> list[int]:
    return [int(token) for token in tokenizer.encode(text)]


@given(st.text(ALPHABET), st.sampled_from(ZOO), st.sampled_from(ZOO))
def test_equal_fingerprints_mean_equal_ids(text: str, a: Tokenizer, b: Tokenizer) -> None:
    assert same_tokens(a, b) == (fingerprint(a) == fingerprint(b))
    if same_tokens(a, b):
        assert ids(a, text) == ids(b, text)


def test_different_vocabularies_of_one_kind_differ() -> None:
    assert not same_tokens(own(2), own(8))
    assert not same_tokens(CharacterTokenizer("abc"), CharacterTokenizer("abd"))
    assert ids(CharacterTokenizer("abc"), "c") != ids(CharacterTokenizer("acd"), "c")


@pytest.mark.parametrize("tokenizer", ZOO, ids=lambda each: each.name)
def test_the_same_after_saving(tokenizer: Tokenizer) -> None:
    saved = json.loads(json.dumps(tokenizer.to_dict()))
    assert saved_fingerprint(saved) == fingerprint(tokenizer)


def test_bytes_are_a_bpe_without_merges() -> None:
    assert same_tokens(ByteTokenizer(), BPETokenizer([]))
    assert ids(ByteTokenizer(), "né") == ids(BPETokenizer([]), "né")


def _changed(values: dict[str, Any], **parts: Any) -> dict[str, Any]:
    return {**values, **parts}


def test_of_a_file_only_what_decides_ids_counts() -> None:
    values = json.loads(gpt2_like().to_str())
    print_only = _changed(values, decoder=None, padding=None)
    pairs = [" ".join(merge) for merge in values["model"]["merges"]]
    old_form = _changed(values, model={**values["model"], "merges": pairs})
    lower = _changed(values, normalizer={"type": "Lowercase"})
    original = saved_fingerprint(values)
    assert saved_fingerprint(print_only) == saved_fingerprint(old_form) == original
    assert saved_fingerprint(lower) != original
    assert ids(ImportedTokenizer(old_form), TEXT) == ids(ImportedTokenizer(values), TEXT)
    assert ids(ImportedTokenizer(lower), "The") != ids(ImportedTokenizer(values), "The")


def test_our_own_file_imported_is_the_same() -> None:
    assert same_tokens(import_tokenizer(own(8).json_text), own(8))
