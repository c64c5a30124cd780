"""Fairness: who gets the worker next, and what is refused before it waits."""

import os
import time
from pathlib import Path
from typing import Any

import pytest

from playground.runs.limits import Limits
from playground.runs.queue.launcher import Launcher
from playground.runs.store import status
from playground.runs.store.run_store import Run, RunStore, hashed
from playground.runs.store.status import Status
from tests.runs.conftest import MakeRun


class Instant:
    """A worker that notes what it is given and holds it until it is told to finish."""

    pid = os.getpid()
    was_killed = False

    def __init__(self, given: list[dict[str, Any]]) -> None:
        self.given = given
        self.run: Path | None = None

    def is_alive(self) -> bool:
        return self.run is None or status.declared(self.run).state == "running"

    def give(self, run: Path, cache_dir: Path | None, limits: dict[str, Any], seconds: float | None) -> None:
        self.run = run
        self.given.append({"id": run.name, "limits": limits, "seconds": seconds})


class Office:
    """A launcher whose ticks are ours to make."""

    def __init__(self, store: RunStore, monkeypatch: pytest.MonkeyPatch, limits: Limits, workers: int = 1) -> None:
        self.store = store
        self.given: list[dict[str, Any]] = []
        self.launcher = Launcher(store, supervise=False, spare=False, limits=limits, max_workers=workers)
        monkeypatch.setattr(self.launcher, "_new_worker", lambda: Instant(self.given))
        monkeypatch.setattr(status, "STARTUP_SECONDS", 1e9)

    def tick(self, seconds: float = 0.0) -> None:
        """One look of the supervisor, `seconds` after the one before."""
        self.launcher._ticked -= seconds
        self.launcher._tick()

    def finish(self, run_id: str, seconds: float) -> None:
        """The running job trains for so long and ends."""
        self.tick(seconds)
        status.declare(self.store.get(run_id).path, Status("finished"))

    def names(self) -> list[str]:
        return [self.store.get(given["id"]).name for given in self.given]


