"""Configure glibc's malloc for training, so that freed memory is kept.

Memory freed by one step is needed by the next. By default glibc returns much of it to the kernel, which then zeroes hundreds
of new pages per step; tests/runs/test_malloc.py counts page faults with and without this.
"""

from __future__ import annotations

import ctypes
from typing import Any

TRIM_THRESHOLD, MMAP_THRESHOLD, ARENA_MAX = -1, -3, -8  # constants of mallopt
KEPT = 256 * 2**20  # unused bytes kept at the end of the heap
LARGE = 32 * 2**20  # bytes above which a block is mapped separately and unmapped when freed; glibc's maximum


def configure_malloc() -> bool:
    """Must be called before threads start. Returns whether the C library supports it."""
    library = glibc()
    if library is None:
        return False
    # With an arena per thread, memory freed by evaluation in one would be allocated again by training in another.
    library.mallopt(ARENA_MAX, 2)
    library.mallopt(MMAP_THRESHOLD, LARGE)
    library.mallopt(TRIM_THRESHOLD, KEPT)
    return True


def glibc() -> Any:
    """The C library with `mallopt` and `malloc_trim`, or None for other C libraries."""
    try:
        library = ctypes.CDLL(None)
        return library if library.mallopt and library.malloc_trim else None
    except (OSError, AttributeError, TypeError):  # musl, macOS, Windows
        return None
