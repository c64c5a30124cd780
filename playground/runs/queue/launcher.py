"""Starts, stops and queues training. The queue and all states live in the store, so restarting the app loses nothing.

A supervisor thread runs twice a second, or at once when woken: it dispatches queued runs to workers, sends signals to
workers that do not follow a request, and keeps one spare worker with torch loaded, so that training starts without delay.
Visitors take turns (`queue`), and their limits (`limits`) are checked here in any case. If several apps use one folder,
one of them supervises; all can control runs.

Workers survive the app: if it is stopped or killed, it finds them again at its next start, since their state is on
disk. With ``die_with_ui=True`` they save a checkpoint and pause when the app ends.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from pathlib import Path
from types import TracebackType
from typing import Self

from playground.runs.limits import LOCAL, Limits
from playground.runs.queue.admission import check_resumable, check_trainer, check_turns
from playground.runs.queue.audit_log import AuditLog, Tell, null_sink
from playground.runs.queue.client_networks import ClientNetworkOf, ClientNetworks, no_network
from playground.runs.queue.control import clear_queue, request_end, settle
from playground.runs.queue.killed import declare_killed
from playground.runs.queue.queue import Job, QueueView, RoundRobin, after_all_queued, line
from playground.runs.queue.space import PASS_SECONDS, Space
from playground.runs.queue.usage import Usage
from playground.runs.races import Race, check_job, jobs, own_job
from playground.runs.store import status
from playground.runs.store.files import Lock, discard
from playground.runs.store.processes import STOP_SECONDS, Worker, cores, press
from playground.runs.store.run_store import RunStore, check_owner, hashed
from playground.runs.store.status import Request, Status

TICK_SECONDS = 0.5
FLUSH_SECONDS = 5.0  # between writes of what visitors have used
START_SECONDS = 1.0  # minimum charge for a start, so that a run that ends immediately counts too
SPARE_DELAY = 3.0  # after a start, so that loading the next worker does not slow the first steps
LOG_BYTES = 1_000_000

_CONTINUE: list[Worker] = []  # workers of closed launchers: a Popen that is collected while its process runs warns


class Launcher:
    """Starts and stops runs and races for the app. All methods may be called from any thread.

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
        limits: Limits = LOCAL,
        keep_days: float | None = None,
        tell: Tell = null_sink,
        client_network: ClientNetworkOf = no_network,
    ) -> None:
        """`threads` per worker: all cores divided among the workers unless given. `tell` hears how runs come and go.
        `client_network` returns the network of the current request.

        Without `spare` no worker is kept warm; without `supervise` runs are queued for another process to start.
        """
        self.store = store
        self.max_workers = max_workers
        self.limits = limits
        self.keep_days = keep_days
        self.usage = Usage(store.root / "usage.json")
        self.networks = ClientNetworks()
        self._client_network = client_network
        self.space = Space(store)
        self._turns = RoundRobin()
        self._journal = AuditLog(tell)
        self.cache_dir = cache_dir
        self.threads = threads or max(1, cores() // max_workers)
        self.die_with_ui = die_with_ui
        self._wants_spare = spare
        self._spare: Worker | None = None
        self._spare_not_before = 0.0
        self._workers: list[Worker] = []  # child processes that have a run, kept to reap them
        self._requests: dict[
            str, tuple[float, set[int]]
        ] = {}  # when a request was first seen, and the signals sent since
        self._leader_lock = Lock(store.root / ".launcher")
        self._supervises = False
        self._wake = threading.Event()
        self._closing = False
        self._trusted: set[str] = set()  # hashes of visitors who have given the host's password
        self._seen: tuple[float, QueueView] | None = None
        self._ticked = self._flushed = self._tidied = time.monotonic()
        try:
            store.sweep()
            _shorten(store.root / "worker.log")
        except OSError as error:  # full or read-only disk: existing runs can still be viewed
            print(f"launcher: {error.strerror}", flush=True)
        self._thread = threading.Thread(target=self._supervise, name="launcher", daemon=True)
        if supervise:
            self._thread.start()

    def start(self, run: Job, visitor: str | None = None) -> Status:
        """Queue a run that was just created, or one that was interrupted. Returns its status then."""
        return self.resume(run.id, visitor)

    def begin(self, job: Job, visitor: str | None = None) -> Status:
        """Queue a new run or race, and delete it again if it is not allowed to start."""
        try:
            return self.start(job, visitor)
        except ValueError:
            discard(job.path)
            raise

    def admit(self, visitor: str | None = None, n_jobs: int = 1) -> None:
        """Raise ValueError if the visitor cannot start this many runs now. For forms, before anything is prepared."""
        check_owner(visitor)
        self._check_turns(visitor, self._statuses(), n_jobs)

    def trust(self, visitor: str | None) -> None:
        """Let a visitor train on an app where only the host can, until the app ends."""
        check_owner(visitor)
        self._trusted.add(hashed(visitor) or "")

    def may_train(self, visitor: str | None) -> bool:
        """Whether this visitor can train."""
        return self.limits.trainers == "everyone" or (
            self.limits.trainers == "owner" and (hashed(visitor) or "") in self._trusted
        )

    def resume(self, run_id: str, visitor: str | None = None) -> Status:
        """Queue a run to go on from its newest checkpoint."""
        return self._enqueue(run_id, visitor)

    def stop(self, run_id: str, visitor: str | None = None) -> Status:
        """End a run within one step, with a checkpoint; one that hangs is killed after ten seconds."""
        return self._request(run_id, "stop", visitor)

    def pause(self, run_id: str, visitor: str | None = None) -> Status:
        """As `stop`, but the run's state is paused."""
        return self._request(run_id, "pause", visitor)

    def clear_queue(self, running: bool = False) -> int:
        """Stop all waiting jobs, with `running` also those that train, for the host. Returns their number."""
        found = clear_queue(self.store, running)
        self._seen = None
        return found

    def continue_for(self, run_id: str, steps: int, visitor: str | None = None) -> Status:
        """Extend a run that is not training by `steps` steps, and queue it."""
        with self.store.exclusive():
            run = own_job(self.store, run_id, visitor)
            if isinstance(run, Race):
                raise ValueError("A race has one budget for all. Run it again with a larger one instead.")
            now = run.status()
            if now.active:
                raise ValueError("This run is still training. Wait until it ends, or stop it first.")
            check_resumable(run, now, finished_too=True)
            self._check_turns(visitor, self._statuses())
            self.limits.check_run(run.model, run.train.replace(steps=run.train.steps + steps))
        self.store.extend(run_id, steps, visitor)
        return self._enqueue(run_id, visitor, finished_too=True)

    def position(self, run_id: str) -> int | None:
        """A queued run's place in the queue, from 1; None for any other."""
        return self.line().position(run_id)

    def line(self) -> QueueView:
        """The running and waiting jobs; computed at most once per tick."""
        seen = self._seen
        if seen is None or time.monotonic() - seen[0] > TICK_SECONDS:
            self._seen = seen = (time.monotonic(), self._line(self._statuses()))
        return seen[1]

    def close(self) -> None:
        """Stop supervising. Workers continue to train, or pause with `die_with_ui`: this waits for them, at most ten
        seconds."""
        self._closing = True
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join()
        try:
            self.usage.flush()
        except OSError as error:
            print(f"launcher: {error.strerror}", flush=True)
        if self._spare is not None and self._spare.is_alive():
            self._spare.dismiss()
        self._spare = None
        self._leader_lock.release()
        if self.die_with_ui:
            for worker in self._workers:
                worker.retire()
        else:
            _CONTINUE.extend(self._workers)

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
            check_resumable(run, now, finished_too)
            statuses = self._statuses()
            self._check_turns(visitor, statuses)
            check_job(run, self.limits)
            self._check_space(run)
            status.withdraw(run.path)
            queued = Status("queued", queued=after_all_queued(statuses))
            status.declare(run.path, queued)
            self.networks.started(run.id, self._client_network())
            self._seen = None
        self._wake.set()
        return queued

    def _request(self, run_id: str, what: Request, visitor: str | None) -> Status:
        now = request_end(self.store, run_id, what, visitor)
        self._seen = None
        self._wake.set()
        return now

    def _check_space(self, job: Job) -> None:
        try:
            self.space.check(job, self.limits)
        except ValueError:
            self._tidied = time.monotonic() - PASS_SECONDS  # check at the next tick whether runs can be deleted
            raise

    def _check_turns(self, visitor: str | None, statuses: list[tuple[Job, Status]], n_jobs: int = 1) -> None:
        """Raise ValueError if a visitor cannot train, has too many queued runs, or has used the training time of the day."""
        check_trainer(self.limits, self.may_train(visitor))
        check_turns(self.limits, hashed(visitor), statuses, n_jobs, self.usage, self.networks, self._client_network())

    def _line(self, statuses: list[tuple[Job, Status]]) -> QueueView:
        return line(statuses, self.usage.seconds, self._turns, self.networks.seconds)

    def _statuses(self) -> list[tuple[Job, Status]]:
        return [(job, job.status()) for job in jobs(self.store)]

    # What the supervisor does

    def _supervise(self) -> None:
        while not self._closing:
            try:
                self._supervises = self._supervises or self._leader_lock.acquire()
                if self._supervises:
                    self._tick()
            except (OSError, ValueError) as error:  # a full disk or a folder deleted by hand: report it and try again
                print(f"launcher: {error!r}", flush=True)
            self._wake.wait(TICK_SECONDS)
            self._wake.clear()

    def _tick(self) -> None:
        self._reap_workers()
        statuses = self._statuses()
        self._journal.look([(job, now.state) for job, now in statuses])
        self._escalate_signals([run for run, now in statuses if now.state in ("running", "crashed")])
        now_in = self._line(statuses)
        if not now_in.waiting and not now_in.running:
            self._turns.forget()
        self._count(now_in.running)
        for job in self._next(now_in):
            self._dispatch(job)
        self._keep_spare()
        if time.monotonic() - self._tidied >= PASS_SECONDS:
            self._tidied = time.monotonic()
            for gone in self.space.tidy(self.limits, self.keep_days):
                print(f"launcher: {gone} was removed to make room", flush=True)
        if time.monotonic() - self._flushed >= FLUSH_SECONDS:
            self._flushed = time.monotonic()
            self.networks.keep(job.id for job, _ in statuses)
            self.usage.flush()

    def _count(self, running: tuple[Job, ...]) -> None:
        """Add the time since the last call to the usage of the owners of running jobs."""
        now = time.monotonic()
        for job in running:
            self.usage.add(job.owner, now - self._ticked)
            self.networks.add(job.id, now - self._ticked)
        self._ticked = now

    def _next(self, now: QueueView) -> list[Job]:
        """The jobs that get a worker now."""
        busy = Counter(job.owner for job in now.running)
        chosen: list[Job] = []
        most = self.limits.running_runs
        for job in now.waiting:
            if len(now.running) + len(chosen) < self.max_workers and (most is None or busy[job.owner] < most):
                busy[job.owner] += 1
                chosen.append(job)
        return chosen

    def _reap_workers(self) -> None:
        """Reap workers that have ended; record which were killed."""
        dead = [worker for worker in self._workers if not worker.is_alive()]
        self._workers = [worker for worker in self._workers if worker not in dead]
        for worker in dead:
            folder = worker.run
            if folder is None or not worker.was_killed or status.requested(folder):
                continue
            declare_killed(self.store, folder, worker.pid)

    def _escalate_signals(self, runs: list[Job]) -> None:
        """Send signals to processes that do not stop when requested, or that have no recent heartbeat."""
        now = time.monotonic()
        requested = {run.id for run in runs if status.requested(run.path)}
        self._requests = {run_id: entry for run_id, entry in self._requests.items() if run_id in requested}
        for run in runs:
            if run.id not in requested:
                continue
            since, sent = self._requests.setdefault(run.id, (now, set()))
            declared = status.declared(run.path)
            if declared.state == "running":
                press(declared, now - since, STOP_SECONDS, sent)
                if not status.alive(declared):
                    settle(self.store, run)

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
            self._seen = None
        self._workers.append(worker)
        self.usage.add(run.owner, START_SECONDS)
        self._turns.took(run.owner)
        worker.give(run.path, self.cache_dir, self.limits.to_dict(), self._left(run.owner))

    def _left(self, owner: str | None) -> float | None:
        """Remaining training time of a visitor's day in seconds, at least one."""
        day = self.limits.daily_minutes
        return None if day is None else max(1.0, 60 * day - self.usage.seconds(owner))

    def _keep_spare(self) -> None:
        now = time.monotonic()
        dead = self._spare is None or not self._spare.is_alive()
        if self._wants_spare and dead and now >= self._spare_not_before:
            self._spare = self._new_worker()
            self._spare_not_before = now + 10 * SPARE_DELAY  # should it die at once, do not start one after the other

    def _new_worker(self) -> Worker:
        return Worker(self.store.root / "worker.log", self.threads, die_with_parent=self.die_with_ui)


def _shorten(log: Path) -> None:
    """Truncate the workers' log when it is too long."""
    if log.exists() and log.stat().st_size > LOG_BYTES:
        log.unlink()
