"""The commands of the command line. They use the same store, checks and `execute` as the app: a run begun in one is there
in the other. Results go to standard output; progress and complaints go to standard error."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import torch

from playground.config import (
    PRESETS,
    GenerationConfig,
    ModelConfig,
    Settings,
    TrainConfig,
    counted,
    current_name,
    label,
    parsed,
    setting_kinds,
)
from playground.data.corpora import CORPORA, MAX_BYTES, find_corpus
from playground.data.hub import dataset_text
from playground.data.sources import MAX_FILE_BYTES, TextFile, gather
from playground.inference.generation import GeneratedText, StopStringMatcher, encode_prompt, generate_text_batch
from playground.inference.native import decode_step
from playground.runs.create import create_run, prepare_run
from playground.runs.curves import Curves
from playground.runs.export import FORMATS, export_run
from playground.runs.import_model import import_folder, import_from_hub
from playground.runs.loading import ModelCache
from playground.runs.store import status
from playground.runs.store.paths import cache_root, data_root, gallery_root
from playground.runs.store.processes import cores, interruptible
from playground.runs.store.run_store import Run, RunStore
from playground.runs.worker import malloc
from playground.runs.worker.execution import execute
from playground.runs.worker.progress import ProgressLine
from playground.tokenizers import import_tokenizer

PROGRAM = "python -m playground"


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """Wrong arguments are wrong input like any other: one sentence, no usage text."""
        raise ValueError(f"{message[:1].upper()}{message[1:].rstrip('.')}. See {self.prog} --help.")


@dataclass(frozen=True)
class Command:
    """A command defined in a layer above this one."""

    name: str
    help: str
    add_options: Callable[[argparse.ArgumentParser], None]
    run: Callable[[argparse.Namespace, RunStore], int]


def run_command(arguments: Sequence[str] | None = None, more: Sequence[Command] = ()) -> int:
    """Parse and run one command, of these or of `more`; wrong input becomes one sentence on standard error and code 2."""
    try:
        options = _parser(more).parse_args(arguments)
        commands = {"train": _train, "sample": _sample, "runs": _runs, "resume": _resume,
                    "export": _export, "import": _import}  # fmt: skip
        command = (commands | {extra.name: extra.run for extra in more})[options.command]
        return command(options, RunStore(options.data or data_root(), gallery_root()))
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    except BrokenPipeError:  # the reader of our output has closed it, as in `... | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def _parser(more: Sequence[Command] = ()) -> _Parser:
    parser = _Parser(prog=PROGRAM, description="Train and inspect small language models from the command line.")
    common = _Parser(add_help=False)
    common.add_argument(
        "--data", type=Path, metavar="DIR", help="folder of runs (default: $PLAYGROUND_DATA or checkpoints/runs)"
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _train_options(
        commands.add_parser("train", parents=[common], help="train a new run; its id is the last line printed")
    )
    _sample_options(commands.add_parser("sample", parents=[common], help="generate text with a run's model"))
    commands.add_parser("runs", parents=[common], help="list all runs")
    resume = commands.add_parser("resume", parents=[common], help="resume a run that was interrupted")
    resume.add_argument("run", metavar="RUN", help="id, the beginning of one, or a name")
    _exchange_options(commands, common)
    for extra in more:
        extra.add_options(commands.add_parser(extra.name, parents=[common], help=extra.help))
    return parser


def _exchange_options(commands: Any, common: _Parser) -> None:
    away = commands.add_parser("export", parents=[common], help="export a run to a folder")
    away.add_argument("run", metavar="RUN", help="id, the beginning of one, or a name")
    away.add_argument("folder", type=Path, metavar="DIR", help="a new folder")
    away.add_argument(
        "--format", choices=FORMATS, default="transformers",
        help="transformers: loads in Transformers without remote code; safetensors: all parts, for import here; "
        "code: one Python file that trains the model (default: transformers)",
    )  # fmt: skip
    away.add_argument("--step", type=int, help="weights of this step (default: the newest)")
    taken = commands.add_parser(
        "import", parents=[common], help="import an exported folder or a Hugging Face model as a run"
    )
    taken.add_argument(
        "folder", type=Path, nargs="?", metavar="DIR", help="folder with config.json, tokenizer.json, *.safetensors"
    )
    taken.add_argument("--hub", metavar="OWNER/NAME", help="a public model of the Hugging Face Hub instead of a folder")
    taken.add_argument("--name", default="", help="name of the run")


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
    parser.add_argument("--column", default="text", help="which of its columns holds the text")
    parser.add_argument("--split", default="", help="which of its splits; train if it has one, else the first")
    parser.add_argument("--name", default="", help="name of the run")
    for name in ("steps", "seed", "tokenizer"):
        parser.add_argument(f"--{name}", help=label(TrainConfig, name).lower())
    parser.add_argument("--tokenizer-file", type=Path, metavar="FILE", help="a tokenizer.json to use")
    parser.add_argument(
        "--set", action="append", default=[], metavar="NAME=VALUE", dest="settings",
        help=f"any other setting; can be given several times: {', '.join(sorted(setting_kinds()))}",
    )  # fmt: skip


def _sample_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", metavar="RUN", help="id, the beginning of one, or a name")
    parser.add_argument("--prompt", default="", help="prompt of the generated text")
    parser.add_argument("--step", type=int, help="weights of this step (default: the newest)")
    for option, name in _SAMPLING.items():
        parser.add_argument(option, dest=name, help=label(GenerationConfig, name).lower())
    parser.add_argument(
        "--stop",
        action="append",
        metavar="TEXT",
        help=r"stop before this text (\n: a line break); can be given several times",
    )


_SAMPLING = {
    "--temperature": "temperature",
    "--top-k": "top_k",
    "--top-p": "top_p",
    "--min-p": "min_p",
    "--repetition-penalty": "repetition_penalty",
    "--samples": "n_sample",
    "--seed": "seed",
    "--tokens": "max_new_tokens",
    "--special-tokens": "special_tokens",
}


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
        imported = import_tokenizer(_bytes(options.tokenizer_file))
        changes[TrainConfig]["tokenizer"] = "imported"
    prepared = prepare_run(
        options.preset, changes[ModelConfig], changes[TrainConfig],
        _own_text(options, changes[TrainConfig].get("corpus_bytes")), cache_dir=cache_root(),
        imported=imported, learning=_say_learning if sys.stderr.isatty() else None,
    )  # fmt: skip
    for note in prepared.notes:
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
    if options.dataset:
        size = n_bytes if isinstance(n_bytes, int) else MAX_BYTES
        return dataset_text(
            options.dataset, options.column, split=options.split, folder=folder, max_bytes=size, progress=_progress
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
    scale, error = columns.bits_per_nat, None if table["loss_se"].isna().iloc[-1] else float(last["loss_se"])
    shown = [(float(last["loss"]), error, "nats per token")]
    if scale is not None:
        shown.append((float(last["bits_per_byte"]), error and error * scale, _bits_unit(run)))
    words = [f"{value:.4f}{'' if error is None else f' ± {error:.4f}'} {unit}" for value, error, unit in shown]
    kind = (
        "; the validation text has too few windows for a standard error"
        if error is None
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


def _sample(options: argparse.Namespace, store: RunStore) -> int:
    run = find_run(store, options.run)
    given = {name: getattr(options, name) for name in _SAMPLING.values() if getattr(options, name) is not None}
    config = GenerationConfig.from_dict({name: parsed(GenerationConfig, name, text) for name, text in given.items()})
    config = config.replace(stop="\n".join(options.stop or ()))
    ids = encode_prompt(run.tokenizer, options.prompt, config.special_tokens)
    model = ModelCache().get(run, options.step)
    decode_step.warm()
    rows = generate_text_batch(model, run.tokenizer, ids, config)
    if config.n_sample == 1:
        _print_as_it_comes(options.prompt, (row[0] for row in rows), config)
    else:
        for text in _whole(rows, config.n_sample):
            print(f"{options.prompt}{text}\n---")
    return 0


def _print_as_it_comes(prompt: str, pieces: Iterable[GeneratedText | None], config: GenerationConfig) -> None:
    """Print a text while it is generated, holding back characters that may begin a stop string."""
    print(prompt, end="", flush=True)
    held, text = StopStringMatcher(config.stops).reach, ""
    for piece in pieces:
        assert piece is not None
        text += piece.text
        if piece.cut is not None:
            text, held = text[: len(text) - piece.cut], 0
        ready = max(0, len(text) - held)
        print(text[:ready], end="", flush=True)
        text = text[ready:]
    print(text)


def _whole(rows: Iterable[list[GeneratedText | None]], n: int) -> list[str]:
    """The finished texts of several samples."""
    texts = [""] * n
    for row in rows:
        for at, piece in enumerate(row):
            if piece is not None:
                texts[at] += piece.text
                texts[at] = texts[at][: len(texts[at]) - (piece.cut or 0)]
    return texts


def _export(options: argparse.Namespace, store: RunStore) -> int:
    run = find_run(store, options.run)
    done = export_run(run, options.folder.absolute(), options.format, options.step, cache_dir=cache_root())
    print(done.said, file=sys.stderr)
    print(options.folder)
    return 0


def _import(options: argparse.Namespace, store: RunStore) -> int:
    if (options.folder is None) == (options.hub is None):
        raise ValueError("Give either a folder to import or --hub OWNER/NAME.")
    if options.hub is not None:
        run = import_from_hub(store, options.hub, name=options.name)
    else:
        run = import_folder(store, options.folder.absolute(), name=options.name)
    print(run.status().message, file=sys.stderr)
    print(run.id)
    return 0


def _runs(options: argparse.Namespace, store: RunStore) -> int:
    curves = Curves(store)
    rows = [("id", "name", "state", "step", "validation loss (nats/token)", "bits/byte")]
    for run in store.list():
        measured = curves.evaluations(run)
        last = None if measured.empty else measured.iloc[-1]
        loss = "-" if last is None else f"{last['loss']:.4f}"
        loss += "" if last is None or last.isna()["loss_se"] else f" ± {last['loss_se']:.4f}"
        bits = "-" if last is None or last.isna()["bits_per_byte"] else f"{last['bits_per_byte']:.4f}"
        now = curves.since(run)["step"]
        unlogged = bool(run.origin) and not now and last is None
        step = "-" if unlogged else f"{now}/{run.train.steps}"
        state = "gallery" if run.reference else "imported" if unlogged else run.state()
        rows.append((run.id[:8], run.name, state, step, loss, bits))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
    for sentence in store.unreadable():
        print(sentence, file=sys.stderr)
    return 0


def find_run(store: RunStore, text: str) -> Run:
    """The run whose id begins with `text`, or whose name it is. Raises ValueError unless there is exactly one."""
    runs = store.list()
    found = [run for run in runs if run.name.casefold() == text.casefold()]
    found = found or [run for run in runs if text and run.id.startswith(text.lower())]
    if not found:
        raise ValueError(
            f"No run is called {text[:40]!r} or has an id that begins with it. List them with: {PROGRAM} runs"
        )
    if len(found) > 1:
        raise ValueError(
            f"{counted(len(found), 'run')} match {text[:40]!r}. Give more of the id. List them with: {PROGRAM} runs"
        )
    return found[0]
