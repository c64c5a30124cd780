"""What the host changes while the app runs: validated as at the start, stored, and reported."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from playground.runs.limits import CLASSROOM, Limits
from playground.runs.queue import host_changes, presence
from playground.runs.queue.host_changes import FILE, differences, stored, with_changes
from playground.runs.queue.hosting import Hosting
from playground.runs.queue.presence import Presence
from playground.runs.queue.usage import Usage

START = Hosting(public=True, limits=CLASSROOM, host_password="chalk", pinned=("Induction",))


def test_changes_last_and_only_differences_are_stored(tmp_path: Path) -> None:
    now = with_changes(
        START, {"max_steps": 300, "run_minutes": None, "frozen": ["n_layer", "n_layer"], "pinned": ["a"]}
    )
    assert (now.limits.max_steps, now.limits.run_minutes, now.pinned) == (300, None, ("a",))
    assert now.limits == replace(CLASSROOM, max_steps=300, run_minutes=None, frozen=("n_layer",))
    host_changes.store(tmp_path, START, now)
    assert stored(START, tmp_path) == (now, "")
    other = replace(START, limits=replace(CLASSROOM, max_context=64))
    assert stored(other, tmp_path)[0].limits.max_context == 64, "what the host has not changed follows the environment"
    host_changes.store(tmp_path, START, START)
    assert stored(START, tmp_path) == (START, "")
    assert differences(START, START) == {}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"max_steps": 0}, "max_steps must be a whole number above 0; 0 is not."),
        ({"max_steps": "300"}, "max_steps must be a whole number above 0; '300' is not."),
        ({"max_step": 3}, "Unknown limit 'max_step'."),
        ({"host_password": "x"}, "Unknown limit 'host_password'."),
        ({"trainers": "me"}, "trainers must be one of everyone, owner, nobody; 'me' is not."),
        ({"frozen": ["colour"]}, "frozen contains 'colour', which is not a setting."),
        ({"frozen": "n_layer"}, "frozen must be a list of names; 'n_layer' is not."),
        ({"pinned": [3]}, "pinned must be a list of names"),
        ({"pinned": [str(n) for n in range(21)]}, "pinned must be at most 20 runs and races; there are 21."),
    ],
)
def test_wrong_changes_are_a_sentence(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message.replace(".", r"\.").replace("(", r"\(")):
        with_changes(START, changes)


def test_changes_that_cannot_be_used_are_reported_and_left_out(tmp_path: Path) -> None:
    (tmp_path / FILE).write_text('{"max_steps": -1}')
    assert stored(START, tmp_path) == (
        START,
        "The changes of the host in host.json are not used: max_steps must be a whole number above 0; -1 is not.",
    )


def test_who_is_here(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(presence.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(presence, "MOST", 3)
    here = Presence()
    for owner in "abcd":
        here.seen(owner)
        now[0] += 4
    assert here.here() == {"b": 12.0, "c": 8.0, "d": 4.0}
    now[0] += 5
    assert set(here.here()) == {"c", "d"}
    here.forget()
    assert here.here() == {}


def test_used_time_is_forgotten_between_classes(tmp_path: Path) -> None:
    usage = Usage(tmp_path / "usage.json")
    usage.add("a", 60)
    usage.flush()
    usage.add("b", 60)
    usage.forget()
    usage.flush()
    assert [Usage(tmp_path / "usage.json").seconds(owner) for owner in "ab"] == [0, 0]
    assert usage.seconds("a") == 0


def test_a_limit_of_steps_holds_for_runs_races_and_more_steps() -> None:
    assert Limits(max_steps=300).in_words() == "Here, up to: 300 steps"
