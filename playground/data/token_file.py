"""A text as a memory-mapped file of tokens, created once in a single pass over the text.

    folder/<key>/               key: SHA-256 over text, split and tokenizer; the folder is created atomically
        tokens.bin              the training part's tokens, then the validation part's, in the smallest type that fits
        tokens.json             how many of each there are, of which type

A text of 1 GB is processed piece by piece. The result equals that of `train.dataset.split` and of encoding each part at
once, token for token.
"""

import codecs
import hashlib
import json
import os
import secrets
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Protocol

import numpy as np

from playground.data.documents import SEPARATOR, EncodeEach, cut_near, packed
from playground.data.encoding import not_utf8

FORMAT = 3
KEPT = 8  # token files in a folder; the ones that were used last stay
_PIECE_BYTES = 4 << 20

Encode = Callable[[Iterable[str]], Iterator[tuple[str, np.ndarray]]]  # as `tokenizers.encode_pieces` of a tokenizer
Progress = Callable[[int, int], None]  # (bytes so far, bytes in all)


@dataclass(frozen=True)
class Parts:
    """The split of a text, in bytes: training text up to `cut`, validation text up to `end`. `sha256` is the text's."""

    cut: int
    end: int
    sha256: str


@dataclass(frozen=True)
class Tokens:
    """Both parts as token streams (N,), mapped from disk, and the size of the validation text.

    `exact`: the validation text is what its tokens decode to; `lost`: the share (0 to 1) of its characters that are not
    there. True and 0 where nothing was compared.
    """

    train: np.ndarray
    validation: np.ndarray
    validation_bytes: int
    exact: bool = True
    lost: float = 0.0


class Comparison(Protocol):
    """What compares a text with what its tokens decode to: `tokenizers.RoundTrip`."""

    @property
    def exact(self) -> bool:
        """Whether everything so far was reproduced."""

    @property
    def lost(self) -> float:
        """The share (0 to 1) of characters that were not reproduced."""

    def feed(self, text: str, ids: np.ndarray) -> None:
        """A part of the text and its ids."""

    def finish(self) -> None:
        """End of the text."""

    def next_text(self) -> None:
        """End of one text and beginning of the next."""


def compared(encode_each: EncodeEach, comparison: Comparison | None) -> EncodeEach:
    """The same, but each text is passed to `comparison`."""

    def each(texts: Sequence[str]) -> Sequence[np.ndarray]:
        found = encode_each(texts)
        for text, ids in zip(texts, found, strict=True):
            if comparison is not None:
                comparison.feed(text, ids)
                comparison.next_text()
        return found

    return each


