"""Names at the door: checked, unique in a class, kept for a while, and forgotten on demand."""

from pathlib import Path

import pytest

from playground.runs.queue import class_list
from playground.runs.queue.class_list import ClassList


def test_names_are_unique_in_a_class_and_can_be_changed(tmp_path: Path) -> None:
    found = ClassList(tmp_path)
    assert found.people() == {}
    assert [found.join(owner, " Ada ", code).name for owner, code in (("a", "7b"), ("b", "7b"), ("c", "7c"))] == [
        "Ada",
        "Ada (2)",
        "Ada",
    ]
    assert found.join("a", "Ada", "7b").name == "Ada"
    assert found.join("b", "Bob <b>", "7b").name == "Bob <b>"
    assert {owner: person.name for owner, person in ClassList(tmp_path).people().items()} == {
        "a": "Ada",
        "b": "Bob <b>",
        "c": "Ada",
    }
    assert found.forget(lambda owner, person: person.class_code == "7b") == 2
    assert list(found.people()) == ["c"]


@pytest.mark.parametrize("name", ["", "  ", "x" * 41, "a\nb", "a\u202eb", None, 3])
def test_wrong_names_are_a_sentence(tmp_path: Path, name: object) -> None:
    with pytest.raises(ValueError, match=r"Your name must be 1 to 40 printable characters\."):
        ClassList(tmp_path).join("a", name, "7b")


def test_a_full_class(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(class_list, "MOST", 1)
    found = ClassList(tmp_path)
    found.join("a", "Ada", "7b")
    with pytest.raises(ValueError, match="The class is full: 1 "):
        found.join("b", "Bob", "7b")
    assert found.join("a", "Ann", "7b").name == "Ann"


def test_names_are_forgotten_after_a_while_and_damaged_ones_are_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = ClassList(tmp_path)
    found.join("a", "Ada", "7b")
    found.prune(None)
    found.prune(1.0)
    assert list(found.people()) == ["a"]
    now = class_list.time.time()
    monkeypatch.setattr(class_list.time, "time", lambda: now + 2 * 86_400)
    found.prune(1.0)
    assert found.people() == {}
    (tmp_path / "class.json").write_text(
        '{"a": {"name": "Ada"}, "b": 3, "c": {"name": "C", "class_code": "", "at": 1}}'
    )
    assert list(found.people()) == ["c"]
