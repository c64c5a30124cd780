"""Tables: CSV with commas, semicolons, tabs or bars as delimiter, with or without a header.

The delimiter is detected from the first lines, outside of quotation marks. Whether the first line is a header is decided by
its cells and those below it; if that is not certain, a note quotes the line.
"""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import chain, islice
from typing import BinaryIO, Literal

from playground.config import counted
from playground.data.encoding import guess_encoding
from playground.data.fields import Row, Rows, about_text

MAX_LINE_BYTES = 64_000_000
AS_IT_IS = "name it .txt to train on it as it is"
_SAMPLE = 200  # lines over which is found how a table is written
_SAMPLE_CHARACTERS = 1_000_000  # of these lines, except that there are always two
_NAME = 60  # characters that the name of a column has at most
_LEAST_LINES = 5  # of a text that is called a table although its name does not say so
_QUOTED = 80  # characters of a first line in a note
_BETWEEN = ",;\t|"
_NONE = "\x1f"  # between the cells of a table that has one column: the unit separator, which no text has
_IN_MARKS = re.compile(r'"(?:[^"]|"")*"')
_WHOLE_CELL = re.compile(r'"(?:[^"]|"")*"\r?\n?')
_NAMES = re.compile(
    r"text|content|body|title|name|author|review|sentence|sentences|message|comment|question|answer|prompt|response"
    r"|completion|instruction|input|output|story|article|summary|headline|description|category|sentiment|rating|score|stars"
    r"|tweet|post|quote|lyrics|poem|abstract|document|paragraph|utterance|dialogue|target|class",
    re.IGNORECASE,
)
_SEPARATOR_LINE = re.compile(r"\"?sep=([^\w\s\"]|\t)\"?[ ]*\r?\n?", re.IGNORECASE)
_COLUMN = re.compile(r" ?\w([\w .\-]{0,58}\w)? ?")  # the name of one, in a text that may be none
_SENTENCE_END = re.compile(r"[.!?\u2026\u3002\uff01\uff1f][\"'\u201d\u2019)]*$")


def lines_of(file: BinaryIO, name: str) -> Iterator[bytes]:
    """The lines of a file that `name` stands for in messages. Raises ValueError for one that is too long."""
    number = 0
    while line := file.readline(MAX_LINE_BYTES + 1):
        number += 1
        if len(line) > MAX_LINE_BYTES:
            raise ValueError(f"{name}: line {number:,} is longer than {MAX_LINE_BYTES // 10**6} MB. Split it.")
        yield line


def comma_separated(file: BinaryIO, name: str, wanted: str, notes: list[str]) -> Iterator[str]:
    """The texts in one column of a table."""
    csv.field_size_limit(MAX_LINE_BYTES)
    rows = Rows(name, notes=notes)
    return rows.texts(_table(file, rows, wanted.strip()), wanted)


def _table(file: BinaryIO, rows: Rows, wanted: str) -> Iterator[Row]:
    given = _given_delimiter(file, rows.name)
    above = 1 if given else 0  # lines
    between, marks = _dialect(file, rows.name, wanted, given)
    raw: list[str] = []  # the first lines
    quoting: Literal[0, 3] = csv.QUOTE_MINIMAL if marks else csv.QUOTE_NONE
    reader = csv.reader(_decoded(file, rows.name, raw), delimiter=between, strict=True, quoting=quoting)
    try:
        numbered = ((reader.line_num + above, cells) for cells in reader if cells)
        sample = list(islice(numbered, _SAMPLE))
        if not sample:
            return
        if title := _title([cells for _, cells in sample], wanted):
            place = f"the names of the columns are in line {sample[title][0]:,}"
            rows.notes.append(f"The first line ({_shown(raw, sample[0][0] - above)}) is left out: {place}.")
            sample = sample[title:]
        first, below = sample[0][1], [cells for _, cells in sample[1:]]
        named, certain = names_columns(first, below, wanted)
        names = _distinct(first) if named else [f"column {number}" for number in range(1, len(first) + 1)]
        if not certain:
            rows.notes.append(_first_line(_shown(raw, sample[0][0] - above), named))
        for number, cells in chain(sample[named:], numbered):
            if len(cells) > len(names):
                rows.complain(number, f"has {counted(len(cells), 'cell')} for {counted(len(names), 'column')}")
            else:
                yield Row(number, dict(zip(names, _present(cells), strict=False)), sum(map(len, cells)))
    except csv.Error as error:
        raise ValueError(
            f"{rows.name} is not CSV from line {reader.line_num + above:,} on ({error}). Fix it, or {AS_IT_IS}."
        ) from None
    except UnicodeDecodeError as error:
        kind = guess_encoding(error.object)
        raise ValueError(
            f"{rows.name}: line {reader.line_num + above + 1:,} is not UTF-8 text (looks like {kind})."
        ) from None


