"""glibc's malloc, for processes that the playground does not start itself: the command line and those of torchrun.

Workers that it starts have the same settings from their environment (`store.processes.MALLOC`, which says what for).
"""

from __future__ import annotations

import ctypes
import os
from typing import Any

from playground.runs.store.processes import MALLOC

TRIM_THRESHOLD, MMAP_THRESHOLD, ARENA_MAX = -1, -3, -8  # constants of mallopt
_OPTIONS = {
    "MALLOC_ARENA_MAX": ARENA_MAX, "MALLOC_TRIM_THRESHOLD_": TRIM_THRESHOLD, "MALLOC_MMAP_THRESHOLD_": MMAP_THRESHOLD,
}  # fmt: skip


def configure_malloc() -> bool:
    """Keep freed memory, unless the environment has said how. Must be called before threads start.

    Returns whether the C library supports it.
    """
    library = glibc()
    if library is not None:
        for name, value in MALLOC.items():
            if name not in os.environ:
                library.mallopt(_OPTIONS[name], int(value))
    return library is not None


def glibc() -> Any:
    """The C library with `mallopt` and `malloc_trim`, or None for other C libraries."""
    try:
        library = ctypes.CDLL(None)
        return library if library.mallopt and library.malloc_trim else None
    except (OSError, AttributeError, TypeError):  # musl, macOS, Windows
        return None
