"""Whether a tokenizer gives back the text that it was given, and if not, how much of it is lost.

A loss per token becomes bits per byte of a text only where the tokens determine the text. A tokenizer that maps unknown
words to one token, drops or lower-cases what it reads has less to predict than the text holds.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from playground.tokenizers.base import Tokenizer, decode
from playground.tokenizers.imported import ImportedTokenizer
from playground.tokenizers.stream import StreamDecoder

COUNTED = 1_000_000  # characters at least, evenly spread over a longer text, on which the lost ones are counted
PIECE = 1_000  # characters that are compared at a time for that count


class RoundTrip:
    """Compares a text with what comes back of its tokens, while both arrive in pieces. Memory does not grow with them.

    `exact` says whether all that was fed came back as it was, `lost` what share of its characters did not (0 to 1).
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._decoder = StreamDecoder(tokenizer)
        self._lossless = not isinstance(
            tokenizer, ImportedTokenizer
        )  # bytes, characters and our BPE are by construction
        self._given = self._back = ""  # what has no counterpart yet
        self._sample = _Sample()
        self.exact = True

    def feed(self, text: str, ids: np.ndarray) -> None:
        """The next part of the text, and the token ids (T,) of this part."""
        if self._lossless:
            return
        self._sample.add(text)
        if self.exact:
            self._compare(text, self._decoder.feed_all(ids))

    def finish(self) -> None:
        """No more text comes."""
        if not self._lossless and self.exact:
            self._compare("", self._decoder.finish())
            self.exact = self.exact and not self._given and not self._back

    def next_text(self) -> None:
        """What was fed is a text by itself, and so is what comes."""
        self.finish()
        self._decoder = StreamDecoder(self._tokenizer)
        self._given = self._back = ""

    def _compare(self, given: str, back: str) -> None:
        given, back = self._given + given, self._back + back
        length = min(len(given), len(back))
        self.exact = given[:length] == back[:length]
        self._given, self._back = given[length:], back[length:]

    @property
    def lost(self) -> float:
        """The share of characters that do not come back; 0 where the text is exact. Of a long text, of a sample of it."""
        return 0.0 if self.exact else lost_share(self._tokenizer, self._sample.parts)


def round_trip(tokenizer: Tokenizer, text: str, ids: np.ndarray) -> RoundTrip:
    """`RoundTrip` of a whole text and its ids."""
    found = RoundTrip(tokenizer)
    found.feed(text, ids)
    found.finish()
    return found


class _Sample:
    """Lines of a text, or parts of long ones: all of them, or evenly spread ones where there are many."""

    def __init__(self) -> None:
        self.parts: list[str] = []
        self._stride = 1
        self._seen = self._characters = 0

    def add(self, text: str) -> None:
        for line in text.splitlines(keepends=True):
            for start in range(0, len(line), PIECE):
                if self._seen % self._stride == 0:
                    self.parts.append(line[start : start + PIECE])
                    self._characters += len(self.parts[-1])
                self._seen += 1
        while self._characters > 2 * COUNTED and len(self.parts) > 1:
            self.parts, self._stride = self.parts[::2], 2 * self._stride
            self._characters = sum(map(len, self.parts))


def lost_share(tokenizer: Tokenizer, parts: Sequence[str]) -> float:
    """The share (0 to 1) of the characters of some texts that do not come back from their tokens.

    What comes back of a text is its longest common subsequence with the text of its tokens, without the unknown token.
    """
    total = sum(map(len, parts))
    if isinstance(tokenizer, ImportedTokenizer):
        encoded, unknown = tokenizer.encode_batch(parts), tokenizer.unknown
    else:
        encoded, unknown = [tokenizer.encode(part) for part in parts], None
    kept = 0
    for part, ids in zip(parts, encoded, strict=True):
        kept += common_characters(part, decode(tokenizer, [int(token) for token in ids if token != unknown]))
    return 1 - kept / total if total else 0.0


def common_characters(a: str, b: str) -> int:
    """The length of the longest common subsequence of two texts.

    In the bits of one integer per row of the table (Hyyrö 2004): O(len(b)) operations on numbers of len(a) bits.
    """
    places: dict[str, int] = {}
    for i, character in enumerate(a):
        places[character] = places.get(character, 0) | 1 << i
    full = (1 << len(a)) - 1
    row = full
    for character in b:
        matches = row & places.get(character, 0)
        row = (row + matches | row - matches) & full
    return len(a) - row.bit_count()


def lost_words(lost: float, of: str = "this text") -> str:
    """Why there are no bits per byte, in one sentence. `lost`: the share of the characters `of` a text that are lost."""
    return f"{changed_words(lost, of)}, so there are no bits per byte."


def changed_words(lost: float, of: str = "this text") -> str:
    """What a tokenizer that is not exact does to a text, without a full stop."""
    if lost <= 0:
        return f"What this tokenizer makes of {of} does not decode to exactly the same text"
    share = 100 * lost
    number = f"{share:.0f}" if 10 <= share < 99.5 else f"{share:.2g}"
    if share >= 99.5:  # 100 only if it is all
        number = "100" if lost >= 1 else next(some for n in range(1, 15) if float(some := f"{share:.{n}f}") < 100)
    return f"{number}\u00a0% of the characters of {of} do not come back from this tokenizer"
