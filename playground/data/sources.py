"""Text from users' files of any size: plain text, or the text extracted by `rows` and `html_text`.

`gather` reads, decodes, checks and joins everything piece by piece, so memory stays constant. Small texts are returned as a
string; larger ones as a `TextFile` in the cache, named by a hash of its content and created atomically. File names are only
displayed and never become part of a path.
"""

import codecs
import contextlib
import hashlib
import io
import os
import re
import secrets
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from playground.config import counted
from playground.data.corpora import MAX_BYTES, check_text
from playground.data.documents import NO_ENDS, Seam, Text, ends_of, held
from playground.data.encoding import SAMPLE_BYTES, Checker, check_beginning, first_wrong, not_utf8, refuse_other_formats
from playground.data.html_text import MAX_BYTES as MAX_HTML_BYTES
from playground.data.html_text import text_of
from playground.data.rows import has_fields, rows_reader

MAX_FILE_BYTES = 1_000_000_000  # of all files together, in local mode
MAX_FILES = 1_000
_NOTES = 4  # on files that are shown
KEPT = 4  # gathered texts that no run uses and that are kept for the next one
_CHUNK_BYTES = 1 << 20
_HTML = (".html", ".htm", ".xhtml")

Progress = Callable[[int, int], None]  # (bytes so far, bytes in all)


@dataclass(frozen=True)
class TextFile:
    """A gathered text: UTF-8 with ``\\n`` newlines and not empty. `name` says where it comes from.

    `ends` (D,) says where documents end, in bytes, each behind its empty line; `notes` are sentences for the user on
    how it was read.
    """

    path: Path
    n_bytes: int
    name: str
    ends: np.ndarray = field(default_factory=lambda: NO_ENDS, compare=False, repr=False)
    notes: tuple[str, ...] = field(default=(), compare=False)


def gather(
    paths: Sequence[Path],
    *,
    field: str = "",
    folder: Path | None = None,
    max_bytes: int = MAX_BYTES,
    progress: Progress | None = None,
) -> str | TextFile:
    """The text of some files, in their order, an empty line between two of them. Each file is a document, of JSON lines
    each row; what has several, or what there is a note on, is a `documents.Text` if it is a string.

    Rows, of JSON lines, JSON arrays and CSV, give the text in `field`, see `fields`; HTML pages and notebooks what a reader
    would see; all others are UTF-8 text. What holds more than 20 MB needs `folder`, into which it goes. Raises ValueError
    with one sentence that names the file for anything that is wrong, in which case nothing is left behind.
    """
    if not paths or any("\0" in str(path) for path in paths):
        raise ValueError("No file was chosen. Choose at least one text file.")
    if len(paths) > MAX_FILES:
        raise ValueError(
            f"{counted(len(paths), 'file')} are too many; the limit is {MAX_FILES:,}. Join some of them first."
        )
    total = sum(_size(path) for path in paths)
    if field.strip() and not any(map(has_fields, paths)):
        raise ValueError(
            f"Field {field.strip()[:40]!r} is for JSON and CSV files; {shown(paths[0])} has no fields. Leave it empty."
        )
    if total > max_bytes:
        raise ValueError(
            f"The files have {_megabytes(total, max_bytes)} together; the limit here is "
            f"{_megabytes(max_bytes, total)}. Use a part of them."
        )
    notes: list[str] = []
    pieces = _joined(paths, field, total, progress, notes)
    if total <= MAX_BYTES or folder is None:
        text = check_text(held(pieces), name="text of these files" if len(paths) > 1 else "file")
        return Text(text, ends_of(text), _few(notes)) if notes else text
    return replace(write_text_file(pieces, folder, _names(paths)), notes=_few(notes))


def _few(notes: list[str]) -> tuple[str, ...]:
    """The first notes, and how many there are besides."""
    more = len(notes) - _NOTES
    return (*notes[:_NOTES], f"There are {counted(more, 'note')} more on these files.") if more > 1 else tuple(notes)


def write_text_file(pieces: Iterator[str], folder: Path, name: str) -> TextFile:
    """Write a text, piece by piece, into `folder` under the SHA-256 of its content.

    Whatever the iterator raises leaves nothing behind. Raises ValueError if the text is empty or the disk is full.
    """
    part = folder / f".{secrets.token_hex(8)}.tmp"
    digest, n_bytes, blank, ends = hashlib.sha256(), 0, True, array("q")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with open(part, "xb") as file:
            for piece in pieces:
                data = piece.encode("utf-8")
                digest.update(data)
                file.write(data)
                n_bytes += len(data)
                if isinstance(piece, Seam):
                    ends.append(n_bytes)
                blank = blank and (not piece or piece.isspace())
        if blank:
            raise ValueError(f"{name} is empty. Choose another text.")
        target = folder / f"{digest.hexdigest()}.txt"
        os.replace(part, target)
    except OSError as error:
        raise ValueError(
            f"{name} could not be stored: {error.strerror or 'the disk failed'}. Free some space and try again."
        ) from error
    finally:
        part.unlink(missing_ok=True)
    _forget(folder, target)
    return TextFile(target, n_bytes, name, np.array(ends, dtype=np.int64))


def _forget(folder: Path, newest: Path) -> None:
    """Remove all but the latest gathered texts. A run that uses one has its own link to it."""
    texts = sorted(folder.glob("*.txt"), key=lambda path: path.stat().st_mtime, reverse=True)
    for path in [path for path in texts if path != newest][KEPT - 1 :]:
        path.unlink(missing_ok=True)


