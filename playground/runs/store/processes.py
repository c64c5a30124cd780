"""Worker processes: starting one in a clean environment, and ending one that does not respond."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from playground.runs.store import status
from playground.runs.store.paths import code_root
from playground.runs.store.status import Status

STOP_SECONDS = 5.0  # that a worker has to follow a request, and again to follow SIGTERM

# OpenMP threads that wait for each other spin by default. If another process, such as the browser, needs a core, they
# spin for a thread that is not scheduled. A step of the modern preset with 2 threads on 2 cores, in ms, alone / beside
# one busy process: spinning 118 / 3,400; sleeping at once 148 / 229; this, a short spin and then sleep, 127 / 227.
# Read by libgomp when torch loads it, so it has to be in the environment before.
PATIENT_THREADS = {"GOMP_SPINCOUNT": "500"}

# Memory freed by one step is needed by the next. By default glibc returns much of it to the kernel, which then zeroes
# hundreds of new pages per step; tests/runs/test_malloc.py counts page faults. With an arena per thread, memory freed by
# evaluation in one would be allocated again by training in another. Read by glibc when a process starts.
MALLOC = {
    "MALLOC_ARENA_MAX": "2",
    "MALLOC_TRIM_THRESHOLD_": str(256 * 2**20),  # unused bytes kept at the end of the heap
    "MALLOC_MMAP_THRESHOLD_": str(32 * 2**20),  # larger blocks are mapped and unmapped separately; glibc's maximum
}

# Environment variables passed to a worker. Everything else, such as tokens and secrets, is left out.
_ALLOWED = (
    "PATH", "HOME", "LANG", "TMPDIR", "TEMP", "TMP", "TZ", "SYSTEMROOT", "VIRTUAL_ENV", "LD_LIBRARY_PATH",
    "DYLD_LIBRARY_PATH", "CUDA_VISIBLE_DEVICES", "CUDA_HOME", "NVIDIA_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES",
    "PLAYGROUND_DATA", "PLAYGROUND_CACHE", "XDG_DATA_HOME", "LOCALAPPDATA",
)  # fmt: skip
_ALLOWED_PREFIXES = ("LC_", "OMP_", "KMP_", "MKL_", "GOMP_")


@contextmanager
def interruptible() -> Iterator[threading.Event]:
    """An event that Ctrl-C or a polite request to end sets, for training in this process; a second Ctrl-C ends at once."""
    interrupted = threading.Event()

    def interrupt(*_: object) -> None:
        interrupted.set()
        signal.signal(signal.SIGINT, signal.default_int_handler)

    before = {number: signal.signal(number, interrupt) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield interrupted
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def environment(threads: int) -> dict[str, str]:
    """A worker's environment variables: an allow-list, no network for Hugging Face libraries, and how it uses cores and
    memory."""
    kept = {name: value for name, value in os.environ.items() if name in _ALLOWED or name.startswith(_ALLOWED_PREFIXES)}
    kept |= {"PYTHONPATH": str(code_root()), "PYTHONUNBUFFERED": "1", "HF_HUB_OFFLINE": "1"}
    kept |= {"OMP_NUM_THREADS": str(threads), "MKL_NUM_THREADS": str(threads)}
    return {**PATIENT_THREADS, **MALLOC, **kept}


def cores() -> int:
    """How many cores this process may use: its affinity, or less where a container's quota says so."""
    try:
        count = len(os.sched_getaffinity(0))
    except AttributeError:  # macOS, Windows
        count = os.cpu_count() or 1
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text("ascii").split()
        return max(1, min(count, round(int(quota) / int(period))))
    except (OSError, ValueError):  # no cgroup v2, or "max": no quota
        return count


class Worker:
    """A process that has torch and the playground loaded and waits to be given one run.

    It has a session of its own, so Ctrl-C in the terminal does not reach it. While it waits it ends when its starter does,
    because its standard input closes.
    """

    def __init__(self, log: Path, threads: int, *, die_with_parent: bool) -> None:
        self.run: Path | None = None
        self._dies_with_parent = die_with_parent
        command = [sys.executable, "-m", "playground.runs.worker.worker", "--wait", "--threads", str(threads)]
        command += ["--die-with-parent"] if die_with_parent else []
        with open(log, "ab") as output:
            self.process: subprocess.Popen[bytes] = subprocess.Popen(  # noqa: S603 - our own module, no shell
                command,
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=output,
                env=environment(threads),
                start_new_session=True,
                bufsize=0,
            )

    @property
    def pid(self) -> int:
        """Its process id."""
        return self.process.pid

    def is_alive(self) -> bool:
        """Whether it is running; reaps it if it has ended."""
        if self.process.poll() is None:
            return True
        self._stdin().close()
        return False

    def give(
        self, run: Path, cache_dir: Path | None, limits: dict[str, Any] | None = None, seconds: float | None = None
    ) -> None:
        """Send it its run, its limits (`Limits.to_dict`), and the visitor's remaining training time of the day.

        Raises OSError if it has died.
        """
        self.run = run
        pipe = self._stdin()
        cache = str(cache_dir) if cache_dir else None
        order = {"run": str(run), "cache": cache, "limits": limits or {}, "seconds": seconds}
        pipe.write(json.dumps(order).encode("ascii") + b"\n")
        if not self._dies_with_parent:
            pipe.close()

    @property
    def was_killed(self) -> bool:
        """Whether a dead one was ended by SIGKILL."""
        return self.process.returncode == -signal.SIGKILL

    def dismiss(self) -> None:
        """End a worker that is still waiting for a run."""
        self._stdin().close()
        self.process.terminate()
        self.process.wait(timeout=10)

    def retire(self) -> None:
        """Let a worker that ends with its parent save a checkpoint and pause; waits for a limited time."""
        self._stdin().close()
        try:
            self.process.wait(timeout=2 * STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(timeout=STOP_SECONDS)

    def _stdin(self) -> IO[bytes]:
        assert self.process.stdin is not None
        return self.process.stdin


def end(folder: Path, patience: float) -> None:
    """Wait for a run's process to end, and make it: SIGTERM after `patience` seconds, SIGKILL after twice as many."""
    began = time.monotonic()
    sent: set[int] = set()
    while True:
        declared = status.declared(folder)
        if declared.state != "running" or not status.alive(declared):
            return
        press(declared, time.monotonic() - began, patience, sent)
        time.sleep(0.02)


def press(declared: Status, waited: float, patience: float, sent: set[int]) -> None:
    """Send a process that was asked to stop `waited` seconds ago the signal that is due, once. `sent` remembers."""
    due = signal.SIGKILL if waited > 2 * patience else signal.SIGTERM if waited > patience else None
    # The identity is checked right before: a process id that was used again must not be hit.
    if due is not None and due not in sent and declared.pid != os.getpid() and status.alive(declared):
        sent.add(due)
        try:
            os.kill(declared.pid, due)
        except ProcessLookupError:
            return  # gone meanwhile, as wished
