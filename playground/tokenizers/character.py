"""The character tokenizer: each different character of the training text is a token. Shorter than bytes where letters
take several of them, but it cannot write what it has never seen."""

from __future__ import annotations

from typing import Any

import numpy as np

from playground.config import counted
from playground.tokenizers.encodable import to_bytes
from playground.tokenizers.special import END_OF_TEXT, encode_marked

MAX_CHARACTERS = 65_536


class CharacterTokenizer:
    """Token id = rank of the character among those of the text it was built from, by code point.

    The end of a text, if there is a token for it, comes after them.
    """

    name = "char"
    bos = None

    def __init__(self, characters: str, eos: bool = False) -> None:
        """`characters`: the vocabulary, each character once, sorted."""
        if list(characters) != sorted(set(characters)):
            raise ValueError("A character vocabulary lists each character once, in order.")
        if len(characters) < 2 or len(characters) > MAX_CHARACTERS:
            raise ValueError(
                f"The text has {counted(len(characters), 'different character')}; the character tokenizer needs 2 to "
                f"{MAX_CHARACTERS:,}. Use the byte tokenizer."
            )
        self.characters = characters
        self.eos = len(characters) if eos else None
        self._codes = _code_points(characters)

    @classmethod
    def from_text(cls, text: str, eos: bool = False) -> CharacterTokenizer:
        """The tokenizer of all characters that occur in `text`."""
        return cls("".join(chr(code) for code in np.unique(_code_points(text))), eos)

    @property
    def vocab_size(self) -> int:
        return len(self.characters) + (self.eos is not None)

    def encode(self, text: str) -> np.ndarray:
        """Ids (T,) int32. Raises ValueError naming characters that are not in the vocabulary."""
        codes = _code_points(text)
        ids = np.searchsorted(self._codes, codes)
        known = self._codes[np.minimum(ids, len(self._codes) - 1)] == codes
        if not known.all():
            strangers = sorted({chr(code) for code in np.unique(codes[~known])})[:8]
            shown = ", ".join(repr(character) for character in strangers)
            raise ValueError(
                f"This model has never seen {shown}: its tokenizer knows only the characters it trained on."
            )
        return ids.astype(np.int32)

    def encode_prompt(self, text: str) -> list[int]:
        """Ids of a text in which ``<|endoftext|>`` is a token, if there is one. Raises ValueError as `encode` does."""
        return encode_marked(self.encode, text, self.eos)

    def token_bytes(self, token: int) -> bytes:
        return (END_OF_TEXT if token == self.eos else self.characters[token]).encode("utf-8")

    def to_dict(self) -> dict[str, Any]:
        own = {"name": self.name, "characters": self.characters}
        return own if self.eos is None else {**own, "eos": True}


def _code_points(text: str) -> np.ndarray:
    return np.frombuffer(to_bytes(text, "utf-32-le"), dtype="<u4")
