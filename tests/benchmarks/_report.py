"""How a benchmark says what it found."""

from __future__ import annotations

import platform
import statistics
from collections.abc import Sequence

import psutil


def machine() -> None:
    """The machine, in a line."""
    memory = psutil.virtual_memory().total / 2**30
    print(
        f"machine: {psutil.cpu_count()} cores, {memory:.0f} GiB, Python {platform.python_version()}, {platform.machine()}"
    )


def row(name: str, values: Sequence[float], unit: str) -> float:
    """A row of the table: median, smallest and largest of some repetitions. Returns the median."""
    middle = statistics.median(values)
    print(f"{name:44} {middle:10.4g} {unit:10} ({min(values):.4g} to {max(values):.4g}, n = {len(values)})")
    return middle


def figure(name: str, value: float | str, target: str) -> None:
    """The line that a target is judged by."""
    print(f"figure: {name} {value if isinstance(value, str) else f'{value:.4g}'} (target {target})", flush=True)
