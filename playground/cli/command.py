"""What every command is made of."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TypeVar

from playground.config import counted
from playground.runs.queue.queue import Job
from playground.runs.races import jobs
from playground.runs.store.run_store import Run, RunStore

SHORT_ID = 8  # characters of an id that are shown, if they are enough
Found = TypeVar("Found", bound=Job)

PROGRAM = "llm-playground" if Path(sys.argv[0]).stem == "llm-playground" else "python -m playground"


@dataclass(frozen=True)
class Command:
    """One command: `run` prints its result and returns the exit code, or raises ValueError with one sentence."""

    name: str
    help: str
    add_options: Callable[[argparse.ArgumentParser], None]
    run: Callable[[argparse.Namespace, RunStore], int]


def short_ids(ids: Sequence[str]) -> dict[str, str]:
    """The beginning of each id, of 8 characters or as many as no other id begins with: the runs of a race differ late."""
    ordered = sorted(set(ids))
    shared = [next(at for at in range(len(b)) if a[at : at + 1] != b[at]) for a, b in pairwise(ordered)]
    around = zip(ordered, [0, *shared], [*shared, 0], strict=False)
    return {each: each[: max(SHORT_ID, 1 + before, 1 + after)] for each, before, after in around}


def add_run(parser: argparse.ArgumentParser) -> None:
    """The argument that names a run, see `find_run`."""
    parser.add_argument("run", metavar="RUN", help="id, the beginning of one, or a name")


def find_run(store: RunStore, text: str) -> Run:
    """The run whose id begins with `text`, or whose name it is. Raises ValueError unless there is exactly one."""
    return _only(store.list(), text, "run")


def find_job(store: RunStore, text: str) -> Job:
    """As `find_run`, for the user's own races and the runs that are in none."""
    return _only(jobs(store), text, "run or race of yours", "runs or races of yours")


def _only(known: Sequence[Found], text: str, noun: str, plural: str = "") -> Found:
    found = [one for one in known if one.name.casefold() == text.casefold()]
    found = found or [one for one in known if text and one.id.startswith(text.lower())]
    if not found:
        raise ValueError(
            f"No {noun} is called {text[:40]!r} or has an id that begins with it. List them with: {PROGRAM} runs"
        )
    if len(found) > 1:
        raise ValueError(
            f"{counted(len(found), noun, plural)} match {text[:40]!r}. Give more of the id. List them with: {PROGRAM} runs"
        )
    return found[0]
