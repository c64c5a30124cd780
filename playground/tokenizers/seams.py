"""The ids of a long text, read in windows that overlap: the very ids of reading all of it at once.

What a tokenizer does to the start or the end of a text (a space in front, stripped blanks) must not happen in the middle of
it, and a token must not be cut in two. So two neighbouring windows are joined only at a place in their overlap

  * at which both begin a token, and around which both have the same tokens at the same places for a quarter of it;
  * that both put between two words, which the model sees one by one, or that no token of a BPE can reach over (`apart`);
  * where the kind of character changes, so that it is not inside a long run that would be cut differently from elsewhere.

Without such a place the two windows are read as one.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from playground.tokenizers.decoding import byte_of

OVERLAP = 20_000  # characters
AT_ONCE = 4  # windows
MOST_CHARACTERS = 10_000_000  # of a vocabulary, for which the pairs are found; Gemma's has 2 million
LONGEST = 40_000_000  # characters of a window: what the library makes of it takes some thirty bytes for each

Read = Callable[[list[str]], list[np.ndarray]]  # texts to (T, 4): id, start, end, word
Apart = Callable[[int, int], bool]  # whether no token reaches over the border of two tokens, by their ids


@dataclass(frozen=True)
class _Window:
    """A part of the text from character `base` on, as it was read. Given out are tokens before `first`, text before `at`."""

    text: str
    base: int
    table: np.ndarray
    first: int = 0
    at: int = 0

    @property
    def end(self) -> int:
        return self.base + len(self.text)


def in_pieces(read: Read, apart: Apart, parts: Iterable[str], size: int) -> Iterator[tuple[str, np.ndarray]]:
    """The ids (T,) uint32 of a text that comes in parts, in pieces of about `size` characters, each with its text.

    Raises ValueError for a text of more than `LONGEST` characters in which no place to cut it is found.
    """
    held, reader = "", _Reader(read, apart, size)
    for part in parts:
        held += part
        while len(held) > (AT_ONCE + 1) * size:  # some is kept back, so that the last window is no small one
            text, held = held[: AT_ONCE * size], held[AT_ONCE * size :]
            yield from reader.advance(text)
    yield from reader.advance(held)
    yield from reader.finish()


class _Reader:
    """Reads window after window. `_owed` is text behind the window, which must be read together with it."""

    def __init__(self, read: Read, apart: Apart, size: int) -> None:
        self._read, self._apart, self._size = read, apart, size
        self._window: _Window | None = None
        self._owed = ""

    def advance(self, text: str) -> Iterator[tuple[str, np.ndarray]]:
        """Read on, giving out what is sure."""
        for each in _windows(self._read, self._tail(), text, self._size):
            window = self._window
            if window is None:
                self._window = each
                continue
            place = None if self._owed else _place(window, each, self._apart)
            if place is not None:
                left, right, at = place
                yield window.text[window.at - window.base : at - window.base], _ids(window.table[window.first : left])
                self._window = _Window(each.text, each.base, each.table, right, at)
                continue
            self._owed += each.text[window.end + len(self._owed) - each.base :]
            if len(self._owed) >= len(
                window.text
            ):  # it doubles, or a text without a place would be read again and again
                self._settle()

    def finish(self) -> Iterator[tuple[str, np.ndarray]]:
        """The rest."""
        if self._owed:
            self._settle()
        if self._window is not None:
            window = self._window
            yield window.text[window.at - window.base :], _ids(window.table[window.first :])

    def _tail(self) -> tuple[str, int]:
        """The end of all that was read, and where it ends."""
        if self._window is None:
            return "", 0
        text = self._window.text[-OVERLAP:] + self._owed
        return text[-OVERLAP:], self._window.end + len(self._owed)

    def _settle(self) -> None:
        assert self._window is not None
        self._window, self._owed = _longer(self._read, self._window, self._owed), ""


def _windows(read: Read, before: tuple[str, int], text: str, size: int) -> Iterator[_Window]:
    """The text that follows what was read before, given its tail and end, in windows that begin in the one before."""
    tail, end = before
    cuts = list(range(0, len(text), size)) or ([] if end else [0])
    if len(cuts) > 1 and len(text) - cuts[-1] <= OVERLAP:  # a small last one goes with the one before
        cuts.pop()
    joined = tail + text
    bounds = [
        (max(0, len(tail) + start - OVERLAP), len(tail) + stop)
        for start, stop in zip(cuts, [*cuts[1:], len(text)], strict=True)
    ]
    for number in range(0, len(bounds), AT_ONCE):
        some = bounds[number : number + AT_ONCE]
        tables = read([joined[left:right] for left, right in some])
        for (left, right), table in zip(some, tables, strict=True):
            yield _Window(joined[left:right], end - len(tail) + left, table)


def _longer(read: Read, window: _Window, more: str) -> _Window:
    """A window with the text behind it, read as one."""
    text = window.text + more
    if len(text) > LONGEST:
        raise ValueError(
            f"With this tokenizer no place to cut the text was found in {LONGEST / 1e6:g} million characters, and it is too "
            "long to be encoded at once. Use a shorter text or another tokenizer."
        )
    table, at = read([text])[0], window.at - window.base
    first = int(np.searchsorted(table[:, 1], at)) if window.first else 0
    if (table[:first, 2] > at).any():
        raise ValueError("This tokenizer reads the same words in different ways. Use another tokenizer.")
    return _Window(text, window.base, table, first, window.at)


def _place(one: _Window, two: _Window, apart: Apart) -> tuple[int, int, int] | None:
    """Where to go over from one window to the next: its first token that is not taken, the other's first, the character."""
    overlap = one.end - two.base
    margin = overlap // 4
    left, a = _within(one, two.base + margin, one.end - margin)
    right, b = _within(two, two.base + margin, one.end - margin)
    count = _alike(a[:, :3], b[:, :3])
    if count < 2 or a[-1, 2] - a[-count, 1] < margin:
        return None
    left, right, a, b = left + len(a) - count, right + len(b) - count, a[-count:], b[-count:]
    ended, begun = np.maximum.accumulate(a[:, 2]), np.minimum.accumulate(a[::-1, 1])[::-1]
    between = (ended[:-1] <= begun[1:]) & (a[:-1, 1] < a[1:, 1])
    words = (a[:-1, 3] != a[1:, 3]) & (b[:-1, 3] != b[1:, 3])
    middle = int(a[0, 1] + a[-1, 2]) // 2
    for i in sorted(np.flatnonzero(between).tolist(), key=lambda i: abs(int(a[i + 1, 1]) - middle)):
        at = int(a[i + 1, 1])
        if _changes(one.text, at - one.base) and (words[i] or apart(int(a[i, 0]), int(a[i + 1, 0]))):
            return left + i + 1, right + i + 1, at
    return None


