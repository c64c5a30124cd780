"""Processes that need PyTorch, forked from one that has imported it: two seconds of the CPU time of each."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

# For each line it reads, a program to start or the id of a process to look after, it answers with an id or an exit code.
# A child runs its program as Python would: exceptions, signals and exit codes are the interpreter's.
SERVER = """
import importlib, json, os, runpy, sys
for name in sys.argv[1:]:
    importlib.import_module(name)
while True:
    line = sys.stdin.readline()
    if not line:
        sys.exit()
    request = json.loads(line)
    if isinstance(request, int):
        ended, status = os.waitpid(request, os.WNOHANG)
        print(json.dumps(os.waitstatus_to_exitcode(status) if ended else None), flush=True)
        continue
    child = os.fork()
    if child == 0:
        break
    print(child, flush=True)
os.chdir(request["folder"])
os.environ.update(request["environment"])
os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
os.dup2(os.open(request["output"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), 1)
os.dup2(1, 2)
program, *arguments = request["command"]
sys.argv = [program, *arguments]
if program.endswith(".py"):
    runpy.run_path(program, run_name="__main__")
else:
    runpy.run_module(program, run_name="__main__", alter_sys=True)
"""


class Forks:
    """A Python that has imported some modules and has no threads; what is forked from it can start at once."""

    def __init__(self, *modules: str, environment: Mapping[str, str], options: tuple[str, ...] = ()) -> None:
        self._server = subprocess.Popen(
            [sys.executable, *options, "-c", SERVER, *modules], env=dict(environment), text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )  # fmt: skip

    def start(self, *command: str, folder: Path, output: Path, environment: Mapping[str, str] = {}) -> Forked:
        """Run a file or a module, with arguments, in a folder. What it prints is appended to the file `output`."""
        request = {"command": command, "folder": str(folder), "output": str(output), "environment": dict(environment)}
        return Forked(self, self.ask(request), output)

    def ask(self, request: object) -> int:
        assert self._server.stdin is not None and self._server.stdout is not None
        self._server.stdin.write(json.dumps(request) + "\n")
        self._server.stdin.flush()
        return json.loads(self._server.stdout.readline())

    def close(self) -> None:
        self._server.communicate()


class Forked:
    """A process, with the methods of `subprocess.Popen` that tests need."""

    def __init__(self, server: Forks, pid: int, output: Path) -> None:
        self.pid, self.output = pid, output
        self.returncode: int | None = None
        self._server = server

    def poll(self) -> int | None:
        if self.returncode is None:
            self.returncode = self._server.ask(self.pid)
        return self.returncode

    def wait(self, timeout: float = 120) -> int:
        deadline = time.monotonic() + timeout
        while (code := self.poll()) is None:
            if time.monotonic() > deadline:
                self.kill()
                raise TimeoutError(f"not ended after {timeout} s:\n{self.said()}")
            time.sleep(0.01)
        return code

    def kill(self) -> None:
        if self.returncode is None:
            os.kill(self.pid, signal.SIGKILL)

    def said(self) -> str:
        return self.output.read_text("utf-8")
