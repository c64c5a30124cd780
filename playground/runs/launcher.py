"""Starts, stops and queues training. The queue and all states live in the store, so restarting the app loses nothing.

A supervisor thread looks after everything twice a second, or at once when it is woken: it gives queued runs to workers,
sends signals to those that ignore a request, and keeps one spare worker warm (torch loaded), so that training begins at
once. Of several apps on one folder only one supervises at a time; buttons work in all.

Workers survive the app: stopped with Ctrl-C or killed, it finds them again when it starts, since nothing about them is kept
in memory. With ``die_with_ui=True`` they save a checkpoint and pause when the app ends.
"""

from __future__ import annotations

import threading
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from playground.runs import status
from playground.runs.files import Lock
from playground.runs.processes import STOP_SECONDS, Worker, cores, press
from playground.runs.races import Race, jobs, own_job
from playground.runs.status import Request, Status
from playground.runs.store import Run, RunStore

Job = Run | Race  # what a worker can be given: a race trains all its runs in one

TICK_SECONDS = 0.5
SPARE_DELAY = 3.0  # after a start, so that loading the next worker does not slow the first steps
LOG_BYTES = 1_000_000
_KILLED = "probably out of memory. Lower the batch, context, width or layers, or resume from the last checkpoint."


class Launcher:
    """The one way to start and stop runs and races from the app. All methods may be called from any thread.

    Methods that take a run's or a race's id raise RunNotFound for one the visitor may not see, and ValueError with
    one clear sentence for one they may not change or that is in no state for it. What is already so is not an error.
    """

    def __init__(
        self,
        store: RunStore,
        *,
        max_workers: int = 1,
        cache_dir: Path | None = None,
        threads: int | None = None,
        die_with_ui: bool = False,
        spare: bool = True,
        supervise: bool = True,
    ) -> None:
        """`threads` per worker: all cores divided among the workers unless given.

        Without `spare` no worker is kept warm; without `supervise` runs are queued for another process to start.
        """
        self.store = store
        self.max_workers = max_workers
        self.cache_dir = cache_dir
        self.threads = threads or max(1, cores() // max_workers)
        self.die_with_ui = die_with_ui
        self._wants_spare = spare
        self._spare: Worker | None = None
        self._spare_not_before = 0.0
        self._workers: list[Worker] = []  # our children that have a run, kept to bury them
        self._asked: dict[str, tuple[float, set[int]]] = {}  # when we first saw a request, and the signals sent since
        self._office = Lock(store.root / ".launcher")
        self._supervises = False
        self._wake = threading.Event()
        self._closing = False
        store.sweep()
        _shorten(store.root / "worker.log")
        self._thread = threading.Thread(target=self._supervise, name="launcher", daemon=True)
        if supervise:
            self._thread.start()

    def start(self, run: Job, visitor: str | None = None) -> Status:
        """Queue a run that was just created, or one that was interrupted. Returns its status then."""
        return self.resume(run.id, visitor)

    def resume(self, run_id: str, visitor: str | None = None) -> Status:
        """Queue a run to go on from its newest checkpoint."""
        return self._enqueue(run_id, visitor)

    def stop(self, run_id: str, visitor: str | None = None) -> Status:
        """End a run within one step, with a checkpoint; one that hangs is killed after ten seconds."""
        return self._request(run_id, "stop", visitor)

    def pause(self, run_id: str, visitor: str | None = None) -> Status:
        """As `stop`, with the intention to go on: a paused run says so."""
        return self._request(run_id, "pause", visitor)

    def continue_for(self, run_id: str, steps: int, visitor: str | None = None) -> Status:
        """Let a run that has ended or stands still train for `steps` more than it was meant to, and queue it."""
        with self.store.exclusive():
            run = own_job(self.store, run_id, visitor)
            if isinstance(run, Race):
                raise ValueError("A race has one budget for all. Run it again with a larger one instead.")
            now = run.status()
            if now.active:
                raise ValueError("This run is still training. Wait until it ends, or stop it first.")
            _check_resumable(run, now, finished_too=True)
        self.store.extend(run_id, steps, visitor)
        return self._enqueue(run_id, visitor, finished_too=True)

    def position(self, run_id: str) -> int | None:
        """A queued run's place in the queue, from 1; None for any other."""
        ids = [run.id for run, _ in _queue(self._statuses())]
        return ids.index(run_id) + 1 if run_id in ids else None

    def close(self) -> None:
        """Stop supervising. Workers train on, or with `die_with_ui` pause: this waits for them, ten seconds at most."""
        self._closing = True
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join()
        if self._spare is not None and self._spare.is_alive():
            self._spare.dismiss()
        self._spare = None
        self._office.release()
        if self.die_with_ui:
            for worker in self._workers:
                worker.retire()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # What buttons do

    def _enqueue(self, run_id: str, visitor: str | None, finished_too: bool = False) -> Status:
        with self.store.exclusive():
            run = own_job(self.store, run_id, visitor)
            now = run.status()
            if now.active:
                return now
            _check_resumable(run, now, finished_too)
            status.withdraw(run.path)
            queued = Status("queued", queued=self._after_all_queued())
            status.declare(run.path, queued)
        self._wake.set()
        return queued

    def _request(self, run_id: str, what: Request, visitor: str | None) -> Status:
        with self.store.exclusive():
            run = own_job(self.store, run_id, visitor)
            now, wanted = run.status(), Status("stopped" if what == "stop" else "paused")
            if now.state == wanted.state:
                return now
            if now.state in ("finished", "failed", "diverged"):
                raise ValueError(f"Already {now.state}.")
            if now.state in ("stopped", "crashed") and what == "pause":
                raise ValueError("This run is not training.")
            # The request comes first: should a worker be given the run at this moment, it sees it at its first step.
            status.request(run.path, what)
            if not status.alive(status.declared(run.path)):
                status.declare(run.path, wanted)
        self._wake.set()
        return run.status()

    def _after_all_queued(self) -> float:
        """A time that is later than any in the queue, even if the clock was set back."""
        return max([time.time(), *(now.queued + 1e-3 for _, now in _queue(self._statuses()))])

    def _statuses(self) -> list[tuple[Job, Status]]:
        return [(job, job.status()) for job in jobs(self.store)]

    # What the supervisor does

    def _supervise(self) -> None:
        while not self._closing:
            try:
                self._supervises = self._supervises or self._office.acquire()
                if self._supervises:
                    self._tick()
            except (OSError, ValueError) as error:  # a full disk, a folder deleted by hand: try again, and say so
                print(f"launcher: {type(error).__name__}: {error}", flush=True)
            self._wake.wait(TICK_SECONDS)
            self._wake.clear()

    def _tick(self) -> None:
        self._bury()
        statuses = self._statuses()
        self._press([run for run, now in statuses if now.state in ("running", "crashed")])
        free = self.max_workers - sum(now.state == "running" for _, now in statuses)
        for run, _ in _queue(statuses)[: max(0, free)]:
            self._dispatch(run)
        self._keep_spare()

    def _bury(self) -> None:
        """Forget workers that have ended; if the system killed one, say why it probably did."""
        dead = [worker for worker in self._workers if not worker.is_alive()]
        self._workers = [worker for worker in self._workers if worker not in dead]
        for worker in dead:
            folder = worker.run
            if folder is None or not worker.was_killed or status.requested(folder):
                continue
            with self.store.exclusive():
                if status.declared(folder).pid == worker.pid and status.derive(folder).state == "crashed":
                    _, step = status.read_heartbeat(folder)
                    status.declare(folder, Status("crashed", f"The system killed it at step {step}: {_KILLED}"))

    def _press(self, runs: list[Job]) -> None:
        """Signals for processes that were asked to stop and have not. One that fell silent is asked too."""
        now = time.monotonic()
        asked = {run.id for run in runs if status.requested(run.path)}
        self._asked = {run_id: entry for run_id, entry in self._asked.items() if run_id in asked}
        for run in runs:
            if run.id not in asked:
                continue
            since, sent = self._asked.setdefault(run.id, (now, set()))
            declared = status.declared(run.path)
            if declared.state == "running":
                press(declared, now - since, STOP_SECONDS, sent)
                if not status.alive(declared):
                    self._settle(run)

    def _settle(self, run: Job) -> None:
        """A process that was asked to stop is gone without having said so: it was killed."""
        with self.store.exclusive():
            if run.status().state == "crashed":
                message = "The training process had to be ended by force; the last checkpoint is kept."
                status.declare(
                    run.path, Status("paused" if status.requested(run.path) == "pause" else "stopped", message)
                )

    def _dispatch(self, run: Job) -> None:
        """Give a queued run to the spare worker, or to a new one."""
        worker = self._spare if self._spare is not None and self._spare.is_alive() else self._new_worker()
        self._spare = None
        self._spare_not_before = time.monotonic() + SPARE_DELAY
        with self.store.exclusive():
            if status.declared(run.path).state != "queued":  # stopped or deleted a moment ago
                self._spare = worker
                return
            status.declare(run.path, status.running(worker.pid))
        self._workers.append(worker)
        worker.give(run.path, self.cache_dir)

    def _keep_spare(self) -> None:
        now = time.monotonic()
        dead = self._spare is None or not self._spare.is_alive()
        if self._wants_spare and dead and now >= self._spare_not_before:
            self._spare = self._new_worker()
            self._spare_not_before = now + 10 * SPARE_DELAY  # should it die at once, do not start one after the other

    def _new_worker(self) -> Worker:
        return Worker(self.store.root / "worker.log", self.threads, die_with_parent=self.die_with_ui)


def _queue(statuses: list[tuple[Job, Status]]) -> list[tuple[Job, Status]]:
    """Those that wait, first come first."""
    waiting = [(run, now) for run, now in statuses if now.state == "queued"]
    return sorted(waiting, key=lambda pair: (pair[1].queued, pair[0].id))


def _check_resumable(run: Job, now: Status, finished_too: bool = False) -> None:
    if isinstance(run, Run) and run.origin:
        raise ValueError("This model was imported: its text and optimizer stayed behind, so it cannot train on here.")
    if now.state == "finished" and not finished_too:
        raise ValueError("Already finished. Continue it for more steps instead.")
    if now.state == "diverged":
        raise ValueError("This run diverged and would do so again. Start a new one with a lower learning rate.")
    if now.state == "crashed" and status.alive(status.declared(run.path)):
        raise ValueError("Its training process does not answer but still exists. Stop the run first.")


def _shorten(log: Path) -> None:
    """Start the workers' log anew when it has grown long."""
    if log.exists() and log.stat().st_size > LOG_BYTES:
        log.unlink()
