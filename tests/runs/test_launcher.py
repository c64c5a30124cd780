"""The launcher with real worker processes; each test costs the seconds that loading torch takes."""

import os
import random
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from playground.runs.queue import launcher as launcher_module
from playground.runs.queue.launcher import Launcher
from playground.runs.store import status
from playground.runs.store.history import History
from playground.runs.store.paths import code_root
from playground.runs.store.run_store import Run, RunNotFound, RunStore
from playground.runs.store.status import Status
from playground.runs.worker.execution import execute
from tests.runs.conftest import MakeRun
from tests.runs.test_worker import assert_same_course, step_of, wait_until

Launch = Callable[..., Launcher]
LONG = {"steps": 100_000, "checkpoint_interval": 100_000}


@pytest.fixture
def launch(store: RunStore, monkeypatch: pytest.MonkeyPatch) -> Iterator[Launch]:
    """Launchers of one-thread workers without a spare; afterwards no process is left."""
    monkeypatch.setattr(launcher_module, "TICK_SECONDS", 0.05)
    launchers: list[Launcher] = []

    def make(**options: Any) -> Launcher:
        launchers.append(Launcher(store, **{"threads": 1, "spare": False, **options}))
        return launchers[-1]

    yield make
    for launcher in launchers:
        launcher.close()
    for run in store.list():
        declared = status.declared(run.path)
        if declared.state == "running" and status.alive(declared):
            os.kill(declared.pid, signal.SIGKILL)
    for launcher in launchers:
        for worker in launcher._workers:
            worker.process.wait(timeout=20)
            assert not worker.is_alive()


@pytest.fixture
def idle(launch: Launch) -> Launcher:
    """A launcher that never starts anything."""
    return launch(max_workers=1, threads=1, supervise=False)


def state_is(run: Run, *states: str) -> Callable[[], bool]:
    return lambda: run.state() in states


@pytest.mark.slow
def test_a_run_is_queued_trained_and_finished(launch: Launch, make_run: MakeRun) -> None:
    launcher, run, reference = launch(), make_run(), make_run()
    assert launcher.start(run).state == "queued"
    wait_until(state_is(run, "finished", "failed", "crashed"))
    assert run.status() == Status("finished")
    execute(reference)
    assert_same_course(run, reference)
    with pytest.raises(ValueError, match="This run has already finished"):
        launcher.start(run)
    with pytest.raises(ValueError, match="This run has already finished"):
        launcher.stop(run.id)
    assert launcher.continue_for(run.id, 10).state == "queued"
    wait_until(lambda: step_of(run) == 40)
    wait_until(state_is(run, "finished"))


@pytest.mark.slow
def test_first_come_first_served_and_one_at_a_time(launch: Launch, store: RunStore, make_run: MakeRun) -> None:
    launcher, runs = launch(), [make_run(name=f"run {n}") for n in range(3)]
    for run in reversed(runs):  # started in another order than they were created
        launcher.start(run)
    order: list[str] = []

    def done() -> bool:
        states = [run.state() for run in store.list()]
        assert states.count("running") <= 1
        order.extend(run.name for run in store.list() if run.state() != "queued" and run.name not in order)
        return states == ["finished"] * 3

    wait_until(done, timeout=120)
    assert order == ["run 2", "run 1", "run 0"]


def test_places_in_the_queue(idle: Launcher, make_run: MakeRun) -> None:
    runs = [make_run() for _ in range(3)]
    for run in (runs[2], runs[0], runs[1]):
        idle.start(run)
    assert [idle.position(run.id) for run in runs] == [2, 3, 1]
    idle.start(runs[2])  # once more changes nothing
    idle.stop(runs[0].id)
    assert [idle.position(run.id) for run in runs] == [None, 2, 1]
    idle.start(runs[0])
    assert [idle.position(run.id) for run in runs] == [3, 2, 1]


