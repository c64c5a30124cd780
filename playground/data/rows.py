"""Rows of files: JSON lines and JSON arrays, and the cells of a notebook. Each reader gives the texts of a file.

Tables are read in `tables`."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from itertools import chain
from pathlib import Path
from typing import Any, BinaryIO

from playground.data.chats import is_chat
from playground.data.encoding import guess_encoding
from playground.data.fields import Row, Rows, fields_of, holds, offered, usual_field
from playground.data.tables import AS_IT_IS, comma_separated, lines_of, table_suffix

MAX_JSON_BYTES = 20_000_000  # of a file that is not read line by line
_LOOKED_AT = 65_536  # characters of a text that may be rows or a page

# (file, its name, the wanted field, what notes are added to) -> texts
ReadRows = Callable[[BinaryIO, str, str, list[str]], Iterator[str]]


def json_lines(file: BinaryIO, name: str, wanted: str, notes: list[str]) -> Iterator[str]:
    """The texts in one field of JSON lines, one object per line."""
    rows = Rows(name, notes=notes)
    return rows.texts(_objects(file, rows), wanted)


def _objects(file: BinaryIO, rows: Rows) -> Iterator[Row]:
    for number, line in enumerate(lines_of(file, rows.name), 1):
        if not line.strip():
            continue
        try:
            value = json.loads(line.decode("utf-8-sig" if number == 1 else "utf-8"))
        except UnicodeDecodeError as error:
            rows.complain(number, f"is not UTF-8 text (looks like {guess_encoding(error.object)})")
        except (ValueError, RecursionError):
            rows.complain(number, "is not JSON")
        else:
            if isinstance(value, dict):
                yield Row(number, value, len(line))
            else:
                rows.complain(number, "is not a JSON object")


def json_file(file: BinaryIO, name: str, wanted: str, notes: list[str]) -> Iterator[str]:
    """The texts of an array of objects or strings, of a notebook's cells, or of JSON lines under a name that says JSON."""
    data = file.read(MAX_JSON_BYTES + 1)
    try:
        value = json.loads(_whole(data).decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{name} is not UTF-8 text (looks like {guess_encoding(error.object[error.start :])})."
        ) from None
    except (ValueError, RecursionError) as error:
        if _one_object(data):
            file.seek(0)
            return json_lines(file, name, wanted, notes)
        if len(data) > MAX_JSON_BYTES:
            raise ValueError(
                f"{name} is larger than {MAX_JSON_BYTES // 10**6} MB, the limit for one JSON value. Save it as JSON lines."
            ) from None
        line = f" in line {error.lineno:,}" if isinstance(error, json.JSONDecodeError) else ""
        raise ValueError(f"{name} is not JSON{line}. Fix it, or {AS_IT_IS}.") from None
    cells = _notebook(value)
    if cells is not None:
        return _cells(cells)
    return _array(_entries(value, wanted.strip(), notes), name, wanted, notes)


def _whole(data: bytes) -> bytes:
    """The content if it is a complete file, otherwise an empty string, which is invalid JSON."""
    return data if len(data) <= MAX_JSON_BYTES else b""


def _one_object(data: bytes) -> bool:
    """Whether the first line that is not empty is a whole JSON object, as in JSON lines."""
    first = data.removeprefix(b"\xef\xbb\xbf").lstrip().split(b"\n", 1)[0]
    try:
        return isinstance(json.loads(first), dict)
    except (ValueError, RecursionError):
        return False


def _entries(value: Any, wanted: str, notes: list[str]) -> list[Any] | None:
    """The array that a JSON value is, or the only one of objects that an object holds, else the object as its only entry.

    An object with such an array is an entry itself if it has the text: in the field `wanted`, else in "text", else in a
    field with more text than the array has. A note says what that leaves out.
    """
    if isinstance(value, list):
        return value
    if not isinstance(value, dict):
        return None
    arrays = {key: inner for key, inner in value.items() if _of_objects(inner) and not is_chat(inner)}
    if not arrays and not offered(fields_of([value])):  # {"texts": ["One.", "Two."]}
        arrays = {key: [{"text": text} for text in inner] for key, inner in value.items() if _of_texts(inner)}
    if len(arrays) != 1:
        if offered(fields_of([value])):
            notes += [f"The entries of {key[:40]!r} are left out." for key in arrays if offered(fields_of(arrays[key]))]
        return [value]
    key, entries = next(iter(arrays.items()))
    if _has_the_text(value, entries, wanted):
        if offered(fields_of(entries)):
            notes.append(f"The entries of {key[:40]!r} are left out.")
        return [value]
    around = [name for name in offered(fields_of([value])) if name == usual_field(fields_of([value]), 1)]
    if around:
        notes.append(f"The texts are the entries of {key[:40]!r}; the field {around[0][:40]!r} beside it is left out.")
    return entries