def _alike(a: np.ndarray, b: np.ndarray) -> int:
    """With how many rows two tables end alike."""
    count = min(len(a), len(b))
    if not count:
        return 0
    different = np.flatnonzero((a[-count:] != b[-count:]).any(axis=1))
    return count - 1 - int(different[-1]) if len(different) else count


def _within(window: _Window, start: int, end: int) -> tuple[int, np.ndarray]:
    """The tokens between two characters of the text, with places counted from its start, and the number of the first."""
    table = window.table
    low = int(np.searchsorted(table[:, 1], start - window.base))
    high = int(np.searchsorted(table[:, 2], end - window.base, side="right"))
    found = table[low:high].copy()
    found[:, 1:3] += window.base
    return low, found


def _changes(text: str, at: int) -> bool:
    """Whether letters, digits, blanks or others end before a character of a text."""
    return 0 < at < len(text) and _kind(text[at - 1]) != _kind(text[at])


def _kind(character: str) -> str:
    return " " if character.isspace() else unicodedata.category(character)[0]


def _ids(table: np.ndarray) -> np.ndarray:
    return table[:, 0].astype(np.uint32)


def apart(values: Mapping[str, Any], ids: Mapping[str, int]) -> Apart:
    """For a BPE: whether no token can reach over the border between two, because none has the two characters there.

    Every merge makes a token of the vocabulary, so both sides are then merged each by itself.
    """
    model = values.get("model") or {}
    plain = model.get("type", "BPE") == "BPE" and "merges" in model
    if not plain or model.get("continuing_subword_prefix") or model.get("end_of_word_suffix"):
        return lambda left, right: False
    vocabulary = model["vocab"] if isinstance(model["vocab"], dict) else {}
    if sum(map(len, vocabulary)) > MOST_CHARACTERS:
        return lambda left, right: False
    pairs = {token[i : i + 2] for token in vocabulary for i in range(len(token) - 1)}
    texts = {number: token for token, number in ids.items() if token in vocabulary and byte_of(token) is None}
    texts.pop(ids.get(str(model.get("unk_token")), -1), None)

    def free(left: int, right: int) -> bool:
        a, b = texts.get(left, ""), texts.get(right, "")
        return bool(a and b) and a[-1] + b[0] not in pairs

    return free
