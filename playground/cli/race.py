"""``python -m playground race FILE.json``: a race on the command line, with the same runs, results and verdict as in
the app."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch

from playground.cli.command import PROGRAM, Command
from playground.config import counted
from playground.data.sources import gather
from playground.races.comparison import with_error
from playground.races.recipes import RECIPES, race_of
from playground.races.report import as_text, write_csv
from playground.races.verdict import verdict
from playground.races.words import conditions
from playground.runs.curves import Curves
from playground.runs.races import Race, create_race, get_race, list_races, prepare_race
from playground.runs.store import status
from playground.runs.store.paths import cache_root
from playground.runs.store.processes import cores, interruptible
from playground.runs.store.run_store import Run, RunStore
from playground.runs.worker.racing import execute_race
from playground.train.events import Evaluated, Event
from playground.train.race_spec import RaceSpec


def _options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "file", nargs="?", metavar="FILE.json", help="race configuration, as saved by “Config” in the Compare tab"
    )
    parser.add_argument("--recipe", choices=list(RECIPES), help="a ready-made race instead of a file")
    parser.add_argument("--resume", metavar="RACE", help="resume an interrupted race: its id, or the beginning of it")
    parser.add_argument("--text", type=Path, metavar="FILE", help="your own UTF-8 text for all arms")
    parser.add_argument("--name", default="", help="name of the race")
    parser.add_argument("--csv", type=Path, metavar="FILE", help="also write every measurement as CSV")


def _race(options: argparse.Namespace, store: RunStore) -> int:
    """Race, print the verdict, and return the exit code: 0 finished, 1 failed, 130 interrupted. Raises ValueError."""
    race = _find(store, options.resume) if options.resume else _new(options, store)
    print(f"{race.name}: {conditions(race)}", file=sys.stderr)
    for solved, arm in zip(race.solved, race.spec.arms, strict=True):
        if solved:
            print(f"  {arm.name}: {solved} to match {race.spec.arms[0].name}", file=sys.stderr)
    print("In validation losses, ± is the standard error over windows of the validation text.", file=sys.stderr)
    ending = _execute(race)
    race = get_race(store, race.id)
    if ending.message:
        print(ending.message, file=sys.stderr)
    if ending.state == "finished":
        curves = Curves(store, capacity=64)
        print(as_text(race, verdict(race, curves)))
        if options.csv:
            write_csv(race, curves, options.csv)
    if ending.state in ("paused", "stopped"):
        print(f"Resume with: {PROGRAM} race --resume {race.id[:8]}", file=sys.stderr)
    print(race.id)
    return {"finished": 0, "paused": 130, "stopped": 0}.get(ending.state, 1)


def _new(options: argparse.Namespace, store: RunStore) -> Race:
    if (options.file is None) == (options.recipe is None):
        raise ValueError(f"Give either a race's JSON file or --recipe. See {PROGRAM} race --help.")
    spec = race_of(RECIPES[options.recipe]) if options.recipe else read_spec(Path(options.file))
    own: str | None = None
    if options.text is None and spec.shared.get("corpus") == "own":
        raise ValueError("This race trains on an own text, which its file does not contain. Give it with --text FILE.")
    if options.text is not None:
        text = gather([options.text])
        assert isinstance(text, str)  # because there is no folder for larger texts
        own = text
    return create_race(store, prepare_race(spec, own, cache_dir=cache_root()), name=options.name)


def read_spec(path: Path) -> RaceSpec:
    """A race from a JSON file. Raises ValueError saying what is wrong with it."""
    try:
        values = json.loads(path.read_text("utf-8"))
    except OSError as error:
        raise ValueError(f"Cannot read {path}: {error.strerror}.") from None
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path.name} is not JSON: {str(error)[:100]}.") from None
    return RaceSpec.from_dict(values)


def _find(store: RunStore, text: str) -> Race:
    found = [race for race in list_races(store) if not race.reference and race.id.startswith(text.lower())]
    if len(found) != 1:
        if not found:
            raise ValueError(f"No race has an id that begins with {text[:40]!r}.")
        raise ValueError(f"{counted(len(found), 'race')} have an id that begins with {text[:40]!r}. Give more of it.")
    if found[0].status().state in ("finished", "running"):
        raise ValueError(f"This race is already {found[0].status().state}.")
    status.withdraw(found[0].path)
    return found[0]


def _execute(race: Race) -> status.Status:
    """Train in this process. Ctrl-C saves all runs and says how to resume; a second Ctrl-C ends at once."""
    torch.set_num_threads(cores())
    with interruptible() as interrupted:
        return execute_race(race, cache_dir=cache_root(), interrupted=interrupted, watch=_reporter())


def _reporter() -> Callable[[Run, Event], None]:
    """Writes a line to standard error for each evaluation."""
    began = time.monotonic()

    def report(run: Run, event: Event) -> None:
        if isinstance(event, Evaluated):
            print(
                f"{time.monotonic() - began:6.0f} s  {run.name}: step {event.step} of {run.train.steps}, "
                f"validation loss {with_error(event.loss, event.loss_se)}",
                file=sys.stderr,
                flush=True,
            )

    return report


RACE = Command("race", "train several models and compare them; the race's id is the last line printed", _options, _race)
