"""What every tokenizer can do, and the table of those there are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from playground.tokenizers.byte import ByteTokenizer
from playground.tokenizers.character import CharacterTokenizer
from playground.tokenizers.foreign import ForeignTokenizer


class Tokenizer(Protocol):
    """Turns text into token ids below `vocab_size`, and ids into text."""

    @property
    def name(self) -> str:
        """The tokenizer's name in configs: "byte" or "char"."""

    @property
    def vocab_size(self) -> int:
        """How many different tokens there are."""

    def encode(self, text: str) -> np.ndarray:
        """Ids (T,) of a text. Raises ValueError naming characters that it cannot express."""

    def token_bytes(self, token: int) -> bytes:
        """The UTF-8 bytes that one token stands for; they may be part of a character."""

    def to_dict(self) -> dict[str, Any]:
        """All its state, JSON-able; `tokenizer_from_dict` is the way back."""


def decode(tokenizer: Tokenizer, ids: Sequence[int]) -> str:
    """The text of some ids; bytes that are no valid UTF-8 become the replacement character."""
    return b"".join(tokenizer.token_bytes(int(token)) for token in ids).decode("utf-8", errors="replace")


def pieces(tokenizer: Tokenizer, ids: Sequence[int]) -> list[str]:
    """Each token's text by itself; a byte that is part of a character appears as ``\\xE2``."""
    return [_piece(tokenizer.token_bytes(int(token))) for token in ids]


def _piece(data: bytes) -> str:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return "".join(f"\\x{byte:02X}" for byte in data)


def build_tokenizer(name: str, text: str) -> Tokenizer:
    """A tokenizer of the named kind, fitted to a text where its kind needs one. Raises ValueError for an unknown name."""
    if name == "byte":
        return ByteTokenizer()
    if name == "char":
        return CharacterTokenizer.from_text(text)
    raise ValueError(f"Tokenizer must be one of byte, char. You sent {name[:40]!r}.")


def tokenizer_from_dict(values: Mapping[str, Any]) -> Tokenizer:
    """A tokenizer from what `to_dict` gave. Raises ValueError when that is not a saved tokenizer."""
    kind, characters = values.get("name"), values.get("characters")
    if kind == "byte":
        return ByteTokenizer()
    if kind == "char" and isinstance(characters, str):
        return CharacterTokenizer(characters)
    if kind == "imported" and isinstance(values.get("json"), str) and isinstance(values.get("vocab_size"), int):
        return ForeignTokenizer(values["json"], values["vocab_size"])
    raise ValueError("This is not a saved tokenizer: it has no known name.")
