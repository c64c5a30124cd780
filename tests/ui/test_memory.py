"""What threads have freed leaves the process."""

import subprocess
import sys

import pytest

from playground.ui.server import memory

CHILD = """
import psutil, threading
from playground.ui.server import memory
assert memory.limit_malloc_arenas()
resident = psutil.Process().memory_info
def fill():
    parts = [bytearray(5_000) for _ in range(20_000)]
    kept.extend(parts[::100])  # what lies between keeps an arena from shrinking by itself
kept = []
workers = [threading.Thread(target=fill) for _ in range(4)]
[worker.start() for worker in workers]
[worker.join() for worker in workers]
before = resident().rss
assert memory.give_back()
print(before - resident().rss)
"""


@pytest.mark.slow
@pytest.mark.skipif(memory.glibc() is None, reason="another C library than glibc")
def test_what_threads_have_freed_goes_back() -> None:
    done = subprocess.run([sys.executable, "-c", CHILD], capture_output=True, text=True, check=True)
    assert int(done.stdout) > 20e6


def test_elsewhere_nothing_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "glibc", lambda: None)
    assert memory.limit_malloc_arenas() is False
    assert memory.give_back() is False
