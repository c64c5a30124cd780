"""What every tokenizer can do, and the table of those there are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
from tokenizers import Regex, decoders, models, pre_tokenizers
from tokenizers import Tokenizer as Library

from playground.tokenizers.bpe import BPETokenizer, Learning, learn_bpe
from playground.tokenizers.byte import ByteTokenizer
from playground.tokenizers.character import CharacterTokenizer
from playground.tokenizers.imported import ImportedTokenizer


class Tokenizer(Protocol):
    """Turns text into token ids below `vocab_size`, and ids into text."""

    @property
    def name(self) -> str:
        """The tokenizer's name in configs: "byte", "char", "bpe" or "imported"."""

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
    return decode_bytes(tokenizer, ids).decode("utf-8", errors="replace")


def decode_bytes(tokenizer: Tokenizer, ids: Sequence[int]) -> bytes:
    """The bytes of some ids, exactly."""
    return b"".join(tokenizer.token_bytes(int(token)) for token in ids)


def pieces(tokenizer: Tokenizer, ids: Sequence[int]) -> list[str]:
    """Each token's text by itself; a byte that is part of a character appears as ``\\xE2``."""
    return [spelled_bytes(tokenizer.token_bytes(int(token))) for token in ids]


def spelled_bytes(data: bytes) -> str:
    """Bytes as text, or byte by byte as ``\\xE2`` when they are no whole characters."""
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return "".join(f"\\x{byte:02X}" for byte in data)


def build_tokenizer(
    name: str,
    text: str,
    *,
    vocab_size: int = 1_000,
    imported: Tokenizer | None = None,
    progress: Learning | None = None,
) -> Tokenizer:
    """A tokenizer of the named kind, fitted to a text where its kind needs one.

    "bpe" learns up to `vocab_size` tokens and tells `progress`; "imported" is `imported`. Raises ValueError for an unknown
    name, or when nothing was imported.
    """
    if name == "byte":
        return ByteTokenizer()
    if name == "char":
        return CharacterTokenizer.from_text(text)
    if name == "bpe":
        return learn_bpe(text, vocab_size, progress)
    if name == "imported":
        if imported is None:
            raise ValueError("Tokenizer is set to imported, but no file was given. Choose a tokenizer.json.")
        return imported
    raise ValueError(f"Tokenizer must be one of byte, char, bpe, imported. You sent {name[:40]!r}.")


def tokenizer_from_dict(values: Mapping[str, Any]) -> Tokenizer:
    """A tokenizer from what `to_dict` gave. Raises ValueError when that is not a saved tokenizer."""
    kind, characters = values.get("name"), values.get("characters")
    if kind == "byte":
        return ByteTokenizer()
    if kind == "char" and isinstance(characters, str):
        return CharacterTokenizer(characters)
    if isinstance(values.get("model"), dict):
        try:
            return BPETokenizer.from_dict(values)
        except ValueError:
            return ImportedTokenizer(values)
    raise ValueError("This is not a saved tokenizer: it has no known name.")


def in_words(name: str, vocab_size: int) -> str:
    """A tokenizer as a run's card names it: "bytes", "65 characters", "BPE 1,000"."""
    return {
        "byte": "bytes",
        "char": f"{vocab_size:,} characters",
        "bpe": f"BPE {vocab_size:,}",
        "imported": f"imported tokenizer, {vocab_size:,}",
    }.get(name, name)


def tokenizers_json(tokenizer: Tokenizer) -> str:
    """The text of a ``tokenizer.json`` with which the `tokenizers` library gives the same ids as this tokenizer."""
    if isinstance(tokenizer, (BPETokenizer, ImportedTokenizer)):
        return tokenizer.json_text
    if isinstance(tokenizer, CharacterTokenizer):
        library = Library(models.WordLevel({char: n for n, char in enumerate(tokenizer.characters)}, unk_token=""))
        library.pre_tokenizer = pre_tokenizers.Split(Regex(r"(?m:.)|\n"), "isolated")
        library.decoder = decoders.Fuse()
        return str(library.to_str(pretty=False))
    return BPETokenizer([]).json_text  # the 256 bytes, and nothing merged
