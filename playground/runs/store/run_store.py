"""The run store on disk, shared by the user interface, the command line and the training processes.

    root/<id>/                  id: 128 random bits in hex; a run's name is never part of a path
        run.json                what the run is: name, configs, preset, owner
        tokenizer.json
        text.txt                only when the user brought a text
        documents.bin           where its documents end, if there are several
        events.jsonl            what happened (`log`)
        status.json, heartbeat, control, lock        how it is going (`status`)
        checkpoints/, snapshots/                     weights (`checkpoints`)
    root/<id>/                  a race (`races`)
        race.json               what the race is
        arms/<id>/              its runs, each laid out as above; the ids begin as the race's does
        status.json, heartbeat, control, lock        of all of them together

A folder is created and deleted atomically, by a rename. The gallery has the same layout and is read-only.

Access to runs is decided here only. `visitor` is the secret that a hosted visitor's browser keeps; only its
sha256 is stored. `visitor=None` is the local mode, where all runs belong to the user of the machine.
"""

from __future__ import annotations

import hashlib
import re
import secrets
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from playground.config import ModelConfig, TrainConfig, model_config
from playground.data.documents import NO_ENDS, Text, read_ends, write_ends
from playground.data.sources import TextFile
from playground.runs.store import checkpoints, status
from playground.runs.store.files import Lock, discard, link_or_copy, read_json, sweep, write_bytes, write_json
from playground.runs.store.names import checked_name, free_name
from playground.runs.store.processes import STOP_SECONDS, end
from playground.runs.store.status import State, Status
from playground.tokenizers import ImportedTokenizer, Tokenizer, kind_in_words, tokenizer_from_dict

FORMAT = 1
ANONYMOUS = ""  # a visitor without a token
DOCUMENTS = "documents.bin"
ARMS = "arms"  # folder of a race's runs
RACE_SUFFIX = "0000"  # a race's id ends in it; its runs' ids end in their number instead
_ID = re.compile(r"[0-9a-f]{32}")


class RunNotFound(ValueError):  # noqa: N818 - the sentence, not the mechanics
    """The run does not exist, was deleted, is damaged, or belongs to someone else; the message does not tell which."""

    def __init__(self) -> None:
        super().__init__("Run not found.")


@dataclass(frozen=True)
class Run:
    """A run as it was created. Everything that changes while it trains is read from disk when asked for."""

    id: str
    name: str
    model: ModelConfig
    train: TrainConfig
    preset: str  # the preset it began from, or ""
    created: float  # wall clock, seconds since 1970
    path: Path
    owner: str | None = None  # sha256 of the owner's secret
    shared: bool = False  # everyone who has the id can view it
    reference: bool = False  # ships with the project
    origin: str = ""  # where an imported model came from, in words; its text and optimizer are not here

    def status(self) -> Status:
        """Its current state, with a message for the user or an empty one."""
        if self.reference:
            return Status("finished")
        race = self.race_path
        if race is not None and (own := status.declared(self.path)).state in ("finished", "diverged"):
            return own
        return status.derive(race or self.path)

    @property
    def race_path(self) -> Path | None:
        """The folder of the race that it belongs to, or None."""
        parent = self.path.parent
        return parent.parent if parent.name == ARMS and (parent.parent / "race.json").exists() else None

    def state(self) -> State:
        """queued, running, paused, stopped, finished, failed, diverged or crashed."""
        return self.status().state

    def steps_available(self) -> list[int]:
        """Steps whose weights can be looked at, in rising order."""
        kept = checkpoints.steps(self.path, "checkpoints") + checkpoints.steps(self.path, "snapshots")
        return sorted(set(kept))

    @cached_property
    def tokenizer(self) -> Tokenizer:
        """The tokenizer it was created with. What an imported file puts around every text is no part of it where the model
        was trained here, because that reads texts without."""
        tokenizer = tokenizer_from_dict(read_json(self.path / "tokenizer.json") or {})
        return tokenizer.plain() if isinstance(tokenizer, ImportedTokenizer) and not self.origin else tokenizer

    @cached_property
    def tokenizer_words(self) -> str:
        """The tokenizer as tables name it. Its file, not an imported run's settings, has the end-of-text token."""
        values = (self.train.tokenizer == "char" and read_json(self.path / "tokenizer.json")) or {}
        return kind_in_words(self.train.tokenizer, self.model.vocab_size, values.get("eos") is True)

    def own_text(self) -> str | None:
        """The text that the user brought, exactly, or None for a built-in one."""
        return None if self.text_path is None else read_text(self.text_path.parent)

    def document_ends(self) -> np.ndarray:
        """Where the documents of that text end (D,), in bytes; nowhere where that is not known."""
        return NO_ENDS if self.text_path is None else read_ends(self.text_path.parent / DOCUMENTS)

    @property
    def text_path(self) -> Path | None:
        """The file of the text that the user brought, which may be large; None for a built-in one."""
        for folder in (self.path, self.race_path):  # the runs of a race share one text
            if folder is not None and (folder / "text.txt").exists():
                return folder / "text.txt"
        return None

    @property
    def log(self) -> Path:
        """The file of events."""
        return self.path / "events.jsonl"


