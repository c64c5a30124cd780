"""What `make nightly` runs: the long products of the tests, and every benchmark at the size of its `TINY`.

A benchmark passes if it ends without an error and prints at least one figure. Its targets are not judged: at a tiny size,
on a machine that does other work, a figure says nothing.
"""

from __future__ import annotations

import importlib
import subprocess
import sys
import time
from collections.abc import Iterable

FULL = {"fuzz": ["--calls", "10000"], "kills": ["--kills", "200"], "mutations": []}
LONGEST = 3 * 3600.0  # seconds, for one of them


def tiny_arguments(name: str) -> list[str]:
    """The arguments with which a benchmark takes about a minute."""
    return list(importlib.import_module(f"tests.benchmarks.{name}").TINY)


def nightly(names: Iterable[str]) -> int:
    """Run everything, one after the other; return how many failed."""
    commands = {name: ["-m", "tests.benchmarks", name, *(FULL.get(name) or tiny_arguments(name))] for name in names}
    failed = [name for name, command in commands.items() if not _passes(name, [sys.executable, *command])]
    print(f"{len(commands) - len(failed)} passed, {len(failed)} failed" + (f": {', '.join(failed)}" if failed else ""))
    return len(failed)


def _passes(name: str, command: list[str]) -> bool:
    began = time.monotonic()
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=LONGEST, check=False)
        output, code = done.stdout + done.stderr, done.returncode
    except subprocess.TimeoutExpired:
        output, code = f"did not end within {LONGEST / 3600:.0f} hours", -1
    passed = code == 0 and "figure: " in output
    print(f"{name:14} {'passed' if passed else 'FAILED'} {time.monotonic() - began:7.1f} s", flush=True)
    if not passed:
        print(output[-3_000:], flush=True)
    return passed
