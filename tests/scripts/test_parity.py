"""What the scripts repeat of Python, and what tabs let the page do, in Node: the same as the Python reference."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from playground.analysis.doctor import SMOOTHING, smoothed
from playground.config import GenerationConfig, apart, counted, duration, moved
from playground.inference.sampling import entropy_bits, filter_distribution, sample_token
from playground.races.payload import FOLLOW
from playground.train.events import StepDone, columns
from playground.ui import scripts
from playground.ui.inside import attention_tab, inside_tab
from playground.ui.inside.semantic_views import look_everywhere
from tests.scripts.node import Node

VERSIONED = f"scripts/{scripts.version()}/"  # of addresses as the app has them
NAMES = ("temperature", "top_k", "top_p", "min_p", "repetition_penalty")
CASES = [
    dict(zip(NAMES, (temperature, top_k, top_p, min_p, penalty), strict=True))
    for temperature in (0.0, 0.3, 0.85, 1.0, 2.0)
    for top_k in (0, 1, 7, 1000)
    for top_p in (0.0, 0.123, 0.9, 0.999, 1.0)
    for min_p, penalty in ((0.0, 1.0), (0.2, 1.0), (1.0, 1.0), (0.01, 1.4), (0.0, 0.7))
]


@pytest.fixture(scope="module")
def shared() -> Iterator[Node]:
    node = Node()
    yield node
    node.close()


def test_training_losses_are_smoothed_as_the_run_doctor_does(shared: Node) -> None:
    losses = [5.5, 4.0, 4.5, 2.0, 2.5]
    script = "(losses) => [Playground.SMOOTHING, Playground.smooth(losses, Playground.SMOOTHING)]"
    weight, found = shared.evaluate(script, losses)
    assert weight == SMOOTHING
    assert found == pytest.approx(smoothed(losses))


@pytest.mark.parametrize("kind", ["random", "ties", "one", "extreme"])
def test_filter_distribution_is_the_python_reference(shared: Node, kind: str) -> None:
    rng = np.random.default_rng(0)
    logits = {
        "random": rng.normal(0, 2, 300).round(4),
        "ties": rng.integers(-2, 3, 120).astype(float),
        "one": np.array([0.5]),
        "extreme": np.array([900.0, 0.0, -900.0, 899.0, 900.0]),
    }[kind]
    seen = [int(i) for i in rng.integers(0, len(logits), 5)]
    script = """([logits, cases, seen]) => cases.map((settings) => {
        const found = Playground.filterDistribution(logits, settings, seen);
        const byId = Array.from(logits.keys());
        return { before: [...found.before], after: [...found.after], removedBy: found.removedBy,
                 bits: Playground.entropyBits(found.after),
                 drawn: [0, 0.1, 0.5, 0.999999].map((u) => Playground.drawToken(found.after, u, byId)) };
    })"""
    for case, found in zip(CASES, shared.evaluate(script, [logits.tolist(), CASES, seen]), strict=True):
        expected = filter_distribution(logits, GenerationConfig(**case), seen)
        np.testing.assert_allclose(found["before"], expected.before, atol=1e-12, err_msg=str(case))
        np.testing.assert_allclose(found["after"], expected.after, atol=1e-12, err_msg=str(case))
        assert [by or "" for by in found["removedBy"]] == expected.removed_by, case
        assert found["bits"] == pytest.approx(entropy_bits(expected.after), abs=1e-9)
        for uniform, token in zip((0, 0.1, 0.5, 0.999999), found["drawn"], strict=True):
            assert token == sample_token(expected.after, Fixed(uniform)), case


class Fixed:
    """A random generator that gives one number."""

    def __init__(self, number: float) -> None:
        self.number = number

    def random(self) -> float:
        return self.number


def test_every_metric_of_a_step_that_has_a_label_is_measured(shared: Node) -> None:
    labels = shared.evaluate("() => [Object.keys(Playground.stepMetrics()), Object.keys(Playground.stepMetrics(true))]")
    assert labels[0] == [name for name in columns(StepDone) if name not in ("step", "tokens", "seconds", "loss")]
    assert labels[1] == [name for name in labels[0] if name not in FOLLOW]


def test_numbers_are_counted_and_compared_as_python_does(shared: Node) -> None:
    counts = [0, 1, 2, 21, 999, 1_000, 1_234_567]
    assert shared.evaluate("counts => counts.map((n) => Playground.counted(n, 'token'))", counts) == [
        counted(n, "token") for n in counts
    ]
    pairs = [[5.59, 5.589], [5.59, 2.3], [0.0, 0.0], [1.0, 1.006]]
    found = shared.evaluate("pairs => pairs.map(([a, b]) => Playground.moved(a, b, 2))", pairs)
    assert found == [moved(a, b).replace("went", "goes").replace("stayed", "stays") for a, b in pairs]
    found = shared.evaluate("pairs => pairs.map(([a, b]) => Playground.apart(a, b, 2))", pairs)
    assert found == [list(apart(a, b, 2)) for a, b in pairs]


def test_seconds_are_put_into_words_as_python_does(shared: Node) -> None:
    seconds = [
        0,
        0.4,
        0.5,
        1.49,
        42.5,
        89,
        89.5,
        90,
        149,
        150,
        5369,
        5370,
        5399,
        5400,
        7169,
        7170,
        7199,
        9_000,
        86_400,
        1e6,
    ]
    found = shared.evaluate("seconds => seconds.map((one) => Playground.duration(one))", seconds)
    assert found == [duration(one) for one in seconds]


def ask(node: Node, script: str, *arguments: Any) -> Any:
    """What one of a tab's scripts makes of the values of its controls, without the time of asking."""
    answer = node.evaluate(f"(arguments) => ({script.replace(VERSIONED, '')})(...arguments)", list(arguments))
    return [without_nonce(one) for one in answer] if isinstance(answer, list) else without_nonce(answer)


