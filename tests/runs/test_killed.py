"""A killed training process: memory is named as the cause only where the estimate supports it."""

import subprocess
import sys

import pytest

from playground.runs.queue.killed import LARGE, declare_killed, what_to_do
from playground.runs.races import create_race, job_memory, prepare_race
from playground.runs.store import status
from playground.runs.store.run_store import RunStore
from tests.runs.conftest import TEXT, MakeRun
from tests.runs.test_races import SPEC


@pytest.mark.parametrize("kind", ["run", "race"])
def test_memory_is_the_cause_only_of_a_job_that_needs_a_large_part_of_it(
    kind: str, store: RunStore, make_run: MakeRun
) -> None:
    job = make_run() if kind == "run" else create_race(store, prepare_race(SPEC, TEXT))
    need = job_memory(job)
    assert what_to_do(job, int(need / LARGE) + 1) == "Resume it to continue."
    said = what_to_do(job, int(need / LARGE) - 1)
    assert said.startswith(
        f"The system probably ran out of memory: this {kind} needs about {need / 1e9:.1f} GB, and {2 * need / 1e9:.1f} GB"
    )
    assert ("arms or seeds" in said) == (kind == "race")


def test_a_small_run_that_was_killed_is_not_said_to_be_out_of_memory(
    store: RunStore, make_run: MakeRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("playground.runs.queue.killed.free_memory", lambda: 8_000_000_000)
    run = make_run()
    gone = subprocess.Popen([sys.executable, "-c", "pass"])
    status.declare(run.path, status.running(gone.pid))
    gone.wait()
    declare_killed(store, run.path, gone.pid + 1)
    assert "killed" not in run.status().message, "another process"
    declare_killed(store, run.path, gone.pid)
    assert run.status().state == "crashed"
    assert run.status().message.startswith("The training process was killed by the system or a person")
    assert run.status().message.endswith("Resume it to continue.")
    assert "memory" not in run.status().message
