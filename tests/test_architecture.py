"""docs/architecture.md: the paths that it names exist."""

from __future__ import annotations

import re

import pytest

from tests.texts import PROJECT

TEXT = (PROJECT / "docs/architecture.md").read_text("utf-8")
QUESTIONS = re.findall(r"^\| (Wh[^|]+\?) \| `([^`]+)` \|$", TEXT, re.M)


def test_ten_questions_are_answered() -> None:
    assert len(QUESTIONS) == 10


@pytest.mark.parametrize(("question", "path"), QUESTIONS)
def test_the_answer_is_there(question: str, path: str) -> None:
    assert (PROJECT / path).is_file(), question


@pytest.mark.parametrize("path", sorted(set(re.findall(r"`((?:\w+/)+\w+\.(?:py|js|c|txt))`", TEXT))))
def test_a_path_in_the_text_exists(path: str) -> None:
    assert any((PROJECT / folder / path).is_file() for folder in (".", "playground", "playground/ui"))
