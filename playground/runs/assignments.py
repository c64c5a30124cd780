"""Assignments of a class, and what students hand in.

    root/assignments/<id>.json             title, question, configuration, frozen settings
    root/assignments/<id>/<owner>.json     a student's answer and the run it is about; handing in again replaces it

`owner` is the hash of a visitor's token. Answers are deleted with the visitor's runs, by a reset of the class, and after
as many days as runs are kept.
"""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from playground.config import ModelConfig, TrainConfig, counted, current_name, label, setting_kinds, spelled
from playground.runs.collection import Entry, slug, table_csv
from playground.runs.store.files import read_json, write_json
from playground.runs.store.names import checked_name
from playground.runs.store.run_store import Run

TITLE_LENGTH = 80  # characters
QUESTION_LENGTH = 5_000
ANSWER_LENGTH = 5_000
MOST = 50  # assignments
DERIVED = ("vocab_size", "task_version")  # follow from other settings, so that they cannot be fixed
MOST_ANSWERS = 2_000  # of an assignment
_ID = re.compile(r"[0-9a-f]{16}")
_OWNER = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Assignment:
    """`setup` is a configuration as JSON, as links have it; settings in `frozen` keep the values that it gives them."""

    id: str
    title: str
    question: str
    setup: str
    frozen: tuple[str, ...]
    created: float

    def fixed(self, model: ModelConfig, train: TrainConfig) -> dict[str, Any]:
        """The frozen settings with their values in this configuration, which is that of `setup`."""
        values = {**model.to_dict(), **train.to_dict()}
        return {name: values[name] for name in self.frozen if name in values}


@dataclass(frozen=True)
class Answer:
    """What a student has handed in. `at` is the wall clock's time of that."""

    owner: str
    run: str
    text: str
    at: float


def check_fixed(run: Run, fixed: Mapping[str, Any]) -> None:
    """Raise ValueError for a run in which a fixed setting has another value."""
    values = {**run.model.to_dict(), **run.train.to_dict()}
    for name, value in fixed.items():
        if values.get(name) != value:
            raise ValueError(
                f"This assignment fixes {label(setting_kinds()[name], name)} at {spelled(value)}; the chosen run has "
                f"{spelled(values.get(name))!s:.40}. Train with the assignment's link, and choose that run."
            )


