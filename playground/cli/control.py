"""What a host does to the runs of a store, of all visitors: stop, delete, clear, export all."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from playground.cli.command import Command, find_job
from playground.config import counted
from playground.runs.collection import entries, stream
from playground.runs.curves import Curves
from playground.runs.queue.control import clear_queue, delete_jobs, stop_and_wait
from playground.runs.races import jobs
from playground.runs.store.files import temporary_name
from playground.runs.store.run_store import RunStore


def _add_jobs(parser: argparse.ArgumentParser, count: str) -> None:
    parser.add_argument("runs", nargs=count, metavar="RUN", help="runs or races: id, the beginning of one, or a name")


def _stop_options(parser: argparse.ArgumentParser) -> None:
    _add_jobs(parser, "+")


def _stop(options: argparse.Namespace, store: RunStore) -> int:
    for job in [find_job(store, text) for text in options.runs]:
        print(f"{job.name}: {stop_and_wait(store, job.id).state}", file=sys.stderr)
        print(job.id)
    return 0


def _delete_options(parser: argparse.ArgumentParser) -> None:
    _add_jobs(parser, "*")
    parser.add_argument("--all", action="store_true", help="all runs and races of all visitors; needs --yes")
    parser.add_argument("--yes", action="store_true", help="confirm --all")


def _delete(options: argparse.Namespace, store: RunStore) -> int:
    if bool(options.runs) == options.all:
        raise ValueError("Give either runs to delete or --all.")
    found = jobs(store) if options.all else [find_job(store, text) for text in options.runs]
    if options.all and not options.yes:
        raise ValueError(f"This would delete {_counted(len(found))}. Add --yes to delete.")
    print(f"{_counted(delete_jobs(store, found))} deleted.", file=sys.stderr)
    return 0


def _counted(n: int) -> str:
    return counted(n, "run or race", "runs or races")


def _clear_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--running", action="store_true", help="also stop what trains")


def _clear(options: argparse.Namespace, store: RunStore) -> int:
    stopped = clear_queue(store, options.running)
    print(f"{counted(stopped, 'job' if options.running else 'waiting job')} stopped.", file=sys.stderr)
    return 0


def _export_all_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", type=Path, metavar="FILE.zip", help="a new file")
    parser.add_argument("--everything", action="store_true", help="also tokenizers, own texts and the newest weights")


def _export_all(options: argparse.Namespace, store: RunStore) -> int:
    """Write the archive under a temporary name and rename it. Raises ValueError if there is such a file, or no space."""
    runs = [run for run in store.list() if not run.reference]
    if options.file.exists():
        raise ValueError(f"{options.file.name} exists already. Choose another name.")
    hidden = temporary_name(options.file)
    try:
        with open(hidden, "xb") as file:
            for block in stream(entries(runs, Curves(store), everything=options.everything)):
                file.write(block)
        hidden.rename(options.file)
    except OSError as error:
        raise ValueError(f"{options.file.name} could not be written: {error.strerror}. Choose another place.") from None
    finally:
        hidden.unlink(missing_ok=True)
    print(f"{counted(len(runs), 'run')} exported.", file=sys.stderr)
    print(options.file)
    return 0


STOP = Command("stop", "stop runs or races, with a checkpoint", _stop_options, _stop)
DELETE = Command("delete", "delete runs or races", _delete_options, _delete)
CLEAR = Command("clear", "stop all runs and races that wait, of all visitors", _clear_options, _clear)
EXPORT_ALL = Command(
    "export-all", "export settings, curves and samples of all runs as one archive", _export_all_options, _export_all
)
