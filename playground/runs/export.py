"""Exporting a run: as a folder for Transformers, as a safetensors folder with everything in it, or as one Python file.

Folders are created atomically: written under a hidden name next to the target and renamed.
"""

from __future__ import annotations

import shutil
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from playground.data.corpora import MAX_BYTES, find_corpus, training_text
from playground.interchange import check
from playground.interchange.check import Check
from playground.interchange.folders import write_safetensors, write_transformers
from playground.interchange.package import Package
from playground.interchange.program import write_program
from playground.runs.loading import ModelCache
from playground.runs.store import checkpoints
from playground.runs.store.files import temporary_name
from playground.runs.store.log import Tail
from playground.runs.store.run_store import Run
from playground.train.dataset import prepare

Format = Literal["transformers", "safetensors", "code"]
FORMATS: tuple[Format, ...] = get_args(Format)


@dataclass(frozen=True)
class Exported:
    """The result of an export. `check` is set if Transformers loaded the folder."""

    format: Format
    step: int
    said: str  # one or two sentences for the user
    check: Check | None = None


def package(run: Run, step: int | None = None, models: ModelCache | None = None) -> Package:
    """A run as a `Package`, with the weights of `step` (None: the newest). Raises ValueError if there are none."""
    steps = run.steps_available()
    step = step if step is not None else (steps[-1] if steps else None)
    model = (models or ModelCache(1)).get(run, step)
    assert step is not None, "without any step the cache has complained"
    weights = {name: parameter.detach() for name, parameter in model.named_parameters()}
    known = find_corpus(run.train.corpus).kind != "unknown"  # of an imported model it may not be
    train = run.train if known else None
    events = tuple(Tail(run.log).rows())
    precision = checkpoints.precision_of(run.path, step)
    return Package(run.name, run.model, weights, run.tokenizer, step, train, run.preset, events, precision)


def export_run(
    run: Run,
    target: Path,
    format: str,
    step: int | None = None,
    *,
    cache_dir: Path | None = None,
    models: ModelCache | None = None,
) -> Exported:
    """Write a run to the folder `target`, which must not exist yet or be empty.

    Raises ValueError for an unknown format, a step without weights, a model that the format cannot express, a folder that
    is in use, and a disk that is full; nothing is left behind then.
    """
    writers: dict[str, Callable[[Path], Exported]] = {
        "transformers": lambda folder: _transformers(folder, package(run, step, models)),
        "safetensors": lambda folder: _safetensors(folder, package(run, step, models)),
        "code": lambda folder: _code(folder, run, cache_dir),
    }
    if format not in writers:
        raise ValueError(f"Format must be one of {', '.join(FORMATS)}; {format[:40]!r} is not.")
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise ValueError(f"{target.name} exists already and is not empty. Choose another folder.")
    hidden = temporary_name(target)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        hidden.mkdir()
        exported = writers[format](hidden)
        if target.exists():
            target.rmdir()
        hidden.rename(target)
    except OSError as error:
        raise ValueError(f"{target.name} could not be written: {error.strerror}. Choose another place.") from error
    finally:
        shutil.rmtree(hidden, ignore_errors=True)
    return exported


def _transformers(folder: Path, package: Package) -> Exported:
    item = write_transformers(folder, package)
    if not check.installed():
        said = f"Written as {item.class_name}. {check.NOT_INSTALLED}"
        return Exported("transformers", package.step, said + rounded(package))
    proof = check.load_back(folder, package)
    return Exported("transformers", package.step, str(proof) + rounded(package), proof)


def rounded(package: Package) -> str:
    """That weights come from a snapshot at half precision, if they do: a sentence, with a space before it."""
    if package.precision == "float32":
        return ""
    return f" The weights of step {package.step:,} are from a snapshot, rounded to {package.precision}."


def _safetensors(folder: Path, package: Package) -> Exported:
    write_safetensors(folder, package)
    log = ", training log" if package.events else ""
    said = f"Config, tokenizer, weights of step {package.step:,}{log} and a model card. The playground can import it."
    return Exported("safetensors", package.step, said + rounded(package))


def _code(folder: Path, run: Run, cache_dir: Path | None) -> Exported:
    kind = find_corpus(run.train.corpus).kind
    if kind == "unknown" or (kind == "own" and run.text_path is None):
        raise ValueError(
            "This model was imported without its training text, so its training cannot be written as code: "
            "export as safetensors."
        )
    if run.text_path is not None and run.text_path.stat().st_size > MAX_BYTES:
        raise ValueError(
            f"Code includes its dataset, and this one is larger than {MAX_BYTES / 1e6:.0f} MB. Export as "
            f"safetensors instead."
        )
    text = training_text(run.train, cache_dir=cache_dir, own_text=run.own_text())
    data = prepare(text, run.tokenizer, run.model, run.train)
    streams = {"train": data.train, "validation": data.validation}
    program = write_program(run.name, run.model, run.train, run.tokenizer, text, streams)
    (folder / "train.py").write_text(program.source, "utf-8")
    (folder / program.data_name).write_text(program.data, "utf-8", newline="")
    said = f"train.py only needs PyTorch and trains this model from scratch on {program.data_name} in the same folder."
    return Exported("code", 0, said)


def zip_folder(folder: Path, path: Path) -> None:
    """One archive of a folder's files, under the folder's name. Weights do not shrink, so they are stored as they are."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted(folder.iterdir()):
            stored = zipfile.ZIP_STORED if file.suffix == ".safetensors" else None
            archive.write(file, f"{folder.name}/{file.name}", compress_type=stored)
