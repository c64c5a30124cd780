"""Training a new run, and resuming one."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import torch

from playground.cli.command import PROGRAM, Command, add_run, find_run
from playground.config import (
    PRESETS,
    ModelConfig,
    Settings,
    TrainConfig,
    current_name,
    label,
    parsed,
    setting_kinds,
    without_effect,
)
from playground.data.corpora import CORPORA, MAX_BYTES, find_corpus
from playground.data.hub import dataset_text
from playground.data.sources import MAX_FILE_BYTES, TextFile, gather
from playground.races.comparison import with_error
from playground.runs.create import create_run, prepare_run
from playground.runs.curves import Curves
from playground.runs.store import status
from playground.runs.store.paths import cache_root
from playground.runs.store.processes import cores, interruptible
from playground.runs.store.run_store import Run, RunStore
from playground.runs.worker import malloc
from playground.runs.worker.execution import execute
from playground.runs.worker.progress import ProgressLine
from playground.tokenizers import import_tokenizer


def _train_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--preset", choices=list(PRESETS), default="modern", help="architecture preset")
    parser.add_argument("--corpus", choices=[name for name in CORPORA if name != "own"], help="dataset to train on")
    parser.add_argument(
        "--text", type=Path, metavar="FILE", action="append", default=[],
        help="your own UTF-8 text, .jsonl, .json, .csv, .html or .ipynb file, up to 1 GB; can be given several times",
    )  # fmt: skip
    parser.add_argument(
        "--field", default="", help="which field of .jsonl, .json or .csv holds the text, as in meta.title"
    )
    parser.add_argument("--dataset", metavar="OWNER/NAME", help="a public dataset on Hugging Face")
    parser.add_argument("--column", help="which of its columns holds the text; text by default")
    parser.add_argument("--split", default="", help="which of its splits; train if it has one, else the first")
    parser.add_argument("--name", default="", help="name of the run")
    for name in ("steps", "seed", "tokenizer"):
        parser.add_argument(f"--{name}", help=label(TrainConfig, name).lower())
    parser.add_argument("--tokenizer-file", type=Path, metavar="FILE", help="a tokenizer.json to use")
    parser.add_argument(
        "--set", action="append", default=[], metavar="NAME=VALUE", dest="settings",
        help=f"any other setting; can be given several times: {', '.join(sorted(setting_kinds()))}",
    )  # fmt: skip


def _train(options: argparse.Namespace, store: RunStore) -> int:
    changes: dict[type[Settings], dict[str, Any]] = {ModelConfig: {}, TrainConfig: {}}
    kinds = setting_kinds()
    short = [
        f"{name}={getattr(options, name)}"
        for name in ("steps", "seed", "tokenizer", "corpus")
        if getattr(options, name)
    ]
    for setting in short + options.settings:
        name, equals, text = setting.partition("=")
        name = current_name(name)
        if not equals or name not in kinds:
            raise ValueError(
                f"Unknown setting {setting[:40]!r}: write --set NAME=VALUE with one of {', '.join(sorted(kinds))}."
            )
        changes[kinds[name]][name] = parsed(kinds[name], name, text)
    if "steps" in changes[TrainConfig]:  # a short run needs a short warm-up, unless one is given
        _shorten_warmup(changes[TrainConfig])
    imported = None
    if options.tokenizer_file is not None:
        if changes[TrainConfig].get("tokenizer", "imported") != "imported":
            raise ValueError(
                f"--tokenizer-file is another tokenizer than {changes[TrainConfig]['tokenizer']}. Omit one of the two."
            )
        imported = import_tokenizer(_bytes(options.tokenizer_file))
        changes[TrainConfig]["tokenizer"] = "imported"
    prepared = prepare_run(
        options.preset, changes[ModelConfig], changes[TrainConfig],
        _own_text(options, changes[TrainConfig].get("corpus_bytes")), cache_dir=cache_root(),
        imported=imported, learning=_say_learning if sys.stderr.isatty() else None,
    )  # fmt: skip
    given = {**changes[ModelConfig], **changes[TrainConfig]}
    unused = [name for name in given if name in without_effect(prepared.model, prepared.train)]
    for note in (*prepared.notes, *(f"{name} has no effect with these settings." for name in unused)):
        print(note, file=sys.stderr)
    run = create_run(store, prepared, name=options.name)
    return _execute(run, store)


def _shorten_warmup(changes: dict[str, Any]) -> None:
    steps = changes["steps"]
    if "warmup_steps" not in changes and isinstance(steps, int) and 0 < steps < TrainConfig().warmup_steps * 10:
        changes["warmup_steps"] = steps // 10


def _say_learning(share: float, what: str) -> None:
    print(f"\rBPE: {what}, {share:.0%} ", end="\n" if what.startswith("merging") else "", file=sys.stderr, flush=True)


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ValueError(f"Cannot read {path}: {error.strerror}.") from None


def _own_text(options: argparse.Namespace, n_bytes: Any) -> str | TextFile | None:
    """The user's own text from the arguments, if any."""
    folder = cache_root() / "texts"
    if sum(map(bool, (options.dataset, options.text, options.corpus))) > 1:
        raise ValueError("Use only one of --dataset, --text and --corpus.")
    if options.field and not options.text:
        raise ValueError(
            f"--field {options.field[:40]!r} is a field of the files given with --text. Add --text, or omit --field."
        )
    for name in ("column", "split"):
        if getattr(options, name) and not options.dataset:
            raise ValueError(
                f"--{name} {getattr(options, name)[:40]!r} is of a dataset given with --dataset. Add --dataset, or omit "
                f"--{name}."
            )
    if options.dataset:
        size = n_bytes if isinstance(n_bytes, int) else MAX_BYTES
        return dataset_text(
            options.dataset,
            "text" if options.column is None else options.column,
            split=options.split,
            folder=folder,
            max_bytes=size,
            progress=_progress,
        )
    if not options.text:
        return None
    return gather(options.text, field=options.field, folder=folder, max_bytes=MAX_FILE_BYTES, progress=_progress)


