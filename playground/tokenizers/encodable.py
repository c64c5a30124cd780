"""Text as bytes: the one check for what no tokenizer can encode."""

from __future__ import annotations


def to_bytes(text: str, encoding: str = "utf-8", start: int = 0) -> bytes:
    """A text in an encoding of Unicode. Raises ValueError for a lone surrogate, which none of them can express.

    `start` is where this text begins in the one that the error is about, in characters.
    """
    try:
        return text.encode(encoding)
    except UnicodeEncodeError as error:
        at = start + error.start + 1
        raise ValueError(f"The text contains an invalid character at position {at:,}. Remove it.") from None
