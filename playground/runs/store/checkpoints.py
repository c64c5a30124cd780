"""Checkpoints and snapshots: weights on disk, written atomically.

``checkpoints/step_00000123/`` holds what a run needs to resume exactly: weights, optimizer state and counters. Two are kept.
``snapshots/step_00000123/`` has the same layout without the optimizer, perhaps at half precision; all are kept.

Each folder is written under a hidden name, put on disk, and renamed: the rename is the commit. ``manifest.json`` comes last
and holds the size and sha256 of every file, because safetensors does not notice a flipped bit in its data. Loading
verifies both, and falls back to the newest folder that passes.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

import safetensors
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

import playground
from playground.config import counted
from playground.runs.store.files import discard, read_json, sync_file, sync_folder, temporary_name, write_json

Kind = Literal["checkpoints", "snapshots"]
Precision = Literal["float32", "bfloat16", "float16"]
Tensors = dict[str, dict[str, Tensor]]

FORMAT = 1
KEPT = 2  # resumable checkpoints a run keeps: the newest, and one to fall back to
_FOLDER = re.compile(r"step_([0-9]{8})")
_FILE = re.compile(r"[a-z]{1,20}\.safetensors")


class DamagedError(ValueError):
    """A checkpoint is damaged. The message says what is wrong, without paths."""


@dataclass(frozen=True)
class Checkpoint:
    """The contents of one folder. `notes` are sentences on newer checkpoints that were skipped because they are damaged."""

    step: int
    tensors: Tensors
    counters: dict[str, int | float]
    notes: list[str] = field(default_factory=list)


def save_checkpoint(run: Path, tensors: Tensors, counters: dict[str, int | float]) -> None:
    """Commit a resumable checkpoint of `counters["step"]` and forget all but the two newest. Raises OSError and others
    when the disk is full; the earlier checkpoints are then untouched."""
    _commit(run / "checkpoints", tensors, counters, "float32")
    for step in steps(run, "checkpoints")[:-KEPT]:
        discard(_folder(run, "checkpoints", step))


def save_snapshot(
    run: Path, weights: dict[str, Tensor], counters: dict[str, int | float], precision: Precision = "float32"
) -> None:
    """Save weights only, for inspection; they are loaded as float32. Raises as `save_checkpoint`."""
    dtype = getattr(torch, precision)
    _commit(run / "snapshots", {"model": {name: w.to(dtype) for name, w in weights.items()}}, counters, precision)


def _commit(parent: Path, tensors: Tensors, counters: dict[str, int | float], precision: Precision) -> None:
    parent.mkdir(exist_ok=True)
    target = parent / f"step_{int(counters['step']):08d}"
    hidden = temporary_name(target)
    hidden.mkdir()
    try:
        for part, values in tensors.items():
            _write_tensors(hidden / f"{part}.safetensors", values)
        write_json(hidden / "manifest.json", _manifest(hidden, counters, precision))
        discard(target)  # the same step again: after a fall-back past a damaged one
        os.rename(hidden, target)
    except BaseException:
        shutil.rmtree(hidden, ignore_errors=True)
        raise
    sync_folder(parent)


def _write_tensors(path: Path, values: dict[str, Tensor]) -> None:
    save_file({name: value.detach().cpu().contiguous() for name, value in values.items()}, path)
    sync_file(path)


def _manifest(folder: Path, counters: dict[str, int | float], precision: Precision) -> dict[str, Any]:
    files = {path.name: {"bytes": path.stat().st_size, "sha256": _sha256(path)} for path in sorted(folder.iterdir())}
    versions = {
        "playground": playground.__version__,
        "torch": torch.__version__,
        "safetensors": safetensors.__version__,
    }
    body = {"format": FORMAT, "dtype": precision, "counters": counters, "files": files, "versions": versions}
    return {**body, "checksum": _checksum(body)}


def _checksum(body: dict[str, Any]) -> str:
    """Of the manifest itself: a flipped bit in a counter is as bad as one in a weight."""
    return hashlib.sha256(json.dumps(body, sort_keys=True).encode("ascii")).hexdigest()


def _sha256(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _folder(run: Path, kind: Kind, step: int) -> Path:
    return run / kind / f"step_{step:08d}"


def steps(run: Path, kind: Kind) -> list[int]:
    """Steps of the folders that look complete (all files there, with their sizes), in rising order."""
    found = []
    try:
        names = os.listdir(run / kind)
    except OSError:
        return []
    for name in names:
        match = _FOLDER.fullmatch(name)
        if match and _looks_complete(run / kind / name):
            found.append(int(match[1]))
    return sorted(found)


def newest_weights(run: Path) -> Path | None:
    """The file with the newest weights of a run, of a checkpoint or a snapshot; None if there are none."""
    found = [(step, _folder(run, kind, step)) for kind in get_args(Kind) for step in steps(run, kind)]
    return max(found)[1] / "model.safetensors" if found else None


def _looks_complete(folder: Path) -> bool:
    try:
        _check_sizes(folder, _read_manifest(folder))
    except DamagedError:
        return False
    return True


def _read_manifest(folder: Path) -> dict[str, Any]:
    """The manifest, or DamagedError if it is missing or of another shape."""
    manifest = read_json(folder / "manifest.json")
    if manifest is None:
        raise DamagedError("its manifest is missing or unreadable")
    if manifest.get("format", FORMAT) != FORMAT:
        raise DamagedError("it was saved by another version of the playground")
    if manifest.pop("checksum", None) != _checksum(manifest):
        raise DamagedError("its manifest does not have the contents that were written")
    if not all(_FILE.fullmatch(name) for name in manifest["files"]):
        raise DamagedError("its manifest names a file that does not belong there")
    return manifest


def _check_sizes(folder: Path, manifest: dict[str, Any]) -> None:
    for name, entry in manifest["files"].items():
        try:
            size = (folder / name).stat().st_size
        except OSError:
            raise DamagedError(f"{name} is missing") from None
        if size != entry.get("bytes"):
            raise DamagedError(f"{name} has {counted(size, 'byte')} instead of {entry.get('bytes')}")


def verify(folder: Path) -> dict[str, Any]:
    """The manifest of a folder whose files all have the size and the sha256 it tells. Raises DamagedError."""
    manifest = _read_manifest(folder)
    _check_sizes(folder, manifest)
    for name, entry in manifest["files"].items():
        if _sha256(folder / name) != entry.get("sha256"):
            raise DamagedError(f"{name} does not have the contents that were written")
    return manifest


def load_checkpoint(run: Path) -> Checkpoint | None:
    """The newest resumable checkpoint that is undamaged, with notes on those passed over; None if there are none at all.

    When every one is damaged, an empty checkpoint of step 0: the run has to start over, and can say why.
    """
    notes: list[str] = []
    for step in reversed(_all_steps(run, "checkpoints")):
        try:
            tensors, counters = _load(_folder(run, "checkpoints", step))
        except DamagedError as problem:
            notes.append(f"The checkpoint of step {step:,} is damaged: {problem}.")
        else:
            return Checkpoint(step, tensors, counters, notes)
    return Checkpoint(0, {}, {}, notes) if notes else None


NONE_KEPT = "No checkpoint was saved yet."


def kept(run: Path) -> str:
    """A sentence on which checkpoint a run can be resumed from."""
    found = steps(run, "checkpoints")
    return f"The checkpoint of step {found[-1]:,} is kept." if found else NONE_KEPT


def _all_steps(run: Path, kind: Kind) -> list[int]:
    """Steps of all folders, complete or not."""
    names = os.listdir(run / kind) if (run / kind).is_dir() else []
    return sorted(int(match[1]) for match in map(_FOLDER.fullmatch, names) if match)


def _load(folder: Path) -> tuple[Tensors, dict[str, int | float]]:
    manifest = verify(folder)
    try:
        tensors = {name.removesuffix(".safetensors"): load_file(folder / name) for name in manifest["files"]}
    except (SafetensorError, OSError) as problem:
        raise DamagedError(f"its tensors cannot be read ({type(problem).__name__})") from None
    return tensors, manifest["counters"]


def load_weights(run: Path, step: int, shapes: dict[str, tuple[int, ...]]) -> dict[str, Tensor]:
    """The weights of one step, from its checkpoint or snapshot, as float32.

    Names and shapes are compared with `shapes` in the file's header, before any tensor is read. Raises DamagedError.
    """
    problem = DamagedError("it no longer exists")
    for kind in ("checkpoints", "snapshots"):
        folder = _folder(run, kind, step)
        if not folder.is_dir():
            continue
        try:
            verify(folder)
            _check_header(folder / "model.safetensors", shapes)
            return {name: w.float() for name, w in load_file(folder / "model.safetensors").items()}
        except DamagedError as found:
            problem = found
        except (SafetensorError, OSError) as found:
            problem = DamagedError(f"its tensors cannot be read ({type(found).__name__})")
    raise DamagedError(f"The weights of step {step:,} cannot be used: {problem}.")


def counters(run: Path, step: int) -> dict[str, int | float]:
    """The counters that were saved with the weights of a step. Raises DamagedError."""
    found: dict[str, int | float] = _manifest_of(run, step)["counters"]
    return found


def precision_of(run: Path, step: int) -> Precision:
    """The type in which the weights of a step were saved: snapshots are rounded. Raises DamagedError."""
    found: Precision = _manifest_of(run, step)["dtype"]
    return found


def _manifest_of(run: Path, step: int) -> dict[str, Any]:
    kind: Kind = "checkpoints" if step in steps(run, "checkpoints") else "snapshots"
    return _read_manifest(_folder(run, kind, step))


def _check_header(path: Path, shapes: dict[str, tuple[int, ...]]) -> None:
    with safe_open(path, framework="pt") as file:
        found = {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118
    for name in sorted(found.keys() ^ shapes.keys()):
        raise DamagedError(f"tensor {name!r} is {'missing' if name in shapes else 'unknown to this model'}")
    for name, shape in shapes.items():
        if found[name] != shape:
            raise DamagedError(f"tensor {name!r} is {_size(found[name])}, expected {_size(shape)}")


def _size(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape)) or "a single number"
