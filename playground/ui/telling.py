"""Long work behind a button, told as it goes on."""

from __future__ import annotations

from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor, wait
from typing import TypeVar

T = TypeVar("T")
Tell = Callable[[float, str], None]  # (share done, what is being done)
SECONDS = 0.2  # between two words


def telling(work: Callable[[Tell], T]) -> Generator[str, None, T]:
    """Do the work in a thread; yield what it tells, as words for the page; return its result or raise its error."""
    said: list[str] = []
    with ThreadPoolExecutor(1) as pool:
        done = pool.submit(work, lambda share, what: said.append(f"{what[:1].upper()}{what[1:]} … {share:.0%}"))
        last = ""
        while wait([done], SECONDS).not_done:
            if said and said[-1] != last:
                last = said[-1]
                yield last
        return done.result()
