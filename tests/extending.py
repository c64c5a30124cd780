"""Applies the worked examples of docs/extending.md to a copy of the project."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from tests.texts import PROJECT

GUIDE = PROJECT / "docs/extending.md"
BLOCK = re.compile(r'^```(diff|python) title="([^"]+)"\n(.*?)^```$', re.M | re.S)


@dataclass(frozen=True)
class Change:
    """A code block of the guide: a new file, or lines that are added and replaced."""

    path: str
    text: str
    new_file: bool

    def apply(self, root: Path) -> None:
        """Make the change in a copy. Raises ValueError if its place is not there, or not only once."""
        target = root / self.path
        if self.new_file:
            if target.exists():
                raise ValueError(f"{self.path} exists already.")
            target.write_text(self.text, "utf-8")
            return
        lines = target.read_text("utf-8").split("\n")
        edits = [(line[:1], line[1:]) for line in self.text.rstrip("\n").split("\n")]
        before = [words for mark, words in edits if mark != "+"]
        # Indented as much as in the guide, or all lines by the same amount more or less.
        places = [
            at for at in range(len(lines))
            if [line.strip() for line in lines[at : at + len(before)]] == [line.strip() for line in before]
        ]  # fmt: skip
        if len(places) != 1:
            raise ValueError(f"{self.path} has {len(places)} places with the lines:\n" + "\n".join(before))
        (at,) = places
        more = _indent(lines[at]) - _indent(before[0])
        after = [_shifted(words, more) for mark, words in edits if mark != "-"]
        target.write_text("\n".join([*lines[:at], *after, *lines[at + len(before) :]]), "utf-8")


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())


def _shifted(line: str, more: int) -> str:
    return " " * (_indent(line) + more) + line.lstrip() if line.strip() else ""


def changes(guide: str) -> list[Change]:
    """The changes of a guide, in its order."""
    return [Change(path, text, kind == "python") for kind, path, text in BLOCK.findall(guide)]
