"""Long texts are read in windows: the ids are those of the whole text, with every kind of tokenizer, wherever it is cut."""

from __future__ import annotations

import json
import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

from playground.tokenizers import encode_pieces, import_tokenizer, limited
from playground.tokenizers import imported as imported_module
from playground.tokenizers import seams as module
from playground.tokenizers.seams import in_pieces
from tests.tokenizers.test_zoo import ours
from tests.tokenizers.zoo import KINDS, TEXT, library_of

LONG = TEXT[:9_000] + "\n\n" + "aaaa" * 300 + " Émile  fox   key \t\n owl " * 40 + "12345678" * 100 + TEXT[9_000:14_000]
CUT = {
    kind
    for kind in KINDS
    if kind not in ("unigram, one word", "byte level without words", "llama across words", "own pattern")
}


@pytest.mark.parametrize("kind", KINDS)
def test_the_ids_are_those_of_the_whole(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "OVERLAP", 400)
    monkeypatch.setattr(imported_module, "CHUNK", 1_500)
    tokenizer = ours(kind)
    long = LONG if tokenizer.trusted else LONG[-9_000:]  # a process for each few windows
    pieces = list(tokenizer.encode_pieces([long[:7_000], long[7_000:7_001], long[7_001:]]))
    assert "".join(text for text, _ in pieces) == long
    whole = library_of(kind).encode(long, add_special_tokens=False).ids
    assert np.concatenate([ids for _, ids in pieces]).tolist() == whole
    assert tokenizer.encode(long).tolist() == whole
    if kind in CUT:
        assert len(pieces) > 4
    for text, ids in pieces[:-1]:  # each with the text that it stands for
        assert len(ids) and text


@pytest.mark.slow
@given(st.text("ab \n.1é_▁fox", max_size=400), st.integers(20, 60), st.sampled_from(sorted(KINDS)), st.randoms())
@settings(max_examples=150, deadline=None)
def test_any_text_in_any_parts(text: str, size: int, kind: str, chance: random.Random) -> None:
    tokenizer = ours(kind)
    library = library_of(kind)
    cuts = sorted(chance.randint(0, len(text)) for _ in range(3))
    parts = [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "OVERLAP", 16)
        found = list(in_pieces(lambda texts: limited.read(library, texts), tokenizer._apart, parts, size))
    assert "".join(part for part, _ in found) == text
    ids = [int(token) for _, some in found for token in some]
    assert ids == library.encode(text, add_special_tokens=False).ids


def test_a_prefix_space_comes_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(imported_module, "CHUNK", 40_000)
    library = Tokenizer(models.WordLevel({"▁a": 0, "▁b": 1, "▁": 2}, unk_token="▁"))
    library.pre_tokenizer, library.decoder = pre_tokenizers.Metaspace(), decoders.Metaspace()
    ids = import_tokenizer(library.to_str()).encode("a b " * 30_000)
    assert len(ids) == 60_001  # the last blank is a token of its own
    assert ids[:-1].reshape(-1, 2).tolist() == [[0, 1]] * 30_000


def test_a_text_that_cannot_be_cut_has_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LONGEST", 5_000)
    monkeypatch.setattr(module, "OVERLAP", 100)
    monkeypatch.setattr(imported_module, "CHUNK", 500)
    with pytest.raises(ValueError, match="no place to cut the text was found"):
        list(encode_pieces(ours("unigram, one word"), [TEXT]))


def test_apart_is_only_for_merges_of_plain_texts() -> None:
    values = json.loads(library_of("llama").to_str())
    ids = library_of("llama").get_vocab()
    free = module.apart(values, ids)
    assert free(ids["s"], ids["▁"])
    assert not free(ids["t"], ids["h"])
    assert not free(ids["<0x41>"], ids["▁"])
    assert not free(ids["<unk>"], ids["▁"])