def without_nonce(question: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in question.items() if name != "nonce"}


def test_a_view_is_asked_about_what_the_controls_say(shared: Node) -> None:
    one = {"visitor": "v", "run": "r", "step": 5, "text": "text"}
    nothing = {**one, "run": "", "step": None}
    assert ask(shared, look_everywhere(3), "r", 5, "text", "v") == [one] * 3
    assert ask(shared, look_everywhere(1), None, None, "text", "v") == [nothing]
    second = {"run": "s", "step": 7}
    assert ask(shared, inside_tab.LOOK, "r", 5, "text", "s", 7, "v") == [{**one, "second": second}, one, one, one]
    assert ask(shared, inside_tab.LOOK, "r", 5, "text", "", None, "v") == [{**one, "second": None}, one, one, one]
    assert ask(shared, inside_tab.LOOK_SECOND, {**one, "nonce": 1}, "s", 7) == {**one, "second": second}
    assert ask(shared, inside_tab.LOOK_SECOND, {**one, "second": second, "nonce": 1}, "", None) == {
        **one,
        "second": None,
    }
    patched = ask(shared, inside_tab.LOOK_PATCHED, "r", 5, "A", "B", "a", "b", "v")
    prompts = {"clean prompt": "A", "corrupted prompt": "B", "clean answer": "a", "corrupted answer": "b"}
    assert patched == {"visitor": "v", "run": "r", "step": 5, **prompts}


def test_opening_the_attention_tab_leaves_a_guided_reading_that_goes_on_there(shared: Node) -> None:
    asked = {"visitor": "v", "run": "r", "text": "text", "special": True}
    reading = {**asked, "reading": {"title": "t", "stages": []}}
    opening = attention_tab.LOOK_ON_OPENING
    assert ask(shared, opening, "r", "text", True, "v", {**reading, "nonce": 1}) == reading
    assert ask(shared, opening, "r", "other", True, "v", {**reading, "nonce": 1}) == {**asked, "text": "other"}
    assert ask(shared, opening, "s", "text", True, "v", {**reading, "nonce": 1}) == {**asked, "run": "s"}
    assert ask(shared, opening, "r", "text", True, "v", {**asked, "nonce": 1}) == asked
    assert ask(shared, opening, "r", "text", False, "v", None) == {**asked, "special": False}
    assert ask(shared, attention_tab.LOOK, "r", "text", True, "v") == asked
