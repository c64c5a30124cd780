"""What a step frees is there for the next one."""

import os
import subprocess
import sys

import pytest

from playground.runs.store.paths import code_root
from playground.runs.store.processes import environment
from playground.runs.worker import malloc

STEPS = """
import resource, threading, torch
from playground.runs.worker import malloc
assert not {keep} or malloc.configure_malloc()
pages = []
def lane():
    torch.set_num_threads(1)
    for _ in range(25):
        pages.append(resource.getrusage(resource.RUSAGE_SELF).ru_minflt)
        held = [torch.empty(300_000).fill_(1.0) for _ in range(20)]
        while held:
            held.pop()
thread = threading.Thread(target=lane)
thread.start()
thread.join()
print(pages[-1] - pages[5])
"""


@pytest.mark.slow
@pytest.mark.skipif(malloc.glibc() is None, reason="another C library than glibc")
def test_no_step_asks_the_system_for_the_pages_that_it_has_had() -> None:
    """Neither in a worker, by its environment, nor on the command line, by mallopt."""
    plain = {name: value for name, value in os.environ.items() if not name.startswith("MALLOC_")}

    def pages(keep: bool, env: dict[str, str]) -> int:
        command = [sys.executable, "-c", STEPS.format(keep=keep)]
        return int(subprocess.run(command, capture_output=True, text=True, check=True, cwd=code_root(), env=env).stdout)

    assert pages(keep=True, env=plain) < 200
    assert pages(keep=False, env=environment(1)) < 200
    assert pages(keep=False, env=plain) > 2_000
