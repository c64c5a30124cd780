"""The names that visitors give at the door, with the class they belong to, in one small file of the run store.

Visitors are known by the hash of their token. A name is deleted with the visitor's runs, by a reset of the class, and when
it was given longer ago than runs are kept.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from playground.runs.store.files import Lock, read_json, write_json
from playground.runs.store.names import checked_name, free_name

NAME_LENGTH = 40  # characters
MOST = 2_000  # visitors with a name


@dataclass(frozen=True)
class Person:
    """A visitor as they introduced themselves. `at` is the wall clock's time of that."""

    name: str
    class_code: str
    at: float


class ClassList:
    """Names by owner. All methods may be called from any thread and process."""

    def __init__(self, root: Path) -> None:
        self._path = root / "class.json"
        self._lock = root / ".class-lock"
        self._known: tuple[tuple[int, int], dict[str, Person]] = ((0, 0), {})

    def people(self) -> dict[str, Person]:
        """Everybody who gave a name, by owner."""
        try:
            found = self._path.stat()
        except OSError:
            return {}
        stamp = (found.st_mtime_ns, found.st_ino)
        if self._known[0] != stamp:
            entries = (read_json(self._path) or {}).items()
            self._known = (stamp, {owner: person for owner, values in entries if (person := _person(values))})
        return self._known[1]

    def join(self, owner: str, name: object, class_code: str) -> Person:
        """Note a visitor's name and class; a name in use gets " (2)". Raises ValueError or OSError."""
        given = checked_name(name if isinstance(name, str) else "", NAME_LENGTH, "Your name")
        with Lock(self._lock):
            people = self.people()
            if owner not in people and len(people) >= MOST:
                raise ValueError(f"The class is full: {MOST:,} visitors have joined. Tell the host.")
            taken = {each.name for key, each in people.items() if key != owner and each.class_code == class_code}
            person = Person(free_name(given, taken), class_code, time.time())
            self._write({**people, owner: person})
        return person

    def prune(self, keep_days: float | None) -> None:
        """Forget those who gave their name longer ago. Raises OSError."""
        if keep_days is not None:
            self.forget(lambda owner, person: time.time() - person.at > 86_400 * keep_days)

    def forget(self, gone: Callable[[str, Person], bool]) -> int:
        """Forget those for whom `gone` is true, and return how many. Raises OSError."""
        with Lock(self._lock):
            people = self.people()
            kept = {owner: person for owner, person in people.items() if not gone(owner, person)}
            if len(kept) < len(people):
                self._write(kept)
        return len(people) - len(kept)

    def _write(self, people: dict[str, Person]) -> None:
        write_json(self._path, {owner: asdict(person) for owner, person in people.items()})


def _person(values: Any) -> Person | None:
    try:
        return Person(str(values["name"]), str(values["class_code"]), float(values["at"]))
    except (KeyError, TypeError, ValueError):
        return None
