"""The worker process: trains one run or race.

python -m playground.runs.worker.worker RUN_DIR      train it now
python -m playground.runs.worker.worker --wait       load torch, then train the run that a line on standard input names
torchrun --nproc-per-node=N -m playground.runs.worker.worker RUN_DIR     in N processes, of which the first writes
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import torch

from playground.config import ModelConfig, TrainConfig
from playground.runs.limits import Limits
from playground.runs.races import get_race, is_race_id
from playground.runs.store.processes import STOP_SECONDS, cores
from playground.runs.store.run_store import Run, RunStore
from playground.runs.worker import malloc
from playground.runs.worker.execution import NO_LIMITS, AlreadyRunningError, execute, run_secondary_rank
from playground.runs.worker.racing import execute_race
from playground.runs.worker.watchdog import WorkerLimits
from playground.tokenizers import build_tokenizer
from playground.train.dataset import prepare
from playground.train.distributed import process_group, processes
from playground.train.trainer import TrainState, train

NICE = 5  # the web server has priority: it needs little CPU, but promptly


def warm_up() -> None:
    """Train a tiny model for two steps, to load and initialize what torch does lazily."""
    model = ModelConfig(block_size=8, n_layer=1, n_embd=8, n_head=2, n_kv_head=2, position="rope", mlp="swiglu")
    config = TrainConfig(steps=2, batch_size=1, warmup_steps=0, eval_tokens=64, sample_interval=0)
    text = "warming up " * 40
    tokenizer = build_tokenizer("byte", text)
    for _ in train(TrainState.new(model, config), prepare(text, tokenizer, model, config), config, tokenizer):
        continue


@dataclass(frozen=True)
class JobSpec:
    """A worker's instructions: the run or race, the dataset cache, and its limits."""

    folder: Path
    cache_dir: Path | None = None
    guard: WorkerLimits = NO_LIMITS

    @classmethod
    def read(cls, line: str) -> JobSpec:
        """Parse the line on standard input. Raises ValueError if it is invalid."""
        values = json.loads(line)
        guard = WorkerLimits(Limits.from_dict(values["limits"]), values["seconds"], deadly=True)
        return cls(Path(values["run"]), Path(values["cache"]) if values["cache"] else None, guard)


def _train_folder(order: JobSpec, interrupted: threading.Event) -> None:
    signal.signal(signal.SIGTERM, lambda *_: interrupted.set())
    folder = order.folder
    store = RunStore(folder.parent)
    race = is_race_id(folder.name) and (folder / "race.json").exists()
    how: dict[str, Any] = {"cache_dir": order.cache_dir, "interrupted": interrupted, "guard": order.guard}
    try:
        if processes() > 1:
            _train_together(store.get(folder.name) if not race else None, order, interrupted)
        elif race:
            execute_race(get_race(store, folder.name), **how)
        else:
            execute(store.get(folder.name), **how)
    except AlreadyRunningError as error:
        print(error, file=sys.stderr)


def _train_together(run: Run | None, order: JobSpec, interrupted: threading.Event) -> None:
    """One of torchrun's processes."""
    if run is None:
        raise SystemExit("A race trains in one process: start it without torchrun.")
    with process_group() as group:
        if group.rank:
            run_secondary_rank(run, group, cache_dir=order.cache_dir, interrupted=interrupted)
            return
        how: dict[str, Any] = {"cache_dir": order.cache_dir, "interrupted": interrupted, "guard": order.guard}
        if execute(run, group=group, **how).state == "failed":
            raise SystemExit(run.status().message)  # torchrun ends the others


def _wait(interrupted: threading.Event, die_with_parent: bool) -> JobSpec | None:
    """Read standard input; None when it closes, because the worker is no longer needed."""
    warm_up()
    line = sys.stdin.readline()
    if not line:
        return None
    if die_with_parent:
        threading.Thread(target=_pause_at_end_of_input, args=(interrupted,), daemon=True).start()
    return JobSpec.read(line)


def _pause_at_end_of_input(interrupted: threading.Event) -> None:
    sys.stdin.read()
    interrupted.set()
    time.sleep(2 * STOP_SECONDS)
    os._exit(1)  # it hangs, and its parent is gone


def main(arguments: list[str] | None = None) -> int:
    """The worker's command line."""
    parser = argparse.ArgumentParser(prog="playground.runs.worker.worker", description=__doc__)
    parser.add_argument("run", nargs="?", type=Path, help="folder of the run to train")
    parser.add_argument("--wait", action="store_true", help="initialize, then read a run from standard input")
    parser.add_argument("--threads", type=int, default=max(1, cores() // processes()))
    parser.add_argument("--cache", type=Path, help="cache folder of tokenized datasets")
    parser.add_argument("--die-with-parent", action="store_true", help="pause when standard input closes")
    options = parser.parse_args(arguments)
    if options.wait == (options.run is not None):
        parser.error("give either a run's folder or --wait")
    malloc.configure_malloc()
    torch.set_num_threads(max(1, options.threads))
    os.nice(NICE)
    interrupted = threading.Event()
    given = None if options.run is None else JobSpec(options.run.resolve(), options.cache)
    order = given or _wait(interrupted, options.die_with_parent)
    if order is not None:
        _train_folder(order, interrupted)
    return 0


def leave(code: int) -> NoReturn:
    """End this process immediately. In a process group the interpreter must not be finalized: gloo's threads release
    their last tensors late and abort without an interpreter (pytorch/pytorch#179291)."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    done = main()
    if processes() > 1:
        leave(done)
    sys.exit(done)
