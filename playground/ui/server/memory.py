"""The app's memory over hours: what nobody uses any more goes back to the system.

Some forty threads answer requests in turns. glibc lets each fill an arena of its own, none of which shrinks by itself, and
puts even megabytes there once it has seen one freed: they grow for hours though little more is in use. So there is one for
all, large blocks have pages of their own, which go when they go, and once a minute the arena is trimmed. Where the C library
is another one, nothing of this happens.
"""

from __future__ import annotations

import os
import threading
from typing import Any

from playground.runs.worker.malloc import ARENA_MAX, MMAP_THRESHOLD, glibc

MINUTE = 60.0
LARGE = 128 * 1024  # bytes: where glibc begins, before it learns otherwise


def limit_malloc_arenas() -> bool:
    """To be called before Gradio is loaded and threads start. Tells whether this C library can do it."""
    os.environ.setdefault("GRADIO_ANALYTICS_MAX_EVENTS", "1000")  # of its last 10,000 requests it would keep something
    library = glibc()
    if library is None:
        return False
    library.mallopt(ARENA_MAX, 1)  # Python's own lock lets few allocate at the same moment
    library.mallopt(MMAP_THRESHOLD, LARGE)
    threading.Thread(target=_every_minute, args=(library,), name="memory", daemon=True).start()
    return True


def give_back() -> bool:
    """Return free memory to the system. Tells whether there was any to return."""
    library = glibc()
    return library is not None and bool(library.malloc_trim(0))


def _every_minute(library: Any) -> None:
    while True:
        threading.Event().wait(MINUTE)
        library.malloc_trim(0)  # milliseconds, and Python goes on meanwhile