def survey(
    path: Path, max_bytes: int, validation_fraction: float, near: int = 2_000, ends: np.ndarray | None = None
) -> Parts:
    """Where `train.dataset.split` would cut the first `max_bytes` of a text (cut after a line if it has any there).

    `ends` (D,) are those of its documents, in bytes, if it is to be cut between two of them.
    """
    end = _end(path, max_bytes)
    digest = hashlib.sha256()
    counts: list[int] = []  # characters that begin in each piece
    for piece in _read(path, 0, end):
        digest.update(piece)
        counts.append(int(np.count_nonzero(_begins(piece))))
    total = sum(counts)
    mark = round(total * (1 - validation_fraction))
    at = _byte_of(path, end, counts, mark)
    limit = min(near, (total - mark) // 4)
    between = None if ends is None else cut_near(ends[ends < end], at, at + 4 * ((total - mark) // 4))
    with open(path, "rb") as file:
        if between is not None and _characters(file, at, between) <= (total - mark) // 4:
            return Parts(between, end, digest.hexdigest())
        file.seek(at)
        following = file.read(min(4 * limit, end - at)).decode("utf-8", errors="ignore")[:limit]
    line_end = following.find("\n")
    return Parts(at + len(following[: line_end + 1].encode("utf-8")), end, digest.hexdigest())


def _characters(file: BinaryIO, start: int, end: int) -> int:
    """How many characters begin in some bytes of a file."""
    file.seek(start)
    count = 0
    while start < end and (piece := file.read(min(_PIECE_BYTES, end - start))):
        start += len(piece)
        count += int(np.count_nonzero(_begins(piece)))
    return count


def characters(path: Path, end: int) -> tuple[int, np.ndarray]:
    """How many characters the first `end` bytes of a text have, and the code points (K,) of those that occur, in order."""
    found, count = np.zeros(0x110000, dtype=bool), 0
    decoder = codecs.getincrementaldecoder("utf-8")("ignore")
    for piece in _read(path, 0, end):
        codes = np.frombuffer(decoder.decode(piece).encode("utf-32-le"), dtype="<u4")
        found[codes] = True
        count += len(codes)
    return count, np.flatnonzero(found)


def _end(path: Path, max_bytes: int) -> int:
    """Where the beginning that fits into `max_bytes` ends: after its last line end, or where it must."""
    size = path.stat().st_size
    if size <= max_bytes:
        return size
    with open(path, "rb") as file:
        for stop in range(max_bytes, 0, -_PIECE_BYTES):
            start = max(0, stop - _PIECE_BYTES)
            file.seek(start)
            found = file.read(stop - start).rfind(b"\n")
            if found >= 0:
                return start + found + 1
        start = max(0, max_bytes - 4)
        file.seek(start)
        tail = file.read(max_bytes - start)
    return max_bytes - _begun(tail)


def _begun(tail: bytes) -> int:
    """With how many bytes some UTF-8 ends that are the beginning of a character only."""
    last = max((i for i, byte in enumerate(tail) if byte & 0xC0 != 0x80), default=0)
    try:
        tail[last:].decode("utf-8")
    except UnicodeDecodeError:
        return len(tail) - last
    return 0


def _read(path: Path, start: int, end: int) -> Iterator[bytes]:
    with open(path, "rb") as file:
        file.seek(start)
        while start < end and (piece := file.read(min(_PIECE_BYTES, end - start))):
            start += len(piece)
            yield piece


def _begins(piece: bytes) -> np.ndarray:
    """Flags (N,) of the bytes with which a character begins."""
    return np.frombuffer(piece, dtype=np.uint8) & 0xC0 != 0x80


def _byte_of(path: Path, end: int, counts: list[int], character: int) -> int:
    """The byte with which the `character`-th character begins, given how many begin in each piece."""
    for number, count in enumerate(counts):
        if character < count:
            piece = next(_read(path, number * _PIECE_BYTES, end))
            return number * _PIECE_BYTES + int(np.flatnonzero(_begins(piece))[character])
        character -= count
    return end


def encoded(
    path: Path, start: int, end: int, encode: Encode, comparison: Comparison | None = None
) -> Iterator[tuple[np.ndarray, int]]:
    """The tokens of the bytes from `start` to `end`, piece by piece, each with the bytes that have been read so far.

    They are those of encoding it all at once, as `encode` promises. `comparison` is fed with all of them.
    """
    done = start

    def parts() -> Iterator[str]:
        nonlocal done
        decoder = codecs.getincrementaldecoder("utf-8")()
        for piece in _read(path, start, end):
            done += len(piece)
            yield decoder.decode(piece)
        yield decoder.decode(b"", final=True)

    try:
        for text, ids in encode(parts()):
            if comparison is not None:
                comparison.feed(text, ids)
            if text:
                yield ids, done - start
    except UnicodeDecodeError as error:
        raise ValueError(not_utf8(error.object, error.start, "The text")) from error
    if comparison is not None:
        comparison.finish()


@dataclass(frozen=True)
class Packing:
    """How the documents of a text become tokens: `ends` (D,) in bytes, and the token `eos` where one ends.

    `encode_each` encodes several texts separately.
    """

    ends: np.ndarray
    eos: int
    encode_each: EncodeEach


def encoded_documents(
    path: Path, start: int, end: int, encode: Encode, packing: Packing, comparison: Comparison | None = None
) -> Iterator[tuple[np.ndarray, int]]:
    """`encoded` for documents: the tokens that `documents.encode_documents` gives, piece by piece."""
    mark = np.array([packing.eos])
    each = compared(packing.encode_each, comparison)
    parts: list[str] = []
    size = 0
    try:
        with open(path, "rb") as file:
            for begin, until, stop in _spans(start, end, packing.ends):
                if until - begin > _PIECE_BYTES or size > _PIECE_BYTES:
                    yield packed(parts, [True] * len(parts), each, packing.eos), begin - start
                    parts, size = [], 0
                if until - begin > _PIECE_BYTES:
                    for ids, done in encoded(path, begin, until, encode, comparison):
                        yield ids, begin - start + done
                    if comparison is not None:
                        comparison.next_text()
                    if until < stop:
                        yield mark, stop - start
                    continue
                file.seek(begin)
                parts.append(file.read(until - begin).decode("utf-8"))
                size += until - begin
    except UnicodeDecodeError as error:
        raise ValueError(not_utf8(error.object, error.start, "The text")) from error
    ended = [True] * len(parts)
    if parts and until == stop:
        ended[-1] = False
    yield packed(parts, ended, each, packing.eos), end - start


def _spans(start: int, end: int, ends: np.ndarray) -> Iterator[tuple[int, int, int]]:
    """Of each document between two bytes: where it begins, where its text ends, and where the next one begins.

    The last two are the same for one that does not end there.
    """
    stop = start
    for stop in ends[(ends >= start + len(SEPARATOR)) & (ends <= end)].tolist():
        yield start, stop - len(SEPARATOR), stop
        start = stop
    if stop < end:
        yield stop, end, end


def token_type(vocab_size: int) -> np.dtype:
    """The smallest unsigned type that holds every id."""
    return np.dtype(np.uint8 if vocab_size <= 2**8 else np.uint16 if vocab_size <= 2**16 else np.uint32)


def key_of(parts: Parts, tokenizer: Mapping[str, Any], packing: Packing | None = None) -> str:
    """The name of a token file: a digest of its inputs."""
    made_of = [FORMAT, parts.sha256, parts.cut, parts.end, tokenizer]
    if packing is not None:
        made_of += [packing.eos, hashlib.sha256(packing.ends.astype("<i8").tobytes()).hexdigest()]
    return hashlib.sha256(json.dumps(made_of, sort_keys=True).encode("ascii")).hexdigest()


def token_file(
    path: Path,
    parts: Parts,
    encode: Encode,
    vocab_size: int,
    tokenizer: Mapping[str, Any],
    folder: Path,
    progress: Progress | None = None,
    comparison: Comparison | None = None,
    packing: Packing | None = None,
) -> Tokens:
    """The tokens of a text, from `folder` or made now. Raises ValueError when they cannot be stored.

    `tokenizer` is all of the tokenizer's state, as it is saved; with a `packing` documents are kept apart. What `progress`
    or `encode` raises leaves nothing behind. `comparison` is fed with the validation part.
    """
    home = folder / key_of(parts, tokenizer, packing)
    tokens = _open(home, parts)
    if tokens is not None:
        os.utime(home)
        return tokens
    hidden = folder / f".{secrets.token_hex(8)}.tmp"
    try:
        hidden.mkdir(parents=True)
        _fill(hidden, path, parts, encode, token_type(vocab_size), progress, comparison, packing)
        if home.exists():  # damaged, or another process was faster
            shutil.rmtree(home, ignore_errors=True)
        os.replace(hidden, home)
    except OSError as error:
        raise ValueError(
            f"The tokens of this text could not be stored: {error.strerror or 'the disk failed'}. "
            "Free some space and try again."
        ) from error
    finally:
        shutil.rmtree(hidden, ignore_errors=True)
    _forget(folder, home)
    made = _open(home, parts)
    assert made is not None
    return made


def _fill(
    folder: Path,
    path: Path,
    parts: Parts,
    encode: Encode,
    dtype: np.dtype,
    progress: Progress | None,
    comparison: Comparison | None,
    packing: Packing | None,
) -> None:
    counts: list[int] = []
    with open(folder / "tokens.bin", "xb") as file:
        for start, end in ((0, parts.cut), (parts.cut, parts.end)):
            count, compared_with = 0, comparison if counts else None
            if packing is None:
                found = encoded(path, start, end, encode, compared_with)
            else:
                found = encoded_documents(path, start, end, encode, packing, compared_with)
            for ids, done in found:
                file.write(ids.astype(dtype, copy=False).tobytes())
                count += len(ids)
                if progress is not None:
                    progress(start + done, parts.end)
            counts.append(count)
        file.flush()
        os.fsync(file.fileno())
    facts: dict[str, Any] = {"format": FORMAT, "train": counts[0], "validation": counts[1], "dtype": dtype.name}
    if comparison is not None:
        facts |= {"exact": comparison.exact, "lost": comparison.lost}
    (folder / "tokens.json").write_text(json.dumps(facts), "ascii")


def _open(home: Path, parts: Parts) -> Tokens | None:
    """A token file that is there and whole."""
    try:
        facts = json.loads((home / "tokens.json").read_bytes())
        dtype, train, validation = np.dtype(facts["dtype"]), int(facts["train"]), int(facts["validation"])
        exact, lost = bool(facts.get("exact", True)), float(facts.get("lost", 0.0))
        if (home / "tokens.bin").stat().st_size != (train + validation) * dtype.itemsize:
            return None
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return Tokens(
        _mapped(home / "tokens.bin", dtype, 0, train),
        _mapped(home / "tokens.bin", dtype, train, validation),
        parts.end - parts.cut,
        exact,
        lost,
    )


def _mapped(path: Path, dtype: np.dtype, start: int, count: int) -> np.ndarray:
    if not count:  # nothing cannot be mapped
        return np.empty(0, dtype)
    return np.memmap(path, dtype, mode="r", offset=start * dtype.itemsize, shape=(count,))


def _forget(folder: Path, newest: Path) -> None:
    """Remove the token files that have not been used for longest. One that is mapped right now stays readable."""
    homes = [path for path in folder.iterdir() if path != newest and not path.name.startswith(".")]
    for path in sorted(homes, key=lambda path: path.stat().st_mtime, reverse=True)[KEPT - 1 :]:
        shutil.rmtree(path, ignore_errors=True)
