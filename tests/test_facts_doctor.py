"""What the run doctor states, recomputed from the curves; and the remedies that it names."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from playground.analysis.doctor import RULES, Chart, smoothed
from playground.config import ModelConfig, TrainConfig
from playground.train.schedule import learning_rate


def chart(measured: list[float], losses: list[float], state: str = "running", **values: object) -> Chart:
    steps = [10.0 * (i + 1) for i in range(len(losses))]
    at = [10 * i for i in range(len(measured))]
    model = ModelConfig(vocab_size=256)
    made = Chart(
        state, model, TrainConfig(), steps, losses, smoothed(losses), [0.1] * len(losses), at, measured, [], 1.0
    )
    return replace(made, **values)  # type: ignore[arg-type]


def said(found: Chart) -> tuple[str, str]:
    finding = next(finding for rule in RULES if (finding := rule(found)) is not None)
    return finding.rule, finding.sentence


@pytest.mark.parametrize("state", ["running", "paused", "finished", "failed"])
@pytest.mark.parametrize("warmup", [100, 101, 500])
def test_what_is_said_of_a_warm_up_holds_to_its_last_step(state: str, warmup: int) -> None:
    train = TrainConfig(warmup_steps=warmup, steps=1000)
    rule, sentence = said(chart([], [5.545] * 10, state, train=train))
    assert rule == "warm-up"
    rates = [learning_rate(step, train) for step in range(1, warmup + 2)]
    assert rates.index(max(rates)) + 1 == warmup and rates[:warmup] == sorted(rates[:warmup]), "it rises to its peak"
    assert "from zero to its peak until step" in sentence or "in which the learning rate rises to its peak" in sentence
    assert state in ("finished", "failed") or f"step {warmup}." in sentence


@given(st.floats(1e-4, 1000.0), st.floats(3.0, 1e6))
@settings(max_examples=80, deadline=None)
def test_the_clipping_that_is_advised_is_allowed_and_clips_less(limit: float, times: float) -> None:
    train = TrainConfig(grad_clip=limit, warmup_steps=0)
    norms = [max(3.0001, times) * limit] * 40
    rule, sentence = said(chart([3.0], [2.0] * 40, grad_norms=norms, train=train))
    assert rule == "clipped" and all(norm > limit for norm in norms)
    if advised := re.search(r"Try Gradient clipping (\S+)\.$", sentence):
        assert train.replace(grad_clip=float(advised[1])).grad_clip > limit
    else:
        rate = re.search(r"Try (\S+)\.$", sentence)
        assert rate and 0 < train.replace(learning_rate=float(rate[1])).learning_rate < train.learning_rate


@given(st.lists(st.floats(1.0, 6.0), min_size=6, max_size=12), st.sampled_from(["running", "paused", "stopped"]))
@settings(max_examples=150, deadline=None)
def test_a_plateau_has_no_valley(tail: list[float], state: str) -> None:
    measured = [6.0, *tail]
    rule, sentence = said(chart(measured, [], state))
    if rule == "levelling":
        late = measured[int(len(measured) * 0.6) :]
        assert max(late) - min(late) < min(0.06, 0.05 * late[-1])
        assert f"over the last {10 * (len(late) - 1)} steps" in sentence
    assert rule != "steady" or "stayed" not in sentence


def test_a_valley_is_no_plateau() -> None:
    assert said(chart([3.0, 2.5, 2.2, 2.0, 1.2, 2.0], []))[0] == "past best"


@pytest.mark.parametrize(
    ("late", "rule"),
    [([0.04, 0.03, 0.02, 0.01], "steady"), ([0.0101, 0.01, 0.0101, 0.01], "levelling"), ([1.52, 1.5, 1.5], "levelling")],
)  # fmt: skip
def test_a_small_loss_that_falls_to_a_quarter_is_no_plateau(late: list[float], rule: str) -> None:
    assert said(chart([3.3, 2.0, 1.9, 1.8, *late], []))[0] == rule


CURVE = st.lists(st.floats(0.5, 6.0), max_size=14)


@given(
    CURVE,
    CURVE,
    st.sampled_from(["running", "paused", "finished", "stopped", "failed"]),
    st.floats(0, 0.2),
    st.booleans(),
)
@settings(max_examples=300, deadline=None)
def test_the_numbers_of_a_finding_are_those_of_the_curves(
    measured: list[float], losses: list[float], state: str, error: float, falls: bool
) -> None:
    if falls:
        measured, losses = sorted(measured, reverse=True), sorted(losses, reverse=True)
    rule, sentence = said(chart(measured, losses, state, errors=(error,) * len(measured)))
    smooth = [sum(0.8 ** (n - i) * x for i, x in enumerate(losses[: n + 1])) / sum(0.8**i for i in range(n + 1))
              for n in range(len(losses))]  # fmt: skip
    lowest = min(range(len(measured)), key=measured.__getitem__, default=0)
    now = smooth[-1] if smooth and len(measured) < 2 else (measured or [0.0])[-1]
    first = ((losses if losses and len(measured) < 2 else measured) or [0.0])[0]
    if moved := re.search(r"(?:went from (\d+\.\d+) to|stayed at) (\d+\.\d+)", sentence):
        assert f"{now:.2f}" == moved[2] and f"{first:.2f}" == (moved[1] or moved[2])
    if rule == "jumped":
        at = min(range(len(smooth)), key=smooth.__getitem__)
        assert f"rose after step {10 * (at + 1)}, from {smooth[at]:.2f} to {smooth[-1]:.2f}:" in sentence
    if rule == "memorising":
        assert (
            f"was lowest at step {10 * lowest} ({measured[lowest]:.2f}) and has risen to {measured[-1]:.2f}" in sentence
        )
        assert smooth[-1] < smooth[min(max(0, lowest - 1), len(smooth) - 1)], "training loss has fallen further"
    if rule == "past best":
        assert (
            f"it was lowest at step {10 * lowest} ({measured[lowest]:.2f})" in sentence
            and measured[-1] > measured[lowest]
        )
    if rule == "unfinished":
        span, gain = re.search(r"over its last (\d+) steps validation loss fell by ([\d.]+) nats", sentence).groups()  # type: ignore[union-attr]
        assert (
            float(gain) == pytest.approx(measured[-1 - int(span) // 10] - measured[-1], abs=0.0051) and float(gain) > 0
        )
    if rule == "gap":
        assert f"Training loss ({smooth[-1]:.2f}) is lower than validation loss ({measured[-1]:.2f})" in sentence
        assert smooth[-1] < measured[-1]
    if rule == "falling":
        assert measured[-1] == min(measured) < measured[-2]
    assert rule != "empty" or not (measured or losses or state in ("running", "paused"))
    assert ("Paused before its first measurement" in sentence) == (state == "paused" and not measured and not losses)
    assert ("Finished: " in sentence) == (rule == "done") and (rule != "done" or state == "finished")


@pytest.mark.parametrize("fall", [0.004, 0.006, 0.0099, 0.011, 0.02])
def test_who_learns_steadily_went_down_in_the_digits_shown(fall: float) -> None:
    rule, sentence = said(chart([5.594, 5.594 - fall], [5.6, 5.5]))
    numbers = re.findall(r"\d+\.\d+", sentence)
    assert (rule == "steady") == (fall > 0.01)
    assert rule != "steady" or float(numbers[0]) > float(numbers[1]), sentence


@pytest.mark.parametrize("error", [1e-4, 1e-3, 0.02])
def test_a_noise_that_is_not_zero_does_not_read_as_zero(error: float) -> None:
    _, sentence = said(chart([5.59, 5.59 - error / 10], [5.6], errors=(error, error)))
    shown = re.search(r"within its noise of ±\u00a0(\S+)\.$", sentence)
    assert shown and float(shown[1]) == pytest.approx(2 * 2**0.5 * error, rel=0.2)


@pytest.mark.parametrize("loss", [1.0, 19.9, 20.0, 20.01, 20.02, 20.03, 20.04, 25.0, 1e6])
def test_a_perplexity_above_a_bound_is_above_it(loss: float) -> None:
    _, sentence = said(chart([loss], []))
    if bound := re.search(r"perplexity above (\S+?)\)", sentence):
        assert loss > np.log(float(bound[1]))
    else:
        shown = re.search(r"perplexity (\S+?), that of a uniform choice among as many tokens", sentence)
        assert shown and float(shown[1]) == pytest.approx(np.exp(loss), rel=0.01)
