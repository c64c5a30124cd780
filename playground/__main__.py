"""The command line: ``python -m playground COMMAND``, or ``llm-playground COMMAND`` once it is installed.

Without a command, the app starts. See ``--help``.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from playground.runs.store.processes import PATIENT_THREADS


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code: 0 done, 1 the training failed, 2 wrong input, 130 interrupted."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    if not given or (given[0].startswith("-") and given[0] not in ("-h", "--help")):
        given = ["serve", *given]
    for name, value in PATIENT_THREADS.items():
        os.environ.setdefault(name, value)
    if given[0] == "serve":
        from playground.cli.serve import prepare_process

        prepare_process()
    from playground.cli.commands import run_command  # only now: torch reads the environment when it is loaded

    return run_command(given)


if __name__ == "__main__":
    sys.exit(main())
