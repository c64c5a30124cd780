"""Assignments and answers: checked, replaced by a second hand-in, exported, and deleted."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

import pytest

from playground.config import ModelConfig, TrainConfig
from playground.runs import assignments
from playground.runs.assignments import Assignments, check_fixed
from playground.runs.store.run_store import hashed
from tests.runs.conftest import MODEL, TRAIN, MakeRun

ANN, BOB = (hashed(letter * 32) or "" for letter in "ab")


@pytest.fixture
def found(tmp_path: Path) -> Assignments:
    return Assignments(tmp_path)


def test_handing_in_again_replaces_the_answer(found: Assignments, make_run: MakeRun) -> None:
    assert found.all() == []
    made = found.create(" Layers ", "What do layers do?", "{}", ["n_layer", "n_layer"])
    assert found.get(made.id) == made
    assert (made.title, made.frozen) == ("Layers", ("n_layer",))
    run = make_run()
    for owner, text in ((ANN, "nothing"), (BOB, "much"), (ANN, " a lot ")):
        found.hand_in(made, owner, run, text)
    assert [(one.owner, one.text) for one in found.answers(made.id)] == [(BOB, "much"), (ANN, "a lot")]
    assert found.answer(made.id, ANN) == found.answers(made.id)[1]
    files: dict[str, Any] = dict(found.entries({ANN: ("Ada", "7b")}, lambda owner: owner == ANN))
    assert files["assignments/01-layers/question.txt"] == b"Layers\n\nWhat do layers do?\n"
    (row,) = csv.DictReader(io.StringIO(files["assignments/01-layers/answers.csv"].decode()))
    assert (row["student"], row["class"], row["run"], row["answer"]) == ("Ada", "7b", run.id, "a lot")
    found.forget(lambda answer: answer.owner == ANN)
    assert [one.owner for one in found.answers(made.id)] == [BOB]
    found.delete(made.id)
    assert found.all() == []
    assert found.answers(made.id) == []
    with pytest.raises(ValueError, match="not there any more"):
        found.delete(made.id)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("", "q", "{}", []), "Title must be 1 to 80 printable characters"),
        (("t", " ", "{}", []), "Question must have 1 to 5,000 characters; it has 0"),
        (("t", 3, "{}", []), "Question must have 1 to 5,000 characters; it has 0"),
        (("t", "q" * 5001, "{}", []), "it has 5,001"),
        (("t", "q", "{}", ["colour"]), "Frozen settings: 'colour' is not a setting"),
        (("t", "q", "{}", ["vocab_size"]), "Frozen settings: 'vocab_size' is not a setting that can be fixed"),
        (("t", "q", "{}", "n_layer"), "Frozen settings must be a list of names"),
    ],
)
def test_wrong_assignments_are_a_sentence(found: Assignments, arguments: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        found.create(*arguments)
    assert found.all() == []


@pytest.mark.parametrize("key", [None, "", "../run", "a" * 15, "A" * 16, 3])
def test_ids_are_no_paths(found: Assignments, key: object) -> None:
    assert found.get(key) is None
    with pytest.raises(ValueError, match="not there any more"):
        found.delete(key)


def test_limits_of_assignments_and_answers(
    found: Assignments, make_run: MakeRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(assignments, "MOST", 1)
    monkeypatch.setattr(assignments, "MOST_ANSWERS", 1)
    made, run = found.create("t", "q", "{}", []), make_run()
    with pytest.raises(ValueError, match="There are 1 assignment already"):
        found.create("t", "q", "{}", [])
    found.hand_in(made, ANN, run, "x")
    with pytest.raises(ValueError, match="There are 1 answer to this assignment already"):
        found.hand_in(made, BOB, run, "x")
    with pytest.raises(ValueError, match="Your answer must have 1 to 5,000 characters; it has 0"):
        found.hand_in(made, ANN, run, "")
    with pytest.raises(ValueError, match="not there any more"):
        found.hand_in(made, "../../x", run, "x")
    found.prune(1.0)
    assert len(found.answers(made.id)) == 1
    now = assignments.time.time()
    monkeypatch.setattr(assignments.time, "time", lambda: now + 2 * 86_400)
    found.prune(None)
    found.prune(1.0)
    assert found.answers(made.id) == []


def test_a_run_must_have_what_is_fixed(found: Assignments, make_run: MakeRun) -> None:
    made = found.create("t", "q", "{}", ["n_layer", "steps", "documents"])
    fixed = made.fixed(MODEL, TRAIN)
    assert fixed == {"n_layer": 1, "steps": 30, "documents": "joined"}
    check_fixed(make_run(), fixed)
    with pytest.raises(ValueError, match="This assignment fixes Steps at 30; the chosen run has 31"):
        check_fixed(make_run(steps=31), fixed)
    assert made.fixed(ModelConfig(), TrainConfig())["n_layer"] == ModelConfig().n_layer


def test_damaged_files_are_left_out(found: Assignments, tmp_path: Path) -> None:
    (tmp_path / "assignments").mkdir()
    (tmp_path / "assignments" / ("0" * 16 + ".json")).write_text('{"id": 3}')
    assert found.all() == []
