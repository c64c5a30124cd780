"""Training a race: one process, all its runs, one step of one run at a time.

Each run writes its events and checkpoints to its own folder; the race's folder has the lock, the heartbeat, the requests
and the state of the race. If a run diverges, the others continue. Because a run depends only on its own seed and step, it
is bit-identical in a race, alone, and after any interruption.
"""

from __future__ import annotations

import threading
import traceback
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from playground.config import counted
from playground.runs.races import Race
from playground.runs.store import checkpoints, status
from playground.runs.store.files import sweep
from playground.runs.store.log import LogWriter
from playground.runs.store.run_store import Run
from playground.runs.store.status import Heartbeat, Status
from playground.runs.texts import dataset
from playground.runs.worker.execution import (
    divergence,
    execute_alone,
    restored,
)
from playground.runs.worker.failures import explained
from playground.runs.worker.watchdog import Watchdog, WorkerLimits, newest
from playground.train.dataset import Dataset
from playground.train.events import Diverged, Event, Finished, Snapshot, StepDone
from playground.train.race import Lane, interleave
from playground.train.trainer import TrainState, train

Watch = Callable[[Run, Event], None]


def execute_race(
    race: Race,
    *,
    cache_dir: Path | None = None,
    interrupted: threading.Event | None = None,
    watch: Watch | None = None,
    guard: WorkerLimits | None = None,
) -> Status:
    """Train a race from its runs' newest checkpoints until all have ended or it is asked to stop; return how it ended.

    As `execution.execute`: only bugs and AlreadyRunningError are raised. `watch` sees every event with its run.
    """
    guard = guard or WorkerLimits()

    def train_all(dog: Watchdog) -> Status:
        heard = watch or (lambda run, event: None)
        return _Race(race, cache_dir, interrupted or threading.Event(), heard, guard, dog).guarded()

    return execute_alone(race, guard, train_all)


@dataclass
class _Runner:
    """One run of the race while it trains."""

    run: Run
    state: TrainState
    saved: int | None
    log: LogWriter

    def save(self) -> None:
        """Save a checkpoint."""
        if self.saved == self.state.step:
            return
        self.log.sync()
        checkpoints.save_checkpoint(self.run.path, self.state.tensors(), self.state.counters())
        self.saved = self.state.step


