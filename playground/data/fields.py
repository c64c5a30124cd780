"""Rows with fields: choose the field that holds the text, by name or from a sample of rows, and read it.

Notes say what was chosen or left out automatically.

A field is a key, or keys joined by dots for objects within objects: ``meta.title``. It holds text, or a chat: a list of
messages (`chats`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

from playground.config import counted, listed
from playground.data.chats import Silent, chat, is_chat, is_message, text_of

SAMPLE_ROWS = 1_000  # over which a field is chosen
SAMPLE_BYTES = 4_000_000  # of these rows, except that there is always one
_NAMED = 3  # bad rows named in an error message
_DEPTH = 3  # of nested objects that are searched for fields
_DEFAULT = "text"
_MOST = 0.9  # of the text of a sample: a field with so much of it is the one that is meant
# Names of fields that hold text about the text.
_ABOUT = re.compile(
    r"(.*[_.\- ])?(id|ids|uid|uuid|guid|key|hash|sha\d*|md5|url|uri|link|date|time|timestamp|created|updated|lang|language"
    r"|split|source|label|type|license|version)|.*_at|(?-i:.*[a-z]Id)",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Row:
    """A row with its number, counting from 1, and its approximate size in bytes."""

    number: int
    value: dict[str, Any]
    n_bytes: int


@dataclass
class Seen:
    """Statistics of a field in a sample of rows."""

    texts: int = 0
    characters: int = 0
    words: bool = False  # white space in some text, or one so long that it is no mere name
    chats: int = 0
    odd: str = field(default="", compare=False)  # what else it was found to be, if there may be text in that


@dataclass
class Rows:
    """The rows of a file, and those of them that cannot be used. `noun` is "line" or "entry", for messages.

    Once all rows were read, information for the user on their texts is added to `notes`.
    """

    name: str
    noun: str = "line"
    notes: list[str] = field(default_factory=list)
    bad: list[tuple[int, str]] = field(default_factory=list)
    n_bad: int = 0
    silent: Silent = field(default_factory=Silent)

    def complain(self, number: int, reason: str) -> None:
        """Record that a row cannot be used."""
        self.n_bad += 1
        if len(self.bad) < _NAMED:
            self.bad.append((number, reason))

    def texts(self, rows: Iterator[Row], wanted: str = "") -> Iterator[str]:
        """The texts in the field `wanted` of the rows, or in the field that holds the text in most of what comes first.

        A null counts as a missing text. Raises ValueError if the field cannot be determined, and at the end if a row was
        invalid or none had text.
        """
        sample, n_bytes = [], 0
        for row in rows:
            sample.append(row)
            n_bytes += row.n_bytes
            if len(sample) >= SAMPLE_ROWS or n_bytes >= SAMPLE_BYTES:
                break
        seen = fields_of(row.value for row in sample)
        chosen = self._choose(sample, seen, wanted.strip()) if sample else ""
        total = found = 0
        for row in chain(sample, rows):
            total += 1
            text = self._text(row, chosen)
            if text:
                found += 1
                yield text
        self._finish(found > 0)
        self.notes += self._left_out(chosen, total - found, total, seen, bool(wanted.strip()))
        self.notes += filter(None, [self.silent.note(f"the field {chosen[:40]!r}")])

    def _left_out(self, chosen: str, n_left: int, total: int, seen: dict[str, Seen], explicit: bool) -> list[str]:
        """A note on what is left out: rows without text in the chosen field, and other fields that hold text."""
        others = [name for name in offered(seen) if name != chosen and not _ABOUT.fullmatch(name)]
        said = f"; other fields with text: {', '.join(name[:40] for name in others[:8])}" if others else ""
        if n_left:
            rows = counted(total, self.noun, "entries" if self.noun == "entry" else "")
            have, are = ("has", "is") if n_left == 1 else ("have", "are")
            return [f"{n_left:,} of {rows} {have} no text in the field {chosen[:40]!r} and {are} left out{said}."]
        return (
            [f"The text is that of the field {chosen[:40]!r}{said}."]
            if others and not explicit and chosen != _DEFAULT
            else []
        )

    def _text(self, row: Row, chosen: str) -> str | None:
        value = value_at(row.value, chosen)
        text = text_of(value)
        if value == [] or (text is None and (value is not None or _is_null(row.value, chosen))):
            return None
        if not isinstance(text, str):
            odd = f", which is {odd}" if (odd := _odd(value)) else ""
            self.complain(row.number, f"has no text in the field {chosen[:40]!r}{odd}")
            return None
        self.silent.add(value)
        try:
            text.encode("utf-8")
        except UnicodeEncodeError:
            self.complain(row.number, "contains an invalid character (a lone surrogate)")
            return None
        return text

    def _finish(self, found: bool) -> None:
        if self.n_bad:
            number, reason = self.bad[0]
            others = [f"{self.noun} {other:,}" for other, _ in self.bad[1:]]
            if self.n_bad > len(self.bad):
                others.append(f"{self.n_bad - len(self.bad):,} more")
            also = f" {listed(others).capitalize()} cannot be used either." if others else ""
            raise ValueError(f"{self.name}: {self.noun} {number:,} {reason}.{also} Fix or remove it.")
        if not found:
            raise ValueError(f"{self.name} is empty: no {self.noun} has any text. Leave it out or choose another text.")

    def _choose(self, sample: list[Row], seen: dict[str, Seen], wanted: str) -> str:
        if wanted and seen.get(wanted, Seen()) != Seen():
            return wanted
        inside = [name for name in offered(seen) if name.startswith(f"{wanted}.")]
        if wanted and not inside and any(_has(row.value, wanted) for row in sample):
            return wanted  # it may have text further down
        found = "" if wanted else usual_field(seen, len(sample))
        if not found and not offered(seen) and _DEFAULT in seen:
            return _DEFAULT
        if found:
            return found
        several = counted(len(sample), self.noun, "entries" if self.noun == "entry" else "")
        where = f"{self.noun} {sample[0].number:,}" if len(sample) == 1 else f"its first {several}"
        missing = wanted or _DEFAULT
        few = seen.get(missing, Seen()).texts
        if few:
            have = "has" if few == 1 else "have"
            raise ValueError(
                f"{self.name}: only {few:,} of its first {several} {have} text in the field {missing!r}; {choice(seen)}"
            )
        if any(isinstance(value_at(row.value, missing), dict) for row in sample):
            below = {name: held for name, held in seen.items() if name.startswith(f"{missing}.")}
            known = below if offered(below) else seen
            raise ValueError(
                f"{self.name}: the field {missing[:40]!r} holds an object, not text, in {where}; {choice(known)}"
            )
        lacks = "text in the field" if missing in seen else "field"
        raise ValueError(f"{self.name} has no {lacks} {missing[:40]!r} in {where}; {choice(seen)}")


def choice(seen: dict[str, Seen]) -> str:
    """The available fields, as the end of a sentence and one more."""
    names = [f"{name[:40]} (a chat)" if seen[name].chats else name[:40] for name in offered(seen)[:8]]
    odd = [f"{name[:40]!r} is {held.odd}" for name, held in sorted(seen.items()) if held.odd]
    if not names and odd:
        return f"no field is text or a chat: {', '.join(odd[:4])}. Save what is meant as a file of its own."
    if not names:
        return "no field has text. Choose another file."
    return f"its fields with text are: {', '.join(names)}. Choose one of them."


def offered(seen: dict[str, Seen]) -> list[str]:
    """The fields that have text or a chat, in the order of their names."""
    return sorted(name for name, held in seen.items() if held.texts or held.chats)


def fields_of(values: Iterable[dict[str, Any]]) -> dict[str, Seen]:
    """All fields of some rows, those of objects within objects with dots, and what they were found to hold."""
    seen: dict[str, Seen] = {}
    for value in values:
        _look(value, "", _DEPTH, seen)
    return seen


def _look(value: dict[str, Any], before: str, depth: int, seen: dict[str, Seen]) -> None:
    for key, inner in value.items():
        name = f"{before}{key}"
        if isinstance(inner, dict) and depth:
            _look(inner, f"{name}.", depth - 1, seen)
            continue
        held = seen.setdefault(name, Seen())
        if isinstance(inner, str):
            held.texts += bool(inner)
            held.characters += len(inner)
            held.words = held.words or len(inner) > 100 or len(inner.split(maxsplit=1)) > 1
        elif is_chat(inner):
            held.chats += 1
            held.characters += len(chat(inner) or "")
        else:
            held.odd = held.odd or _odd(inner)


def _odd(value: Any) -> str:
    """What a value is in which there may be text, but which is neither text nor a chat: "a list of texts"; or ""."""
    if isinstance(value, dict):
        return f"an object inside {_DEPTH} others" if value else ""
    if not isinstance(value, list):
        return ""
    strange = next((number for number, item in enumerate(value, 1) if not is_message(item)), 0)
    if any(map(is_message, value)) and strange:
        return f"a chat but for item {strange:,}, which is no object with role and content"
    if any(isinstance(item, str) and item for item in value):
        return "a list of texts"
    return "a list of objects" if any(isinstance(item, dict) and item for item in value) else ""


def usual_field(seen: dict[str, Seen], n_rows: int) -> str:
    """The field that most likely holds the text of `n_rows` rows, otherwise "".

    That is "text" if at least half of the rows have it; else the only field that is not about the text, or the one of those
    that holds nearly all of their text.
    """
    if 2 * seen.get(_DEFAULT, Seen()).texts >= max(1, n_rows):
        return _DEFAULT
    likely = [name for name in offered(seen) if not _ABOUT.fullmatch(name)]
    if len(likely) == 1:
        held = seen[likely[0]]
        nothing_else = all(
            other != Seen() or name == likely[0] or _ABOUT.fullmatch(name) for name, other in seen.items()
        )
        return likely[0] if held.words or held.chats or nothing_else or likely[0] == _DEFAULT else ""
    prose = [name for name in likely if seen[name].words or seen[name].chats]
    if len(prose) == 1:
        return prose[0]
    total = sum(seen[name].characters for name in likely)
    return next((name for name in prose if seen[name].characters >= _MOST * total), "")


def about_text(name: str) -> bool:
    """Whether a name is usual for a field that says something about the text: an id, a date, a label."""
    return _ABOUT.fullmatch(name) is not None


def holds(value: dict[str, Any], name: str) -> bool:
    """Whether there is some text or a chat in a field."""
    return fields_of([value]).get(name, Seen()) != Seen()


def value_at(value: Any, name: str) -> Any:
    """The value of a field: of the key itself if it exists, otherwise following the dots."""
    if isinstance(value, dict) and name in value:
        return value[name]
    head, dot, rest = name.partition(".")
    return value_at(value[head], rest) if dot and isinstance(value, dict) and head in value else None


def _has(value: Any, name: str) -> bool:
    if isinstance(value, dict) and name in value:
        return True
    head, dot, rest = name.partition(".")
    return bool(dot) and isinstance(value, dict) and head in value and _has(value[head], rest)


def _is_null(value: Any, name: str) -> bool:
    """Whether a field, or an object containing it, is null."""
    if isinstance(value, dict) and name in value:
        return value[name] is None
    head, dot, rest = name.partition(".")
    return (
        bool(dot) and isinstance(value, dict) and head in value and (value[head] is None or _is_null(value[head], rest))
    )
