"""Tokenizers on a text: pieces, statistics, compression by vocabulary size, and BPE training step by step."""

from __future__ import annotations

import re
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice, pairwise

from playground.config import preset
from playground.data.corpora import load_text
from playground.tokenizers import BPETokenizer, Tokenizer, learn_bpe, pieces
from playground.tokenizers.base import spelled_bytes
from playground.tokenizers.bpe_from_scratch import Merge, Pair, learn
from playground.tokenizers.presplit import words
from playground.train.estimate import count_parameters

CORPORA = ("tales", "python_source")  # available offline and fast to learn from
CORPUS_BYTES = 2_000_000
LARGEST = 8_000
_LEARNING = threading.Lock()
SIZES = (256, 300, 400, 512, 700, 1_000, 1_500, 2_000, 3_000, 4_000, 6_000, 8_000)
LESSON_BYTES = 20_000  # of a corpus, for the step-by-step view
LESSON_MERGES = 300


@dataclass(frozen=True)
class Reading:
    """One text under one tokenizer. `pieces` are those of `tokenizers.pieces`."""

    ids: tuple[int, ...]
    pieces: tuple[str, ...]
    bytes_per_token: float
    tokens_per_word: float  # words are separated by spaces


def read(tokenizer: Tokenizer, text: str) -> Reading:
    """The text under one tokenizer. Raises ValueError if it cannot read it."""
    ids = tuple(int(token) for token in tokenizer.encode(text))
    n_words = max(1, len(re.findall(r"\S+", text)))
    return Reading(ids, tuple(pieces(tokenizer, ids)), len(text.encode()) / max(1, len(ids)), len(ids) / n_words)


def vocabulary_share(vocab_size: int, n_embd: int, n_layer: int = 4) -> float:
    """Share of a modern model's parameters that are in its embedding table. Raises ValueError for an impossible width."""
    n_head = next(n for n in (4, 2, 1) if n_embd % (2 * n) == 0)
    config = preset("modern", vocab_size=vocab_size, n_embd=n_embd, n_layer=n_layer, n_head=n_head)
    return vocab_size * n_embd / count_parameters(config)


def corpus_bpe(corpus: str) -> BPETokenizer:
    """The largest vocabulary learned from a built-in corpus; smaller ones are its beginnings (`truncated`)."""
    with _LEARNING:  # once, also if many first requests come together
        return _corpus_bpe(corpus)


@lru_cache(maxsize=len(CORPORA))
def _corpus_bpe(corpus: str) -> BPETokenizer:
    if corpus not in CORPORA:
        raise ValueError(
            f"A vocabulary is learned from one of {', '.join(CORPORA)}; {corpus[:40]!r} is not one of them."
        )
    return learn_bpe(load_text(corpus, n_bytes=CORPUS_BYTES), LARGEST)


def compression(largest: BPETokenizer, text: str) -> list[tuple[int, float]]:
    """(vocabulary, bytes per token) of the text for growing beginnings of one vocabulary."""
    n_bytes = len(text.encode())
    sizes = [size for size in SIZES if size < largest.vocab_size] + [largest.vocab_size]
    return [(size, n_bytes / max(1, len(largest.truncated(size).encode(text)))) for size in sizes]


def lesson(text: str, n_merges: int = LESSON_MERGES) -> list[Merge]:
    """The first merges learned from a text, with the pair counts."""
    return list(islice(learn(text, 256 + n_merges), n_merges))


def lesson_text(corpus: str, own: str) -> str:
    """The text of the step-by-step view: the text itself ("text"), or the beginning of a corpus."""
    return own if corpus == "text" else load_text(corpus, n_bytes=LESSON_BYTES)


def removed_at(text: str, merges: Sequence[Pair]) -> list[int]:
    """For each boundary between two neighbouring bytes, the number (from 1) of the merge that removes it.

    0 for a boundary that stays: between two words, or if no merge removes it. After k merges the tokens are separated by the
    boundaries that are 0 or above k, so a slider needs nothing else.
    """
    token_of = {pair: 256 + n for n, pair in enumerate(merges)}
    boundaries: list[int] = []
    for part in words(text):
        for word in part:
            boundaries += [*_removed_in_word(list(word.encode()), token_of), 0]
    return boundaries[:-1]


def _removed_in_word(ids: list[int], token_of: dict[Pair, int]) -> list[int]:
    removed = [0] * (len(ids) - 1)
    ends = list(range(1, len(ids) + 1))  # where each token ends, in bytes
    while possible := [token_of[pair] for pair in pairwise(ids) if pair in token_of]:
        token = min(possible)
        at = next(i for i in range(len(ids) - 1) if token_of.get((ids[i], ids[i + 1])) == token)
        removed[ends[at] - 1] = token - 255
        ids[at : at + 2], ends[at : at + 2] = [token], [ends[at + 1]]
    return removed


def spelled(merges: Sequence[Pair]) -> list[str]:
    """Every token's text, by id: the 256 bytes and one for each merge."""
    tokens = [bytes([byte]) for byte in range(256)]
    for left, right in merges:
        tokens.append(tokens[left] + tokens[right])
    return [spelled_bytes(token) for token in tokens]
