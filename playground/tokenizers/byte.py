"""The byte tokenizer: the 256 bytes of UTF-8 are the tokens. Nothing to learn, and every text can be written.

With an end-of-text token there are 257."""

from __future__ import annotations

from typing import Any

import numpy as np

from playground.tokenizers.encodable import to_bytes
from playground.tokenizers.special import END_OF_TEXT, encode_marked


class ByteTokenizer:
    """Token id = byte value; 256 is the end of a text, if there is such a token."""

    name = "byte"
    bos = None

    def __init__(self, eos: bool = False) -> None:
        self.eos = 256 if eos else None

    @property
    def vocab_size(self) -> int:
        return 256 if self.eos is None else 257

    def encode(self, text: str) -> np.ndarray:
        """Ids (T,) uint8. Raises ValueError for a lone surrogate, which UTF-8 cannot express."""
        return np.frombuffer(to_bytes(text), dtype=np.uint8)

    def encode_prompt(self, text: str) -> list[int]:
        """Ids of a text in which ``<|endoftext|>`` is a token, if there is one."""
        return encode_marked(self.encode, text, self.eos)

    def encode_bytes(self, data: bytes) -> np.ndarray:
        """Ids (T,) uint8 of any bytes."""
        return np.frombuffer(data, dtype=np.uint8)

    def token_bytes(self, token: int) -> bytes:
        return END_OF_TEXT.encode() if token == self.eos else bytes([token])

    def to_dict(self) -> dict[str, Any]:
        return {"name": self.name} if self.eos is None else {"name": self.name, "eos": True}
