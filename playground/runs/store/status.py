"""The state of a run, derived from its files and from which processes are alive.

Three small files in the run's folder:

* ``status.json``: what was last declared, by the launcher (queued, running) or by the worker (how it ended);
* ``heartbeat``: when the worker was last alive, on the monotonic clock, and its step;
* ``control``: the user's request to a running worker, ``pause`` or ``stop``.

A run that is declared running counts as running only while the named process is alive, is still the same process
(process ids are reused) and has a recent heartbeat. Otherwise it has crashed.
"""

from __future__ import annotations

import json
import os
import threading
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self, get_args

import psutil

from playground.runs.store import checkpoints
from playground.runs.store.files import read_json, write_bytes, write_json
from playground.runs.store.log import last_step

State = Literal["queued", "running", "paused", "stopped", "finished", "failed", "diverged", "crashed"]
Request = Literal["pause", "stop"]

STALE_SECONDS = 15.0
STARTUP_SECONDS = 60.0  # until a worker's first heartbeat: it may still be importing torch
BEAT_SECONDS = 1.0
ENDED = ("stopped", "finished", "failed", "diverged", "crashed")


@dataclass(frozen=True)
class Status:
    """A run's state with what belongs to it. `message` is a sentence for the user, or empty."""

    state: State = "stopped"
    message: str = ""
    queued: float = 0.0  # wall clock in seconds; orders the queue
    pid: int = 0  # of the process that trains it
    process: float = 0.0  # when that process started, as `process_start` tells
    since: float = 0.0  # monotonic clock, when that process was given the run

    @property
    def active(self) -> bool:
        """Whether it waits for a worker or has one."""
        return self.state in ("queued", "running")


def running(pid: int, message: str = "") -> Status:
    """The status of a run that the live process `pid` takes over now."""
    return Status("running", message, pid=pid, process=process_start(pid) or 0.0, since=time.monotonic())


def declare(folder: Path, status: Status) -> None:
    """Write a run's status, also on a full disk if there was one before."""
    path = folder / "status.json"
    try:
        write_json(path, asdict(status))
    except OSError:
        # Overwriting a few bytes in place needs no new block. Torn by a crash it would read as "not started".
        with open(path, "rb+") as file:
            file.write(json.dumps(asdict(status)).encode("ascii"))
            file.truncate()


def declared(folder: Path) -> Status:
    """What was last written: a run without a readable status has stopped before its first step."""
    values = read_json(folder / "status.json") or {}
    state: State | None = {name: name for name in get_args(State)}.get(str(values.get("state")))
    if state is None:
        return Status(message="Not started.")
    numbers = {name: _number(values.get(name)) for name in ("queued", "process", "since")}
    return Status(state, str(values.get("message") or ""), pid=int(_number(values.get("pid"))), **numbers)


def _number(value: Any) -> float:
    usable = isinstance(value, (int, float)) and abs(value) < 1e15  # also refuses NaN
    return float(value) if usable else 0.0


def derive(folder: Path) -> Status:
    """A run's true status now."""
    status = declared(folder)
    if status.state != "running":
        return status
    beat, _ = read_heartbeat(folder)
    if not alive(status):
        return replace(status, state="crashed", message=f"The training process ended unexpectedly{reached(folder)}")
    if not _is_fresh(status, beat):
        return replace(status, state="crashed", message=f"The training process is not responding{reached(folder)}")
    request = requested(folder)
    if request:
        return replace(status, message="Pausing." if request == "pause" else "Stopping.")
    return status


def reached(folder: Path) -> str:
    """How far a run came whose process is gone, and what is kept: the end of a sentence and another.

    By its log: the heartbeat begins anew with every process, and is written once a second. A race has no log.
    """
    step = last_step(folder / "events.jsonl")
    kept = checkpoints.kept(folder)
    if step is None:
        return "." if kept == checkpoints.NONE_KEPT else f". {kept}"
    return f"{f' after step {step:,}.' if step else ' before its first step.'} {kept}"


def alive(status: Status) -> bool:
    """Whether the process that the status names still exists and is the same one."""
    return status.pid > 0 and status.process > 0 and process_start(status.pid) == status.process


def _is_fresh(status: Status, beat: float) -> bool:
    now = time.monotonic()
    if beat < status.since:
        return 0.0 <= now - status.since < STARTUP_SECONDS
    return 0.0 <= now - beat < STALE_SECONDS  # a heartbeat in the future is from before the machine restarted


def process_start(pid: int) -> float | None:
    """A number that together with `pid` identifies a live process; None if it has ended, also if it has not been reaped
    yet."""
    try:
        # Linux: clock ticks since boot. psutil would turn them into wall-clock time, which moves when the clock is set.
        fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
        return None if fields[0] in (b"Z", b"X") else float(fields[19])
    except (OSError, IndexError):
        return _process_start_elsewhere(pid)


def _process_start_elsewhere(pid: int) -> float | None:
    try:
        process = psutil.Process(pid)
        return None if process.status() == psutil.STATUS_ZOMBIE else process.create_time()
    except (psutil.Error, ValueError, OverflowError):
        return None


def request(folder: Path, what: Request) -> None:
    """Ask the run's worker to stop or pause within one step."""
    write_bytes(folder / "control", what.encode("ascii"))


def requested(folder: Path) -> Request | None:
    """The current request, if any."""
    try:
        text = (folder / "control").read_bytes()
    except OSError:
        return None
    return {b"pause": "pause", b"stop": "stop"}.get(text)  # type: ignore[return-value]


def withdraw(folder: Path) -> None:
    """Withdraw a request."""
    (folder / "control").unlink(missing_ok=True)


def read_heartbeat(folder: Path) -> tuple[float, int]:
    """When the worker was last alive (monotonic seconds) and its step; zeros without a heartbeat."""
    try:
        moment, step = (folder / "heartbeat").read_bytes().split()
        return _number(float(moment)), int(step)
    except (OSError, ValueError):
        return 0.0, 0


class Heartbeat:
    """Writes a heartbeat once a second from a separate thread, so that a slow step does not look like a crash."""

    def __init__(self, folder: Path) -> None:
        self.step = 0
        self._folder = folder
        self._file = os.open(folder / "heartbeat", os.O_WRONLY | os.O_CREAT, 0o644)
        self._lock = threading.Lock()  # written by the thread and by `declare`
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._beat_on, name="heartbeat", daemon=True)

    def beat(self) -> None:
        """Write one heartbeat in place: so few bytes are written atomically, and it works on a full disk."""
        # In nanoseconds: rounding could place a heartbeat in the future, as if from before a restart.
        with self._lock:
            os.lseek(self._file, 0, os.SEEK_SET)
            os.write(self._file, f"{time.monotonic():020.9f} {self.step:010d}\n".encode("ascii"))

    def declare(self, message: str = "") -> None:
        """Declare this process the one that trains the run, and beat, since older beats do not count for it."""
        declare(self._folder, running(os.getpid(), message))
        self.beat()

    def _beat_on(self) -> None:
        while not self._over.wait(BEAT_SECONDS):
            self.beat()

    def __enter__(self) -> Self:
        self.beat()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()
        self.beat()
        os.close(self._file)
