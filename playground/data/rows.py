"""Rows of files: JSON lines, JSON arrays, CSV; and the cells of a notebook. Each reader gives the texts of a file."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

from playground.config import counted
from playground.data.encoding import guess_encoding
from playground.data.fields import Row, Rows, is_chat

MAX_LINE_BYTES = 64_000_000
MAX_JSON_BYTES = 20_000_000  # of a file that is not read line by line
_LOOKED_AT = 65_536  # characters of a text that may be rows or a page
_HEADER = 60  # characters that the name of a column has at most
_AS_IT_IS = "name it .txt to train on it as it is"

ReadRows = Callable[[BinaryIO, str, str], Iterator[str]]  # (file, its name, the wanted field) -> texts


def json_lines(file: BinaryIO, name: str, wanted: str) -> Iterator[str]:
    """The texts in one field of JSON lines, an object a line."""
    rows = Rows(name)
    return rows.texts(_objects(file, rows), wanted)


def _objects(file: BinaryIO, rows: Rows) -> Iterator[Row]:
    for number, line in enumerate(_lines(file, rows.name), 1):
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


def _lines(file: BinaryIO, name: str) -> Iterator[bytes]:
    number = 0
    while line := file.readline(MAX_LINE_BYTES + 1):
        number += 1
        if len(line) > MAX_LINE_BYTES:
            raise ValueError(f"{name}: line {number:,} is longer than {MAX_LINE_BYTES // 10**6} MB. Split it.")
        yield line


def json_file(file: BinaryIO, name: str, wanted: str) -> Iterator[str]:
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
            return json_lines(file, name, wanted)
        if len(data) > MAX_JSON_BYTES:
            raise ValueError(
                f"{name} is larger than {MAX_JSON_BYTES // 10**6} MB, the limit for one JSON value. Save it as JSON lines."
            ) from None
        line = f" in line {error.lineno:,}" if isinstance(error, json.JSONDecodeError) else ""
        raise ValueError(f"{name} is not JSON{line}. Fix it, or {_AS_IT_IS}.") from None
    if isinstance(value, dict) and isinstance(value.get("cells"), list) and "nbformat" in value:
        return iter(_cells(value["cells"]))
    return _array(_entries(value), name, wanted)


def _whole(data: bytes) -> bytes:
    """What was read if it is a whole file, else nothing, which is no JSON."""
    return data if len(data) <= MAX_JSON_BYTES else b""


def _one_object(data: bytes) -> bool:
    """Whether the first line that is not empty is a whole JSON object, as in JSON lines."""
    first = data.removeprefix(b"\xef\xbb\xbf").lstrip().split(b"\n", 1)[0]
    try:
        return isinstance(json.loads(first), dict)
    except (ValueError, RecursionError):
        return False


def _entries(value: Any) -> list[Any] | None:
    """The array that a JSON value is, or the only one of objects that an object holds, else the object as its only entry."""
    if isinstance(value, list):
        return value
    if not isinstance(value, dict):
        return None
    arrays = [inner for inner in value.values() if _of_objects(inner) and not is_chat(inner)]
    return arrays[0] if len(arrays) == 1 else [value]


def _of_objects(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(inner, dict) for inner in value)


def _array(entries: list[Any] | None, name: str, wanted: str) -> Iterator[str]:
    if entries is None:
        raise ValueError(f"{name} holds JSON, but no rows with text. Choose another file, or {_AS_IT_IS}.")
    if entries and all(isinstance(entry, str) for entry in entries):
        entries = [{"text": entry} for entry in entries]
    rows = Rows(name, "entry")

    def objects() -> Iterator[Row]:
        for number, entry in enumerate(entries, 1):
            if isinstance(entry, dict):
                yield Row(number, entry, 100)
            else:
                rows.complain(number, "is not a JSON object")

    return rows.texts(objects(), wanted)


def _cells(cells: list[Any]) -> Iterator[str]:
    """The sources of a notebook's cells, text and code, without what the code printed."""
    for cell in cells:
        source = cell.get("source") if isinstance(cell, dict) else None
        lines = source if isinstance(source, list) else [source]
        text = "".join(line for line in lines if isinstance(line, str))
        if text.strip():
            yield text


def comma_separated(file: BinaryIO, name: str, wanted: str) -> Iterator[str]:
    """The texts in one column of a table with commas, semicolons, tabs or bars between its cells."""
    csv.field_size_limit(MAX_LINE_BYTES)
    rows = Rows(name)
    return rows.texts(_table(file, rows), wanted)


def _table(file: BinaryIO, rows: Rows) -> Iterator[Row]:
    first = next(iter(_lines(file, rows.name)), b"")
    file.seek(0)
    lines = (line.decode("utf-8-sig" if at == 0 else "utf-8") for at, line in enumerate(_lines(file, rows.name)))
    reader = csv.reader(lines, delimiter=max(",;\t|", key=first.decode("utf-8", "replace").count), strict=True)
    try:
        header = next(reader, [])
        names = header if _is_header(header) else [f"column {number}" for number in range(1, len(header) + 1)]
        if names is not header:
            yield _row(1, names, header)
        for cells in reader:
            if len(cells) > len(names):
                rows.complain(reader.line_num, f"has {counted(len(cells), 'cell')} for {counted(len(names), 'column')}")
            elif cells:
                yield _row(reader.line_num, names, cells)
    except csv.Error as error:
        raise ValueError(
            f"{rows.name} is not CSV from line {reader.line_num:,} on ({error}). Fix it, or {_AS_IT_IS}."
        ) from None
    except UnicodeDecodeError as error:
        kind = guess_encoding(error.object)
        raise ValueError(f"{rows.name}: line {reader.line_num + 1:,} is not UTF-8 text (looks like {kind}).") from None


def _row(number: int, names: list[str], cells: list[str]) -> Row:
    return Row(number, {name: cell or None for name, cell in zip(names, cells, strict=False)}, sum(map(len, cells)))


def _is_header(cells: list[str]) -> bool:
    """Whether a first row names the columns: short, all different, none empty or a number."""
    short = all(cell.strip() and len(cell) <= _HEADER and not cell.strip()[0].isdigit() for cell in cells)
    return short and len(set(cells)) == len(cells)


def has_fields(path: Path) -> bool:
    """Whether a file has rows, one field of which holds the text."""
    return rows_reader(path.suffix) is not None and path.suffix.lower() != ".ipynb"


def rows_reader(suffix: str) -> ReadRows | None:
    """What reads the rows of a file with this ending, None for one that has none."""
    readers: dict[str, ReadRows] = {
        ".jsonl": json_lines, ".ndjson": json_lines, ".json": json_file, ".ipynb": json_file,
        ".csv": comma_separated, ".tsv": comma_separated,
    }  # fmt: skip
    return readers.get(suffix.lower())


def markup_note(text: str) -> str:
    """What should be known of a text that is trained on as it is though it is rows or a page, else ""."""
    start = text[:_LOOKED_AT].lstrip()
    kind = None
    if start[:20].lower().startswith(("<!doctype html", "<html")):
        kind = "an HTML page", "tags", ".html"
    elif start[:1] in ("[", "{"):
        kind = _json_kind(text, start)
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
    if isinstance(value, dict) and "cells" in value and "nbformat" in value:
        return "a notebook's file", "keys and brackets", ".ipynb"
    return ("a JSON array", "keys and brackets", ".json") if _of_objects(value) else None
