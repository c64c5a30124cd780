"""Byte pair encoding, from scratch, on one page.

A text is a sequence of bytes. Count which two adjacent tokens occur most often, make that pair a new token, and replace it
in the text. Then count again. That is all of `learn`; `encode` repeats the merges on another text, in the order in which
they were learned.

The playground trains models with `bpe`, which does the same a thousand times as fast. Tests compare `encode` with the
`tokenizers` library and with tiktoken.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from playground.tokenizers.presplit import words

Pair = tuple[int, int]


@dataclass(frozen=True)
class Merge:
    """One step of learning: this pair was the most frequent, so it became a token."""

    pair: Pair
    token: int  # its new id
    count: int  # how often the pair occurred in the text
    candidates: tuple[tuple[Pair, int], ...]  # the most frequent pairs and their counts, the winner first


def learn(text: str, vocab_size: int, n_candidates: int = 8) -> Iterator[Merge]:
    """Yield every merge until there are `vocab_size` tokens, or until no pair occurs twice."""
    # Pairs never cross the end of a word, so it is enough to know each word once, and how often it occurs.
    vocabulary = Counter(tuple(word.encode()) for part in words(text) for word in part)
    for token in range(256, vocab_size):
        counts: Counter[Pair] = Counter()
        for word, times in vocabulary.items():
            for pair in pairwise(word):
                counts[pair] += times
        ranking = sorted(counts.items(), key=lambda item: (-item[1], item[0]))  # equal counts: the smaller ids first
        if not ranking or ranking[0][1] < 2:
            return
        pair, count = ranking[0]
        yield Merge(pair, token, count, tuple(ranking[:n_candidates]))
        vocabulary = _merged_everywhere(vocabulary, pair, token)


def _merged_everywhere(vocabulary: Counter[tuple[int, ...]], pair: Pair, token: int) -> Counter[tuple[int, ...]]:
    after: Counter[tuple[int, ...]] = Counter()
    for word, times in vocabulary.items():
        after[tuple(merge(word, pair, token))] += times
    return after


def merge(ids: Sequence[int], pair: Pair, token: int) -> list[int]:
    """The ids with every occurrence of `pair` replaced by `token`, from left to right."""
    merged, i = [], 0
    while i < len(ids):
        if ids[i] == pair[0] and i + 1 < len(ids) and ids[i + 1] == pair[1]:
            merged.append(token)
            i += 2
        else:
            merged.append(ids[i])
            i += 1
    return merged


def encode(text: str, merges: Sequence[Pair]) -> list[int]:
    """The ids of a text: bytes, merged as far as the merges go. `merges` are pairs; the first makes token 256."""
    token_of = {pair: 256 + n for n, pair in enumerate(merges)}
    ids: list[int] = []
    for part in words(text):
        for word in part:
            ids += _encode_word(list(word.encode()), token_of)
    return ids


def _encode_word(ids: list[int], token_of: dict[Pair, int]) -> list[int]:
    """Merge what was learned first until nothing is left to merge."""
    while possible := [pair for pair in pairwise(ids) if pair in token_of]:
        pair = min(possible, key=token_of.__getitem__)
        ids = merge(ids, pair, token_of[pair])
    return ids


def decode(ids: Sequence[int], merges: Sequence[Pair]) -> bytes:
    """The bytes of some ids. Merges are undone by looking up what each token was made of."""
    tokens = [bytes([byte]) for byte in range(256)]
    for left, right in merges:
        tokens.append(tokens[left] + tokens[right])
    return b"".join(tokens[token] for token in ids)
