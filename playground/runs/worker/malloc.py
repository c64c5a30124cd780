"""What glibc does with memory that was freed, told for a process that trains; and its library, for who tells it otherwise.

What a step frees, the next one needs again. By itself glibc gives much of it back to the system each time, which then has to
fill new pages with zeros, many hundred a step; tests/runs/test_malloc.py counts them with and without.
"""

from __future__ import annotations

import ctypes
from typing import Any

TRIM_THRESHOLD, MMAP_THRESHOLD, ARENA_MAX = -1, -3, -8  # mallopt's names
KEPT = 256 * 2**20  # bytes that may lie unused at a heap's end
LARGE = 32 * 2**20  # bytes from which a block has pages of its own, which go when it goes; glibc takes no more


def configure_malloc() -> bool:
    """To be called before threads start. Tells whether this C library can do it."""
    library = glibc()
    if library is None:
        return False
    # Each thread would get a heap of its own, so what evaluation frees in one, training would allocate again in another.
    library.mallopt(ARENA_MAX, 2)
    library.mallopt(MMAP_THRESHOLD, LARGE)
    library.mallopt(TRIM_THRESHOLD, KEPT)
    return True


def glibc() -> Any:
    """The C library with `mallopt` and `malloc_trim`, or None where there is another one."""
    try:
        library = ctypes.CDLL(None)
        return library if library.mallopt and library.malloc_trim else None
    except (OSError, AttributeError, TypeError):  # musl, macOS, Windows
        return None
