"""The data card against counting by hand."""

import json
import math
import random
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer
from tokenizers.models import BPE

from playground.analysis import data_card as lab
from playground.analysis.data_card import WINDOW, _sentences, _window_hashes, data_card, duplicates
from playground.config import TrainConfig
from playground.data.corpora import training_text
from playground.data.documents import NO_ENDS, Text
from playground.data.sources import TextFile
from playground.tokenizers import ImportedTokenizer, build_tokenizer
from playground.train.dataset import prepare, split
from playground.train.estimate import ModelConfig
from tests.data.test_ngram import brute_force, brute_force_counted

TEXT = "".join(random.Random(1).choices(["the cat ", "sat. ", "é中🦊 ", "on a mat\n", "and then\n"], k=900))
CONFIG = TrainConfig(corpus="own", validation_fraction=0.2)


@pytest.mark.parametrize("kind", ["byte", "char", "bpe"])
def test_sizes_split_and_entropies(kind: str) -> None:
    tokenizer = build_tokenizer(kind, TEXT)
    card = data_card(TEXT, tokenizer, CONFIG)
    head, tail = (part.encode() for part in split(TEXT, 0.2))
    assert (card.n_bytes, card.n_characters, card.n_distinct) == (len(TEXT.encode()), len(TEXT), len(set(TEXT)))
    assert (card.train_bytes, card.validation_bytes) == (len(head), len(tail))
    assert (card.train_tokens, card.validation_tokens) == tuple(len(tokenizer.encode(p.decode())) for p in (head, tail))
    assert card.tokens_exact and card.vocab_size == tokenizer.vocab_size
    assert [gram.name for gram in card.grams] == ["unigram", "bigram", "trigram", "4-gram", "5-gram"]
    data = prepare(TEXT, tokenizer, ModelConfig(block_size=8), CONFIG)
    for order, gram in enumerate(card.grams, 1):
        assert gram.held_out == pytest.approx(brute_force(head, tail, order), rel=1e-9)
        assert gram.counted == pytest.approx(brute_force_counted(head, order), rel=1e-9)
        # In the units of this tokenizer's loss: what the trainer calls bits per nat leads back.
        assert gram.nats_per_token * data.bits_per_nat == pytest.approx(gram.held_out, rel=1e-12)
    assert [where for where, _ in card.samples] == ["beginning", "middle", "end"]
    assert TEXT.startswith(card.samples[0][1]) and TEXT.endswith(card.samples[2][1]) and card.samples[1][1] in TEXT


def test_a_file_gives_the_card_of_its_text(tmp_path: Path) -> None:
    config = CONFIG.replace(corpus_bytes=len(TEXT.encode()))
    tokenizer = build_tokenizer("byte", "")
    file = written(TEXT + "tail that is cut off", tmp_path)
    held, mapped = data_card(TEXT, tokenizer, config).to_dict(), data_card(file, tokenizer, config).to_dict()
    assert held.pop("tokens_exact") is True and mapped.pop("tokens_exact") is False
    held_samples, mapped_samples = held.pop("samples"), mapped.pop("samples")
    assert held == mapped
    assert held_samples[0] == mapped_samples[0]
    assert held_samples[2][1].endswith(mapped_samples[2][1][-100:])


def written(text: str, folder: Path) -> TextFile:
    """A text as `gather` leaves it where it is large."""
    (folder / "text.txt").write_bytes(text.encode())
    ends = text.byte_ends() if isinstance(text, Text) else NO_ENDS
    return TextFile(folder / "text.txt", len(text.encode()), "text.txt", ends)


def rows(n: int = 2_000) -> Text:
    """Many short documents: joined by empty lines they have far more tokens than apart."""
    words = random.Random(2)
    return Text.joined([" ".join(words.choices(["cat", "dog", "sees", "the", "é中", "home"], k=3)) for _ in range(n)])


@pytest.mark.parametrize("documents", ["joined", "separated", "isolated"])
@pytest.mark.parametrize("kind", ["byte", "char", "bpe"])
def test_tokens_are_those_that_training_reads(kind: str, documents: str, tmp_path: Path) -> None:
    """Of text and file alike: split, tokens, and the unit of the n-grams are those of the run's own dataset."""
    text, config = rows(), CONFIG.replace(documents=documents, tokenizer=kind, validation_fraction=0.1)
    tokenizer = build_tokenizer(kind, text, vocab_size=300, eos=documents != "joined")
    shape = ModelConfig(block_size=8, vocab_size=tokenizer.vocab_size)
    data = prepare(text, tokenizer, shape, config)
    assert data.bits_per_nat is not None
    for card in (data_card(text, tokenizer, config), data_card(written(text, tmp_path), tokenizer, config)):
        assert (card.train_tokens, card.validation_tokens) == (len(data.train), len(data.validation))
        assert card.bytes_per_token == pytest.approx(1 / (data.bits_per_nat * math.log(2)), rel=1e-12)
        for gram in card.grams:
            assert gram.nats_per_token == pytest.approx(gram.held_out / data.bits_per_nat, rel=1e-12)


