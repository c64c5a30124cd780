"""Processes in which untrusted tokenizers run, with limits on time, memory and the size of their answers.

A process holds one tokenizer and answers one request at a time; it is ended when an answer takes too long, and ends by
itself when no request comes for a minute. There are at most `PROCESSES` of them.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import math
import os
import subprocess
import sys
import threading
import time
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

PROCESSES = 2
WAIT = 30.0  # seconds for one of them to be free
MOST_WAITING = 6  # requests that wait for that, each of which holds one of the app's forty threads
IDLE = 60.0  # seconds after which a process ends that is not used
NICE = 5  # as training workers: the app goes first, and training keeps its share
MEMORY = 3_000_000_000  # bytes of each
HEAD = 100_000_000  # bytes
UNUSABLE = "This tokenizer.json does not work: the tokenizers library gives up"
_ALLOWED = ("LANG", "LC_ALL", "LC_CTYPE", "TZ", "SYSTEMROOT", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "TMPDIR")


def environment() -> dict[str, str]:
    """The environment variables of such a process: what Python needs, and one thread in each library."""
    kept = {name: os.environ[name] for name in _ALLOWED if name in os.environ}
    root = str(Path(__file__).resolve().parents[2])
    own = {"PYTHONPATH": root, "PYTHONSAFEPATH": "1", "PYTHONUTF8": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    threads = {"TOKENIZERS_PARALLELISM": "false", "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    return {**kept, **own, **threads, "MALLOC_ARENA_MAX": "2"}


def ask(tokenizer: str, request: Mapping[str, Any], seconds: float, most: int) -> tuple[Any, bytes]:
    """The answer to a request about a tokenizer: a JSON value and at most `most` bytes.

    Raises ValueError if it takes longer than `seconds`, is larger, or if the file does not work.
    """
    process = _POOL.take(tokenizer)
    try:
        answer = process.ask(request, seconds, most)
    except BaseException:
        _POOL.put_back(process, usable=False)
        raise
    _POOL.put_back(process)
    if isinstance(answer[0], dict) and "error" in answer[0]:
        raise ValueError(str(answer[0]["error"]))
    return answer


def end_all() -> None:
    """End all processes that are not answering a request."""
    _POOL.close()


class _Process:
    """One process, for one tokenizer."""

    def __init__(self, tokenizer: str) -> None:
        self.tokenizer = tokenizer
        self._popen = subprocess.Popen(  # noqa: S603 - our own module
            [sys.executable, "-m", "playground.tokenizers.limited", str(MEMORY)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment(),
        )  # fmt: skip
        self._fresh = True
        self._used = time.monotonic()

    @property
    def usable(self) -> bool:
        """Whether it is there, and not about to end because no request came."""
        return self._popen.poll() is None and time.monotonic() - self._used < IDLE / 2

    def end(self) -> None:
        """Kill the process and wait for its end."""
        self._popen.kill()
        self._popen.wait()
        for pipe in (self._popen.stdin, self._popen.stdout):
            with contextlib.suppress(OSError):
                _open(pipe).close()

    def ask(self, request: Mapping[str, Any], seconds: float, most: int) -> tuple[Any, bytes]:
        """The answer of the process. Raises ValueError as `ask` does; the process is then not to be used again."""
        late = threading.Event()

        def stop() -> None:
            late.set()
            self._popen.kill()

        timer = threading.Timer(seconds, stop)
        timer.daemon = True
        timer.start()
        try:
            if self._fresh:
                self._send(self.tokenizer.encode("utf-8"))
                self._fresh = False
            self._send(json.dumps({**request, "seconds": math.ceil(seconds), "most": most}).encode("ascii"))
            head = json.loads(self._receive(HEAD))
            body = self._receive(most)
            self._used = time.monotonic()
            return head, body
        except (OSError, EOFError, ValueError):
            if late.is_set():
                raise ValueError(
                    f"This tokenizer did not finish within {math.floor(10 * seconds) / 10:g} s: it is too slow for this "
                    "text. Choose another tokenizer."
                ) from None
            raise ValueError(
                f"{UNUSABLE} (it crashed or needed too much memory). Export it again with save_pretrained."
            ) from None
        finally:
            timer.cancel()

    def _send(self, data: bytes) -> None:
        pipe = _open(self._popen.stdin)
        pipe.write(len(data).to_bytes(8, "big") + data)
        pipe.flush()

    def _receive(self, most: int) -> bytes:
        return receive(_open(self._popen.stdout), most)


def receive(pipe: IO[bytes], most: int | None = None) -> bytes:
    """The next message. Raises EOFError if the pipe ends and ValueError if the message is longer than `most` bytes."""
    size = pipe.read(8)
    if len(size) < 8:
        raise EOFError
    length = int.from_bytes(size, "big")
    if most is not None and length > most:
        raise ValueError("The message is too long.")
    data = pipe.read(length)
    if len(data) < length:
        raise EOFError
    return data


def _open(pipe: IO[bytes] | None) -> IO[bytes]:
    assert pipe is not None
    return pipe


class _Pool:
    """The processes of this process, the least recently used of the idle ones first. Thread-safe."""

    def __init__(self) -> None:
        self._free = threading.Condition()
        self._idle: OrderedDict[str, _Process] = OrderedDict()
        self._busy = self._waiting = 0

    def take(self, tokenizer: str) -> _Process:
        """A process of a tokenizer that no one else uses. Raises ValueError if none becomes free in time, or too many
        requests already wait for one."""
        with self._free:
            if not self._wait():
                raise ValueError("Other tokenizers are being tried at the moment. Try again in a minute.")
            self._busy += 1
            found = self._idle.pop(tokenizer, None)
            ended = [found] if found is not None and not found.usable else []
            while self._idle and self._busy + len(self._idle) > PROCESSES:
                ended.append(self._idle.popitem(last=False)[1])
        for process in ended:
            process.end()
        try:
            return found if found is not None and found not in ended else _Process(tokenizer)
        except BaseException:
            self._release(None)
            raise

    def _wait(self) -> bool:
        """Whether a process is free now or soon."""
        if self._busy >= PROCESSES and self._waiting >= MOST_WAITING:
            return False
        self._waiting += 1
        try:
            return self._free.wait_for(lambda: self._busy < PROCESSES, WAIT)
        finally:
            self._waiting -= 1

    def put_back(self, process: _Process, usable: bool = True) -> None:
        """Keep a process for the next request, or end it."""
        if not usable:
            process.end()
        self._release(process if usable else None)

    def _release(self, process: _Process | None) -> None:
        with self._free:
            self._busy -= 1
            before = self._idle.pop(process.tokenizer, None) if process is not None else None
            if process is not None:
                self._idle[process.tokenizer] = process
            self._free.notify()
        if before is not None:
            before.end()

    def close(self) -> None:
        """End all idle processes."""
        with self._free:
            idle, self._idle = list(self._idle.values()), OrderedDict()
        for process in idle:
            process.end()

    def forget(self) -> None:
        """In a process that was forked from this one: leave the processes to their owner."""
        self._owners = self._idle
        self._free, self._idle = threading.Condition(), OrderedDict()
        self._busy = self._waiting = 0


_POOL = _Pool()
atexit.register(end_all)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_POOL.forget)
