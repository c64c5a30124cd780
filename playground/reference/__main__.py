"""Make everything that ships in the gallery: ``python -m playground.reference``, or some kinds of it by name."""

from __future__ import annotations

import argparse
from pathlib import Path

from playground.reference import make_bands, make_races, make_runs, make_sinks
from playground.runs.store.paths import gallery_root

# In the order of their usefulness, should the command be interrupted. Existing bands are kept, everything else is replaced.
KINDS = {"runs": make_runs, "sinks": make_sinks, "races": make_races, "bands": make_bands}


def main(arguments: list[str] | None = None) -> None:
    """Train and publish the kinds that are named, by default all of them. Takes hours."""
    parser = argparse.ArgumentParser(prog="python -m playground.reference", description=__doc__)
    parser.add_argument("kinds", nargs="*", metavar="KIND", help=f"{', '.join(KINDS)}; all by default")
    parser.add_argument("--root", type=Path, default=gallery_root(), help="folder of the gallery")
    options = parser.parse_args(arguments)
    for kind in options.kinds:
        if kind not in KINDS:
            parser.error(f"there is no kind {kind}; choose from {', '.join(KINDS)}")
    for kind in options.kinds or KINDS:
        KINDS[kind].main(["--root", str(options.root)])


if __name__ == "__main__":
    main()