@pytest.mark.parametrize("documents", ["joined", "separated"])
def test_tokens_of_a_file_that_is_sampled(documents: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lab, "COUNTED_BYTES", 8_000)
    monkeypatch.setattr(lab, "HELD_OUT_BYTES", 4_000)
    text, config = rows(6_000), CONFIG.replace(documents=documents)
    tokenizer = build_tokenizer("bpe", text, vocab_size=300, eos=documents != "joined")
    data = prepare(text, tokenizer, ModelConfig(block_size=8, vocab_size=tokenizer.vocab_size), config)
    card = data_card(written(text, tmp_path), tokenizer, config)
    assert not card.tokens_exact
    assert card.train_tokens == pytest.approx(len(data.train), rel=0.04)
    assert card.validation_tokens == pytest.approx(len(data.validation), rel=0.04)


def test_a_text_without_tokens_is_refused() -> None:
    inner = Tokenizer(BPE({"w": 0}, []))  # no unknown token: what is not "w" leaves nothing
    with pytest.raises(ValueError, match="finds no tokens in the training text"):
        data_card(TEXT, ImportedTokenizer(json.loads(inner.to_str())), CONFIG)


def test_of_a_task_only_answers_are_judged() -> None:
    config = TrainConfig(corpus="reverse", corpus_bytes=30_000)
    card = data_card(training_text(config), build_tokenizer("byte", ""), config)
    assert card.answers_only
    assert card.grams[0].nats_per_token == pytest.approx(card.grams[0].held_out * math.log(2))


def brute_force_duplicates(train: bytes, held_out: bytes) -> tuple[float, float]:
    lines = [line for line in held_out.split(b"\n") if line.strip()]
    known = train.split(b"\n")
    windows = [held_out[at : at + WINDOW] for at in range(0, len(held_out) - WINDOW + 1, WINDOW)]
    return sum(line in known for line in lines) / len(lines), sum(window in train for window in windows) / len(windows)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        ("no end", []),
        ("One. Two? Three!", ["One.", "Two?", "Three!"]),
        ('Pi is 3.14, e.g. here. "Go!" she said.', ["Pi is 3.14, e.g.", "here.", '"Go!"', "she said."]),
        ("A title\n\nIt begins\nhere. And (ends.)\n \nunfinished", ["It begins here.", "And (ends.)"]),
        ("Wait... what?!", ["Wait...", "what?!"]),
        ("你好。再见！「好。」完", ["你好。", "再见！", "「好。」"]),
    ],
)
def test_sentences(text: str, expected: list[str]) -> None:
    assert _sentences(text.encode()) == expected


@pytest.mark.parametrize(
    "text", ["!" * 500_000 + "x", "!)" * 250_000, "\n " * 250_000, "a." * 250_000, "!'" + ")" * 500_000]
)
def test_sentences_of_a_hostile_text_take_linear_time(text: str) -> None:
    began = time.process_time()
    _sentences(text.encode())
    assert time.process_time() - began < 1


@given(st.lists(st.sampled_from(["It rained.", "She ran!", "Why?", "He has 3.5 apples.", "Ben sat down."]), min_size=4))
def test_a_sentence_recurs_if_it_stands_in_the_training_text_wherever_a_line_breaks(sentences: list[str]) -> None:
    half = len(sentences) // 2
    train, held_out = " ".join(sentences[:half]), "\n".join(sentences[half:])
    found = duplicates(train.encode(), held_out.encode())
    assert found.n_sentences == len(sentences) - half
    assert found.sentences == sum(sentence in sentences[:half] for sentence in sentences[half:]) / (
        len(sentences) - half
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("corpus", "sentences", "lines"), [("tales", 0.5, 0.0), ("python_source", 0.0, 0.15), ("sort", None, 0.0)]
)
def test_what_recurs_in_the_texts_that_come_along(corpus: str, sentences: float | None, lines: float) -> None:
    """About half of the sentences of Tales, and 15 % of the lines of Python source; of tasks nothing."""
    config = TrainConfig(corpus=corpus)
    found = data_card(training_text(config), build_tokenizer("byte", ""), config).duplicates
    assert found.sentences == (None if sentences is None else pytest.approx(sentences, abs=0.1))
    assert found.lines == pytest.approx(lines, abs=0.06)


@pytest.mark.parametrize("seed", range(5))
def test_duplicates_equal_a_search_by_hand(seed: int) -> None:
    rng = random.Random(seed)
    lines = ["".join(rng.choices("abc ", k=rng.randrange(1, 60))) for _ in range(60)]
    train = "\n".join(rng.choice(lines) for _ in range(200)).encode()
    held_out = "\n".join(rng.choice([*lines, "new " * rng.randrange(1, 30)]) for _ in range(100)).encode()
    held_out += train[300:900]
    found = duplicates(train, held_out)
    assert (found.lines, found.windows) == brute_force_duplicates(train, held_out)
    assert all(example.encode() in train for example in found.examples)
    assert [len(line) for line in found.examples] == sorted(map(len, found.examples), reverse=True)


def test_nothing_to_compare_is_none() -> None:
    found = duplicates(b"abc", b"\n \n")
    assert (found.lines, found.n_lines, found.windows, found.n_windows, found.examples) == (None, 0, None, 0, [])
    with pytest.raises(ValueError, match="too short to be split"):
        data_card("a", build_tokenizer("byte", ""), CONFIG)


def test_equal_windows_have_equal_hashes_wherever_they_are() -> None:
    data = np.random.default_rng(0).integers(0, 4, 2000, dtype=np.uint8).tobytes()
    twice = data + b"x" + data
    hashes = _window_hashes(twice)
    whole = len(data) - WINDOW + 1
    assert np.array_equal(hashes[:whole], hashes[len(data) + 1 :])
    assert len(np.unique(hashes[:whole])) == whole
