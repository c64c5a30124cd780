"""Threads of Python that compute at once, each with torch threads of its own."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from threading import Barrier

import torch


@lru_cache
def thread_pool(count: int, each: int = 1) -> ThreadPoolExecutor:
    """As many threads of Python, each of which computes with `each` of torch's."""
    here, all_there = torch.get_num_threads(), Barrier(count + 1)

    def begin() -> None:
        torch.set_num_threads(each)
        torch.get_num_threads()  # a thread takes over the number that was set last, by any thread, when it first asks
        all_there.wait()

    pool = ThreadPoolExecutor(count, "lane", begin)
    for _ in range(count):
        pool.submit(lambda: None)
    all_there.wait()
    torch.set_num_threads(here)
    return pool
