"""A host reads how runs come and go, and nothing that a visitor has written."""

from __future__ import annotations

import json
from typing import Any

import pytest

from playground.runs.queue.audit_log import AuditLog, standard_output
from playground.runs.queue.launcher import Launcher
from playground.runs.races import create_race, prepare_race
from playground.runs.store import status
from playground.runs.store.run_store import RunStore
from playground.runs.store.status import Status
from tests.runs.conftest import MakeRun
from tests.runs.test_races import SPEC
from tests.runs.test_races import TEXT as RACE_TEXT

SECRET, NAME = "a" * 32, "My diary"


def test_a_run_is_followed_from_the_queue_to_its_end(store: RunStore, make_run: MakeRun) -> None:
    told: list[dict[str, Any]] = []
    before = make_run(name=NAME, owner=SECRET)
    with Launcher(
        store,
        supervise=False,
        spare=False,
        max_workers=0,
        threads=1,
        tell=lambda event, **facts: told.append({"event": event, **facts}),
    ) as launcher:
        launcher._tick()
        run, race = make_run(name=NAME, owner=SECRET), create_race(store, prepare_race(SPEC, RACE_TEXT), owner=SECRET)
        launcher._tick()
        assert told == []  # what is there but does not train is no news
        launcher.start(run, SECRET)
        launcher.start(race, SECRET)
        launcher._tick()
        status.declare(run.path, Status("failed", f"{NAME}: something that quotes a text"))
        launcher._tick()
        launcher._tick()
        store.delete(before.id, SECRET)
        launcher._tick()
    events = [(one["event"], one["job"], one.get("kind")) for one in told]
    assert sorted(events[:2]) == sorted([("queued", run.id[:8], "run"), ("queued", race.id[:8], "race")])
    assert events[2:] == [("failed", run.id[:8], "run"), ("removed", before.id[:8], None)]
    assert told[2]["after_seconds"] >= 0
    assert not any(word in json.dumps(told) for word in (NAME, SECRET, run.id, "quotes"))


def test_a_line_is_json(capsys: pytest.CaptureFixture[str]) -> None:
    standard_output("queued", job="12345678", after_seconds=1.5)
    line = json.loads(capsys.readouterr().out)
    assert line.pop("time").endswith("+00:00")
    assert line == {"event": "queued", "job": "12345678", "after_seconds": 1.5}


def test_the_first_look_tells_nothing(make_run: MakeRun) -> None:
    told: list[str] = []
    journal = AuditLog(lambda event, **_: told.append(event))
    run = make_run()
    journal.look([(run, "running")])
    assert told == []
    journal.look([(run, "finished")])
    journal.look([])
    assert told == ["finished", "removed"]