def shown(path: Path) -> str:
    """A file's name for messages: without its folders, on one line, not too long."""
    name = "".join(character if character.isprintable() else "?" for character in path.name)
    return name if len(name) <= 60 else f"{name[:40]}…{name[-15:]}"


def _names(paths: Sequence[Path]) -> str:
    return shown(paths[0]) if len(paths) == 1 else f"{shown(paths[0])} and {len(paths) - 1} more"


def _size(path: Path) -> int:
    try:
        size = path.stat().st_size
        if not path.is_file():
            raise ValueError(f"{shown(path)} is a folder or a device. Choose a text file.")
    except OSError as error:
        raise ValueError(f"Cannot read {shown(path)}: {error.strerror}.") from error
    if not size:
        raise ValueError(_empty(shown(path)))
    return size


def _joined(
    paths: Sequence[Path], field: str, total: int, progress: Progress | None, notes: list[str]
) -> Iterator[str]:
    """The texts of all files in pieces: two documents of a file have an empty line between them, and so have two files.

    Information for the user on how they were read is added to `notes`.
    """
    done = 0
    last = ""  # the latest piece that is not empty
    for path in paths:
        first = blank = True  # of this file's documents
        checker = Checker()
        said: list[str] = []
        for document in documents(path, field, said):
            if last:
                yield Seam("\n" if first and last.endswith("\n") else "\n\n")
            first = False
            for piece in document:
                if piece:
                    last = piece
                    blank = blank and piece.isspace()
                    checker.add(piece)
                    yield piece
        if blank:
            raise ValueError(_empty(shown(path)))
        checker.finish(shown(path))
        notes += [f"{shown(path)}: {note}" for note in said]
        done += path.stat().st_size
        if progress is not None:
            progress(done, total)


def _empty(name: str) -> str:
    return f"{name} is empty. Leave it out or choose another text."


def documents(path: Path, field: str = "", notes: list[str] | None = None) -> Iterator[Iterable[str]]:
    """The documents of a file in their order: rows of JSON lines, JSON arrays and CSV, a notebook's cells, else the file.

    A document is its text in pieces, with ``\\n`` newlines, and must be used up before the next one is asked
    for. Once all were, `notes` has what should be known of how they were read. Raises ValueError with one sentence that
    names the file.
    """
    name, notes = shown(path), [] if notes is None else notes
    with _reading(name), open(path, "rb") as file:
        start = file.read(SAMPLE_BYTES)
        file.seek(0)
        read_rows = rows_reader(path.suffix)
        if read_rows is not None:
            check_beginning(start, name)
            yield from ((text,) for row in read_rows(file, name, field, notes) if (text := _normal(row)))
        elif path.suffix.lower() in _HTML:
            yield (_normal(text_of(_utf8(file.read(MAX_HTML_BYTES + 1), name), name)),)
        else:
            refuse_other_formats(start, name)
            yield _plain(file, name)


@contextlib.contextmanager
def _reading(name: str) -> Iterator[None]:
    """Context manager: OSErrors of reading a file become a ValueError."""
    try:
        yield
    except OSError as error:
        raise ValueError(f"Cannot read {name}: {error.strerror or 'the disk failed'}.") from error


def _plain(file: io.BufferedReader, name: str) -> Iterator[str]:
    """UTF-8 text with its newlines normalised; byte order marks at the beginning are dropped."""
    decoder = io.IncrementalNewlineDecoder(codecs.getincrementaldecoder("utf-8")(), translate=True)
    beginning = True
    done = 0
    try:
        while True:
            with _reading(name):
                chunk = file.read(_CHUNK_BYTES)
            done += len(chunk)
            text = decoder.decode(chunk, final=not chunk)
            text = text.lstrip("\ufeff") if beginning else text
            beginning = beginning and not text
            yield text
            if not chunk:
                break
    except UnicodeDecodeError as error:
        at = done - len(error.object) + error.start  # `object` begins with what the chunk before left over
        raise ValueError(f"{_not_utf8(file, name, at)} {first_wrong(at)}") from None


def _not_utf8(file: io.BufferedReader, name: str, at: int) -> str:
    """The complaint about a file whose byte `at` is wrong, by what stands around it."""
    begin = max(0, at - SAMPLE_BYTES)
    with _reading(name):
        file.seek(begin)
        return not_utf8(file.read(2 * SAMPLE_BYTES), at - begin, name)


def _normal(text: str) -> str:
    """A text without byte order marks at its beginning and with ``\\n`` newlines."""
    return re.sub("\r\n?", "\n", text.lstrip("\ufeff"))


def _utf8(data: bytes, name: str) -> bytes:
    """The same bytes, if they are UTF-8. Raises ValueError, naming the file, if not."""
    try:
        data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"{not_utf8(data, error.start, name)} {first_wrong(error.start)}") from None
    return data


def _megabytes(n_bytes: int, other: int) -> str:
    """In MB, or exactly where two sizes would read the same."""
    if f"{n_bytes / 1e6:.1f}" == f"{other / 1e6:.1f}":
        return f"{counted(n_bytes, 'byte')}"
    return f"{n_bytes / 1e6:,.1f}".removesuffix(".0") + " MB"
