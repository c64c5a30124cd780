"""Copies of ended runs in another folder, such as a mounted Storage Bucket, and restoring them into an empty store.

    archive/<id>/manifest.json          which file of the run has which sha256, and a checksum of the manifest itself
    archive/<id>/objects/<sha256>       the files' contents

Contents are written under temporary names and renamed; the manifest comes last and lists only complete files. So an
interrupted copy leaves the previous one, or none; no locks are needed, which such mounts do not support.

``archived.json`` in the store lists the runs that have a copy. A listed run that is missing in the store was deleted, so
its copy is deleted too. A copy that is not listed is restored: the store is new, or a restart has emptied it.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import secrets
import shutil
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from playground.runs.races import jobs
from playground.runs.store.files import read_json, sync_folder, write_json
from playground.runs.store.run_store import RunStore

EVERY_SECONDS = 30.0
FORMAT = 1
_ID = re.compile(r"[0-9a-f]{32}")
_SUM = re.compile(r"[0-9a-f]{64}")
_PART = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,99}")
_OF_THE_MOMENT = {"lock", "heartbeat", "control"}  # only meaningful where the run trains
_CHUNK = 1 << 20


class IncompleteError(Exception):
    """A copy in the archive cannot be used; the message says why."""


@dataclass
class Report:
    """The results of one pass: ids of processed runs, and problems as sentences."""

    restored: list[str] = field(default_factory=list)
    copied: list[str] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


class Archive:
    """Copies the ended runs of one store to `folder`. `start` does it in a separate thread, because a mount may be slow or
    not respond."""

    def __init__(self, store: RunStore, folder: Path) -> None:
        self._store = store
        self._folder = folder
        self._memory = store.root / "archived.json"
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._go_on, name="archive", daemon=True)
        self._told: set[str] = set()

    def start(self) -> None:
        """Restore missing runs, then copy ended runs every half minute."""
        self._thread.start()

    def close(self, timeout: float = 10.0) -> None:
        """Copy runs that ended since the last pass, and stop; does not wait for a mount that does not respond."""
        self._over.set()
        if self._thread.is_alive():
            self._thread.join(timeout)

    def _go_on(self) -> None:
        while True:
            last = self._over.is_set()
            self._tell(self.sync())
            if last:
                return
            self._over.wait(EVERY_SECONDS)

    def _tell(self, report: Report) -> None:
        for run_id in report.restored:
            print(f"archive: {run_id} was restored", flush=True)
        for problem in report.problems:
            if problem not in self._told:  # report an unavailable folder only once
                print(f"archive: {problem}".replace("\n", " "), flush=True)
        self._told = set(report.problems)

    def sync(self) -> Report:
        """One pass: remove copies of deleted runs, restore missing runs, copy new or changed ones."""
        report = Report()
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            there = {path.name for path in self._folder.iterdir() if _ID.fullmatch(path.name)}
            here = {path.name for path in self._store.root.iterdir() if _ID.fullmatch(path.name)}
        except OSError as error:
            report.problems.append(
                f"the folder cannot be used ({error.strerror}); runs are kept here alone until it can"
            )
            return report
        known = self._known()
        for run_id in sorted(known.keys() - here):
            self._try(report, run_id, lambda run_id=run_id: self._remove(run_id, known, report))
        for run_id in sorted(there - here - known.keys() - set(report.removed)):
            self._try(report, run_id, lambda run_id=run_id: self._restore(run_id, known, report))
        for job in jobs(self._store):
            if not job.status().active:
                self._try(report, job.id, lambda job=job: self._copy(job.path, known, report))
        return report

    def _try(self, report: Report, run_id: str, action: Any) -> None:
        try:
            action()
        except IncompleteError as error:
            report.problems.append(f"the copy of {run_id} is left alone: {error}")
        except OSError as error:
            report.problems.append(f"{run_id}: {error.strerror}")

    def _known(self) -> dict[str, str]:
        values = read_json(self._memory) or {}
        return {run_id: str(mark) for run_id, mark in values.items() if _ID.fullmatch(run_id)}

    def _remember(self, known: dict[str, str], run_id: str, mark: str | None) -> None:
        if mark is None:
            known.pop(run_id, None)
        else:
            known[run_id] = mark
        write_json(self._memory, dict(known))

    def _remove(self, run_id: str, known: dict[str, str], report: Report) -> None:
        copy = self._folder / run_id
        (copy / "manifest.json").unlink(missing_ok=True)  # first: what is left is then no copy
        shutil.rmtree(copy, ignore_errors=True)
        self._remember(known, run_id, None)
        report.removed.append(run_id)

    def _copy(self, run: Path, known: dict[str, str], report: Report) -> None:
        mark = _mark(run)
        if known.get(run.name) == mark and (self._folder / run.name / "manifest.json").exists():
            return
        objects = self._folder / run.name / "objects"
        objects.mkdir(parents=True, exist_ok=True)
        files = {}
        for path in _files(run):
            files[path.relative_to(run).as_posix()] = _keep(path, objects)
        if _mark(run) != mark:
            return  # it has changed meanwhile: the next pass takes it
        body = {"format": FORMAT, "files": files}
        _replace(
            self._folder / run.name / "manifest.json", json.dumps({**body, "checksum": _checksum(body)}).encode("ascii")
        )
        for old in objects.iterdir():
            if old.name not in files.values():
                old.unlink(missing_ok=True)
        self._remember(known, run.name, mark)
        report.copied.append(run.name)

    def _restore(self, run_id: str, known: dict[str, str], report: Report) -> None:
        copy, hidden = self._folder / run_id, self._store.root / f".{run_id}.{secrets.token_hex(4)}.tmp"
        files = _manifest(copy)
        try:
            for name, wanted in files.items():
                target = hidden.joinpath(*name.split("/"))
                target.parent.mkdir(parents=True, exist_ok=True)
                if not (copy / "objects" / wanted).is_file():
                    raise IncompleteError(f"{name} is missing")
                if _copy_file(copy / "objects" / wanted, target) != wanted:
                    raise IncompleteError(f"{name} does not have the contents that were written")
            with self._store.exclusive():
                if not (self._store.root / run_id).exists():
                    hidden.rename(self._store.root / run_id)
        finally:
            shutil.rmtree(hidden, ignore_errors=True)
        sync_folder(self._store.root)
        self._remember(known, run_id, _mark(self._store.root / run_id))
        report.restored.append(run_id)


def _files(run: Path) -> list[Path]:
    """The permanent files of a run, sorted by name, without links and temporary files."""
    found = []
    for place, folders, names in os.walk(run):
        folders[:] = [name for name in folders if _PART.fullmatch(name)]
        found += [
            Path(place, name)
            for name in names
            if _PART.fullmatch(name) and name not in _OF_THE_MOMENT and not Path(place, name).is_symlink()
        ]
    return sorted(found)


def _mark(run: Path) -> str:
    """A short string that changes when a run's files change."""
    facts = [
        (path.relative_to(run).as_posix(), (found := path.stat()).st_size, found.st_mtime_ns) for path in _files(run)
    ]
    return hashlib.sha256(json.dumps(facts).encode("ascii")).hexdigest()[:32]


