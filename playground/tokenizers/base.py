"""What every tokenizer can do, and the table of those there are."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Protocol

import numpy as np
from tokenizers import AddedToken, Regex, decoders, models, pre_tokenizers
from tokenizers import Tokenizer as Library

from playground.config import counted
from playground.tokenizers.bpe import MIN_VOCAB, BPETokenizer, Learning, learn_bpe
from playground.tokenizers.byte import ByteTokenizer
from playground.tokenizers.character import CharacterTokenizer
from playground.tokenizers.imported import ImportedTokenizer
from playground.tokenizers.presplit import between_words
from playground.tokenizers.special import END_OF_TEXT


class Tokenizer(Protocol):
    """Turns text into token ids below `vocab_size`, and ids into text."""

    @property
    def name(self) -> str:
        """The tokenizer's name in configs: "byte", "char", "bpe" or "imported"."""

    @property
    def vocab_size(self) -> int:
        """How many different tokens there are."""

    @property
    def bos(self) -> int | None:
        """The token with which a text begins, or None if there is none."""

    @property
    def eos(self) -> int | None:
        """The token with which a text ends, or None if there is none."""

    def encode(self, text: str) -> np.ndarray:
        """Ids (T,) of a text, without special tokens. Raises ValueError naming characters that it cannot express."""

    def encode_prompt(self, text: str) -> list[int]:
        """Ids of a text as Transformers reads a prompt: with the special tokens that it names, and with those that the
        tokenizer's file adds to every text. Raises ValueError as `encode` does."""

    def token_bytes(self, token: int) -> bytes:
        """The UTF-8 bytes that one token stands for; they may be part of a character.

        Of an imported tokenizer, what it adds to a text that has begun: `decode` and `StreamDecoder` know whole texts.
        """

    def to_dict(self) -> dict[str, Any]:
        """All its state, JSON-able; `tokenizer_from_dict` is the way back."""


def decode(tokenizer: Tokenizer, ids: Sequence[int]) -> str:
    """The text of some ids; bytes that are no valid UTF-8 become the replacement character."""
    if isinstance(tokenizer, ImportedTokenizer):
        return tokenizer.decode(ids)
    return decode_bytes(tokenizer, ids).decode("utf-8", errors="replace")


def decode_bytes(tokenizer: Tokenizer, ids: Sequence[int]) -> bytes:
    """The bytes of some ids, exactly."""
    if isinstance(tokenizer, ImportedTokenizer) and not tokenizer.byte_level:
        return tokenizer.decode(ids).encode("utf-8")
    return b"".join(tokenizer.token_bytes(int(token)) for token in ids)


def pieces(tokenizer: Tokenizer, ids: Sequence[int]) -> list[str]:
    """Each token's text by itself; a byte that is part of a character appears as ``\\xE2``."""
    return [spelled_bytes(tokenizer.token_bytes(int(token))) for token in ids]


def end_ids(tokenizer: Tokenizer) -> frozenset[int]:
    """All tokens at which a generated text ends."""
    if isinstance(tokenizer, ImportedTokenizer):
        return frozenset(tokenizer.special.eos)
    return frozenset(() if tokenizer.eos is None else (tokenizer.eos,))


def encode_each(tokenizer: Tokenizer, texts: Sequence[str]) -> list[np.ndarray]:
    """The ids of several texts, each encoded by itself."""
    if isinstance(tokenizer, ImportedTokenizer):
        return tokenizer.encode_each(texts)
    return [tokenizer.encode(text) for text in texts]


def encode_pieces(tokenizer: Tokenizer, parts: Iterable[str]) -> Iterator[tuple[str, np.ndarray]]:
    """The ids (T,) of a text that comes in parts, piece by piece, each with its part of the text.

    They are those of encoding the whole text, wherever it is cut. Raises ValueError as `encode` does.
    """
    if isinstance(tokenizer, ImportedTokenizer):
        yield from tokenizer.encode_pieces(parts)
        return
    for part in between_words(parts) if isinstance(tokenizer, BPETokenizer) else parts:
        yield part, tokenizer.encode(part)


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
    eos: bool = False,
) -> Tokenizer:
    """A tokenizer of the named kind, fitted to a text where its kind needs one.

    "bpe" learns up to `vocab_size` tokens and tells `progress`; "imported" is `imported`. With `eos` an end-of-text token
    is among them, for which bytes and characters get one more, and BPE beside its 256 bytes at least. Raises ValueError
    for an unknown name, or when nothing was imported.
    """
    if name == "byte":
        return ByteTokenizer(eos)
    if name == "char":
        return CharacterTokenizer.from_text(text, eos)
    if name == "bpe":
        if not eos:
            return learn_bpe(text, vocab_size, progress)
        return BPETokenizer(learn_bpe(text, max(MIN_VOCAB, vocab_size - 1), progress).merges, eos)
    if name == "imported":
        if imported is None:
            raise ValueError("Tokenizer is set to imported, but no file was given. Choose a tokenizer.json.")
        return imported
    raise ValueError(f"Tokenizer must be one of byte, char, bpe, imported. You sent {name[:40]!r}.")


def tokenizer_from_dict(values: Mapping[str, Any]) -> Tokenizer:
    """A tokenizer from what `to_dict` gave. Raises ValueError when that is not a saved tokenizer."""
    kind, characters, eos = values.get("name"), values.get("characters"), values.get("eos") is True
    if kind == "byte":
        return ByteTokenizer(eos)
    if kind == "char" and isinstance(characters, str):
        return CharacterTokenizer(characters, eos)
    if isinstance(values.get("model"), dict):
        try:
            return BPETokenizer.from_dict(values)
        except ValueError:
            return ImportedTokenizer(values)
    raise ValueError("This is not a saved tokenizer: its name is not known, or what belongs to it is missing.")


def n_tokens(tokenizer: Tokenizer) -> int:
    """How many ids, from 0 on, may stand for something: all but those that pad a model's vocabulary."""
    return tokenizer.n_tokens if isinstance(tokenizer, ImportedTokenizer) else tokenizer.vocab_size


def in_words(tokenizer: Tokenizer) -> str:
    """A tokenizer as a run's card names it: "bytes", "65 characters", "BPE 1,000"."""
    return kind_in_words(tokenizer.name, tokenizer.vocab_size, tokenizer.eos is not None)


def kind_in_words(name: str, vocab_size: int, eos: bool) -> str:
    """`in_words` of a tokenizer of the named kind. `eos`: whether one of its tokens is the end of a text."""
    return {
        "byte": "bytes",
        "char": counted(vocab_size - eos, "character"),
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
        if tokenizer.eos is not None:
            library.add_special_tokens([AddedToken(END_OF_TEXT, special=True, normalized=False)])
        return str(library.to_str(pretty=False))
    return BPETokenizer([], tokenizer.eos is not None).json_text  # the 256 bytes, and nothing merged
