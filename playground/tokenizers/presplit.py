"""Where a text is cut before byte pair encoding, so that no token reaches over a word's end: the one pattern, twice.

`PATTERN` is the definition, and what the `tokenizers` library is given. `words` gives the same pieces ten times as fast:
it looks up each character's class (letter, digit, space, other), writes the text down as one ASCII letter a class, and lets
Python's own `re` cut that. A test holds the two together.

Every run is bounded, so that splitting is linear in the length of the text whatever the text, and no piece is so long that
merging it would be slow. Combining marks belong to letters, without which Hindi would be cut inside its syllables.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import accumulate, pairwise

import numpy as np
from tokenizers import Regex, pre_tokenizers

from playground.tokenizers.encodable import to_bytes

PATTERN = r" ?[\p{L}\p{M}]{1,64}| ?\p{N}{1,3}|'(?:[sdmt]|ll|ve|re)| ?[^\s\p{L}\p{M}\p{N}]{1,64}|\s{1,64}(?!\S)|\s{1,64}"
CHUNK = 100_000  # characters that are cut at a time
LONGEST_PIECE = 66  # characters, with the one that it looks ahead for

_ASCII = re.compile(
    r" ?[A-Za-z]{1,64}| ?[0-9]{1,3}|'(?:[sdmt]|ll|ve|re)| ?[^\sA-Za-z0-9]{1,64}|\s{1,64}(?!\S)|\s{1,64}", re.ASCII
)
# A lone space or line end between two words always ends a piece, so what stands on either side can be cut by itself.
_SAFE = re.compile(r"(?<=\S)(?= \S)|(?<=\S\n)(?=\S)")
_CLASSES = {"A": r"[\p{L}\p{M}]+", "0": r"\p{N}+", "\t": r"\s+"}  # an ASCII character that stands for each


def words(text: str) -> Iterator[list[str]]:
    """The pieces of a text, some thousands at a time. Raises ValueError for a lone surrogate."""
    done = 0
    for chunk in chunks(text):
        if chunk.isascii():
            yield _ASCII.findall(chunk)
        else:
            ends = accumulate(map(len, _ASCII.findall(_shadow(chunk, done))), initial=0)
            yield [chunk[start:end] for start, end in pairwise(ends)]
        done += len(chunk)


def chunks(text: str, size: int = CHUNK) -> Iterator[str]:
    """The text in parts of about `size` characters, cut only where a piece ends anyway.

    To split or encode each part by itself gives what the whole would.
    """
    start = 0
    while start < len(text):
        found = _SAFE.search(text, start + size)
        end = found.start() if found else len(text)
        yield text[start:end]
        start = end


def between_words(parts: Iterable[str]) -> Iterator[str]:
    """A text that comes in parts, cut only where a piece of `PATTERN` ends: to encode each is to encode the whole."""
    held = ""
    for part in parts:
        held += part
        cut = _last_cut(held)
        if cut:
            yield held[:cut]
            held = held[cut:]
    if held:
        yield held


def _last_cut(text: str) -> int:
    """The last place, or nearly, at which a text can be cut whatever follows it; 0 where there is none."""
    for found in reversed(list(_SAFE.finditer(text, max(0, len(text) - CHUNK)))):
        return found.start()
    sure = len(text) - 2 * LONGEST_PIECE  # what begins before sees nothing that comes after the text
    ends = accumulate(len(word) for some in words(text) for word in some) if sure > 0 else iter(())
    return max((end for end in ends if end <= sure), default=0)


def _shadow(text: str, start: int) -> str:
    """The text with each character that is not ASCII replaced by an ASCII one of its class. `start`: of `to_bytes`."""
    codes = np.frombuffer(to_bytes(text, "utf-32-le", start), dtype="<u4")
    classes = _table[codes]
    if not classes.all():
        _learn_classes(np.unique(codes[classes == 0]))
        classes = _table[codes]
    return classes.tobytes().decode("latin-1")


_table = np.zeros(0x110000, dtype=np.uint8)  # class by code point; 0 is not known yet
_table[:128] = np.arange(128)
_table[0] = ord("#")


def _learn_classes(codes: np.ndarray) -> None:
    """Ask the library what these characters are: its tables of Unicode count, not Python's."""
    text = "".join(map(chr, codes))
    classes = np.full(len(text), ord("#"), dtype=np.uint8)
    for letter, pattern in _CLASSES.items():
        belongs = np.ones(len(text), dtype=bool)
        for _, (start, end) in pre_tokenizers.Split(Regex(pattern), "removed").pre_tokenize_str(text):
            belongs[start:end] = False
        classes[belongs] = ord(letter)
    _table[codes] = classes
