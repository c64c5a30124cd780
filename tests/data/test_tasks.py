"""Tasks: right answers by another way of computing them, disjoint examples, and masks that mark answers only."""

import random
import re
from itertools import pairwise

import pytest

from playground.data.tasks import TASKS, answer_mask, examples, task_text

NAMES = ["repeat", "copy", "reverse", "sort", "addition", "brackets"]


def is_right(name: str, prompt: str, answer: str) -> bool:
    """Check a line without the code under test."""
    body = prompt[:-1]
    if name in ("repeat", "copy"):
        low, high = (12, 24) if name == "repeat" else (3, 8)
        return prompt == f"{answer}|" and low <= len(answer) <= high and answer.isalpha() and answer.islower()
    if name == "reverse":
        return 4 <= len(body) <= 12 and [*reversed(answer)] == [*body]
    if name == "sort":
        return all(a <= b for a, b in pairwise(answer)) and all(
            body.count(letter) == answer.count(letter) for letter in body + answer
        )
    if name == "addition":
        return bool(re.fullmatch(r"\d{1,2}\+\d{1,2}=", prompt)) and sum(map(int, body.split("+"))) == int(answer)
    balanced = body + answer
    while (shorter := re.sub(r"\(\)|\[\]|\{\}|<>", "", balanced)) != balanced:
        balanced = shorter
    return balanced == "" and not set(answer) & set("([{<")


def test_names() -> None:
    assert list(TASKS) == NAMES
    assert [task.name for task in TASKS.values()] == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_every_line_and_every_example_is_right(name: str) -> None:
    marker = TASKS[name].marker
    lines = [line.split(marker) for line in task_text(name, 50_000, seed=1).splitlines()]
    pairs = [(f"{prompt}{marker}", answer) for prompt, answer in lines] + examples(name, 500, seed=1)
    assert [pair for pair in pairs if not is_right(name, *pair)] == []


@pytest.mark.parametrize("name", NAMES)
def test_held_out_prompts_never_occur_in_training_text(name: str) -> None:
    marker = TASKS[name].marker
    trained = {line.split(marker)[0] + marker for line in task_text(name, 300_000, seed=2).splitlines()}
    held_out = {prompt for prompt, _ in examples(name, 2000, seed=2)}
    assert trained
    assert len(held_out) > 500
    assert not trained & held_out


def test_addition_is_split_one_to_nine_and_nothing_is_lost() -> None:
    trained = {line.split("=")[0] for line in task_text("addition", 1_000_000).splitlines()}
    held_out = {prompt[:-1] for prompt, _ in examples("addition", 20_000)}
    assert len(trained | held_out) == 10_000
    assert 900 < len(held_out) < 1100


@pytest.mark.parametrize("name", NAMES)
def test_text_is_whole_ascii_lines_a_prefix_of_longer_text_and_changes_with_the_seed(name: str) -> None:
    text = task_text(name, 5000, seed=4)
    assert text.isascii()
    assert text.endswith("\n")
    assert 5000 - 60 < len(text) <= 5000
    assert task_text(name, 20_000, seed=4).startswith(text)
    assert task_text(name, 5000, seed=5) != text


def test_first_lines_are_pinned_for_every_machine_and_python() -> None:
    assert [task_text(name, 100, seed=0).splitlines()[0] for name in NAMES] == [
        "tkgnkuhmpxnhtqgxzvxisx|tkgnkuhmpxnhtqgxzvxisx",
        "xnhtqg|xnhtqg",
        "tkgnkuhmpxn|nxpmhukngkt",
        "tkgnkuhmpxn|ghkkmnnptux",
        "84+75=159",
        "{<(<|>)>}",
    ]


@pytest.mark.parametrize("name", NAMES)
def test_mask_marks_the_answers_and_their_newlines(name: str) -> None:
    text = task_text(name, 2000, seed=6)
    expected: list[bool] = []
    for line in text.splitlines():
        prompt = line[: line.index(TASKS[name].marker) + 1]
        expected += [False] * len(prompt) + [True] * (len(line) - len(prompt) + 1)
    assert answer_mask(name, text).tolist() == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        ("ab", [0, 0]),
        ("ab|", [0, 0, 0]),
        ("ab|a", [0, 0, 0, 1]),
        ("ab|ab\n", [0, 0, 0, 1, 1, 1]),
        ("a|a\nb", [0, 0, 1, 1, 0]),
        ("a|\nb|b", [0, 0, 1, 0, 0, 1]),
    ],
)
def test_mask_of_unfinished_text(text: str, expected: list[int]) -> None:
    assert answer_mask("copy", text).tolist() == [bool(flag) for flag in expected]


def test_examples_use_the_random_sequence_that_python_promises_to_keep() -> None:
    class OnlyRandom(random.Random):
        def getrandbits(self, k: int, /) -> int:
            raise AssertionError("a sequence that may change between Python versions")

    for task in TASKS.values():
        task.example(OnlyRandom(1))


@pytest.mark.parametrize("seed", [-1, 2**32])
def test_refuses_seeds_out_of_range(seed: int) -> None:
    with pytest.raises(ValueError, match=f"Seed must be 0 to 4294967295; {seed}"):
        task_text("copy", 1000, seed)
    with pytest.raises(ValueError, match=f"Seed must be 0 to 4294967295; {seed}"):
        examples("copy", 1, seed)


def test_refuses_unknown_tasks_small_sizes_and_foreign_text() -> None:
    for call in (lambda: task_text("chess", 1000), lambda: examples("chess", 1), lambda: answer_mask("chess", "a|a")):
        with pytest.raises(ValueError, match=r"Task must be one of repeat, .*; 'chess' is not\."):
            call()
    with pytest.raises(ValueError, match="at least 100 bytes; 99"):
        task_text("copy", 99)
    with pytest.raises(ValueError, match="plain ASCII"):
        answer_mask("copy", "ä|ä\n")
