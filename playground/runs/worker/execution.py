"""Training one run with error handling: used by the worker process and by ``playground train``.

The trainer yields events; `execute` logs them, saves checkpoints, and follows the run's ``control`` file and signals
within one step.
"""

from __future__ import annotations

import os
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from playground.data.token_file import Progress
from playground.runs import baselines
from playground.runs.races import Race
from playground.runs.store import checkpoints, status
from playground.runs.store.files import Lock, sweep
from playground.runs.store.log import LogWriter
from playground.runs.store.processes import STOP_SECONDS
from playground.runs.store.run_store import Run
from playground.runs.store.status import Heartbeat, Status
from playground.runs.texts import dataset
from playground.runs.worker.compiling import Compiling
from playground.runs.worker.failures import explained
from playground.runs.worker.watchdog import Watchdog, WorkerLimits
from playground.train.devices import training_device
from playground.train.distributed import SINGLE, Group
from playground.train.estimate import estimate
from playground.train.events import Diverged, Event, Finished, Noted, Snapshot, StepDone
from playground.train.trainer import TrainState, train

CLAIM_SECONDS = 10.0  # that the previous worker may need to release the run
NO_LIMITS = WorkerLimits(deadly=True)
BASELINES_AFTER = 20  # steps before n-gram baselines are computed, so that the first losses are not delayed


class AlreadyRunningError(ValueError):
    """Another process is training this run."""

    def __init__(self) -> None:
        super().__init__("Another process is training this run. Stop that process first.")


def execute(
    run: Run,
    *,
    cache_dir: Path | None = None,
    interrupted: threading.Event | None = None,
    watch: Callable[[Event], None] | None = None,
    group: Group = SINGLE,
    guard: WorkerLimits | None = None,
) -> Status:
    """Train a run from its newest checkpoint until it ends or is asked to stop, and return how it ended.

    Raises only AlreadyRunningError and bugs: all other errors become the run's status, with a message.
    `interrupted`, once set, pauses the run within one step, as its control file does. `watch` sees every event. In a
    `group` of processes this is for the first; the others `run_secondary_rank`. `guard` says what may be used.
    """
    guard = guard or WorkerLimits()

    def train_run(dog: Watchdog) -> Status:
        go = _Execution(run, cache_dir, interrupted or threading.Event(), watch or _unwatched, guard, dog, group)
        return go.guarded()

    return execute_alone(run, guard, train_run)


def execute_alone(job: Run | Race, guard: WorkerLimits, train: Callable[[Watchdog], Status]) -> Status:
    """Train a run or race as its only worker, under a watchdog, and write and return how it ended.

    Raises AlreadyRunningError if another process is training it.
    """
    lock = Lock(job.path / "lock")
    if not lock.acquire(CLAIM_SECONDS):
        raise AlreadyRunningError
    try:
        status.declare(job.path, status.running(os.getpid()))
        with Watchdog(job, guard) as dog:
            ending = train(dog)
        write_final_status(job.path, ending)
        return ending
    finally:
        lock.release()


def run_secondary_rank(
    run: Run, group: Group, *, cache_dir: Path | None = None, interrupted: threading.Event | None = None
) -> None:
    """Train along with the first process of a group until it ends or all agree to stop; nothing is written."""
    data = dataset(run, cache_dir)
    state, _, _ = restored(run)
    if not _in_step(group, state.step):
        return
    for event in train(state, data, run.train, run.tokenizer, group):
        if isinstance(event, StepDone) and group.agree(
            REQUESTS["pause"] if interrupted and interrupted.is_set() else 0
        ):
            return


NOT_NOW = 2**40  # the step of a process that was asked to stop before its first step


def _in_step(group: Group, step: int) -> bool:
    """Wait until every process has loaded its state, of `step`: the first may write a new one from then on.

    False if one of them does not start. Raises ValueError if they loaded different steps.
    """
    most, least = group.agree(step), -group.agree(-step)
    if most == NOT_NOW:
        return False
    if most != least:
        raise ValueError("The processes found different checkpoints. Start them again.")
    return True