Runs = list[Run]  # inside the class below, `list` is a method


class RunStore:
    """All runs under one folder, and those of a gallery. Several processes may use the same folders at the same time."""

    def __init__(self, root: Path, gallery: Path | None = None) -> None:
        self.root = Path(root)
        self.gallery = None if gallery is None else Path(gallery)
        self.root.mkdir(parents=True, exist_ok=True)
        self._read: dict[Path, tuple[tuple[int, int, int], Run]] = {}

    def create(
        self,
        model: ModelConfig,
        train: TrainConfig,
        tokenizer: Tokenizer,
        *,
        name: str,
        preset: str,
        owner: str | None = None,
        own_text: str | Path | TextFile | None = None,
        origin: str = "",
        fill: Callable[[Path], None] | None = None,
    ) -> Run:
        """A new run, not started. `owner` is the visitor's secret; a text that is a file is linked, not copied.

        `origin` says in words where an imported model came from; `fill` may write more into the folder before it appears.

        A name that the owner already uses gets " (2)". Raises ValueError for a name that is not 1 to 60 printable
        characters, and OSError when the disk is full; nothing is left behind then.
        """
        check_owner(owner)
        run_id = secrets.token_hex(16)
        hidden = self.root / f".{run_id}.tmp"
        with self.exclusive():
            values = {
                "format": FORMAT,
                "name": free_name(checked_name(name), self._names_of(owner)),
                "created": time.time(),
                "model": model.to_dict(),
                "train": train.to_dict(),
                "preset": preset,
                "owner": hashed(owner),
                "shared": False,
                **({"origin": origin} if origin else {}),
            }
            hidden.mkdir()
            try:
                write_json(hidden / "tokenizer.json", tokenizer.to_dict())
                if own_text is not None:
                    write_text(hidden, own_text)
                write_json(hidden / "run.json", values)
                if fill is not None:
                    fill(hidden)
                hidden.rename(self.root / run_id)
            except BaseException:
                shutil.rmtree(hidden, ignore_errors=True)
                raise
        return self.get(run_id)

    def get(self, run_id: str, visitor: str | None = None) -> Run:
        """A run that the visitor may look at: a gallery run, a shared one, or their own. Raises RunNotFound."""
        if not isinstance(run_id, str) or not _ID.fullmatch(run_id):
            raise RunNotFound
        run = self._find(self.root, run_id)
        if run is None and self.gallery is not None:
            run = self._find(self.gallery, run_id)
        if run is None or not (run.reference or run.shared or owned_by(run.owner, visitor)):
            raise RunNotFound
        return run

    def _find(self, folder: Path, run_id: str) -> Run | None:
        run = self._load(folder / run_id)
        return run or self._load(folder / (run_id[: -len(RACE_SUFFIX)] + RACE_SUFFIX) / ARMS / run_id)

    def own(self, run_id: str, visitor: str | None = None) -> Run:
        """A run that the visitor may change. Raises RunNotFound, or ValueError for one they may only look at."""
        run = self.get(run_id, visitor)
        if run.reference:
            raise ValueError("This run ships with the playground and cannot be changed. Start one of your own.")
        if not owned_by(run.owner, visitor):
            raise ValueError("This run was shared with you to look at; only its owner can change it.")
        return run

    def own_alone(self, run_id: str, visitor: str | None = None) -> Run:
        """As `own`, but raises ValueError for a run that is part of a race."""
        run = self.own(run_id, visitor)
        if run.race_path is not None:
            raise ValueError("This run is part of a race. Pause, resume, stop or delete the race, in the Compare tab.")
        return run

    def list(self, visitor: str | None = None) -> Runs:
        """The visitor's runs, newest first, then the gallery's in the order of their names, those of races last."""
        own = [run for run in self._all(self.root) if owned_by(run.owner, visitor)]
        gallery = list(self._all(self.gallery)) if self.gallery is not None else []
        return sorted(own, key=lambda run: (-run.created, run.id)) + sorted(gallery, key=_races_last)

    def rename(self, run_id: str, name: str, visitor: str | None = None) -> Run:
        """Give a run another name; one in use gets " (2)". Raises RunNotFound or ValueError."""
        with self.exclusive():
            run = self.own(run_id, visitor)
            taken = {other.name for other in self._all(self.root) if other.owner == run.owner and other.id != run.id}
            return self._change(run, name=free_name(checked_name(name), taken))

    def share(self, run_id: str, shared: bool, visitor: str | None = None) -> Run:
        """Share a run with everyone who has the link, or stop sharing. Raises RunNotFound or ValueError."""
        with self.exclusive():
            return self._change(self.own(run_id, visitor), shared=bool(shared))

    def extend(self, run_id: str, steps: int, visitor: str | None = None) -> Run:
        """Let a run train for `steps` more steps than it was created for. Raises RunNotFound or ValueError."""
        with self.exclusive():
            run = self.own_alone(run_id, visitor)
            if isinstance(steps, bool) or not isinstance(steps, int) or steps < 1:
                raise ValueError("More steps must be a whole number of 1 or more.")
            return self._change(run, train=run.train.replace(steps=run.train.steps + steps))

    def delete(self, run_id: str, visitor: str | None = None) -> None:
        """Remove a run and all its files; one that trains is stopped first. Raises RunNotFound or ValueError."""
        with self.exclusive():
            run = self.own_alone(run_id, visitor)
            status.request(run.path, "stop")
            if run.state() == "queued":
                status.declare(run.path, Status("stopped"))
        end(run.path, patience=STOP_SECONDS)
        discard(run.path)

    def sweep(self) -> None:
        """Remove half-written and half-deleted folders that crashes left behind."""
        with self.exclusive():
            sweep(self.root)

    def unreadable(self) -> tuple[str, ...]:
        """A sentence for each folder that is a run's or a race's but cannot be read; such folders are never touched."""
        said = []
        for path in sorted(self.root.iterdir()):
            if _ID.fullmatch(path.name) and (why := _trouble(path)):
                said.append(f"{path.name[:8]} {why}")
        return tuple(said)

    def exclusive(self) -> Lock:
        """A lock, held while one reads what is there and then changes it. Use as a context manager."""
        return Lock(self.root / ".lock")

    def _names_of(self, owner: str | None) -> set[str]:
        return {run.name for run in self._all(self.root) if run.owner == hashed(owner)}

    def _change(self, run: Run, **changes: Any) -> Run:
        run = replace(run, **changes)
        values = read_json(run.path / "run.json")
        if values is None:
            raise RunNotFound
        values.update(name=run.name, shared=run.shared, train=run.train.to_dict())
        write_json(run.path / "run.json", values)
        return run

    def _all(self, folder: Path) -> Iterator[Run]:
        if not folder.is_dir():
            return
        for path in folder.iterdir():
            if not _ID.fullmatch(path.name):
                continue
            run = self._load(path)
            if run is not None:
                yield run
            elif (path / "race.json").exists():
                yield from self._all(path / ARMS)

    def _load(self, path: Path) -> Run | None:
        """The run of a folder, or None if there is none that is whole. Kept until its file is replaced."""
        try:
            found = (path / "run.json").stat()
        except OSError:
            self._read.pop(path, None)
            return None
        key = (found.st_ino, found.st_mtime_ns, found.st_size)
        known = self._read.get(path)
        if known is None or known[0] != key:
            run = read_run(path, reference=self.gallery is not None and path.is_relative_to(self.gallery))
            if run is None:
                return None
            self._read[path] = known = (key, run)
        return known[1]


