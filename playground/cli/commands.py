"""All commands of the command line. They use the same store, checks and `execute` as the app: a run begun in one is there
in the other. Results go to standard output; progress and errors go to standard error."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from playground.cli.command import PROGRAM
from playground.cli.control import CLEAR, DELETE, EXPORT_ALL, STOP
from playground.cli.files import EXPORT, IMPORT
from playground.cli.race import RACE
from playground.cli.runs import RUNS
from playground.cli.sample import SAMPLE
from playground.cli.serve import SERVE
from playground.cli.train import RESUME, TRAIN
from playground.runs.store.paths import data_root, default_root, gallery_root
from playground.runs.store.run_store import RunStore

COMMANDS = {
    command.name: command
    for command in (
        SERVE, TRAIN, SAMPLE, RUNS, RESUME, STOP, DELETE, CLEAR, EXPORT, EXPORT_ALL, IMPORT, RACE,
    )
}  # fmt: skip


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """Wrong arguments are wrong input like any other: one sentence, no usage text."""
        raise ValueError(f"{message[:1].upper()}{message[1:].rstrip('.')}. See {self.prog} --help.")


def run_command(arguments: Sequence[str] | None = None) -> int:
    """Parse and run one command; wrong input becomes one sentence on standard error and code 2."""
    try:
        options = _parser().parse_args(arguments)
        return COMMANDS[options.command].run(options, _store(options.data))
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    except BrokenPipeError:  # the reader of our output has closed it, as in `... | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def _store(folder: Path | None) -> RunStore:
    """The store in a folder, or where runs usually are. Raises ValueError if the folder cannot be used."""
    root = folder.expanduser().resolve() if folder else data_root()
    try:
        return RunStore(root, gallery_root())
    except OSError as error:
        raise ValueError(
            f"Runs cannot be kept in {root}: {error.strerror}. Choose another folder with --data or PLAYGROUND_DATA."
        ) from None


def _parser() -> _Parser:
    parser = _Parser(
        prog=PROGRAM, description="Train and inspect small language models, in a browser or from the command line."
    )
    common = _Parser(add_help=False)
    usual = str(default_root() / "runs").replace("%", "%%")  # argparse formats help texts
    common.add_argument(
        "--data", type=Path, metavar="DIR", help=f"folder of runs (default: $PLAYGROUND_DATA or {usual})"
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for command in COMMANDS.values():
        command.add_options(commands.add_parser(command.name, parents=[common], help=command.help))
    return parser
