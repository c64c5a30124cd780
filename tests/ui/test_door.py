"""Names at the door: asked for only where the host has set a class code, and seen only by the host."""

from __future__ import annotations

from pathlib import Path

import pytest

from playground.runs.queue.class_list import ClassList
from playground.ui import door, endpoints
from playground.ui.desk.desk import Desk
from playground.ui.door import join, shown
from playground.ui.server.logins import Throttle
from playground.ui.services import Services
from playground.ui.train.your_data import ask, delete_all, stored_words
from tests.ui.test_allowance import ANN, BOB, make, services

FREE = Throttle(1_000, 1.0)


def school(tmp_path: Path) -> Services:
    return services(tmp_path, class_code="7b", host_password="chalk", keep_days=14.0)


def test_without_a_class_code_there_is_no_door(tmp_path: Path) -> None:
    found = services(tmp_path)
    assert shown(found, ANN)[0]["visible"] is False
    with pytest.raises(ValueError, match="The host has set no class code"):
        join(found, FREE, "Ada", "", ANN)


def test_a_name_and_the_code_of_the_class(tmp_path: Path) -> None:
    found = school(tmp_path)
    row, name, code, button = shown(found, ANN, "7b")
    assert (row["visible"], name["value"], code["value"], code["visible"]) == (True, "", "7b", True)
    for wrong in ("", "7c", None, 7, "\ud800"):
        with pytest.raises(ValueError, match="this is not the code of the class"):
            join(found, FREE, "Ada", wrong, ANN)
    with pytest.raises(ValueError, match="Your name must be 1 to 40"):
        join(found, FREE, "", "7B", ANN)
    with pytest.raises(ValueError, match="Only a visitor with a token"):
        join(found, FREE, "Ada", "7b", "")
    row, name, code, button = join(found, FREE, "<i>Ada</i>", " 7B ", ANN)
    assert (name["value"], code["visible"], button["value"]) == ("<i>Ada</i>", False, "Change my name")
    assert join(found, FREE, "Ada", "", ANN)[1]["value"] == "Ada", "no code is needed again"
    assert shown(found, BOB)[1]["value"] == ""
    found.change_hosting({"class_code": "8a"})
    assert shown(found, ANN)[1]["value"] == "", "the next class introduces itself"


def test_codes_are_not_guessed_quickly(tmp_path: Path) -> None:
    found, few = school(tmp_path), Throttle(2, 30.0)
    for _ in range(2):
        with pytest.raises(ValueError, match="not the code"):
            join(found, few, "Ada", "x", ANN)
    with pytest.raises(ValueError, match=r"too many wrong ones\. Try again in 30 seconds"):
        join(found, few, "Ada", "7b", ANN)


def test_the_host_sees_names_and_others_do_not(tmp_path: Path) -> None:
    found = school(tmp_path)
    join(found, FREE, "Ada", "7b", ANN)
    mine, theirs = make(found, "mine"), make(found, "theirs", BOB)
    desk = Desk(found)
    assert {job["name"]: job["person"] for job in desk.state()["jobs"]} == {
        "mine": "Ada",
        "theirs": f"visitor {(theirs.owner or '')[:4]}",
    }
    assert [job["id"] for job in desk.state({"class": "7b"})["jobs"]] == [mine.id]
    assert [person["name"] for person in desk.state({"class": "7b"})["people"]] == ["Ada"]
    assert desk.state()["classes"] == ["7b"]
    files = dict(desk.exported({"class": "7b"}))
    assert b",Ada,7b," in files["runs.csv"]  # type: ignore[operator]
    assert "theirs" not in str(files)
    assert "Ada" not in str([endpoints.live(found, {"visitor": BOB}), found.choices(BOB), shown(found, BOB)])


def test_a_class_is_reset_alone(tmp_path: Path) -> None:
    found = school(tmp_path)
    join(found, FREE, "Ada", "7b", ANN)
    mine, theirs = make(found, "mine"), make(found, "theirs", BOB)
    for run in (mine, theirs):
        found.launcher.usage.add(run.owner, 60)
    assert Desk(found).act({"action": "reset", "class": "7b"}).startswith("1 run or race deleted.")
    assert [run.id for run in found.store.list()] == [theirs.id]
    assert [found.launcher.usage.seconds(run.owner) for run in (mine, theirs)] == [0, 60]
    assert ClassList(found.store.root).people() == {}


def test_a_name_is_deleted_with_everything(tmp_path: Path) -> None:
    found = school(tmp_path)
    join(found, FREE, "Ada", "7b", ANN)
    assert ask(found, ANN)[1] == "Delete 0 runs and races and your name for good?"
    delete_all(found, ANN)
    assert found.people.people() == {}
    assert "your name for 14 days" in stored_words(found)
    assert door.person(found, ANN) is None