def test_the_queue_keeps_its_order_when_the_clock_is_set_back(
    idle: Launcher, make_run: MakeRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = make_run(), make_run()
    idle.start(first)
    monkeypatch.setattr(launcher_module.time, "time", lambda: 0.0)
    idle.start(second)
    assert (idle.position(first.id), idle.position(second.id)) == (1, 2)


def test_buttons_pressed_twice_or_at_the_wrong_time(idle: Launcher, make_run: MakeRun) -> None:
    run = make_run()
    with pytest.raises(ValueError, match="not training"):
        idle.pause(run.id)
    for _ in range(2):
        assert idle.start(run).state == "queued"
    for _ in range(2):
        assert idle.pause(run.id).state == "paused"
    for _ in range(2):
        assert idle.resume(run.id).state == "queued"
    with pytest.raises(ValueError, match="still training"):
        idle.continue_for(run.id, 10)
    for _ in range(2):
        assert idle.stop(run.id).state == "stopped"
    assert idle.continue_for(run.id, 10).state == "queued"
    for state in ("finished", "failed", "diverged"):
        status.declare(run.path, Status(state))
        with pytest.raises(ValueError, match=f"This run has already {state}"):
            idle.stop(run.id)
    with pytest.raises(ValueError, match="would most likely diverge again"):
        idle.resume(run.id)
    status.declare(run.path, Status("finished"))
    with pytest.raises(ValueError, match="whole number"):
        idle.continue_for(run.id, 0)
    assert run.state() == "finished"


def test_everybody_presses_everything_at_once(idle: Launcher, store: RunStore, make_run: MakeRun) -> None:
    runs = [make_run() for _ in range(3)]
    unexpected: list[BaseException] = []

    def press(seed: int) -> None:
        choose = random.Random(seed)
        for _ in range(40):
            run_id = choose.choice(runs).id
            action = choose.choice(
                [idle.stop, idle.pause, idle.resume, store.get, lambda i: store.rename(i, "n"), idle.position]
            )
            try:
                action(run_id)
            except ValueError:
                continue  # a sentence for the user: fine
            except BaseException as error:  # noqa: BLE001
                unexpected.append(error)

    threads = [threading.Thread(target=press, args=(seed,)) for seed in range(8)]
    for thread in threads:
        thread.start()
    store.delete(runs[2].id)
    for thread in threads:
        thread.join()
    assert unexpected == []
    assert {run.id for run in store.list()} == {run.id for run in runs[:2]}
    assert len({run.name for run in store.list()}) == 2
    assert all(run.state() in ("queued", "paused", "stopped") for run in store.list())


def test_only_the_owner_presses_buttons(idle: Launcher, store: RunStore, make_run: MakeRun) -> None:
    run = make_run(owner="me")
    for action in (
        lambda visitor: idle.start(run, visitor),
        lambda visitor: idle.stop(run.id, visitor),
        lambda visitor: idle.pause(run.id, visitor),
        lambda visitor: idle.resume(run.id, visitor),
        lambda visitor: idle.continue_for(run.id, 5, visitor),
    ):
        with pytest.raises(RunNotFound):
            action("you")
    store.share(run.id, True, "me")
    with pytest.raises(ValueError, match="only its owner"):
        idle.start(run, "you")
    assert run.state() == "stopped"
    assert idle.start(run, "me").state == "queued"


@pytest.mark.slow
def test_pause_resume_and_stop(launch: Launch, make_run: MakeRun) -> None:
    launcher, run = launch(), make_run(**LONG)
    launcher.start(run)
    wait_until(lambda: step_of(run) >= 3)
    launcher.pause(run.id)
    wait_until(state_is(run, "paused"), timeout=5)
    paused = step_of(run)
    assert run.steps_available() == [paused]
    launcher.resume(run.id)
    wait_until(lambda: step_of(run) > paused)
    launcher.stop(run.id)
    wait_until(state_is(run, "stopped"), timeout=5)
    assert run.steps_available() == [paused, step_of(run)]


@pytest.mark.slow
def test_a_run_is_stopped_before_it_is_deleted(launch: Launch, store: RunStore, make_run: MakeRun) -> None:
    launcher, run, other = launch(), make_run(**LONG), make_run()
    launcher.start(run)
    launcher.start(other)
    wait_until(lambda: step_of(run) >= 3)
    pid = status.declared(run.path).pid
    store.delete(run.id)
    assert not run.path.exists()
    wait_until(lambda: status.process_start(pid) is None, timeout=5)
    wait_until(state_is(other, "finished"))


@pytest.mark.slow
def test_a_worker_that_hangs_is_killed(launch: Launch, make_run: MakeRun, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launcher_module, "STOP_SECONDS", 0.3)
    launcher, run = launch(), make_run(**LONG)
    launcher.start(run)
    wait_until(lambda: step_of(run) >= 3)
    declared = status.declared(run.path)
    os.kill(declared.pid, signal.SIGSTOP)  # deaf to flags and SIGTERM
    launcher.stop(run.id)
    wait_until(state_is(run, "stopped"), timeout=10)
    assert not status.alive(declared)
    assert "did not stop in time and was killed" in run.status().message


@pytest.mark.slow
def test_a_killed_worker_has_crashed_and_the_next_run_begins(launch: Launch, make_run: MakeRun) -> None:
    launcher, run, reference = launch(), make_run(steps=60), make_run(steps=60)
    other = make_run()
    launcher.start(run)
    launcher.start(other)
    wait_until(lambda: step_of(run) >= 12)
    os.kill(status.declared(run.path).pid, signal.SIGKILL)
    wait_until(state_is(run, "crashed"), timeout=5)
    wait_until(lambda: "was killed by the system or a person after step" in run.status().message, timeout=5)
    wait_until(state_is(other, "finished"))
    launcher.resume(run.id)
    wait_until(state_is(run, "finished"))
    execute(reference)
    assert_same_course(run, reference)


@pytest.mark.slow
def test_a_spare_worker_starts_at_once(launch: Launch, make_run: MakeRun) -> None:
    launcher, run = launch(spare=True), make_run()
    wait_until(lambda: launcher._spare is not None)
    spare = launcher._spare
    assert spare is not None
    time.sleep(0.2)
    launcher.start(run)
    wait_until(state_is(run, "running", "finished"), timeout=5)
    wait_until(state_is(run, "finished"))
    assert spare in launcher._workers or not spare.is_alive()
    launcher.close()
    assert launcher._spare is None


APP = """
    import sys, time
    from pathlib import Path
    from playground.runs.queue.launcher import Launcher
    from playground.runs.store.run_store import RunStore
    store = RunStore(Path(sys.argv[1]))
    launcher = Launcher(store, threads=1, spare=False, die_with_ui=len(sys.argv) > 2)
    for run in reversed(store.list()):
        launcher.start(run)
    print("up", flush=True)
    sys.stdin.read()
    launcher.close()
"""


def app(store: RunStore, *options: str) -> subprocess.Popen[bytes]:
    """An app in a process of its own, which starts all runs and ends when its input does."""
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(APP), str(store.root), *options],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(code_root())},
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"up\n"
    return process


