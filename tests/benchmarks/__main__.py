"""``python -m tests.benchmarks NAME [options]``; without a name, what there is; ``--nightly`` runs all of it."""

from __future__ import annotations

import importlib
import os
import pkgutil
import sys

import tests.benchmarks
from playground.runs.store.processes import PATIENT_THREADS
from tests.benchmarks._nightly import nightly


def main() -> int:
    for name, value in PATIENT_THREADS.items():
        os.environ.setdefault(name, value)  # as the app does, before torch is loaded
    names = [
        module.name for module in pkgutil.iter_modules(tests.benchmarks.__path__) if not module.name.startswith("_")
    ]
    if sys.argv[1:2] == ["--nightly"]:
        return nightly(sys.argv[2:] or names) > 0
    if len(sys.argv) < 2 or sys.argv[1] not in names:
        for name in names:
            story = importlib.import_module(f"tests.benchmarks.{name}").__doc__ or ""
            print(f"{name:12} {story.splitlines()[0]}")
        return 0 if len(sys.argv) < 2 else 2
    importlib.import_module(f"tests.benchmarks.{sys.argv[1]}").main(sys.argv[2:])
    return 0


if __name__ == "__main__":
    sys.exit(main())