def _progress(done: int, total: int) -> None:
    """Progress of reading a text, on a terminal."""
    if sys.stderr.isatty() and total > MAX_BYTES // 4:
        end = "\n" if done >= total else ""
        print(
            f"\rreading the dataset: {done / 1e6:,.0f} of {total / 1e6:,.0f} MB", end=end, file=sys.stderr, flush=True
        )


def _resume(options: argparse.Namespace, store: RunStore) -> int:
    run = find_run(store, options.run)
    if run.reference:
        raise ValueError("This run ships with the playground and cannot be changed. Start one of your own.")
    if run.race_path is not None:
        raise ValueError(f"This run is part of a race. Resume with: {PROGRAM} race --resume {run.race_path.name[:8]}")
    state = run.state()
    if state in ("finished", "diverged", "running"):
        raise ValueError(
            f"{run.name} is already {state}." if state == "running" else f"{run.name} has already {state}."
        )
    status.withdraw(run.path)
    return _execute(run, store)


def _execute(run: Run, store: RunStore) -> int:
    """Train in this process, with a progress line; Ctrl-C saves and says how to resume. A second Ctrl-C ends at once."""
    malloc.configure_malloc()
    torch.set_num_threads(cores())
    with interruptible() as interrupted, ProgressLine(sys.stderr, run.train) as progress:
        ending = execute(run, cache_dir=cache_root(), interrupted=interrupted, watch=progress)
    for sentence in _measured(run, Curves(store)):
        print(sentence, file=sys.stderr)
    if ending.state != "finished":
        print(ending.message or f"{ending.state.capitalize()} at step {progress.step}.", file=sys.stderr)
    if ending.state in ("paused", "stopped"):
        print(f"Resume with: {PROGRAM} resume {run.id[:8]}", file=sys.stderr)
    print(run.id)
    return {"finished": 0, "paused": 130, "stopped": 0}.get(ending.state, 1)


def _measured(run: Run, curves: Curves) -> list[str]:
    """The last evaluation, in sentences."""
    table = curves.evaluations(run)
    if not len(table):
        return []
    last, columns = table.iloc[-1], curves.columns(run)
    scale = columns.bits_per_nat
    words = [f"{with_error(last['loss'], last['loss_se'])} nats per token"]
    if scale is not None:
        words.append(f"{with_error(last['bits_per_byte'], last['bits_per_byte_se'])} {_bits_unit(run)}")
    kind = (
        "; the validation text has too few windows for a standard error"
        if table["loss_se"].isna().iloc[-1]
        else "; ± is the standard error over windows of the validation text"
    )
    return [
        f"Validation loss at step {int(last['step']):,}: {', or '.join(words)}{kind}.",
        *([curves.since(run)["no_bits"]] if scale is None else []),
    ]


def _bits_unit(run: Run) -> str:
    """For tasks only the answers are predicted, so only their bytes are counted."""
    task = find_corpus(run.train.corpus).kind == "task"
    return "bits per byte of the answers" if task else "bits per byte"


TRAIN = Command("train", "train a new run; its id is the last line printed", _train_options, _train)
RESUME = Command("resume", "resume a run that was interrupted", add_run, _resume)
