"""Whether a text comes back from its tokens, and what of it does not: against a table filled in by the textbook."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer as Library
from tokenizers import decoders, models, normalizers, pre_tokenizers, trainers

from playground.config import ModelConfig, TrainConfig
from playground.data.tales import tales
from playground.tokenizers import (
    RoundTrip,
    Tokenizer,
    build_tokenizer,
    import_tokenizer,
    lost_words,
    round_trip,
)
from playground.tokenizers.round_trip import common_characters
from playground.train.dataset import prepare, prepare_file

TEXT = tales(30_000)
MODEL = ModelConfig(block_size=8)
CONFIG = TrainConfig(corpus="own", tokenizer="imported", validation_fraction=0.1)


def words_only() -> Tokenizer:
    """Words that it knows, and one token for all others; spaces are dropped."""
    library = Library(models.WordLevel({"[UNK]": 0, "the": 1, "a": 2, ".": 3}, unk_token="[UNK]"))
    library.pre_tokenizer = pre_tokenizers.Whitespace()
    return import_tokenizer(library.to_str())


def byte_level(normalizer: object = None) -> Tokenizer:
    library = Library(models.BPE())
    library.normalizer = normalizer
    library.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    library.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    library.train_from_iterator(
        [TEXT], trainers.BpeTrainer(vocab_size=500, show_progress=False, initial_alphabet=alphabet)
    )
    return import_tokenizer(library.to_str())


def textbook(a: str, b: str) -> int:
    table = np.zeros((len(a) + 1, len(b) + 1), dtype=int)
    for i, x in enumerate(a, 1):
        for j, y in enumerate(b, 1):
            table[i, j] = table[i - 1, j - 1] + 1 if x == y else max(table[i - 1, j], table[i, j - 1])
    return int(table[-1, -1])


@given(st.text("abcé🦊 ", max_size=30), st.text("abcé🦊 ", max_size=30))
@settings(max_examples=200, deadline=None)
def test_the_longest_common_subsequence_is_the_textbooks(a: str, b: str) -> None:
    assert common_characters(a, b) == textbook(a, b)


@pytest.mark.parametrize("kind", ["byte", "char", "bpe"])
def test_ours_give_back_every_text(kind: str) -> None:
    tokenizer = build_tokenizer(kind, TEXT, vocab_size=400)
    found = round_trip(tokenizer, TEXT, tokenizer.encode(TEXT))
    assert (found.exact, found.lost) == (True, 0.0)


def test_a_byte_level_file_gives_back_every_text_and_counts_in_bits_per_byte() -> None:
    data = prepare(TEXT, byte_level(), MODEL, CONFIG)
    tail = len(TEXT) - len(prepare(TEXT, build_tokenizer("char", TEXT), MODEL, CONFIG).train)
    assert data.bits_per_nat == pytest.approx(len(data.validation) / tail / np.log(2), rel=1e-12)
    assert data.lost == 0


CASES = [
    (normalizers.Lowercase(), "The Fox SAW 2 owls.\n", 5 / 20),
    (normalizers.Sequence([normalizers.NFD(), normalizers.StripAccents()]), "café Émile\n", 2 / 11),
    (normalizers.NFKC(), "… ½ ﬁ ™\n", 4 / 8),
    (normalizers.Replace("x", ""), "xaxbx\n", 3 / 6),
]


@pytest.mark.parametrize(("normalizer", "line", "lost"), CASES, ids=["lower", "accents", "NFKC", "drops"])
def test_what_a_normalizer_changes_is_lost_and_there_are_no_bits_per_byte(
    tmp_path: Path, normalizer: object, line: str, lost: float
) -> None:
    tokenizer = byte_level(normalizer)
    data = prepare(line * 200, tokenizer, MODEL, CONFIG)
    assert data.bits_per_nat is None
    assert data.lost == pytest.approx(lost, abs=1e-9)
    path = tmp_path / "text.txt"
    path.write_bytes((line * 200).encode())
    for _ in range(2):  # made, and found again
        mapped = prepare_file(path, tokenizer, MODEL, CONFIG, tmp_path / "tokens")
        assert (mapped.bits_per_nat, mapped.lost) == (None, data.lost)


def test_a_text_that_the_normalizer_leaves_alone_is_exact_although_another_would_not_be() -> None:
    data = prepare("the fox saw an owl.\n" * 200, byte_level(normalizers.NFKC()), MODEL, CONFIG)
    assert data.bits_per_nat is not None


def test_unknown_words_are_lost() -> None:
    tokenizer = words_only()
    data = prepare("the fox.\n" * 100, tokenizer, MODEL, CONFIG)
    assert data.bits_per_nat is None
    assert data.lost == pytest.approx(4 / 9)  # "the ." is left of each line


@given(st.lists(st.text("aAbÉ \n", max_size=8), max_size=6), st.booleans())
@settings(max_examples=60, deadline=None)
def test_in_pieces_as_in_one(parts: list[str], lower: bool) -> None:
    tokenizer = LOWER if lower else PLAIN
    whole = "".join(parts)
    found = RoundTrip(tokenizer)
    for part in parts:
        found.feed(part, tokenizer.encode(part))
    found.finish()
    assert found.exact == (not lower or whole == whole.lower())


PLAIN, LOWER = byte_level(), byte_level(normalizers.Lowercase())


@pytest.mark.parametrize(
    ("lost", "number"), [(0.38, "38"), (1.0, "100"), (0.99999, "99.999"), (0.0421, "4.2"), (3e-6, "0.0003")]
)
def test_said_in_numbers(lost: float, number: str) -> None:
    assert lost_words(lost).startswith(f"{number}\u00a0% of the characters of this text do not come back")


def test_nothing_lost_and_yet_not_the_same() -> None:
    assert "does not decode to exactly the same text" in lost_words(0.0)


def test_an_old_token_file_is_made_again(tmp_path: Path) -> None:
    path = tmp_path / "text.txt"
    path.write_bytes(b"The fox.\n" * 200)
    tokenizer = LOWER
    prepare_file(path, tokenizer, MODEL, CONFIG, tmp_path / "tokens")
    facts = json.loads(next((tmp_path / "tokens").glob("*/tokens.json")).read_text("ascii"))
    assert (facts["exact"], facts["lost"]) == (False, pytest.approx(1 / 9))
