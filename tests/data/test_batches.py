"""Windows of a task's text: an answer counts where its whole prompt can be seen."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from playground.data.batches import IGNORED, Spread, sample_batch, windows
from playground.data.tasks import TASKS, answer_distance, answer_mask, task_text

TEXTS = {name: task_text(name, 4_000, seed=3) for name in TASKS}


def expected(text: str, marker: str, offset: int, block_size: int) -> list[int]:
    """The targets of a window, one after the other and without the code under test."""
    seen = text[offset : offset + block_size + 1]
    first = 0 if offset == 0 or text[offset - 1] == "\n" else seen.find("\n") + 1 or len(seen)
    targets, answering = [], False
    for i, character in enumerate(seen):
        targets.append(ord(character) if answering and i >= first else IGNORED)
        answering = i >= first and character != "\n" and (answering or character == marker)
    return targets[1:]


@settings(max_examples=100, deadline=None)
@given(st.sampled_from(sorted(TASKS)), st.integers(4, 80), st.data())
def test_targets_before_the_first_line_start_of_a_window_are_ignored(name, block_size, data) -> None:
    text = TEXTS[name]
    tokens = np.frombuffer(text.encode(), dtype=np.uint8)
    offsets = np.array(data.draw(st.lists(st.integers(0, len(text) - block_size - 1), min_size=1, max_size=5)))
    x, y = windows(tokens, answer_distance(name, text), offsets, block_size)
    assert x.tolist() == [[*text.encode()[o : o + block_size]] for o in offsets]
    assert y.tolist() == [expected(text, TASKS[name].marker, o, block_size) for o in offsets]


def test_flags_count_in_every_window() -> None:
    """The rule of task version 1: of 64 tokens, 44 % of the targets of Repeat lie before the first line start."""
    text = TEXTS["repeat"]
    tokens, flags = np.frombuffer(text.encode(), dtype=np.uint8), answer_mask("repeat", text)
    offsets = np.arange(0, len(text) - 65)
    _, old = windows(tokens, flags, offsets, 64)
    assert np.array_equal(old.numpy() != IGNORED, flags[offsets[:, None] + np.arange(1, 65)])
    _, new = windows(tokens, answer_distance("repeat", text), offsets, 64)
    lost = int((old != IGNORED).sum() - (new != IGNORED).sum())
    assert 0.4 < lost / int((old != IGNORED).sum()) < 0.5


def test_windows_without_any_target_are_drawn_again() -> None:
    """Many windows as short have none. What is drawn depends on seed and step alone; the first draw is as ever."""
    text = TEXTS["repeat"]
    tokens, distances = np.frombuffer(text.encode(), dtype=np.uint8), answer_distance("repeat", text)
    settings = dict(block_size=25, count=1, seed=5)
    again = 0
    for step in range(60):
        offsets = Spread.random(len(tokens), **settings, step=step, mask=distances).offsets
        first = np.random.default_rng([5, step]).integers(0, len(tokens) - 25, size=1)
        _, y = sample_batch(tokens, distances, **settings, step=step)
        assert (y != IGNORED).any()
        assert np.array_equal(offsets, Spread.random(len(tokens), **settings, step=step, mask=distances).offsets)
        if (windows(tokens, distances, first, 25)[1] != IGNORED).any():
            assert np.array_equal(offsets, first)
        else:
            again += 1
    assert 10 < again < 60


@pytest.mark.parametrize("mask", [None, np.zeros(100, dtype=bool)])
def test_other_windows_are_drawn_once(mask) -> None:
    offsets = Spread.random(100, 8, 4, 1, 2, mask=mask).offsets
    assert np.array_equal(offsets, np.random.default_rng([1, 2]).integers(0, 92, size=4))
