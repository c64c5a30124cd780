import json
import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from playground.runs.store import status
from playground.runs.store.checkpoints import save_checkpoint
from playground.runs.store.log import frame, last_step
from playground.runs.store.status import Heartbeat, Status


def beat(folder: Path, age: float = 0.0, step: int = 7) -> None:
    (folder / "heartbeat").write_text(f"{time.monotonic() - age:020.9f} {step:010d}\n")


def test_what_is_declared_comes_back(tmp_path: Path) -> None:
    declared = Status("failed", "Out of memory — 3 GB.", 1.5, 17, 2.5, 3.5)
    status.declare(tmp_path, declared)
    assert status.declared(tmp_path) == declared
    assert status.derive(tmp_path) == declared


HOSTILE = [
    "", "{", "[]", "null", '{"state": "nonsense"}', '{"state": ["running"]}', '{"state": null}', "[" * 100_000,
    '{"state": "running"}', '{"state": "running", "pid": "x"}', '{"state": "running", "pid": NaN, "process": Infinity}',
    '{"state": "running", "pid": -1, "process": 1}', '{"state": "running", "pid": 1e300, "process": 1}',
    '{"state": "running", "pid": 99999999999, "process": 1}', '{"state": "running", "message": {"a": 1}}',
]  # fmt: skip


@pytest.mark.parametrize("text", HOSTILE)
def test_a_status_that_makes_no_sense_is_never_running(tmp_path: Path, text: str) -> None:
    (tmp_path / "status.json").write_text(text)
    beat(tmp_path)
    assert status.derive(tmp_path).state in ("stopped", "crashed")


def test_running_needs_the_process_its_identity_and_a_heartbeat(tmp_path: Path) -> None:
    me = status.running(os.getpid())
    status.declare(tmp_path, me)
    beat(tmp_path)
    assert status.derive(tmp_path).state == "running"
    beat(tmp_path, age=-3600)  # from before the machine restarted, when its clock stood higher
    assert status.derive(tmp_path).state == "crashed"
    status.declare(tmp_path, replace(me, since=me.since - 1000))
    beat(tmp_path, age=status.STALE_SECONDS + 1)
    assert status.derive(tmp_path) == replace(
        me, since=me.since - 1000, state="crashed", message="The training process is not responding."
    )
    beat(tmp_path)
    assert status.derive(tmp_path).state == "running"  # it was only asleep
    status.declare(tmp_path, replace(me, process=me.process - 1))  # the same process id, used again
    assert status.derive(tmp_path).state == "crashed"


def test_a_worker_that_has_just_begun_may_take_its_time(tmp_path: Path) -> None:
    me = status.running(os.getpid())
    status.declare(tmp_path, me)
    assert status.derive(tmp_path).state == "running"
    status.declare(tmp_path, replace(me, since=me.since - status.STARTUP_SECONDS - 1))
    assert status.derive(tmp_path).state == "crashed"


def test_the_dead_and_the_unburied_are_not_running(tmp_path: Path) -> None:
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    declared = status.running(child.pid)
    assert status.alive(declared)
    child.kill()
    deadline = time.monotonic() + 5
    while status.alive(declared) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not status.alive(declared)  # a zombie until we wait for it
    child.communicate()
    assert not status.alive(declared)
    assert not status.alive(Status("running", pid=0, process=0.0))


def test_requests_come_and_go(tmp_path: Path) -> None:
    assert status.requested(tmp_path) is None
    for what in ("pause", "stop"):
        status.request(tmp_path, what)
        assert status.requested(tmp_path) == what
    status.withdraw(tmp_path)
    status.withdraw(tmp_path)
    assert status.requested(tmp_path) is None
    (tmp_path / "control").write_bytes(b"\xff rm -rf")
    assert status.requested(tmp_path) is None


def test_a_request_shows_until_it_is_obeyed(tmp_path: Path) -> None:
    status.declare(tmp_path, status.running(os.getpid()))
    status.request(tmp_path, "stop")
    assert status.derive(tmp_path).message == "Stopping."


def test_the_heart_beats_while_the_main_thread_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(status, "BEAT_SECONDS", 0.01)
    with Heartbeat(tmp_path) as heart:
        first = status.read_heartbeat(tmp_path)
        heart.step = 12
        time.sleep(0.1)
        second = status.read_heartbeat(tmp_path)
    assert first[1] == 0
    assert second[1] == 12
    assert second[0] > first[0]
    (tmp_path / "heartbeat").write_bytes(b"\x00" * 32)
    assert status.read_heartbeat(tmp_path) == (0.0, 0)
    (tmp_path / "heartbeat").write_text("nan 3")
    assert status.read_heartbeat(tmp_path)[0] == 0.0


def test_a_beat_is_never_ahead_of_the_clock_nor_behind_its_declaration(tmp_path: Path) -> None:
    with Heartbeat(tmp_path) as heart:
        for _ in range(300):  # a beat rounded up, or one older than the declaration, would show in a few of them
            heart.declare("Preparing.")
            moment, _ = status.read_heartbeat(tmp_path)
            assert status.declared(tmp_path).since <= moment <= time.monotonic()
            assert status.derive(tmp_path).state == "running"


def test_a_status_can_change_on_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    status.declare(tmp_path, Status("running", "a long message that is then replaced by a shorter one", pid=5))

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(status, "write_json", full)
    status.declare(tmp_path, Status("failed", "Disk full."))
    assert json.loads((tmp_path / "status.json").read_text())["message"] == "Disk full."


@pytest.mark.parametrize(
    ("rows", "saved", "words"),
    [
        ([], [], "."),
        ([], [50], ". The checkpoint of step 50 is kept."),
        ([0], [], " before its first step. No checkpoint was saved yet."),
        ([0, 604, 605], [], " after step 605. No checkpoint was saved yet."),
        ([0, 604, 605], [400, 600], " after step 605. The checkpoint of step 600 is kept."),
        ([1, 1_204_000], [1_200_000], " after step 1,204,000. The checkpoint of step 1,200,000 is kept."),
    ],
)
def test_how_far_a_dead_run_came_is_read_from_its_log(
    tmp_path: Path, rows: list[int], saved: list[int], words: str
) -> None:
    for step in saved:
        save_checkpoint(tmp_path, {"model": {"w": torch.zeros(1)}}, {"step": step})
    if rows:
        (tmp_path / "events.jsonl").write_bytes(b"".join(frame({"event": "noted", "step": step}) for step in rows))
    assert status.reached(tmp_path) == words
    beat(tmp_path, step=0)  # a process that was resumed and killed before its first step
    status.declare(tmp_path, replace(status.running(os.getpid()), pid=2**22 + 1))
    assert status.derive(tmp_path).message == f"The training process ended unexpectedly{words}"


def test_the_last_step_of_a_log_is_that_of_its_last_good_row(tmp_path: Path) -> None:
    log = tmp_path / "log"
    assert last_step(log) is None
    log.write_bytes(
        frame({"step": 3}) + frame({"name": "no step"}) + b'{"step": 9}\tdeadbeef\n' + frame({"step": 11})[:-1]
    )
    assert last_step(log) == 3
