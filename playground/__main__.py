"""The command line: ``python -m playground COMMAND``: train, sample, runs, resume, export, import, race. See ``--help``."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from playground.runs.store.processes import PATIENT_THREADS


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code: 0 done, 1 the training failed, 2 wrong input, 130 interrupted."""
    for name, value in PATIENT_THREADS.items():
        os.environ.setdefault(name, value)
    from playground.cli.commands import run_command  # only now: torch reads the environment when it is loaded

    return run_command(arguments)


if __name__ == "__main__":
    sys.exit(main())
