"""An assignment as students and the host meet it: a link, a question, fixed settings, and handing in."""

from __future__ import annotations

import json
from pathlib import Path
from urllib.parse import urlencode

import gradio as gr
import pytest

from playground.runs.assignments import Assignment
from playground.ui import door, links
from playground.ui.desk.desk import Desk
from playground.ui.server.logins import Throttle
from playground.ui.services import Services
from playground.ui.setups import setup_of_link
from playground.ui.train import train_tab
from playground.ui.train.assignment_card import HANDED_IN, hand_in, opened, with_fixed
from playground.ui.train.your_data import delete_all
from tests.ui.test_allowance import ANN, BOB, make, services

SETUP = {"preset": "modern", "corpus": "tales", "model": {"n_layer": 1}, "train": {"steps": 50}}
LINK = "http://localhost:7860/?" + urlencode({"setup": json.dumps(SETUP)})


def assigned(found: Services, *frozen: str) -> Assignment:
    desk = Desk(found)
    words = {"title": "Layers", "question": "What <b>do</b> they do?", "setup": LINK, "frozen": list(frozen)}
    assert desk.act({"action": "assign", **words}) == "Layers is an assignment now. Give its link to the class."
    return found.assignments.all()[0]


@pytest.mark.parametrize(
    "link", ["", None, "http://x/", "http://[", "setup={}", "http://x/?setup=%7B%22preset%22%3A3%7D"]
)
def test_a_configuration_is_a_link(link: object) -> None:
    with pytest.raises(ValueError, match=r"Configuration must be a link|The configuration in this link is damaged"):
        setup_of_link(link)
    assert setup_of_link(LINK).to_json() == json.dumps(SETUP, separators=(",", ":"))


def test_the_link_opens_question_and_configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(links, "_viewed", lambda built: {})  # of the page, only the Train tab is built
    found = services(tmp_path)
    made = assigned(found, "n_layer", "steps")
    group, key, question, fixed, answer, said = opened(found, made.id, ANN)
    assert (group["visible"], key, answer, said) == (True, made.id, "", "")
    assert question == "Layers\n\nWhat <b>do</b> they do?"
    assert fixed["value"] == "Layers 1 and Steps 50"
    assert opened(found, "", ANN)[0]["visible"] is False
    with gr.Blocks():
        tab = train_tab.build(found)
    names = [*([None] * 3), *tab.model, *tab.train]
    shown = dict(zip(names, links.open_link(found, {"train": tab}, {"assignment": made.id}, ANN), strict=True))
    assert shown["n_layer"] == gr.update(value=1, interactive=False)
    assert shown["n_head"] == 4
    data = {control: control.value for control in tab.inputs} | {tab.assignment.id: made.id}
    assert with_fixed(found, tab.assignment, data, {"n_layer": 6, "n_head": 2}) == {"n_layer": 1, "n_head": 2}
    assert with_fixed(found, tab.assignment, {**data, tab.assignment.id: ""}, {"n_layer": 6}) == {"n_layer": 6}


def test_handing_in(tmp_path: Path) -> None:
    found = services(tmp_path, host_password="chalk")
    made = assigned(found, "n_layer", "steps")
    mine, theirs = make(found, "mine"), make(found, "theirs", BOB)
    found.store.share(theirs.id, True, BOB)
    for wrong, message in (
        (("x", mine.id, "they learn", ANN), "not there any more"), ((made.id, None, "x", ANN), "No run is chosen"),
        ((made.id, theirs.id, "x", ANN), "only its owner can change it"), ((made.id, mine.id, " ", ANN), "Your answer must"),
        ((made.id, mine.id, "x", ""), "Only a visitor with a token"),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=message):
            hand_in(found, *wrong)
    assert hand_in(found, made.id, mine.id, "they learn", ANN) == HANDED_IN
    assert opened(found, made.id, ANN)[4:] == ["they learn", HANDED_IN]
    assert opened(found, made.id, BOB)[4:] == ["", ""]
    desk = Desk(found)
    (shown,) = desk.state()["assignments"]
    assert [(one["text"], one["run"]) for one in shown["answers"]] == [("they learn", mine.id)]
    assert b"they learn" in dict(desk.exported({}))["assignments/01-layers/answers.csv"]  # type: ignore[operator]
    delete_all(found, ANN)
    assert desk.state()["assignments"][0]["answers"] == []
    assert desk.act({"action": "unassign", "id": made.id}) == "The assignment and its answers are deleted."
    assert desk.state()["assignments"] == []


def test_a_run_with_other_settings_is_not_handed_in_and_a_class_gives_names(tmp_path: Path) -> None:
    found = services(tmp_path, host_password="chalk", class_code="7b")
    made, run = assigned(found, "block_size"), make(found, "mine")
    with pytest.raises(ValueError, match="Join the class first"):
        hand_in(found, made.id, run.id, "x", ANN)
    door.join(found, Throttle(9, 1.0), "Ada", "7b", ANN)
    with pytest.raises(ValueError, match="This assignment fixes Context length at 128; the chosen run has 16"):
        hand_in(found, made.id, run.id, "x", ANN)
    assert Desk(found).state({"class": "7b"})["assignments"][0]["answers"] == []
    other = assigned(found)
    hand_in(found, other.id, run.id, "x", ANN)
    assert Desk(found).act({"action": "reset", "class": "7b"}).startswith("1 run or race deleted.")
    assert found.assignments.answers(other.id) == []