def _keep(path: Path, objects: Path) -> str:
    """Copy a file's contents unless they are there, and return their sha256."""
    with open(path, "rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    target = objects / digest
    if target.exists() and target.stat().st_size == path.stat().st_size:
        return digest
    temporary = objects / f"tmp-{secrets.token_hex(8)}"
    try:
        found = _copy_file(path, temporary)
        os.replace(temporary, objects / found)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    return found


def _copy_file(source: Path, target: Path) -> str:
    """Copy contents, put them on disk, and return their sha256 as they were read."""
    digest = hashlib.sha256()
    with open(source, "rb") as read, open(target, "xb") as written:
        while chunk := read.read(_CHUNK):
            digest.update(chunk)
            written.write(chunk)
        written.flush()
        os.fsync(written.fileno())
    return digest.hexdigest()


def _replace(path: Path, data: bytes) -> None:
    temporary = path.with_name(f"tmp-{secrets.token_hex(8)}")
    try:
        temporary.write_bytes(data)
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def _checksum(body: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(body, sort_keys=True).encode("ascii")).hexdigest()


def _manifest(copy: Path) -> dict[str, str]:
    """The files of a complete copy by name. Raises IncompleteError."""
    values = read_json(copy / "manifest.json")
    if values is None:
        raise IncompleteError("it was never finished")
    if values.get("format") != FORMAT:
        raise IncompleteError("another version of the playground wrote it")
    files = values.get("files")
    if values.pop("checksum", None) != _checksum(values) or not isinstance(files, dict):
        raise IncompleteError("its manifest does not have the contents that were written")
    for name, wanted in files.items():
        if not all(_PART.fullmatch(part) for part in name.split("/")) or not _SUM.fullmatch(str(wanted)):
            raise IncompleteError("its manifest names a file that does not belong there")
    return files
