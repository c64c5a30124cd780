"""Importing a model: it becomes a finished run of the store, with weights at one step.

It has no training text and no optimizer state, so it cannot be trained further; all inspection works.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any, get_args, get_type_hints

from playground.config import TokenizerName, TrainConfig
from playground.data.corpora import UNKNOWN_TEXT
from playground.interchange import hub
from playground.interchange.folders import read_files, read_folder
from playground.interchange.package import Package
from playground.interchange.refusal import shown
from playground.runs.create import free_memory
from playground.runs.store import checkpoints, status
from playground.runs.store.files import write_bytes
from playground.runs.store.log import frame
from playground.runs.store.names import NAME_LENGTH, checked_name
from playground.runs.store.run_store import Run, RunStore
from playground.runs.store.status import Status
from playground.runs.texts import missing
from playground.tokenizers import ImportedTokenizer, Tokenizer, lost_share, lost_words
from playground.tokenizers.imported import PROBES
from playground.train.events import EVENTS

MAX_TEXT = 20_000


def import_folder(store: RunStore, folder: Path, *, name: str = "", owner: str | None = None) -> Run:
    """Import the model in a folder as a run. Raises ValueError and then writes nothing."""
    return import_package(
        store, read_folder(folder, free_memory()), origin=f"the folder {folder.name}", name=name, owner=owner
    )


def import_files(store: RunStore, paths: Iterable[Path], *, name: str = "", owner: str | None = None) -> Run:
    """Import a model from uploaded files. Raises ValueError and then writes nothing."""
    return import_package(store, read_files(paths, free=free_memory()), origin="uploaded files", name=name, owner=owner)


def import_from_hub(store: RunStore, repository: str, *, name: str = "", owner: str | None = None) -> Run:
    """Import a public model of the Hub by its id. Raises ValueError and then keeps nothing."""
    with hub.downloaded(repository, free_memory() // 2) as folder:
        read = read_folder(folder, free_memory())
    title = repository.partition("/")[2]
    return import_package(store, read, origin=repository, name=name or title, owner=owner)


def import_package(store: RunStore, package: Package, *, origin: str, name: str = "", owner: str | None = None) -> Run:
    """A run with the weights, tokenizer and log of a package. `origin` describes where it came from.

    Raises ValueError for a bad name or a full disk; nothing is left behind then.
    """
    rows = [frame(_checked_row(number, row)) for number, row in enumerate(package.events, start=1)]
    train = package.train or _unknown_training(package)
    notes = " ".join((*package.notes, *_text_note(package.tokenizer)))
    works = f"Attention, Sample and Compare work with it; training cannot continue, because {missing(train)}."
    message = f"Imported from {origin}. {works}" + (f" {notes}" if notes else "")

    def fill(folder: Path) -> None:
        counters: dict[str, int | float] = {"step": package.step, "tokens": 0, "seconds": 0.0}
        checkpoints.save_snapshot(folder, package.weights, counters)
        if rows:
            write_bytes(folder / "events.jsonl", b"".join(rows))
        status.declare(folder, Status("finished", message))

    try:
        return store.create(
            package.config,
            train,
            package.tokenizer,
            name=checked_name(name or _printable(package.name)),
            preset=package.preset,
            owner=owner,
            origin=origin,
            fill=fill,
        )
    except OSError as error:
        raise ValueError(f"The model could not be stored: {error.strerror}. Free some space and try again.") from error


def _text_note(tokenizer: Tokenizer) -> list[str]:
    """A note if the tokenizer does not reproduce some sample texts."""
    if not isinstance(tokenizer, ImportedTokenizer) or tokenizer.exact:
        return []
    return [lost_words(lost_share(tokenizer, PROBES), "built-in test texts")]


def _unknown_training(package: Package) -> TrainConfig:
    known: TokenizerName = next((name for name in get_args(TokenizerName) if name == package.tokenizer.name), "byte")
    steps = max(1, package.step)
    return TrainConfig(corpus=UNKNOWN_TEXT, steps=steps, warmup_steps=0, tokenizer=known)


def _printable(name: str) -> str:
    kept = "".join(character for character in " ".join(name.split()) if character.isprintable()).strip()
    return kept[:NAME_LENGTH].strip() or "Imported model"


def _checked_row(number: int, row: dict[str, Any]) -> dict[str, Any]:
    """A row of an untrusted log, if it is an event with valid types."""
    kind = EVENTS.get(str(row.get("event")))
    if kind is None:
        raise ValueError(f"events.jsonl: line {number:,} is no event of a training ({shown(row.get('event'))}).")
    names = {item.name for item in fields(kind)}
    if row.keys() - names - {"event"}:
        raise ValueError(
            f"events.jsonl: line {number:,} has {shown(min(row.keys() - names - {'event'}))}, which is unknown."
        )
    hints = get_type_hints(kind)
    for item in fields(kind):
        name, hint = item.name, hints[item.name]
        if name not in row and item.default is not MISSING:  # a log of an earlier version
            continue
        if name not in row or not _fits(row[name], hint):
            raise ValueError(f"events.jsonl: line {number:,} has no usable {name}.")
    return row


def _fits(value: Any, hint: Any) -> bool:
    if value is None:
        return hint not in (int, str, bool)  # a number that was not finite
    if hint is str:
        return isinstance(value, str) and len(value) <= MAX_TEXT
    if hint is bool or isinstance(value, bool):
        return hint is bool and isinstance(value, bool)
    if hint is int:
        return isinstance(value, int) and 0 <= value < 2**53
    if isinstance(value, list):
        return len(value) <= 10 and all(_fits(item, float) for item in value)
    return isinstance(value, (int, float)) and math.isfinite(value)