def read_run(path: Path, reference: bool) -> Run | None:
    """The run of a folder, or None if there is none that is whole."""
    values = read_json(path / "run.json")
    if values is None or values.get("format") != FORMAT:
        return None
    try:
        return Run(
            id=path.name,
            name=str(values["name"]),
            model=model_config(values["model"]),
            train=TrainConfig.from_stored(values["train"]),
            preset=str(values["preset"]),
            created=float(values["created"]),
            path=path,
            owner=values["owner"],
            shared=values["shared"] is True,
            reference=reference,
            origin=str(values.get("origin") or ""),
        )
    except (KeyError, TypeError, ValueError, AttributeError):
        return None  # written by hand or by another version: treated as missing


def write_text(folder: Path, text: str | Path | TextFile) -> None:
    """Store a user's text and its document boundaries; a file is linked, not copied."""
    ends = text.byte_ends() if isinstance(text, Text) else text.ends if isinstance(text, TextFile) else NO_ENDS
    if isinstance(text, str):
        write_bytes(folder / "text.txt", text.encode("utf-8"))
    else:
        link_or_copy(text if isinstance(text, Path) else text.path, folder / "text.txt")
    if len(ends):
        write_ends(folder / DOCUMENTS, ends)


def read_text(folder: Path) -> str:
    """Read what `write_text` stored."""
    data, ends = (folder / "text.txt").read_bytes(), read_ends(folder / DOCUMENTS)
    return Text.from_bytes(data, ends) if len(ends) else data.decode("utf-8")


