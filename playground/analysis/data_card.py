"""The data card of a text before training: sizes, n-gram entropies, duplicates."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np

from playground.config import TrainConfig
from playground.data.corpora import find_corpus
from playground.data.documents import NO_ENDS, SEPARATOR, Text
from playground.data.ngram import ngram_entropies
from playground.data.sources import TextFile
from playground.data.tasks import answer_mask
from playground.data.token_file import characters, survey
from playground.runs.baselines import COUNTED_BYTES, HELD_OUT_BYTES, MAX_ORDER, places, sample, sample_file
from playground.tokenizers import RoundTrip, Tokenizer, lost_words
from playground.train.dataset import bits_per_nat, encoded, split_text

SAMPLE_CHARACTERS = 400
WINDOW = 64  # bytes
_EXAMPLES = 3
_PARAGRAPHS = re.compile(r"\n\s*\n")
# Marks with what closes behind them, before white space or the end; or those of Chinese and Japanese. Only at the first of
# several marks does a search begin: it would be quadratic in their number.
_SENTENCE_ENDS = re.compile(r"""(?<![.!?])[.!?]++["'”’)\]]*+(?=\s|\Z)|[。！？]++[」』”’]*+""")
_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)  # odd, so that it has an inverse


@dataclass(frozen=True)
class Gram:
    """A byte n-gram's entropies; `nats_per_token` is the held-out one in the units of a loss with this tokenizer.

    None if the tokens do not reproduce the text, because a loss then measures something else."""

    name: str
    held_out: float  # bits per byte
    counted: float  # bits per byte on the training part itself
    nats_per_token: float | None


@dataclass(frozen=True)
class Duplicates:
    """How much of the validation part also occurs in the training part. Shares are 0 to 1, or None without any items."""

    sentences: float | None
    n_sentences: int
    lines: float | None
    n_lines: int
    windows: float | None  # of WINDOW bytes, adjacent
    n_windows: int
    examples: list[str]  # the longest such lines


@dataclass(frozen=True)
class DataCard:
    """The data card, JSON-able by `asdict`. `counted_bytes` and `held_out_bytes` say how much text the n-grams used."""

    n_bytes: int
    n_characters: int
    n_distinct: int
    train_bytes: int
    validation_bytes: int
    train_tokens: int
    validation_tokens: int
    tokens_exact: bool  # or estimated from a part
    bytes_per_token: float
    vocab_size: int
    grams: list[Gram]
    counted_bytes: int
    held_out_bytes: int
    answers_only: bool  # for algorithmic tasks only the answers are predictable, so only they were evaluated
    duplicates: Duplicates
    samples: list[tuple[str, str]]  # where, text
    no_bits: str = ""  # why losses with this tokenizer are not bits per byte, in words

    def to_dict(self) -> dict[str, object]:
        """For the page."""
        return asdict(self)


@dataclass(frozen=True)
class _Parts:
    """The inputs: sizes of the whole text, samples of both parts, and the texts to encode."""

    n_bytes: int
    n_characters: int
    n_distinct: int
    train_bytes: int
    train: bytes
    held_out: bytes
    samples: list[tuple[str, str]]
    encoded: tuple[list[str], list[str]]  # training, validation: all of it, or pieces with their document boundaries


