"""The app's memory over hours: what nobody uses any more goes back to the system.

Some forty threads answer requests in turns, and glibc lets each fill an arena of its own, none of which shrinks by itself.
Seven minutes of the load of docs/benchmarks.md left 2 MB more in use and 32 MB more in arenas. So there are few of them, and
once a minute all are trimmed. Where the C library is another one, nothing of this happens.
"""

from __future__ import annotations

import ctypes
import threading
from typing import Any

ARENAS = 2  # threads that allocate at the same moment: Python's lock lets few
MINUTE = 60.0
_ARENA_MAX = -8  # mallopt's M_ARENA_MAX


def keep_flat() -> bool:
    """To be called before threads start. Tells whether this C library can do it."""
    library = _glibc()
    if library is None:
        return False
    library.mallopt(_ARENA_MAX, ARENAS)
    threading.Thread(target=_every_minute, args=(library,), name="memory", daemon=True).start()
    return True


def give_back() -> bool:
    """Return free memory to the system. Tells whether there was any to return."""
    library = _glibc()
    return library is not None and bool(library.malloc_trim(0))


def _every_minute(library: Any) -> None:
    while True:
        threading.Event().wait(MINUTE)
        library.malloc_trim(0)  # milliseconds, and Python goes on meanwhile


def _glibc() -> Any:
    try:
        library = ctypes.CDLL(None)
        return library if library.mallopt and library.malloc_trim else None
    except (OSError, AttributeError, TypeError):  # musl, macOS, Windows
        return None