REQUESTS = {"pause": 1, "stop": 2}


def write_final_status(folder: Path, ending: Status) -> None:
    """Write how a run or race has ended. If that fails, the end is detected from its process id."""
    try:
        status.withdraw(folder)  # followed, or too late
        status.declare(folder, ending)
    except OSError as error:
        print(f"{folder.name}: {ending.state}, which cannot be written: {error.strerror}", file=sys.stderr)


class StopRequested(Exception):  # noqa: N818 - no error
    """The user asked to stop or pause while the text was being prepared."""

    def __init__(self, ending: Status) -> None:
        super().__init__(ending.state)
        self.ending = ending


def _unwatched(event: Event) -> None:
    """Ignore events."""


@dataclass
class _Execution:
    """One execution of a run, from start or resumption to its end."""

    run: Run
    cache_dir: Path | None
    interrupted: threading.Event
    watch: Callable[[Event], None]
    guard: WorkerLimits
    dog: Watchdog
    group: Group = SINGLE
    saved: int | None = field(default=None, init=False)  # step of the newest checkpoint
    joined: bool = field(default=False, init=False)  # whether all processes of the group have begun
    note: str = field(default="", init=False)  # a note for the user on the checkpoint it resumed from

    def guarded(self) -> Status:
        """`train`, with every failure turned into a status."""
        try:
            return self.train()
        except StopRequested as request:
            if not self.joined:
                _in_step(self.group, NOT_NOW)  # so that the others do not wait forever
            return request.ending
        except KeyboardInterrupt:
            return Status("paused", f"Interrupted. {self._kept()}")
        except Exception as error:  # noqa: BLE001 - a boundary: the trace goes to the log, a sentence to the user
            traceback.print_exc()
            return Status("failed", self._explain(error))

    def train(self) -> Status:
        """Load, train, save; returns the final status."""
        run = self.run
        self.guard.check(run)
        for folder in ("checkpoints", "snapshots"):
            sweep(run.path / folder)
        with Heartbeat(run.path) as heart, LogWriter(run.log) as log:
            tokenizer = run.tokenizer
            data = dataset(run, self.cache_dir, self._preparing(heart))
            heart.declare()
            state = self._restored(heart)
            self.joined = _in_step(self.group, state.step)
            compiling = Compiling(run, state, self.cache_dir) if self.group.size == 1 else None
            try:
                self._note(compiling.begin(self._obey) if compiling else None, state, log)
                events = train(state, data, run.train, tokenizer, self.group)
                return self._follow(events, state, heart, log, compiling)
            finally:
                if compiling is not None:
                    compiling.close()

    def _obey(self) -> None:
        """Follow requests while waiting before the first step."""
        if request := self._requested():
            uncompiled = Status("paused" if request == "pause" else "stopped", "Compilation had not finished.")
            raise StopRequested(self.dog.ending(self._kept()) or uncompiled)

    def _note(self, text: str | None, state: TrainState, log: LogWriter) -> None:
        """Write a note to the log, and a checkpoint if compiled passes were just taken over."""
        if text is None:
            return
        event = Noted(state.step, text)
        log.append(event)
        self.watch(event)
        if state.compiled_from == state.step:
            self.saved = None
            self._save(state, log)

    def _preparing(self, heart: Heartbeat) -> Progress:
        """Reports the progress of preparing a large text once a second, and follows requests meanwhile."""
        reported = time.monotonic()

        def progress(done: int, total: int) -> None:
            nonlocal reported
            request = self._requested()
            if request:
                unprepared = Status("paused" if request == "pause" else "stopped", "The dataset was not prepared yet.")
                raise StopRequested(self.dog.ending(unprepared.message) or unprepared)
            if time.monotonic() - reported >= 1:
                reported = time.monotonic()
                message = f"Preparing the dataset: {done / 1e6:,.0f} of {total / 1e6:,.0f} MB."
                heart.declare(message if done < total else "")

        return progress

    def _requested(self) -> str | None:
        request = status.requested(self.run.path) or ("pause" if self.interrupted.is_set() else None)
        return request or ("stop" if self.dog.verdict else None)

    def _agreed(self) -> str | None:
        """The request to the run, by its control file or by a signal to any process of the group."""
        agreed = self.group.agree(REQUESTS.get(self._requested() or "", 0))
        return next((name for name, value in REQUESTS.items() if value == agreed), None)

    def _restored(self, heart: Heartbeat) -> TrainState:
        state, self.saved, self.note = restored(self.run)
        if self.note:
            heart.declare(self.note)
        heart.step = state.step
        return state

    def _follow(
        self, events: Iterator[Event], state: TrainState, heart: Heartbeat, log: LogWriter, compiling: Compiling | None
    ) -> Status:
        counting: threading.Thread | None = None
        count_at = state.step + BASELINES_AFTER
        try:
            for event in events:
                if (isinstance(event, StepDone) and event.step == count_at) or isinstance(event, Finished):
                    counting = counting or baselines.start(self.run, self.cache_dir)
                log.append(event)
                self.watch(event)
                match event:
                    case StepDone():
                        heart.step = event.step
                        request = self._agreed()
                        if request or event.step % self.run.train.checkpoint_interval == 0:
                            self._save(state, log)
                        if request:
                            ending = Status("paused" if request == "pause" else "stopped", self.note)
                            return self.dog.ending(self._kept()) or ending
                        self._note(compiling.poll() if compiling else None, state, log)
                    case Snapshot():
                        weights = state.tensors()["model"]
                        checkpoints.save_snapshot(self.run.path, weights, state.counters(), "bfloat16")
                    case Finished():
                        self._save(state, log)
                        return Status("finished", self.note)
                    case Diverged():
                        return Status("diverged", divergence(event))
        finally:
            if counting is not None:
                counting.join(STOP_SECONDS / 2)
        raise AssertionError("the trainer ended without saying how")

    def _save(self, state: TrainState, log: LogWriter) -> None:
        if self.saved == state.step:
            return
        log.sync()
        checkpoints.save_checkpoint(self.run.path, state.tensors(), state.counters())
        self.saved = state.step

    def _explain(self, error: BaseException) -> str:
        need = estimate(self.run.model, self.run.train).memory_bytes / 1e9
        memory = f"this run needs about {need:.1f} GB. Lower the batch size, context length, embedding size or layers."
        return explained(error, "training", memory, self._kept())

    def _kept(self) -> str:
        """By what is on disk: an earlier process may have saved, and this one may have ended before it read that."""
        return checkpoints.kept(self.run.path)


def restored(run: Run) -> tuple[TrainState, int | None, str]:
    """The state to continue from (the newest good checkpoint's, or a new one), that checkpoint's step, and what the user
    should know about where it went on from, or nothing."""
    state = TrainState.new(run.model, run.train, training_device())
    saved = checkpoints.load_checkpoint(run.path)
    if saved is None:
        return state, None, ""
    if saved.tensors:
        state.load(saved.tensors, saved.counters)
    note = " ".join([*saved.notes, f"Resumed from step {saved.step:,}."]) if saved.notes else ""
    return state, saved.step if saved.tensors else None, note


def divergence(event: Diverged) -> str:
    losses = ", ".join(f"{loss:.4g}" for loss in event.last_losses) or "none"
    return (
        f"Diverged at step {event.step:,}: the loss or its gradient is no longer finite. Learning rate "
        f"{event.learning_rate:.2g}, last losses {losses}. Try a lower learning rate, a longer warm-up or stronger "
        f"gradient clipping."
    )