def data_card(text: str | TextFile, tokenizer: Tokenizer, config: TrainConfig) -> DataCard:
    """The card of a text, or of a file too large for memory, for a tokenizer and a split.

    Split and tokens are those that training reads (`train.dataset.prepare`), with documents kept apart as
    `config.documents` says. Raises ValueError when one of the two parts is empty, or has no tokens.
    """
    parts = _of_file(text, config) if isinstance(text, TextFile) else _of_text(text, config)
    if not parts.train or not parts.held_out:
        raise ValueError("The text is too short to be split into training and validation text. Add some text.")
    validation_bytes = parts.n_bytes - parts.train_bytes
    back = RoundTrip(tokenizer)
    train_tokens = _tokens(parts.encoded[0], parts.train_bytes, tokenizer, config)
    validation_tokens = _tokens(parts.encoded[1], validation_bytes, tokenizer, config, back)
    for part, n_tokens in (("training", train_tokens), ("validation", validation_tokens)):
        if not round(n_tokens):
            raise ValueError(f"The tokenizer finds no tokens in the {part} text. Choose another tokenizer or text.")
    no_bits = "" if back.exact else lost_words(back.lost, "the validation text")
    task = find_corpus(config.corpus).kind == "task"
    mask = answer_mask(config.corpus, parts.held_out.decode("ascii")) if task else None
    return DataCard(
        n_bytes=parts.n_bytes,
        n_characters=parts.n_characters,
        n_distinct=parts.n_distinct,
        train_bytes=parts.train_bytes,
        validation_bytes=validation_bytes,
        train_tokens=round(train_tokens),
        validation_tokens=round(validation_tokens),
        tokens_exact=isinstance(text, str),
        bytes_per_token=validation_bytes / validation_tokens,
        vocab_size=tokenizer.vocab_size,
        grams=[
            Gram(
                gram.name,
                gram.held_out,
                gram.counted,
                None if no_bits else gram.held_out / bits_per_nat(validation_tokens, validation_bytes),
            )
            for gram in ngram_entropies(parts.train, parts.held_out, MAX_ORDER, mask)
        ],
        counted_bytes=len(parts.train),
        held_out_bytes=len(parts.held_out),
        answers_only=task,
        duplicates=duplicates(parts.train, parts.held_out),
        samples=parts.samples,
        no_bits=no_bits,
    )


def _tokens(
    texts: Sequence[str], n_bytes: int, tokenizer: Tokenizer, config: TrainConfig, back: RoundTrip | None = None
) -> float:
    """How many tokens a part of `n_bytes` has: those of its `texts`, which are all of it or a sample, in proportion."""
    count = sum(len(encoded(text, tokenizer, config, back)) for text in texts)
    size = sum(len(text.encode("utf-8")) for text in texts)
    return count if size == n_bytes else count * n_bytes / max(1, size)


