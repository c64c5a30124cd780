"""Return unused memory to the operating system in long-running apps.

About forty threads handle requests. glibc gives each an arena, which does not shrink by itself, and uses arenas even for
blocks of megabytes once one was freed, so memory grows for hours although little more is in use. Here all threads share one
arena, large blocks are mapped separately, and the arena is trimmed once a minute. Has no effect with other C libraries.
"""

from __future__ import annotations

import os
import threading
from typing import Any

from playground.runs.worker.malloc import ARENA_MAX, MMAP_THRESHOLD, glibc

MINUTE = 60.0
LARGE = 128 * 1024  # bytes: glibc's initial threshold, before it adapts


def limit_malloc_arenas() -> bool:
    """Must be called before Gradio is imported and threads start. Returns whether the C library supports it."""
    os.environ.setdefault("GRADIO_ANALYTICS_MAX_EVENTS", "1000")  # instead of its last 10,000 requests
    library = glibc()
    if library is None:
        return False
    library.mallopt(ARENA_MAX, 1)  # the GIL keeps contention low
    library.mallopt(MMAP_THRESHOLD, LARGE)
    threading.Thread(target=_every_minute, args=(library,), name="memory", daemon=True).start()
    return True


def give_back() -> bool:
    """Return free memory to the system. Returns whether there was any."""
    library = glibc()
    return library is not None and bool(library.malloc_trim(0))


def _every_minute(library: Any) -> None:
    while True:
        threading.Event().wait(MINUTE)
        library.malloc_trim(0)  # takes milliseconds, without holding the GIL
