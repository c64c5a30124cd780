"""A tokenizer that came with an imported model: the `tokenizers` library runs it, from the JSON that it was saved as."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
import tokenizers

MAX_JSON = 4_000_000  # characters


class ForeignTokenizer:
    """Whatever a ``tokenizer.json`` says. `vocab_size` is the model's, which may have more tokens than are used."""

    name = "imported"

    def __init__(self, json: str, vocab_size: int) -> None:
        """Raises ValueError for JSON that describes no tokenizer, or one with more tokens than the model has."""
        if len(json) > MAX_JSON:
            raise ValueError(f"The tokenizer has {len(json):,} characters of JSON; the limit is {MAX_JSON:,}.")
        self.json, self.vocab_size = json, vocab_size
        self._run = _load(json)
        largest = max(self._run.get_vocab(with_added_tokens=True).values(), default=-1)
        if largest >= vocab_size:
            raise ValueError(f"The tokenizer has token {largest:,}; the model has only {vocab_size:,} tokens.")

    def encode(self, text: str) -> np.ndarray:
        """Ids (T,) int32, without beginning or end tokens. Raises ValueError for text that it cannot read."""
        try:
            text.encode("utf-8")
        except UnicodeEncodeError as error:
            raise ValueError(
                f"The text contains an invalid character at position {error.start + 1}. Remove it."
            ) from None
        return np.asarray(self._run.encode(text, add_special_tokens=False).ids, dtype=np.int32)

    def token_bytes(self, token: int) -> bytes:
        """The UTF-8 bytes of a token; none for an id that the tokenizer does not use."""
        word = self._run.id_to_token(int(token))
        if word is None:
            return b""
        if self._by_bytes and int(token) not in self._added:
            return b"".join(bytes([_BYTES[c]]) if c in _BYTES else c.encode("utf-8") for c in word)
        if len(word) == 6 and word.startswith("<0x") and word.endswith(">"):  # a byte in SentencePiece's notation
            return bytes([int(word[3:5], 16)])
        return word.replace("▁", " ").encode("utf-8") if self._by_words else word.encode("utf-8")

    def to_dict(self) -> dict[str, Any]:
        return {"name": self.name, "json": self.json, "vocab_size": self.vocab_size}

    @cached_property
    def _by_bytes(self) -> bool:
        """Whether words are spelled in GPT-2's alphabet of bytes."""
        return '"ByteLevel"' in self.json

    @cached_property
    def _by_words(self) -> bool:
        """Whether a word's leading space is written as SentencePiece writes it."""
        return "▁" in self.json

    @cached_property
    def _added(self) -> frozenset[int]:
        return frozenset(self._run.get_added_tokens_decoder())


def _load(json: str) -> tokenizers.Tokenizer:
    try:
        return tokenizers.Tokenizer.from_str(json)
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:  # noqa: BLE001 - the library's panics are no Exceptions
        raise ValueError("The tokenizer's JSON is not one that the tokenizers library can read.") from error


def byte_alphabet() -> dict[int, str]:
    """The printable character that stands for each byte in byte-level tokenizers: GPT-2's convention.

    Printable bytes of Latin-1 stand for themselves; the others take the characters from 256 on, in order.
    """
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in printable]
    return {byte: chr(byte) for byte in printable} | {byte: chr(256 + n) for n, byte in enumerate(others)}


_BYTES = {character: byte for byte, character in byte_alphabet().items()}
