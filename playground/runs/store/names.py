"""Names of runs: what is allowed, and what is free."""

from __future__ import annotations

import unicodedata

from playground.config import counted

NAME_LENGTH = 60  # characters


def checked_name(name: str, length: int = NAME_LENGTH, what: str = "A run's name") -> str:
    """A name as it is kept: trimmed, composed characters. Raises ValueError unless 1 to `length` printable characters."""
    name = unicodedata.normalize("NFC", name).strip() if isinstance(name, str) else ""
    if not 1 <= len(name) <= length or not name.isprintable():
        raise ValueError(f"{what} must be 1 to {counted(length, 'printable character')}.")
    return name


def free_name(name: str, taken: set[str]) -> str:
    """The name, or the name with the first " (n)" that is free, cut so that it stays within the limit."""
    candidate, number = name, 1
    while candidate in taken:
        number += 1
        ending = f" ({number})"
        candidate = name[: NAME_LENGTH - len(ending)] + ending
    return candidate
