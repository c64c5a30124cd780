"""Texts that know their documents: stories, rows of JSON lines, files that were joined.

Documents follow each other with an empty line in between. Where one ends is stored with the text, as an offset after that
empty line, so no marker in the text is needed. Replacing the two line ends before each offset by an
end-of-text token loses no information.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np

SEPARATOR = "\n\n"  # what an end-of-text token replaces

NO_ENDS = np.empty(0, np.int64)

EncodeEach = Callable[[Sequence[str]], Sequence[np.ndarray]]


class Text(str):
    """A string with its document boundaries: `ends`, increasing offsets (D,) int64 in characters.

    `notes` are sentences for the user on how it was read.
    String operations return a plain string, which counts as a single document.
    """

    ends: np.ndarray
    notes: tuple[str, ...]

    def __new__(cls, text: str, ends: Sequence[int] | np.ndarray, notes: tuple[str, ...] = ()) -> Text:
        """Raises ValueError for an offset without an empty line before it."""
        made = super().__new__(cls, text)
        made.ends = np.asarray(ends, dtype=np.int64)
        made.notes = notes
        if not all(text.endswith(SEPARATOR, 0, end) for end in made.ends.tolist()):
            raise ValueError("A document ends without an empty line behind it.")
        return made

    def __getnewargs__(self) -> tuple[str, np.ndarray, tuple[str, ...]]:  # type: ignore[override]
        return str(self), self.ends, self.notes

    @classmethod
    def joined(cls, documents: Sequence[str]) -> Text:
        """Documents with an empty line between two of them."""
        sizes = [len(document) + len(SEPARATOR) for document in documents]
        return cls(SEPARATOR.join(documents), np.cumsum(sizes)[:-1])

    @classmethod
    def from_bytes(cls, data: bytes, ends: np.ndarray) -> Text:
        """The text of some UTF-8 and the ends of its documents in bytes; an incomplete character at the end is left out."""
        text = data.decode("utf-8", errors="ignore")
        starts = np.cumsum(np.frombuffer(data, dtype=np.uint8) & 0xC0 != 0x80)  # characters begun, by byte
        return cls(text, starts[ends[ends <= len(data)] - 1])

    def byte_ends(self) -> np.ndarray:
        """The ends of its documents in bytes of UTF-8."""
        data = np.frombuffer(self.encode("utf-8"), dtype=np.uint8)
        begins = np.append(np.flatnonzero(data & 0xC0 != 0x80), len(data))
        return begins[self.ends].astype(np.int64)

    def part(self, start: int, stop: int) -> Text:
        """The characters from `start` to `stop`, and the documents that end among them."""
        return Text(self[start:stop], self.ends[(self.ends >= start + len(SEPARATOR)) & (self.ends <= stop)] - start)


class Seam(str):
    """A piece of a text, or all of it that is not yet there of the empty line behind a document: another one follows."""

    __slots__ = ()


def held(pieces: Iterable[str]) -> str:
    """A text from its pieces, with document boundaries if there are seams among them."""
    parts: list[str] = []
    ends: list[int] = []
    size = 0
    for piece in pieces:
        parts.append(piece)
        size += len(piece)
        if isinstance(piece, Seam):
            ends.append(size)
    return Text("".join(parts), ends) if ends else "".join(parts)


def ends_of(text: str) -> np.ndarray:
    """The document boundaries of a text; empty for a plain string."""
    return text.ends if isinstance(text, Text) else NO_ENDS


def notes_of(text: str) -> tuple[str, ...]:
    """The notes on how a text was read."""
    return text.notes if isinstance(text, Text) else ()


def n_documents(ends: np.ndarray, size: int) -> int:
    """How many documents a text has: those that end, and one that is cut off or has no end."""
    return len(ends) + (not len(ends) or int(ends[-1]) < size)


def documents(text: str, ends: np.ndarray) -> Iterator[tuple[str, bool]]:
    """Each document without the empty line at its end, and whether it ends."""
    start = 0
    for end in ends.tolist():
        yield text[start : end - len(SEPARATOR)], True
        start = end
    if start < len(text):
        yield text[start:], False


def encode_documents(text: str, ends: np.ndarray, encode_each: EncodeEach, eos: int) -> np.ndarray:
    """Ids (T,) of the documents of a text, one after the other, with `eos` where each ends.

    Each document is encoded separately, so its ids do not depend on other documents.
    """
    parts = list(documents(text, ends))
    return packed([part for part, _ in parts], [ended for _, ended in parts], encode_each, eos)


def packed(parts: Sequence[str], ended: Sequence[bool], encode_each: EncodeEach, eos: int) -> np.ndarray:
    """Ids (T,) of documents one after the other, with `eos` behind each that has ended."""
    found: list[np.ndarray] = [np.empty(0, np.uint16)]
    mark = np.array([eos], dtype=np.min_scalar_type(eos))
    for ids, end in zip(encode_each(parts), ended, strict=True):
        found += [ids, mark] if end else [ids]
    return np.concatenate(found)


def cut_near(ends: np.ndarray, mark: int, limit: int) -> int | None:
    """The first end of a document at `mark` or up to `limit` after it, or None."""
    at = int(np.searchsorted(ends, mark))
    return int(ends[at]) if at < len(ends) and ends[at] <= limit else None


def write_ends(path: Path, ends: np.ndarray) -> None:
    """Write document boundaries in bytes, as little-endian int64."""
    with open(path, "xb") as file:
        file.write(np.asarray(ends, dtype="<i8").tobytes())


def read_ends(path: Path) -> np.ndarray:
    """Read what `write_ends` wrote; empty if there is no such file. Raises ValueError for a damaged one."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return NO_ENDS
    ends = np.frombuffer(data[: len(data) // 8 * 8], dtype="<i8").astype(np.int64)
    if len(data) % 8 or np.any(np.diff(ends) <= 0) or np.any(ends < len(SEPARATOR)):
        raise ValueError(f"{path.name} is damaged: it does not say where documents end.")
    return ends
