"""Tasks: right answers by another way of computing them, disjoint examples, and masks that mark answers only."""

import random
import re
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from playground.config import TrainConfig
from playground.data.corpora import training_text
from playground.data.tasks import TASKS, answer_distance, answer_mask, examples, task_parts, task_text
from playground.train.dataset import split_text

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


def prompts(name: str, text: str) -> set[str]:
    return {line.split(TASKS[name].marker)[0] + TASKS[name].marker for line in text.splitlines()}


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


@pytest.mark.parametrize("name", NAMES)
def test_the_validation_part_of_a_runs_text_has_problems_of_its_own(name: str) -> None:
    """In task version 1 it had those of the training part: 99.5 % of Addition's lines."""
    train = TrainConfig(corpus=name, corpus_bytes=300_000)
    head, tail = split_text(training_text(train), train)
    assert not prompts(name, head) & prompts(name, tail)
    assert head == task_text(name, len(head)), "the training part is what it was"
    asked = {prompt for prompt, _ in examples(name, 32)}
    if name in ("repeat", "reverse", "sort"):  # the others have few problems
        assert not asked & prompts(name, tail), "exact match asks for others"
    older = train.replace(task_version=1)
    head, tail = split_text(training_text(older), older)
    assert head + tail == task_text(name, 300_000)
    known = set(head.splitlines())
    recurring = [line for line in tail.splitlines() if line in known]
    assert (len(recurring) > 0.9 * tail.count("\n")) == (name == "addition")


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(NAMES), st.integers(1_000, 60_000), st.floats(0.001, 0.5))
def test_a_runs_text_is_cut_between_whole_lines_into_the_parts_it_was_made_of(
    name: str, n_bytes: int, fraction: float
) -> None:
    train = TrainConfig(corpus=name, corpus_bytes=n_bytes, validation_fraction=fraction)
    head, tail = task_parts(name, n_bytes, fraction)
    text = training_text(train)
    assert text == head + tail
    assert split_text(text, train) == (head, tail)
    assert head.endswith("\n")
    assert tail == "" or tail.endswith("\n")
    assert not prompts(name, head) & prompts(name, tail)
    if n_bytes * fraction > 200:
        assert len(text) <= n_bytes
        assert abs(len(tail) / len(text) - fraction) < 0.2 * fraction + 60 / len(text)


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


@pytest.mark.parametrize("name", NAMES)
def test_an_answers_distance_is_the_way_back_to_the_beginning_of_its_line(name: str) -> None:
    text = task_text(name, 3000, seed=8)[:-3]  # the last line is unfinished
    mask, distances = answer_mask(name, text), answer_distance(name, text)
    assert (distances >= 0).tolist() == mask.tolist()
    for i, distance in enumerate(distances):
        if distance >= 0:
            assert i - distance == text.rfind("\n", 0, i) + 1
    assert answer_distance(name, "").tolist() == []


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