def _present(cells: Iterable[str]) -> Iterator[str | None]:
    return (cell or None for cell in cells)


def _distinct(cells: list[str]) -> list[str]:
    """The names of the columns; one that has none or that of another has a number instead."""
    found: list[str] = []
    for number, cell in enumerate(cells, 1):
        name = cell.strip()
        found.append(name if name and name not in found else f"column {number}")
    return found


def _decoded(file: BinaryIO, name: str, raw: list[str]) -> Iterator[str]:
    """The lines of a file as text; the first ones are also added to `raw`."""
    for at, line in enumerate(lines_of(file, name)):
        text = line.decode("utf-8-sig" if at == 0 else "utf-8")
        if at < _SAMPLE:
            raw.append(text)
        yield text


def _shown(raw: list[str], count: int) -> str:
    """The first row of a file, which is its first `count` lines, in quotation marks."""
    shown = " ".join("".join(raw[:count]).split())
    return f"“{shown if len(shown) <= _QUOTED else f'{shown[:_QUOTED]}…'}”"


def _first_line(shown: str, named: bool) -> str:
    if named:
        return f"The first line ({shown}) is read as the names of the columns. If it is text, put names above it."
    return f"The first line ({shown}) is read as text, like those below it. If it names the columns, remove it."


def _title(rows: list[list[str]], wanted: str) -> int:
    """How many rows are above the names of the columns: a title and empty ones, else 0.

    A title is one cell, or has fewer cells than the row of names, which is one by its usual names.
    """
    at = next((at for at, cells in enumerate(rows) if at and any(map(str.strip, cells))), 0)
    below = rows[at + 1 :]
    named, certain = names_columns(rows[0], rows[1:], wanted)
    filled = sum(bool(cell.strip()) for cell in rows[0])
    fewer = at and len(rows[0]) < len(rows[at]) and not (named and certain)
    fits = fewer or (at and not named and filled == 1 and all(map(str.strip, rows[at])))
    return at if fits and below and names_columns(rows[at], below, wanted) == (True, True) else 0


def table_suffix(beginning: str) -> str:
    """The suffix for a text whose `beginning` is a table, ".csv" or ".tsv"; empty if it is not clearly one.

    That needs a first line of names, and as many cells in each line below it.
    """
    lines = list(islice(io.StringIO(beginning), _SAMPLE))
    lines = lines[:-1] if len(lines) > _LEAST_LINES else lines  # the last one may be cut off
    for between in _BETWEEN:
        if lines and between in lines[0] and not lines[0].startswith("|"):  # which is a table in Markdown
            rows = _equal_rows(lines, between)
            if rows and all(map(_COLUMN.fullmatch, rows[0])) and names_columns(rows[0], rows[1:], "") == (True, True):
                return ".tsv" if between == "\t" else ".csv"
    return ""


def _equal_rows(lines: list[str], between: str) -> list[list[str]]:
    """The rows, if they are enough and have equally many cells, otherwise none. The last one may be within marks."""
    try:
        rows = [cells for cells in csv.reader(lines, delimiter=between) if cells]
    except csv.Error:
        return []
    if len(rows) > _LEAST_LINES and len(rows[-1]) < len(rows[0]):
        rows.pop()
    return rows if len(rows) >= _LEAST_LINES and len({len(cells) for cells in rows}) == 1 else []


# How a table is written


def _given_delimiter(file: BinaryIO, name: str) -> str:
    """The delimiter that the first line names, as Excel reads and writes it (``sep=;``), or "". The file is then behind
    that line, else at its beginning."""
    line = next(lines_of(file, name), b"").decode("utf-8-sig", "replace")
    found = _SEPARATOR_LINE.fullmatch(line)
    if found is None:
        file.seek(0)
    return found[1] if found else ""


def _dialect(file: BinaryIO, name: str, wanted: str, given: str) -> tuple[str, bool]:
    """The delimiter, `given` or found, and whether quotation marks enclose cells. The file is rewound to where it was."""
    start = file.tell()
    sample, size = [], 0
    for line in lines_of(file, name):
        sample.append(line.decode("utf-8", "replace"))
        size += len(line)
        if len(sample) >= _SAMPLE or (size >= _SAMPLE_CHARACTERS and len(sample) > 1):
            break
    between = given or _delimiter(sample, wanted)
    file.seek(start)
    marks = not (between == "\t" and _bare_marks(file, name))
    file.seek(start)
    return between, marks


