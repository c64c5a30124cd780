"""Which characters of a text each of its tokens stands for."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from playground.tokenizers.base import Tokenizer
from playground.tokenizers.imported import ImportedTokenizer
from playground.tokenizers.stream import StreamDecoder


@dataclass(frozen=True)
class Spans:
    """The tokens of a text: `ids` (T,), and `ends` (T,), the character behind each one's last.

    A token stands for what lies between the end of the one before and its own, so together they are the text. Blanks that a
    tokenizer drops go with the token behind them. Of tokens that share a character, the first has it. `added` (T,): tokens
    that stand for nothing in the text, but were put before or after it.
    """

    ids: np.ndarray
    ends: np.ndarray
    added: np.ndarray


def spans_of(tokenizer: Tokenizer, text: str, prompt: bool = False) -> Spans:
    """The tokens of a text, as `encode` reads it, or as `encode_prompt` does. Raises ValueError as they do."""
    if isinstance(tokenizer, ImportedTokenizer):
        return _library_spans(tokenizer.read_batch([text], special=prompt)[0], len(text))
    ids = np.asarray(tokenizer.encode_prompt(text) if prompt else tokenizer.encode(text), dtype=np.int64)
    sizes = [len(tokenizer.token_bytes(int(token))) for token in ids]
    begins = np.frombuffer(text.encode("utf-8"), dtype=np.uint8) & 0xC0 != 0x80
    whole = np.append(np.flatnonzero(begins), len(begins))  # where characters begin, in bytes, and the text ends
    ends = np.searchsorted(whole, np.cumsum(sizes, dtype=np.int64), side="left")
    return Spans(ids, ends, np.zeros(len(ids), dtype=bool))


def _library_spans(table: np.ndarray, length: int) -> Spans:
    """From the library's offsets, which overlap within a character and leave out blanks."""
    added = table[:, 3] < 0
    ends = np.maximum.accumulate(np.where(added, 0, table[:, 2])) if len(table) else table[:, 2].copy()
    if not added.all():
        ends[np.flatnonzero(~added)[-1] :] = length
    return Spans(table[:, 0], ends, added)


def text_with_ends(tokenizer: Tokenizer, ids: Iterable[int]) -> tuple[bytes, np.ndarray]:
    """The UTF-8 of the text of some ids, and for each id (T,) where its bytes end. What is only text together with later
    tokens belongs to these; of characters that stay incomplete there are the bytes."""
    if not isinstance(tokenizer, ImportedTokenizer) or tokenizer.byte_level:
        parts = [tokenizer.token_bytes(int(token)) for token in ids]
    else:
        decoder = StreamDecoder(tokenizer)
        parts = [decoder.feed(int(token)).encode("utf-8") for token in ids]
        parts[-1:] = [part + decoder.finish().encode("utf-8") for part in parts[-1:]]
    return b"".join(parts), np.cumsum([len(part) for part in parts], dtype=np.int64)