def test_nine_with_one_each_start_before_the_greedy_ones_second(
    store: RunStore, make_run: MakeRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    office = Office(store, monkeypatch, Limits(running_runs=1))
    greedy = [make_run(owner="greedy", name=f"greedy {n}") for n in range(50)]
    for run in greedy:
        office.launcher.start(run, "greedy")
    office.tick()
    others = [make_run(owner=f"visitor {n}", name=f"one {n}") for n in range(9)]
    for n, run in enumerate(others):
        office.launcher.start(run, f"visitor {n}")
    assert [office.launcher.position(run.id) for run in others] == list(range(1, 10))
    assert office.launcher.position(greedy[1].id) == 10
    for turn in range(12):
        office.finish(office.given[turn]["id"], seconds=60)
        office.tick()
    assert office.names()[:11] == ["greedy 0", *(f"one {n}" for n in range(9)), "greedy 1"]
    assert office.names()[11:] == ["greedy 2", "greedy 3"]


def test_among_equals_those_who_have_used_least_come_first(
    store: RunStore, make_run: MakeRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    office = Office(store, monkeypatch, Limits(running_runs=1))
    first = make_run(owner="ann", name="ann 0")
    office.launcher.start(first, "ann")
    office.tick()
    office.finish(first.id, seconds=100)
    for name in ("ann", "bob", "cleo"):  # ann asks first
        office.launcher.usage.add(hashed(name), {"ann": 0, "bob": 50, "cleo": 20}[name])
        for n in (1, 2):
            office.launcher.start(make_run(owner=name, name=f"{name} {n}"), name)
    for turn in range(1, 7):
        office.tick()
        office.finish(office.given[turn]["id"], seconds=1)
    assert office.names() == ["ann 0", "cleo 1", "bob 1", "cleo 2", "bob 2", "ann 1", "ann 2"]


def test_nobody_makes_up_for_turns_they_did_not_want(
    store: RunStore, make_run: MakeRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    office = Office(store, monkeypatch, Limits(running_runs=1))
    for n in range(6):
        office.launcher.start(make_run(owner="ann", name=f"ann {n}"), "ann")
    for turn in range(3):
        office.tick()
        if turn < 2:
            office.finish(office.given[turn]["id"], seconds=1)
    for n in range(3):
        office.launcher.start(make_run(owner="bob", name=f"bob {n}"), "bob")
    for turn in range(2, 9):
        office.finish(office.given[turn]["id"], seconds=1)
        office.tick()
    assert office.names() == ["ann 0", "ann 1", "ann 2", "bob 0", "bob 1", "ann 3", "bob 2", "ann 4", "ann 5"]


def test_a_visitor_has_one_worker_even_when_there_are_more(
    store: RunStore, make_run: MakeRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    office = Office(store, monkeypatch, Limits(running_runs=1), workers=3)
    for name in ("ann", "ann", "ann", "bob"):
        office.launcher.start(make_run(owner=name, name=name), name)
    office.tick()
    assert sorted(office.names()) == ["ann", "bob"]
    assert len(office.launcher.line().waiting) == 2


def test_a_worker_is_told_its_limits_and_what_is_left_of_the_day(
    store: RunStore, make_run: MakeRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    limits = Limits(daily_minutes=10, max_parameters=10_000_000)
    office = Office(store, monkeypatch, limits)
    office.launcher.usage.add(hashed("ann"), 400)
    office.launcher.start(make_run(owner="ann"), "ann")
    office.tick()
    assert office.given[0]["limits"] == limits.to_dict()
    assert office.given[0]["seconds"] == pytest.approx(199, abs=0.5)  # a start costs a second


REFUSED = [
    (Limits(trainers="nobody"), "Training is disabled on this server. Look at the reference runs"),
    (Limits(trainers="owner"), "Only the host can train on this server. Enter the host's password"),
    (Limits(running_runs=1, waiting_runs=1), "Queue: you have 2 jobs running or waiting and would add 1; the limit here "
        "is 2. Wait"),
    (Limits(queue_length=2), "Queue: 2 jobs waiting, and this would add 1; the limit here is 2. Try again in a few minutes"),
    (Limits(daily_minutes=5), "Training time: you have used 6.0 min within 24 hours; the limit here is 5 min. The first"),
    (Limits(max_parameters=100), "Parameters: this model has"),
    (Limits(visitor_mb=1), "Disk space: your other runs use 2"),
    (Limits(total_mb=1), "Disk space: all runs here use 2 MB of 1"),
]  # fmt: skip


@pytest.mark.parametrize(("limits", "sentence"), REFUSED)
def test_what_may_not_start_is_refused_at_once_and_leaves_nothing(
    store: RunStore, make_run: MakeRun, limits: Limits, sentence: str
) -> None:
    for n in range(2):
        run = make_run(owner="ann", name=f"before {n}")
        status.declare(run.path, Status("queued", queued=float(n)))
        (run.path / "padding").write_bytes(b"x" * 1_000_000)
    with Launcher(store, supervise=False, spare=False, limits=limits) as launcher:
        launcher.usage.add(hashed("ann"), 360)
        run = make_run(owner="ann", name="one more")
        began = time.monotonic()
        with pytest.raises(ValueError, match=sentence):
            launcher.begin(run, "ann")
        assert time.monotonic() - began < 1
        assert not run.path.exists()
        older = make_run(owner="ann", name="stopped before")
        with pytest.raises(ValueError, match=sentence):
            launcher.resume(older.id, "ann")
        assert (older.state(), older.path.exists()) == ("stopped", True)


def test_the_host_trains_where_only_the_host_may(store: RunStore, make_run: MakeRun) -> None:
    with Launcher(store, supervise=False, spare=False, limits=Limits(trainers="owner")) as launcher:
        with pytest.raises(ValueError, match="Only the host"):
            launcher.admit("ann")
        launcher.trust("ann")
        launcher.admit("ann")
        assert launcher.start(make_run(owner="ann"), "ann").state == "queued"
        assert not launcher.may_train("bob")


def test_new_visitors_share_a_part_of_the_queue(store: RunStore, make_run: MakeRun) -> None:
    limits = Limits(queue_length=10, new_visitor_runs=3)
    with Launcher(store, supervise=False, spare=False, limits=limits) as launcher:
        status.declare(make_run(owner="ann").path, Status("finished"))
        launcher.usage.add(hashed("cleo"), 5)
        for n in range(3):
            launcher.begin(make_run(owner=f"new {n}"), f"new {n}")
        for newcomer in ("new 0", "bob"):
            with pytest.raises(
                ValueError, match=r"have not trained yet have 3 jobs waiting, and this would add 1; the limit"
            ):
                launcher.begin(make_run(owner=newcomer), newcomer)
        for known in ("ann", "cleo", "ann"):
            assert launcher.begin(make_run(owner=known), known).state == "queued"
        assert len(launcher.line().waiting) == 6


def test_the_host_clears_the_queue(store: RunStore, make_run: MakeRun) -> None:
    with Launcher(store, supervise=False, spare=False, limits=Limits(queue_length=3)) as launcher:
        running = make_run(owner="ann", name="running")
        status.declare(running.path, status.running(os.getpid()))
        waiting = [make_run(owner=f"visitor {n}") for n in range(3)]
        for n, run in enumerate(waiting):
            launcher.start(run, f"visitor {n}")
        with pytest.raises(ValueError, match="Queue: 3 jobs waiting"):
            launcher.admit("bob")
        assert launcher.clear_queue() == 3
        launcher.admit("bob")
        assert [(run.state(), run.status().message) for run in waiting] == [
            ("stopped", "The host has cleared the queue.")
        ] * 3
        assert running.state() == "running"
        assert launcher.clear_queue() == 0
        assert launcher.resume(waiting[0].id, "visitor 0").state == "queued", "nothing is lost"


def test_without_limits_nothing_is_refused(store: RunStore, make_run: MakeRun) -> None:
    with Launcher(store, supervise=False, spare=False) as launcher:
        launcher.usage.add(None, 1e6)
        for _ in range(30):
            launcher.start(make_run())
        runs: list[Run] = store.list()
        assert sorted(launcher.position(run.id) or 0 for run in runs) == list(range(1, 31))


def test_what_was_used_survives_the_app(store: RunStore, make_run: MakeRun, monkeypatch: pytest.MonkeyPatch) -> None:
    office = Office(store, monkeypatch, Limits())
    office.launcher.start(make_run(owner="ann"), "ann")
    office.tick()
    office.finish(office.given[0]["id"], seconds=90)
    office.launcher.close()
    with Launcher(store, supervise=False, spare=False) as launcher:
        assert launcher.usage.seconds(hashed("ann")) == pytest.approx(91, abs=1)


FAR = "9.9.9.9"


def test_new_browsers_of_one_network_have_no_more_of_the_queue(
    store: RunStore, make_run: MakeRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody drops the token each time; the bound is what they cannot drop."""
    office = Office(store, monkeypatch, Limits(running_runs=1, waiting_runs=4, network_runs=3, queue_length=10))
    here = ["8.8.8.8"]
    monkeypatch.setattr(office.launcher, "_client_network", lambda: here[0])
    for n in range(3):
        office.launcher.admit(f"browser {n}")
        office.launcher.begin(make_run(owner=f"browser {n}"), f"browser {n}")
    sentence = "your network has 3 jobs running or waiting and would add 1; the limit here is 3 per network. Wait until"
    with pytest.raises(ValueError, match=sentence):
        office.launcher.admit("browser 3")
    refused = make_run(owner="browser 4")
    with pytest.raises(ValueError, match=sentence):
        office.launcher.begin(refused, "browser 4")
    assert not refused.path.exists()
    for network in (FAR, None):  # others come in, and so do those of whom nothing is known
        here[0] = network
        office.launcher.begin(make_run(owner=f"of {network}"), f"of {network}")
    here[0] = "8.8.8.8"
    first = office.launcher.line().waiting[0]
    office.launcher.stop(first.id, "browser 0")
    office.launcher.admit("browser 5")


def test_a_network_that_has_used_much_comes_after_those_who_have_not(
    store: RunStore, make_run: MakeRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    office = Office(store, monkeypatch, Limits(running_runs=1))
    here = ["8.8.8.8"]
    monkeypatch.setattr(office.launcher, "_client_network", lambda: here[0])
    first = make_run(name="first", owner="browser 0")
    office.launcher.start(first, "browser 0")
    office.tick()
    office.launcher.start(make_run(name="greedy", owner="browser 1"), "browser 1")
    here[0] = FAR
    office.launcher.start(make_run(name="honest", owner="ann"), "ann")
    assert [run.name for run in office.launcher.line().waiting] == ["greedy", "honest"], "first come, first served"
    office.finish(first.id, 60)
    office.launcher._flushed -= 60
    office.tick()
    assert office.names() == ["first", "honest"]
    office.launcher.networks.keep([])
    office.launcher.networks.keep([])
    assert office.launcher.networks.jobs(FAR, [run.id for run in store.list()]) == 0, "gone jobs are forgotten"