def _delimiter(lines: list[str], wanted: str) -> str:
    """What separates cells: of what is in the first line, outside of marks, that which leaves the text's name as a cell;
    else that by which most rows have as many cells.
    """
    first = _IN_MARKS.sub("", lines[0]) if lines else ""
    found = [between for between in _BETWEEN if between in first]
    if found:
        return max(
            found,
            key=lambda between: (
                _named_text(_first_row(lines, between), wanted),
                _agreement(lines, between)[0],
                first.count(between),
            ),
        )
    for between in _BETWEEN:  # a single name above several columns: which is wrong, and to be said
        share, cells = _agreement(lines[1:], between)
        if cells > 1 and share > 0.9 and len(lines) > 2:
            return between
    return _NONE


def _first_row(lines: list[str], between: str) -> list[str]:
    try:
        return next(csv.reader(lines, delimiter=between), [])
    except csv.Error:  # it is read again, and then said
        return []


def _agreement(lines: list[str], between: str) -> tuple[float, int]:
    """Which share of the rows has as many cells as the first one, and how many that are."""
    try:
        counts = [len(cells) for cells in csv.reader(lines, delimiter=between) if cells]
    except csv.Error:
        counts = []
    if not counts:
        return 0.0, 0
    return sum(count == counts[0] for count in counts) / len(counts), counts[0]


def _bare_marks(file: BinaryIO, name: str) -> bool:
    """Whether quotation marks are part of the text in a table with tabs: a cell begins with one and does not end with its
    counterpart, while every line has as many cells as the first.
    """
    n_tabs, bare = None, False
    for line in lines_of(file, name):
        if not line.strip():
            continue
        n_tabs = line.count(b"\t") if n_tabs is None else n_tabs
        if line.count(b"\t") != n_tabs:
            return False
        if b'"' in line and not bare:
            cells = line.decode("utf-8", "replace").split("\t")
            bare = any(cell.startswith('"') and not _WHOLE_CELL.fullmatch(cell) for cell in cells)
    return bare


# Whether the first line names the columns


def names_columns(first: list[str], below: list[list[str]], wanted: str) -> tuple[bool, bool]:
    """Whether the first line is a header, and whether that is certain.

    Certain are a name that is asked for or usual. Else a value that comes again in its column is none; a word above numbers
    is one; and what reads like the longest cells below it is text.
    """
    cells = [cell.strip() for cell in first]
    if _named_text(cells, wanted):
        return True, True
    columns = [[row[at].strip() for row in below if at < len(row)] for at in range(len(cells))]
    if any(_comes_again(cell, column) for cell, column in zip(cells, columns, strict=True)):
        return False, False
    known = any(_NAMES.fullmatch(cell) or (about_text(cell) and " " not in cell) for cell in cells)
    if known or not below:
        return known, known
    if not any(cells) or any(len(cell) > _NAME for cell in cells):
        return False, True
    numbers = [at for at, column in enumerate(columns) if any(column) and all(map(_number, filter(None, column)))]
    if numbers:
        named = not any(_number(cells[at]) for at in numbers)
        return named, not named
    if not all(cells) or len(set(cells)) < len(cells) or any(cell[0].isdigit() for cell in cells):
        return False, False
    longest = max(range(len(cells)), key=lambda at: sum(map(len, columns[at])))
    return not _like(cells[longest], columns[longest]), False


def _named_text(cells: Iterable[str], wanted: str) -> bool:
    """Whether one of the cells is the name of the column that is asked for, or "text"."""
    return any((wanted and cell.strip() == wanted) or cell.strip().lower() == "text" for cell in cells)


def _comes_again(cell: str, column: list[str]) -> bool:
    """Whether a cell is one of few values that its column has, as labels are."""
    counts = Counter(column)
    return bool(cell) and counts[cell] > 0 and (len(column) < 3 or 2 * len(counts) <= len(column) + 1)


def _number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _like(cell: str, column: list[str]) -> bool:
    """Whether a cell is text as those below it are, and no name: about as many words, or a sentence."""
    words, below = len(cell.split()), sorted(len(other.split()) for other in column if other)
    median = below[len(below) // 2] if below else 0
    return words >= 2 and (2 * words >= median or _SENTENCE_END.search(cell) is not None)