@dataclass
class _Race:
    """One execution of a race, from start or resumption to its end."""

    race: Race
    cache_dir: Path | None
    interrupted: threading.Event
    watch: Watch
    guard: WorkerLimits
    dog: Watchdog
    runners: list[_Runner] = field(default_factory=list, init=False)
    notes: list[str] = field(default_factory=list, init=False)
    done: int = field(default=0, init=False)  # steps of runs that had ended before

    def guarded(self) -> Status:
        """`train`, with every failure turned into a status."""
        try:
            return self.train()
        except KeyboardInterrupt:
            return Status("paused", f"Interrupted. {self._kept()}")
        except Exception as error:  # noqa: BLE001 - a boundary: the trace goes to the log, a sentence to the user
            traceback.print_exc()
            return Status("failed", self._explain(error))

    def train(self) -> Status:
        """Load all runs, train them in turn, save; returns the final status."""
        self.guard.check(self.race)
        with Heartbeat(self.race.path) as heart, ExitStack() as stack:
            lanes = self._lanes(stack)
            heart.step = self.done + sum(runner.state.step for runner in self.runners)
            for index, event in interleave(lanes):
                runner = self.runners[index]
                runner.log.append(event)
                self.watch(runner.run, event)
                if isinstance(event, StepDone):
                    heart.step += 1
                if request := self._after(runner, event):
                    ending = Status("paused" if request == "pause" else "stopped", " ".join(self.notes))
                    return self.dog.ending(self._kept()) or ending
        return Status("finished", self._summary())

    def _lanes(self, stack: ExitStack) -> list[Lane]:
        """Every run that has not ended yet. Runs with the same tokenizer share their dataset."""
        lanes, texts = [], _Datasets(self.cache_dir)
        for run in _turns(self.race):
            if status.declared(run.path).state in ("finished", "diverged"):
                self.done += run.train.steps
                continue
            for folder in ("checkpoints", "snapshots"):
                sweep(run.path / folder)
            state, saved, note = restored(run)
            if note:
                self.notes.append(f"{run.name}: {note}")
            runner = _Runner(run, state, saved, stack.enter_context(LogWriter(run.log)))
            self.runners.append(runner)
            events = train(state, texts.of(run), run.train, run.tokenizer)
            lanes.append(Lane(events, run.train.steps, state.step))
        return lanes

    def _after(self, runner: _Runner, event: Event) -> str | None:
        """Handle an event; returns a request to stop or pause, if there is one."""
        match event:
            case StepDone():
                request = status.requested(self.race.path) or ("pause" if self.interrupted.is_set() else None)
                request = request or ("stop" if self.dog.verdict else None)
                if request:
                    for each in self.runners:
                        if status.declared(each.run.path).state != "diverged":
                            each.save()
                    return request
                if event.step % runner.run.train.checkpoint_interval == 0:
                    runner.save()
            case Snapshot():
                checkpoints.save_snapshot(runner.run.path, runner.state.tensors()["model"], runner.state.counters())
            case Finished():
                runner.save()
                status.declare(runner.run.path, Status("finished"))
            case Diverged():
                status.declare(runner.run.path, Status("diverged", divergence(event)))
        return None

    def _summary(self) -> str:
        members = [run for arm in self.race.members for run in arm]
        lost = [run for run in members if run.state() == "diverged"]
        if lost:
            names = ", ".join(run.name for run in lost[:3]) + (" and others" if len(lost) > 3 else "")
            others = "" if len(lost) == len(members) else "; training of the others was not affected"
            self.notes.append(f"{len(lost)} of {counted(len(members), 'run')} diverged ({names}){others}.")
        return " ".join(self.notes)

    def _explain(self, error: BaseException) -> str:
        memory = "the models of this race do not fit into memory together. Use fewer arms or seeds, or smaller models."
        return explained(error, "race", memory, self._kept())

    def _kept(self) -> str:
        return newest(self.race)


def _turns(race: Race) -> list[Run]:
    """The runs in the order of their turns: seed by seed, so that with equal steps the arms of one seed are timed close
    together. Every other seed has the reverse order: of two identical arms the second was measured 3 % faster, in every
    seed."""
    seeds = zip(*race.members, strict=True)
    return [run for number, seed in enumerate(seeds) for run in (seed if number % 2 == 0 else seed[::-1])]


# Settings that do not affect a dataset. Settings that are not listed do, so a new one at worst costs time.
_OF_TRAINING_ALONE = frozenset({
    "steps", "batch_size", "grad_accum", "optimizer", "schedule", "learning_rate", "min_lr_ratio", "warmup_steps",
    "weight_decay", "beta1", "beta2", "grad_clip", "eval_interval", "eval_tokens", "sample_interval", "checkpoint_interval",
    "snapshots", "balance_loss", "router_z_loss", "z_loss", "ema", "precision", "gradient_checkpointing", "compile", "seed",
})  # fmt: skip


class _Datasets:
    """Datasets by what they depend on: a text is encoded once, not once per run."""

    def __init__(self, cache_dir: Path | None) -> None:
        self._cache_dir = cache_dir
        self._made: dict[tuple[object, ...], Dataset] = {}

    def of(self, run: Run) -> Dataset:
        settings = {name: value for name, value in run.train.to_dict().items() if name not in _OF_TRAINING_ALONE}
        key = ((run.path / "tokenizer.json").read_bytes(), run.model.block_size, *sorted(settings.items()))
        if key not in self._made:
            self._made[key] = dataset(run, self._cache_dir)
        return self._made[key]
