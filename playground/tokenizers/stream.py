"""Token ids to text while the ids are still coming."""

from __future__ import annotations

import codecs
from collections.abc import Iterable, Sequence

from playground.tokenizers.base import Tokenizer
from playground.tokenizers.imported import ImportedTokenizer

WINDOW = 16  # tokens before the next one that are decoded with it


class StreamDecoder:
    """Turns token ids into text as they come: all that it gives, one after the other, is the text of all ids.

    What later tokens could still change is held back: a character's first bytes, and with some imported tokenizers more.
    """

    def __init__(self, tokenizer: Tokenizer, context: Sequence[int] = ()) -> None:
        """`context`: the ids that come before. With some imported tokenizers, whether a token begins with a space depends
        on them; their text is not given again."""
        by_bytes = not isinstance(tokenizer, ImportedTokenizer) or tokenizer.byte_level
        self._decoder: _Bytes | _Library
        if by_bytes:
            self._decoder = _Bytes(tokenizer)
        else:
            assert isinstance(tokenizer, ImportedTokenizer)
            self._decoder = _Library(tokenizer, context)

    def feed(self, token: int) -> str:
        """The text that this token completes; often one character, sometimes none."""
        return self._decoder.feed([token])

    def feed_all(self, ids: Iterable[int]) -> str:
        """The text that these tokens complete."""
        return self._decoder.feed([int(token) for token in ids])

    def finish(self) -> str:
        """What is left when no more tokens come: the replacement character for a cut-off one, or nothing."""
        return self._decoder.finish()


class _Bytes:
    """Where each token is bytes, and the text is all of them."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")

    def feed(self, ids: Sequence[int]) -> str:
        return self._decoder.decode(b"".join(map(self._tokenizer.token_bytes, ids)))

    def finish(self) -> str:
        return self._decoder.decode(b"", final=True)


class _Library:
    """The `tokenizers` library's decoding, of a window that moves along with the ids.

    `ids` are decoded and `said` is their text; `open` are byte tokens behind them, which become text when one comes that is
    none. Of a decoder that cannot decode in pieces the text comes all at once at the end.
    """

    def __init__(self, tokenizer: ImportedTokenizer, context: Sequence[int]) -> None:
        self._tokenizer = tokenizer
        self._ids = [int(token) for token in context]
        self._open: list[int] = []
        self._said = tokenizer.decode(self._ids)
        self._move()

    def feed(self, ids: Sequence[int]) -> str:
        self._open += ids
        if not self._tokenizer.in_pieces:
            return ""
        settled = len(self._open)
        while settled and self._tokenizer.is_byte(self._open[settled - 1]):
            settled -= 1
        return self._settle(settled) if settled else ""

    def finish(self) -> str:
        return self._settle(len(self._open)) if self._open else ""

    def _settle(self, count: int) -> str:
        self._ids += self._open[:count]
        del self._open[:count]
        before, self._said = self._said, self._tokenizer.decode(self._ids)
        text = self._said[_shared(before, self._said) :]
        self._move()
        return text

    def _move(self) -> None:
        """Forget all but the last ids, if there is text in them, so that what is done to the start of a text was done."""
        if len(self._ids) < 2 * WINDOW or not self._tokenizer.in_pieces:
            return
        start = len(self._ids) - WINDOW
        while start and self._tokenizer.is_byte(self._ids[start]):
            start -= 1
        text = self._tokenizer.decode(self._ids[start:])
        if text:
            self._ids, self._said = self._ids[start:], text


def _shared(a: str, b: str) -> int:
    """How many characters two texts begin with alike."""
    if b.startswith(a):
        return len(a)
    return next((n for n, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))
