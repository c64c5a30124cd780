"""Some hundred random calls, the same each time; ``python -m tests.benchmarks fuzz`` makes ten thousand."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.benchmarks.fuzz import fuzzed


def test_whatever_is_sent_to_any_endpoint_is_answered(tmp_path: Path) -> None:
    with ThreadPoolExecutor(1) as elsewhere:  # the browser of other tests keeps an event loop in this thread
        found = elsewhere.submit(fuzzed, tmp_path, calls=300, seed=7).result()
    assert sum(found.outcomes.values()) == 300
    assert found.outcomes["answered"] > 30, found.outcomes  # not everything is refused at the door
    assert (found.problems, found.traces, found.strays, found.alive) == (0, [], set(), True), found