class Assignments:
    """The assignments of a run store. All methods may be called from any thread and process."""

    def __init__(self, root: Path) -> None:
        self._folder = root / "assignments"

    def all(self) -> list[Assignment]:
        """All assignments, newest first."""
        found = [_assignment(path) for path in self._folder.glob("*.json")]
        return sorted((one for one in found if one is not None), key=lambda one: -one.created)

    def get(self, key: object) -> Assignment | None:
        """An assignment, or None if there is none of that id."""
        return _assignment(self._folder / f"{key}.json") if isinstance(key, str) and _ID.fullmatch(key) else None

    def create(self, title: object, question: object, setup: str, frozen: object) -> Assignment:
        """A new assignment. `setup` has been checked. Raises ValueError or OSError."""
        if not isinstance(frozen, (tuple, list)) or not all(isinstance(name, str) for name in frozen):
            raise ValueError("Frozen settings must be a list of names.")
        names = tuple(dict.fromkeys(current_name(name.strip()) for name in frozen if name.strip()))
        unknown = [name for name in names if name not in setting_kinds() or name in DERIVED]
        if unknown:
            raise ValueError(
                f"Frozen settings: {unknown[0][:40]!r} is not a setting that can be fixed. Write names as in `--set NAME=…`."
            )
        if len(self.all()) >= MOST:
            raise ValueError(f"There are {counted(MOST, 'assignment')} already. Delete one first.")
        made = Assignment(
            secrets.token_hex(8),
            checked_name(title if isinstance(title, str) else "", TITLE_LENGTH, "Title"),
            _text(question, "Question", QUESTION_LENGTH), setup, names, time.time(),
        )  # fmt: skip
        self._folder.mkdir(exist_ok=True)
        write_json(self._folder / f"{made.id}.json", asdict(made))
        return made

    def delete(self, key: object) -> None:
        """Delete an assignment and its answers. Raises ValueError or OSError."""
        found = self.get(key)
        if found is None:
            raise ValueError("This assignment is not there any more.")
        for answer in self.answers(found.id):
            self._path(found.id, answer.owner).unlink(missing_ok=True)
        (self._folder / f"{found.id}.json").unlink(missing_ok=True)

    def hand_in(self, assignment: Assignment, owner: str, run: Run, text: object) -> Answer:
        """Store a student's answer. Raises ValueError or OSError."""
        answer = Answer(owner, run.id, _text(text, "Your answer", ANSWER_LENGTH), time.time())
        path = self._path(assignment.id, owner)
        path.parent.mkdir(exist_ok=True)
        if not path.exists() and sum(1 for _ in path.parent.iterdir()) >= MOST_ANSWERS:
            raise ValueError(f"There are {counted(MOST_ANSWERS, 'answer')} to this assignment already. Tell the host.")
        write_json(path, asdict(answer))
        return answer

    def answer(self, key: str, owner: str) -> Answer | None:
        """What an owner has handed in for an assignment."""
        return _answer(self._path(key, owner))

    def answers(self, key: str) -> list[Answer]:
        """What everybody has handed in for an assignment, in that order."""
        found = [_answer(path) for path in (self._folder / key).glob("*.json")]
        return sorted((one for one in found if one is not None), key=lambda one: one.at)

    def forget(self, gone: Callable[[Answer], bool]) -> None:
        """Delete the answers for which `gone` is true. Raises OSError."""
        for assignment in self.all():
            for answer in self.answers(assignment.id):
                if gone(answer):
                    self._path(assignment.id, answer.owner).unlink(missing_ok=True)

    def prune(self, keep_days: float | None) -> None:
        """Delete answers that were handed in longer ago. Raises OSError."""
        if keep_days is not None:
            self.forget(lambda answer: time.time() - answer.at > 86_400 * keep_days)

    def entries(self, people: Mapping[str, tuple[str, str]], wanted: Callable[[str], bool]) -> Iterator[Entry]:
        """The files of an archive: each question, and a table of the answers of the owners for whom `wanted` is true."""
        for number, one in enumerate(self.all(), 1):
            folder = f"assignments/{number:02d}-{slug(one.title)}"
            yield f"{folder}/question.txt", f"{one.title}\n\n{one.question}\n".encode("utf-8", "replace")
            rows: list[tuple[Any, ...]] = [("student", "class", "run", "handed_in", "answer")]
            for answer in self.answers(one.id):
                if wanted(answer.owner):
                    at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(answer.at))
                    rows.append((*people.get(answer.owner, ("", "")), answer.run, at, answer.text))
            yield f"{folder}/answers.csv", table_csv(rows)

    def _path(self, key: str, owner: str) -> Path:
        if not _ID.fullmatch(key) or not _OWNER.fullmatch(owner):
            raise ValueError("This assignment is not there any more.")
        return self._folder / key / f"{owner}.json"


def _text(value: object, what: str, most: int) -> str:
    text = value.strip() if isinstance(value, str) else ""
    if not 1 <= len(text) <= most:
        raise ValueError(f"{what} must have 1 to {counted(most, 'character')}; it has {len(text):,}.")
    return text


def _assignment(path: Path) -> Assignment | None:
    try:
        values = read_json(path) or {}
        return Assignment(**{**values, "frozen": tuple(values["frozen"]), "created": float(values["created"])})
    except (KeyError, TypeError, ValueError):
        return None


def _answer(path: Path) -> Answer | None:
    try:
        values = read_json(path) or {}
        return Answer(**{**values, "at": float(values["at"])})
    except (KeyError, TypeError, ValueError):
        return None