def _has_the_text(value: dict[str, Any], entries: list[dict[str, Any]], wanted: str) -> bool:
    """Whether an object holds the text itself, and not the array of objects in it."""
    for name in (wanted,) if wanted else ("text",):
        if holds(value, name) or any(holds(entry, name) for entry in entries):
            return holds(value, name)
    sizes = []
    for values in ([value], entries):
        seen = fields_of(values)
        found = usual_field(seen, len(values))
        sizes.append(seen[found].characters if found in seen else 0)
    return sizes[0] > sizes[1]


def _of_texts(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(inner, str) for inner in value)


def _of_objects(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(inner, dict) for inner in value)


def _array(entries: list[Any] | None, name: str, wanted: str, notes: list[str]) -> Iterator[str]:
    if entries is None:
        raise ValueError(f"{name} holds JSON, but no rows with text. Choose another file, or {AS_IT_IS}.")
    if entries and all(isinstance(entry, str) for entry in entries):
        entries = [{"text": entry} for entry in entries]
    rows = Rows(name, "entry", notes)

    def objects() -> Iterator[Row]:
        for number, entry in enumerate(entries, 1):
            if isinstance(entry, dict):
                yield Row(number, entry, 100)
            else:
                rows.complain(number, "is not a JSON object")

    return rows.texts(objects(), wanted)


def _notebook(value: Any) -> list[Any] | None:
    """The cells of a notebook, in format 3 those of all its worksheets; None for anything else."""
    if not isinstance(value, dict) or "nbformat" not in value:
        return None
    sheets = value.get("worksheets")
    pages = [value] if isinstance(value.get("cells"), list) else sheets if isinstance(sheets, list) else []
    found = [page["cells"] for page in pages if isinstance(page, dict) and isinstance(page.get("cells"), list)]
    return list(chain(*found)) if found else None


def _cells(cells: list[Any]) -> Iterator[str]:
    """The sources of a notebook's cells, text and code, without what the code printed."""
    for cell in cells:
        source = cell.get("source", cell.get("input")) if isinstance(cell, dict) else None  # input: code in format 3
        lines = source if isinstance(source, list) else [source]
        text = "".join(line for line in lines if isinstance(line, str))
        if text.strip():
            yield text


def has_fields(path: Path) -> bool:
    """Whether a file has rows, one field of which holds the text."""
    return rows_reader(path.suffix) is not None and path.suffix.lower() != ".ipynb"


def rows_reader(suffix: str) -> ReadRows | None:
    """The reader for rows of a file with this suffix, or None."""
    readers: dict[str, ReadRows] = {
        ".jsonl": json_lines, ".ndjson": json_lines, ".json": json_file, ".ipynb": json_file,
        ".csv": comma_separated, ".tsv": comma_separated,
    }  # fmt: skip
    return readers.get(suffix.lower())


def markup_note(text: str) -> str:
    """A note on a pasted text that looks like rows, a table or an HTML page, otherwise ""."""
    start = text[:_LOOKED_AT].lstrip()
    kind = None
    if start[:20].lower().startswith(("<!doctype html", "<html")):
        kind = "an HTML page", "tags", ".html"
    elif start[:1] in ("[", "{"):
        kind = _json_kind(text, start)
    elif suffix := table_suffix(start):
        kind = "a table", "delimiters and other columns", suffix
    if kind is None:
        return ""
    what, marks, suffix = kind
    return f"This text is {what}, and the model learns its {marks} as well. Name it {suffix} to train on what is in it."


def _json_kind(text: str, start: str) -> tuple[str, str, str] | None:
    lines = [line for line in start.splitlines()[:2] if line.strip()]
    if len(lines) == 2 and all(_one_object(line.encode("utf-8", "replace")) for line in lines):
        return "JSON lines", "keys and brackets", ".jsonl"
    try:
        value = json.loads(text) if len(text) <= MAX_JSON_BYTES else None
    except (ValueError, RecursionError):
        return None
    if _notebook(value) is not None:
        return "a notebook's file", "keys and brackets", ".ipynb"
    return ("a JSON array", "keys and brackets", ".json") if _of_objects(value) else None