def _trouble(path: Path) -> str:
    """Why a folder's run or race cannot be read, or nothing if it can, or if it holds neither."""
    named = next((path / name for name in ("run.json", "race.json") if (path / name).exists()), None)
    if named is None:
        return ""
    values = read_json(named)
    if values is None:
        return "is damaged: its description cannot be read. Restore it from a copy, or remove the folder."
    if values.get("format") != FORMAT:
        return "was made by another version of the playground. Open it with that version; here it is left alone."
    if named.name == "run.json" and read_run(path, reference=False) is None:
        return "has settings that this version of the playground does not know. Open it with the version that made it."
    return ""


def _races_last(run: Run) -> tuple[bool, str, str]:
    return run.race_path is not None, run.name, run.id


def hashed(secret: str | None) -> str | None:
    """A visitor's secret as it is stored."""
    return None if secret is None else hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


def owned_by(owner: Any, visitor: str | None) -> bool:
    """Whether the visitor is the owner, of whom the digest is stored. An anonymous visitor owns nothing."""
    secret = hashed(visitor)
    if secret is None:
        return True
    return visitor != ANONYMOUS and isinstance(owner, str) and secrets.compare_digest(owner.encode(), secret.encode())


def check_owner(visitor: str | None) -> None:
    """Raise ValueError for an anonymous visitor, who can own and change nothing."""
    if visitor == ANONYMOUS:
        raise ValueError(
            "Only a visitor with a token can do this. Reload the page; a program sends the token that `train` returned."
        )
