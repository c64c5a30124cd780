"""JSON lines: the text in one field of each line, and one sentence on the lines that have none."""

import json
from typing import Any

from playground.data.encoding import guess_encoding

MAX_LINE_BYTES = 64_000_000
_NAMED = 3  # bad lines that a complaint names
_DEFAULT_FIELD = "text"


class Reader:
    """Takes a file's lines one after the other. Feed `read` every line, then call `finish`.

    `field` is a key, or keys joined by dots for objects within objects: ``meta.title``. An empty one means "text" or, if
    the first object has no such field, its only field that holds text. A null is a text that is not there; any other line
    without text in the field is a bad one, and `finish` names the first of them.
    """

    def __init__(self, name: str, field: str = "") -> None:
        self.name = name
        self.field = field.strip()
        self._line = 0
        self._found = 0
        self._bad: list[tuple[int, str]] = []
        self._n_bad = 0
        self._fields: list[str] = []

    def read(self, line: bytes) -> str | None:
        """The text of one line, or None if it has none. Raises ValueError for a field that the first object lacks."""
        self._line += 1
        if len(line) > MAX_LINE_BYTES:
            raise ValueError(f"{self.name}: line {self._line:,} is longer than {MAX_LINE_BYTES // 10**6} MB. Split it.")
        if not line.strip():
            return None
        value = self._object(line)
        if value is None:
            return None
        if not self._fields:
            self._choose(value)
        found = _at(value, self.field)
        if found is None and _has(value, self.field):
            return None
        if not isinstance(found, str):
            self._complain(f"has no text in the field {self.field[:40]!r}")
            return None
        try:
            found.encode("utf-8")
        except UnicodeEncodeError:
            self._complain("contains an invalid character (a lone surrogate)")
            return None
        self._found += 1
        return found

    def finish(self) -> None:
        """Raise ValueError if there were bad lines, or no text at all."""
        if self._n_bad:
            number, reason = self._bad[0]
            others = [f"line {line:,}" for line, _ in self._bad[1:]]
            if self._n_bad > len(self._bad):
                others.append(f"{self._n_bad - len(self._bad):,} more")
            also = f" {_listed(others).capitalize()} cannot be used either." if others else ""
            raise ValueError(f"{self.name}: line {number:,} {reason}.{also} Mend or remove what is wrong.")
        if not self._found:
            raise ValueError(f"{self.name} is empty: no line has any text. Leave it out or choose another text.")

    def _object(self, line: bytes) -> dict[str, Any] | None:
        try:
            value = json.loads(line.decode("utf-8-sig" if self._line == 1 else "utf-8"))
        except UnicodeDecodeError as error:
            self._complain(f"is not UTF-8 text (looks like {guess_encoding(error.object)})")
            return None
        except (ValueError, RecursionError):
            self._complain("is not JSON")
            return None
        if isinstance(value, dict):
            return value
        self._complain("is not a JSON object")
        return None

    def _choose(self, first: dict[str, Any]) -> None:
        """Settle the field by the first object that there is."""
        self._fields = sorted(_text_fields(first)) or sorted(map(str, first)) or ["(none)"]
        if not self.field:
            only = _text_fields(first)
            self.field = _DEFAULT_FIELD if _DEFAULT_FIELD in first or len(only) != 1 else only[0]
        if not _has(first, self.field):
            fields = ", ".join(name[:40] for name in self._fields[:8])
            raise ValueError(
                f"{self.name} has no field {self.field[:40]!r} in line {self._line:,}; its fields with text are: {fields}. "
                "Choose one of them."
            )

    def _complain(self, reason: str) -> None:
        self._n_bad += 1
        if len(self._bad) < _NAMED:
            self._bad.append((self._line, reason))


def _at(value: Any, field: str) -> Any:
    """What stands in a field: the key itself where there is such a one, else key by key at the dots."""
    if isinstance(value, dict) and field in value:
        return value[field]
    head, dot, rest = field.partition(".")
    return _at(value[head], rest) if dot and isinstance(value, dict) and head in value else None


def _has(value: Any, field: str) -> bool:
    if isinstance(value, dict) and field in value:
        return True
    head, dot, rest = field.partition(".")
    return bool(dot) and isinstance(value, dict) and head in value and _has(value[head], rest)


def _text_fields(value: dict[str, Any], before: str = "", depth: int = 3) -> list[str]:
    """All fields that hold text, those of objects within objects with dots."""
    found: list[str] = []
    for key, inner in value.items():
        if isinstance(inner, str):
            found.append(f"{before}{key}")
        elif isinstance(inner, dict) and depth:
            found += _text_fields(inner, f"{before}{key}.", depth - 1)
    return found


def _listed(words: list[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
