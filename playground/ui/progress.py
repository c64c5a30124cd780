"""Progress messages of long-running handlers."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from typing import TypeVar

T = TypeVar("T")
V = TypeVar("V")
Tell = Callable[[float, str], None]  # (share done, what is being done)
SECONDS = 0.2  # between two messages


def paced(values: Iterable[Callable[[], V]], per_second: float) -> Iterator[V]:
    """Yield a limited number of the views of `values`; the work continues between them.

    The rate is limited, and updates may take at most a fifth of the time: Gradio compares each value of a growing text with
    the previous one in the server process, which would otherwise be busy with ten long texts at once.
    """
    due = 0.0
    for view in values:
        if time.monotonic() >= due:
            began = time.monotonic()
            yield view()
            ended = time.monotonic()
            due = max(began + 1 / per_second, ended + 4 * (ended - began))


def with_progress(work: Callable[[Tell], T]) -> Generator[str, None, T]:
    """Run the work in a thread, yield its progress messages, and return its result or raise its error."""
    said: list[str] = []
    with ThreadPoolExecutor(1) as pool:
        done = pool.submit(
            work, lambda share, what: said.append(f"{what[:1].upper()}{what[1:]} … {math.floor(100 * share + 1e-9)} %")
        )
        last = ""
        while wait([done], SECONDS).not_done:
            if said and said[-1] != last:
                last = said[-1]
                yield last
        return done.result()
