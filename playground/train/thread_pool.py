"""Python threads that compute in parallel, each with its own number of torch threads."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from threading import Barrier

import torch


@lru_cache
def thread_pool(count: int, each: int = 1) -> ThreadPoolExecutor:
    """A pool of `count` Python threads, each of which computes with `each` torch threads."""
    here, all_there = torch.get_num_threads(), Barrier(count + 1)

    def begin() -> None:
        torch.set_num_threads(each)
        torch.get_num_threads()  # a new thread takes the number last set by any thread when it is first asked for
        all_there.wait()

    pool = ThreadPoolExecutor(count, "lane", begin)
    for _ in range(count):
        pool.submit(lambda: None)
    all_there.wait()
    torch.set_num_threads(here)
    return pool
