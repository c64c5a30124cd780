"""Scripts that need PyTorch, each in a process of its own, though PyTorch is imported only once, which takes two seconds."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

# Forks for each line it reads, a folder and arguments, and answers with the child's exit code. The child runs the folder's
# train.py as Python would: exceptions and exit codes are the interpreter's.
SERVER = """
import json, os, runpy, sys
import torch
import torch._dynamo  # the first step of an optimizer imports it
while True:
    line = sys.stdin.readline()
    if not line:
        sys.exit()
    folder, arguments = json.loads(line)
    child = os.fork()
    if child == 0:
        break
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
os.chdir(folder)
for number, path in enumerate((os.devnull, "stdout.txt", "stderr.txt")):
    os.dup2(os.open(path, os.O_RDWR | os.O_CREAT, 0o600), number)
sys.argv = ["train.py", *arguments]
runpy.run_path("train.py", run_name="__main__")
"""


class Forks:
    """A Python that cannot import the playground, from which scripts are forked one after the other."""

    def __init__(self) -> None:
        self._server = subprocess.Popen(
            [sys.executable, "-I", "-c", SERVER], text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            env={**os.environ, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"},
        )  # fmt: skip

    def run(self, folder: Path, arguments: Sequence[str]) -> subprocess.CompletedProcess[str]:
        """Run train.py of a folder there, as ``python -I train.py ARGUMENTS`` does."""
        assert self._server.stdin is not None and self._server.stdout is not None
        self._server.stdin.write(json.dumps([str(folder), list(arguments)]) + "\n")
        self._server.stdin.flush()
        code = int(self._server.stdout.readline())
        said, errors = ((folder / name).read_text("utf-8") for name in ("stdout.txt", "stderr.txt"))
        return subprocess.CompletedProcess(arguments, code, said, errors)

    def close(self) -> None:
        self._server.communicate()