@pytest.mark.slow
def test_workers_survive_the_app_and_are_found_again(launch: Launch, store: RunStore, make_run: MakeRun) -> None:
    training, waiting = make_run(**LONG), make_run()
    process = app(store)
    wait_until(lambda: step_of(training) >= 3)
    process.kill()
    process.communicate()
    before = step_of(training)
    wait_until(lambda: step_of(training) > before)  # nobody watches, and it goes on
    assert (training.state(), waiting.state()) == ("running", "queued")
    launcher = launch()
    time.sleep(0.3)
    assert (training.state(), waiting.state()) == ("running", "queued")  # it counts as the one worker allowed
    launcher.stop(training.id)
    wait_until(state_is(training, "stopped"), timeout=5)
    wait_until(state_is(waiting, "finished"))  # the queue was not lost
    history = History(training.log)
    history.refresh()
    assert list(history.train["step"]) == list(range(1, history.step + 1))


@pytest.mark.slow
def test_workers_can_die_with_the_app(store: RunStore, make_run: MakeRun) -> None:
    for ending in ("close", "kill"):
        run = make_run(**LONG)
        process = app(store, "--die-with-ui")
        wait_until(lambda run=run: step_of(run) >= 3)  # type: ignore[misc]
        if ending == "kill":
            process.kill()
        process.communicate()
        wait_until(state_is(run, "paused"), timeout=10)
        assert run.steps_available() == [step_of(run)]
        store.delete(run.id)


@pytest.mark.slow
def test_two_apps_on_one_folder_start_a_run_once(launch: Launch, make_run: MakeRun) -> None:
    launchers, run = [launch(max_workers=2), launch(max_workers=2)], make_run(**LONG)
    for launcher in launchers:
        launcher.start(run)
    wait_until(lambda: step_of(run) >= 3)
    assert sum(len(launcher._workers) for launcher in launchers) == 1
    launchers[1].stop(run.id)
    wait_until(state_is(run, "stopped"), timeout=5)


def test_a_worker_that_cannot_start_is_a_crash(
    launch: Launch, make_run: MakeRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")
    launcher, run = launch(), make_run()
    launcher.start(run)
    wait_until(state_is(run, "crashed"), timeout=5)
    assert Path(launcher.store.root / "worker.log").exists()