def _of_text(text: str, config: TrainConfig) -> _Parts:
    texts = split_text(text, config)
    head, tail = (part.encode("utf-8") for part in texts)
    middle = max(0, len(text) // 2 - SAMPLE_CHARACTERS // 2)
    return _Parts(
        len(head) + len(tail),
        len(text),
        len(set(text)),
        len(head),
        sample(head, COUNTED_BYTES),
        tail[:HELD_OUT_BYTES],
        _samples(text[:SAMPLE_CHARACTERS], text[middle : middle + SAMPLE_CHARACTERS], text[-SAMPLE_CHARACTERS:]),
        ([texts[0]], [texts[1]]),
    )


def _of_file(file: TextFile, config: TrainConfig) -> _Parts:
    path = file.path
    ends = NO_ENDS if config.documents == "joined" else file.ends
    where = survey(
        path, config.corpus_bytes, config.validation_fraction, ends=None if config.documents == "joined" else ends
    )
    n_characters, codes = characters(path, where.end)
    size = 4 * SAMPLE_CHARACTERS
    with open(path, "rb") as opened:
        beginnings = []
        for start in (0, where.end // 2, max(0, where.end - size)):
            opened.seek(start)
            beginnings.append(opened.read(min(size, where.end - start)).decode("utf-8", errors="ignore"))
    train = sample_file(path, 0, where.cut, COUNTED_BYTES)
    held_out = sample_file(path, where.cut, where.end, HELD_OUT_BYTES)
    return _Parts(
        where.end,
        n_characters,
        len(codes),
        where.cut,
        train,
        held_out,
        _samples(
            beginnings[0][:SAMPLE_CHARACTERS], beginnings[1][:SAMPLE_CHARACTERS], beginnings[2][-SAMPLE_CHARACTERS:]
        ),
        (
            _texts(train, places(0, where.cut, COUNTED_BYTES), ends),
            _texts(held_out, places(where.cut, where.end, HELD_OUT_BYTES), ends),
        ),
    )


def _texts(data: bytes, where: Sequence[tuple[int, int]], ends: np.ndarray) -> list[str]:
    """The pieces of a sample as texts with document boundaries. `ends` (D,) are in bytes of the whole file."""
    found: list[str] = []
    done = 0
    for start, stop in where:
        inside = ends[(ends >= start + len(SEPARATOR)) & (ends <= stop)] - start
        found.append(Text.from_bytes(data[done : done + stop - start], inside))
        done += stop - start
    return found


def _samples(*texts: str) -> list[tuple[str, str]]:
    return list(zip(("beginning", "middle", "end"), texts, strict=True))


def duplicates(train: bytes, held_out: bytes) -> Duplicates:
    """How many sentences, lines and windows of the held-out text also stand in the training text, exactly.

    Blank lines are left out; white space in sentences is not compared. Windows are adjacent in the held-out text and are
    searched for at every offset of the training text, by a 64-bit hash.
    """
    known = set(train.split(b"\n"))
    lines = [line for line in held_out.split(b"\n") if line.strip()]
    twice = [line for line in lines if line in known]
    known_sentences, sentences = set(_sentences(train)), _sentences(held_out)
    hashes = _window_hashes(held_out)[::WINDOW]
    found = _occurs(hashes, _window_hashes(train))
    return Duplicates(
        sum(sentence in known_sentences for sentence in sentences) / len(sentences) if sentences else None,
        len(sentences),
        len(twice) / len(lines) if lines else None,
        len(lines),
        float(found.mean()) if len(hashes) else None,
        len(hashes),
        _longest(twice),
    )


def _sentences(data: bytes) -> list[str]:
    """The sentences of a text: what ends with a full stop, question or exclamation mark, within a paragraph. Linear in
    time, whatever the text."""
    found: list[str] = []
    for paragraph in _PARAGRAPHS.split(data.decode("utf-8", errors="ignore")):
        start = 0
        for end in _SENTENCE_ENDS.finditer(paragraph):
            found.append(" ".join(paragraph[start : end.end()].split()))
            start = end.end()
    return found


def _occurs(few: np.ndarray, many: np.ndarray) -> np.ndarray:
    """Flags of the `few` that are among the `many`, which are not sorted for it."""
    wanted, place = np.unique(few, return_inverse=True)
    hit = np.zeros(len(wanted), dtype=bool)
    if len(wanted) and len(many):
        at = np.minimum(np.searchsorted(wanted, many), len(wanted) - 1)
        hit[at[wanted[at] == many]] = True
    return hit[place]


def _longest(lines: Sequence[bytes]) -> list[str]:
    longest = sorted(set(lines), key=lambda line: (-len(line), line))[:_EXAMPLES]
    return [line.decode("utf-8", errors="replace")[:160] for line in longest]


def _window_hashes(data: bytes) -> np.ndarray:
    """A hash (N - WINDOW + 1,) uint64 of each window: the sum of byte i times M^i modulo 2^64, wherever the window is."""
    if len(data) < WINDOW:
        return np.empty(0, np.uint64)
    values = np.frombuffer(data, dtype=np.uint8).astype(np.uint64) + np.uint64(1)
    powers = np.full(len(data), _MULTIPLIER)
    powers[0] = 1
    np.multiply.accumulate(powers, out=powers)
    sums = np.concatenate((np.zeros(1, np.uint64), np.cumsum(values * powers, dtype=np.uint64)))
    inverse = np.uint64(pow(int(_MULTIPLIER), -1, 2**64))
    back = np.full(len(data) - WINDOW + 1, inverse)
    back[0] = 1
    np.multiply.accumulate(back, out=back)
    return (sums[WINDOW:] - sums[:-WINDOW]) * back
