"""The byte tokenizer: the 256 bytes of UTF-8 are the tokens. Nothing to learn, and every text can be written."""

from __future__ import annotations

from typing import Any

import numpy as np


class ByteTokenizer:
    """Token id = byte value."""

    name = "byte"
    vocab_size = 256

    def encode(self, text: str) -> np.ndarray:
        """Ids (T,) uint8. Raises ValueError for a lone surrogate, which UTF-8 cannot express."""
        try:
            return np.frombuffer(text.encode("utf-8"), dtype=np.uint8)
        except UnicodeEncodeError as error:
            raise ValueError(
                f"The text contains an invalid character at position {error.start + 1}. Remove it."
            ) from None

    def encode_bytes(self, data: bytes) -> np.ndarray:
        """Ids (T,) uint8 of any bytes."""
        return np.frombuffer(data, dtype=np.uint8)

    def token_bytes(self, token: int) -> bytes:
        return bytes([token])

    def to_dict(self) -> dict[str, Any]:
        return {"name": self.name}
