"""What a race's verdict and the notes on compilation state, against plain arithmetic on the curves."""

from __future__ import annotations

import itertools
import math
import os
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from playground.config import ModelConfig, TrainConfig, preset
from playground.races import lr_sweep
from playground.races import verdict as verdict_module
from playground.races.results import ArmResult, RunCurve
from playground.races.statistics import Difference, Ratio
from playground.races.verdict import Verdict, judge
from playground.races.verdict_words import claim, divergences, times
from playground.runs.comparable import BITS, FIRST_NO_BITS, NATS, NO_BITS, OTHER_TEXT, Measure, common_unit
from playground.runs.worker import compiling
from playground.runs.worker.compiling import Compiling
from playground.train.compiled import obstacle
from playground.train.race import plan
from playground.train.race_spec import RaceSpec
from playground.train.trainer import TrainState
from tests.races.conftest import SHARED
from tests.runs.conftest import MakeRun, make_run, store

__all__ = ["make_run", "store"]  # fixtures
MEASURE = Measure("x", "text", True)


@pytest.fixture(autouse=True)
def _without_measuring_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verdict_module, "training_memory", lambda *_: 0)


Curve = Sequence[float] | None  # None: diverged


def arms_of(
    curves: Sequence[Sequence[Curve]], names: Sequence[str] = "ABCDE", **changes: Any
) -> tuple[RaceSpec, list[ArmResult]]:
    """The arms of a race as if they had been measured: ``curves[arm][seed]``, evaluated every 10 steps of 320 tokens."""
    arms = [f"{names[n]}: modern" for n in range(len(curves))]
    spec = RaceSpec.from_dict({"arms": arms, "shared": SHARED, "amount": 50, "seeds": len(curves[0]), "match": "none"})
    found = []
    for arm, rows in zip(plan(spec, lambda config: 256, lambda model, config: 1.0), curves, strict=True):
        runs = tuple(
            RunCurve(
                seed, [10 * n for n in range(len(row or [5.0]))], [0.5 * n for n in range(len(row or [5.0]))],
                list(row or [5.0]), [value / math.log(2) for value in row or [5.0]], [0.1] * len(row or [5.0]),
                "finished" if row is not None else "diverged", 64.0,
            )
            for seed, row in enumerate(rows)
        )  # fmt: skip
        found.append(ArmResult(arm.name, arm.preset, arm.model, arm.train, 1, 1.0, runs, "", MEASURE))
    return spec, [replace(arm, **changes) for arm in found]


def judged(curves: Sequence[Sequence[Curve]]) -> Verdict:
    spec, arms = arms_of(curves)
    return judge(arms, spec)


LAST = st.one_of(st.none(), st.sampled_from([1.0, 1.5, 1.5001, 2.0]), st.floats(0.5, 3.0))


@given(st.integers(2, 4), st.integers(1, 3), st.data())
@settings(max_examples=80, deadline=None)
def test_a_headline_is_true_of_the_final_losses(n_arms: int, n_seeds: int, data: st.DataObject) -> None:
    finals = [[data.draw(LAST) for _ in range(n_seeds)] for _ in range(n_arms)]
    found = judged([[None if last is None else [5.0, 4.0, last] for last in row] for row in finals])
    outcomes = {one.arm: one.difference.outcome for one in found.comparisons}
    words = found.headline
    level = min(0.02, 0.05 / (n_arms - 1))
    assert f"s / √n at {100 * (1 - level):.4g} %" in found.rule
    assert (f"{n_arms - 1} comparisons with the first arm are made" in found.rule) == (level < 0.02)
    assert ("With one seed there is no interval." in found.rule) == (n_seeds == 1)
    for row, arm in zip(finals, found.table, strict=True):
        kept = [last for last in row if last is not None]
        assert arm["loss"] == (pytest.approx(np.mean(kept)) if kept else None) and arm["diverged"] == row.count(None)
    for one in found.comparisons:
        row = finals["ABCDE".index(one.arm)]
        both = [(a, b) for a, b in zip(row, finals[0], strict=True) if a is not None and b is not None]
        assert one.difference.n == len(both)
        assert one.difference.mean == pytest.approx(np.mean([a - b for a, b in both]), abs=1e-12)
        assert (one.difference.outcome == "identical") == all(a == b for a, b in both)
    if match := re.match(r"No arm is distinguishably better than A(?:; (\d) of (\d) (?:is|are) worse)?\.$", words):
        assert "better" not in outcomes.values()
        worse = list(outcomes.values()).count("worse")
        assert (int(match[1] or 0), int(match[2] or len(outcomes))) == (worse, len(outcomes))
        assert set(outcomes.values()) != {"identical"}
    if match := re.match(r"(\d) other arms are identical to A: every difference is exactly 0\.$", words):
        assert list(outcomes.values()) == ["identical"] * int(match[1])
    if match := re.match(r"(\w)(?: is better| ends \S+ nats per token lower)", words):
        assert outcomes[match[1]] in ("better", "one seed")
    if match := re.match(r"(\w) .*It has the lowest final loss of all (\d)( that can be compared)?\.$", words):
        means = {name: np.mean(finals[i]) for i, name in enumerate("ABCDE"[:n_arms]) if name in {"A", *outcomes}}  # type: ignore[arg-type]
        assert all(means[match[1]] < mean for name, mean in means.items() if name != match[1])
        assert int(match[2]) == len(means) and bool(match[3]) == (len(means) < n_arms)
    if " are not distinguishable: " in words:
        assert list(outcomes.values()) == ["unclear"]
    if "better" in outcomes.values():
        assert outcomes[words[0]] == "better" and words[1:].startswith(" is better ")
    if words.startswith("Nothing is left"):
        assert not outcomes and any(None in row for row in finals)
    if "one seed: there is no interval" in words:
        assert 1 in [one.difference.n for one in found.comparisons]
    for name, row in zip("ABCDE", finals, strict=False):
        seeds = "1 seed" if n_seeds == 1 else f"{n_seeds} seeds"
        said = f"{name} diverged in {row.count(None)} of {seeds}; those are left out."
        assert (said in f"{words} {' '.join(found.sentences)}") == (None in row)


def test_a_clear_gain_is_not_hidden_by_a_larger_one_that_is_not_clear() -> None:
    base, wild, sure = (
        [[5.0, 4.0, last] for last in row] for row in ((2.0, 2.1, 2.05), (0.5, 2.5, 1.4), (1.9, 2.0, 1.95))
    )
    found = judged([base, wild, sure])
    assert [one.difference.outcome for one in found.comparisons] == ["unclear", "better"]
    assert found.headline.startswith("C is better than A by 0.100 ±") and "lowest" not in found.headline


def test_of_two_equally_low_arms_none_is_the_lowest() -> None:
    base, low = ([[5.0, 4.0, last + 0.001 * seed] for seed in range(3)] for last in (2.0, 1.0))
    assert "lowest" not in judged([base, low, low]).headline
    assert judged([base, low, base]).headline.endswith("It has the lowest final loss of all 3.")


def test_in_bits_per_byte_the_headline_speaks_of_no_loss() -> None:
    base, low = ([[5.0, 4.0, last + 0.001 * seed] for seed in range(3)] for last in (2.0, 1.0))
    spec, arms = arms_of([base, low, base])
    arms[2] = replace(arms[2], measure=replace(MEASURE, tokens="of another tokenizer"))
    found = judge(arms, spec)
    assert "bits per byte" in found.rule
    assert found.headline.endswith("It has the fewest bits per byte at the end of all 3.")


def test_before_a_second_evaluation_of_both_it_is_said_which_are_missing() -> None:
    for curves in ([[[5.0]], [[5.0]]], [[[5.0]], [[5.0, 4.0]]], [[[5.0, 4.0]], [[5.0]]]):
        assert judged(curves).headline == "No verdict yet: A and another arm need an evaluation after their first step."
    assert judged([[[5.0, 4.0]], [[5.0, 3.0]]]).headline.startswith(
        "B ends 1.000 nats per token lower than A, with one seed"
    )


@pytest.mark.parametrize("dip", [0.0, 1.2])
def test_what_reached_a_loss_did_reach_it(dip: float) -> None:
    """The first arm perhaps was much lower for a while than the other ever is: that loss was not reached by both."""
    first = [[5.0, 4.0, dip or 3.0, 2.5, last] for last in (2.0, 2.01, 2.02)]
    second = [[5.0, 3.0, 2.0, 1.9, last] for last in (1.5, 1.51, 1.52)]
    found = judged([first, second])
    match = re.search(r"To reach (.+?), B needed ([\d.]+) × the tokens", found.sentences[0])
    assert match
    tokens = []
    for one, two in zip(first, second, strict=True):
        target = max(min(one), min(two))
        at = [float(np.interp(-target, [-value for value in curve[: curve.index(min(curve)) + 1]],
                              range(curve.index(min(curve)) + 1))) for curve in (two, one)]  # fmt: skip
        tokens.append(at[0] / at[1])
    assert float(match[2]) == pytest.approx(math.exp(np.mean(np.log(tokens))), abs=0.006)
    reached = all(min(two) <= min(one) for one, two in zip(first, second, strict=True))
    assert match[1] == ("A's lowest loss" if reached else "the lowest loss that both reached")


@given(
    st.floats(-3, 3), st.one_of(st.none(), st.floats(1e-9, 2)), st.sampled_from(["better", "worse", "unclear"]),
    st.sampled_from([0.02, 0.01, 0.05 / 3]), st.booleans(),
)  # fmt: skip
def test_a_claim_names_its_numbers_and_its_level(
    mean: float, half: float | None, outcome: Any, level: float, many: bool
) -> None:
    if half is not None:
        outcome = "better" if mean + half < 0 else "worse" if mean - half > 0 else "unclear"
    outcome = outcome if half is not None else "identical" if mean == 0 else "one seed"
    words = claim("B", "A", Difference(mean, half, 3 if half is not None else 1, outcome), NATS, level, many)
    if outcome == "identical":
        assert words == "B and A are identical: every difference is exactly 0."
    elif half is None:
        size, direction = re.match(r"B ends (\S+) nats per token (lower|higher) than A, with one seed", words).groups()  # type: ignore[union-attr]
        assert float(size) == pytest.approx(abs(mean), abs=5e-4) and float(size) > 0
        assert direction == ("lower" if mean < 0 else "higher")
    else:
        found = re.search(
            r"(better|worse|distinguishable).*?([+−]?)([\d.]+) ±\u00a0([\d.]+) nats per token \((\S+)\u00a0%", words
        )
        assert found and f"paired over {3} seeds" in words
        assert found[1] == ("distinguishable" if outcome == "unclear" else outcome)
        assert float(found[3]) == pytest.approx(abs(mean), abs=5.1e-4) and float(found[4]) == pytest.approx(
            half, abs=5.1e-4
        )
        assert outcome == "unclear" or float(found[3]) > float(found[4]), "the interval is seen to leave out zero"
        assert outcome != "unclear" or float(found[3]) <= float(found[4])
        assert float(found[5]) == pytest.approx(100 * (1 - level), abs=0.01)


@given(st.floats(0.001, 1000), st.floats(1e-5, 3))
def test_a_ratio_that_differs_from_one_is_seen_to(mean: float, half: float) -> None:
    ratio = Ratio(mean, mean * math.exp(-half), mean * math.exp(half), 3)
    words = times(ratio, "the time")
    shown = [float(number) for number in re.findall(r"\d+\.\d+", words)]
    assert shown == pytest.approx([ratio.mean, ratio.low, ratio.high], abs=0.0051)
    if ratio.clear and min(abs(ratio.low - 1), abs(ratio.high - 1)) > 1e-6:
        assert shown[1] > 1 or shown[2] < 1


def test_diverged_runs_are_counted_and_no_others() -> None:
    rows: list[list[Curve]] = [[[5.0, 4.0], None, None], [None], [[5.0, 4.0]]]
    found = [divergences(arms_of([row, row])[1][:1]) for row in rows]
    assert found[0][0].startswith("A diverged in 2 of 3 seeds; those are left out. Try a lower learning rate for it.")
    assert found[1][0].startswith("A diverged in 1 of 1 seed;") and found[2] == []


@given(
    st.lists(
        st.lists(st.one_of(st.none(), st.sampled_from([1.0, 1.2, 2.0])), min_size=2, max_size=2), min_size=6, max_size=6
    )
)
@settings(max_examples=25, deadline=None)
def test_the_best_rates_are_those_with_the_lowest_means(finals: list[list[float | None]]) -> None:
    rates = [0.001, 0.003, 0.01]
    arms = [f"{name} {rate}: {name} + learning_rate={rate}" for name in ("classic", "modern") for rate in rates]
    spec = RaceSpec.from_dict({"arms": arms, "shared": SHARED, "amount": 5, "seeds": 2, "match": "none"})
    planned = plan(spec, lambda config: 256, lambda model, config: 1.0)
    _, measured = arms_of([[None if last is None else [5.0, last] for last in row] for row in finals], [*"ABCDEF"])
    both = [
        replace(one, name=two.name, model=two.model, train=two.train)
        for one, two in zip(measured, planned, strict=True)
    ]
    found = judge(both, spec)
    means = [math.inf if None in row else float(np.mean(row)) for row in finals]  # type: ignore[arg-type]
    lowest = [min(range(3 * k, 3 * k + 3), key=means.__getitem__) for k in (0, 1)]
    known = [index for index in lowest if math.isfinite(means[index])]
    assert found.best == known
    if len(known) == 2:
        text = " ".join(found.sentences)
        best = "Best: " + ", ".join(
            f"{rates[i % 3]:g} for {name} ({means[i]:.3f} nats per token)"
            for i, name in zip(known, ("Classic", "Modern"), strict=True)
        )
        assert f"Learning rates tried: 0.001, 0.003 and 0.01. {best}." in text
        for i, name in zip(known, ("Classic", "Modern"), strict=True):
            assert (f"{name}'s best is the highest tried, so a higher one may be better." in text) == (i % 3 == 2)
            assert (f"{name}'s best is the lowest tried, so a lower one may be better." in text) == (i % 3 == 0)
        assert found.rule.endswith(lr_sweep.RULE) and found.headline.startswith("Each at its best learning rate: ")


# What can be compared

MEASURES = [Measure(tokens, text, bits) for tokens in "xyz" for text in "uv" for bits in (True, False, None)]


def consistent(measures: Sequence[Measure]) -> bool:
    """The same tokens of the same text give it back or do not; of some runs it is not known yet."""
    known: dict[tuple[str, str], set[bool]] = {}
    for one in measures:
        known.setdefault((one.tokens, one.text), set()).update([] if one.bits is None else [one.bits])
    return all(len(bits) < 2 for bits in known.values())


def test_every_reason_not_to_compare_is_a_fact_of_the_two_runs() -> None:
    for first, *others in filter(consistent, itertools.product(MEASURES, repeat=3)):
        unit, reasons = common_unit(first, others)
        gives_back = {(one.tokens, one.text): one.bits for one in (first, *others) if one.bits is not None}
        for other, reason in zip(others, reasons, strict=True):
            lossy = [gives_back.get((one.tokens, one.text)) is False for one in (first, other)]
            assert (reason == OTHER_TEXT) == (first.text != other.text)
            if reason in (NO_BITS, FIRST_NO_BITS):
                assert first.tokens != other.tokens and lossy[reason == NO_BITS], (first, others)
            if not reason and unit == NATS:
                assert (first.tokens, first.text) == (other.tokens, other.text)
            if not reason and unit == BITS:
                assert not any(lossy), (first, others)


def test_a_reason_names_both_runs_and_the_one_that_loses_text() -> None:
    named = [reason.format(arm="B", first="A") for reason in (OTHER_TEXT, NO_BITS, FIRST_NO_BITS)]
    assert named[0] == "B was measured on another validation text than A, so there is no verdict between them."
    assert [re.search(r"and (\w)'s tokenizer does not give back", words)[1] for words in named[1:]] == ["B", "A"]  # type: ignore[index]


# Compilation

EAGER = dict(vocab_size=64, block_size=16, n_layer=1, n_embd=16, n_head=2, n_kv_head=2)


@pytest.mark.parametrize(
    ("model", "train", "reason"),
    [
        ({"n_expert": 4}, {}, "experts choose tokens while they run"),
        ({"dropout": 0.1}, {}, "dropout draws random numbers"),
        ({}, {"precision": "fp16"}, "fp16 repeats steps at another scale"),
        ({}, {"gradient_checkpointing": True}, "activations are to be recomputed"),
    ],
)
def test_what_stands_in_the_way_of_compiling_is_the_setting_that_is_named(
    model: dict[str, Any], train: dict[str, Any], reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("playground.train.compiled.shutil.which", lambda name: name)
    monkeypatch.setattr("playground.train.compiled.sys.platform", "linux")
    config = preset("modern", **EAGER)
    assert obstacle(config.replace(**model), TrainConfig(**train)) == reason
    assert obstacle(config, TrainConfig()) == "", "without it nothing is"
    monkeypatch.setattr("playground.train.compiled.sys.platform", "darwin")
    assert obstacle(config, TrainConfig()) == "it is built for Linux only"
    monkeypatch.setattr("playground.train.compiled.shutil.which", lambda name: None)
    assert obstacle(config, TrainConfig()) == "there is no C++ compiler here"


@pytest.fixture
def compiling_of(make_run: MakeRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A run with its compilation, whose compiler is a process that ends with a code, perhaps leaving a library."""
    monkeypatch.setattr(compiling, "obstacle", lambda model, train: "")

    def make(code: int = 0, library: str | None = "x", resumed: int = 0, **train: Any) -> tuple[Compiling, TrainState]:
        run = make_run(ModelConfig(**EAGER), **train)
        state = TrainState.new(run.model, run.train)
        state.step = resumed
        found = Compiling(run, state, tmp_path)

        def start(command: list[str], **_: Any) -> Any:
            if library is not None:
                Path(command[-3]).write_text(library)
            return SimpleNamespace(poll=lambda: code, terminate=lambda: None, wait=lambda: None)

        monkeypatch.setattr(compiling.subprocess, "Popen", start)
        return found, state

    return make


@pytest.mark.parametrize(("code", "library"), [(1, None), (1, "x"), (0, None)])
def test_a_compiler_that_failed_is_said_to_have(compiling_of: Any, code: int, library: str | None) -> None:
    found, state = compiling_of(code, library, compile="on")
    note = found.begin(lambda: None)
    assert note.startswith("Not compiled: the compiler failed. Its messages are in worker.log, or in the terminal")
    assert state.passes is None and found.poll() is None, "and training goes on without it"


def test_a_file_that_is_no_library_is_said_not_to_be_one(compiling_of: Any) -> None:
    found, state = compiling_of(0, "no library", compile="on")
    assert found.begin(lambda: None) == "Not compiled: the library cannot be loaded (OSError)."
    assert state.passes is None


@pytest.mark.parametrize(("resumed", "cached", "took"), [(0, False, 7), (12, False, 3000), (5, True, 0)])
def test_the_step_and_the_time_of_a_build_are_the_real_ones(
    compiling_of: Any, monkeypatch: pytest.MonkeyPatch, resumed: int, cached: bool, took: int
) -> None:
    monkeypatch.setattr(compiling, "CompiledForwardBackward", lambda *_: "compiled")
    found, state = compiling_of(resumed=resumed, compile="on")
    if cached:
        found._library.parent.mkdir(parents=True, exist_ok=True)
        found._library.write_text("x")
    elif took:
        real = found._start
        monkeypatch.setattr(found, "_start", lambda: (real(), os.utime(found._library, (0, found._began + took))))
    note = found.begin(lambda: None)
    where = "from the cache" if cached else f"built in {took} s"
    assert note == f"Compiled forward and backward passes from step {resumed + 1} on, {where}."
    assert state.passes == "compiled" and state.compiled_from == resumed, "the first step after it is compiled"


@pytest.mark.parametrize(
    ("steps", "each", "built"), [(200, 1.5, True), (200, 0.5, False), (20, 300.0, True), (12, 1.0, False)]
)
def test_the_time_that_is_left_is_that_of_the_steps_that_are_left(
    compiling_of: Any, steps: int, each: float, built: bool
) -> None:
    found, state = compiling_of(steps=steps, compile="auto")
    assert found.begin(lambda: None) is None
    for _ in range(compiling.TRIAL_STEPS):
        assert found.poll() is None
        state.step, state.seconds = state.step + 1, state.seconds + each
    note, left = found.poll(), (steps - 10) * each
    assert f"about {left:.0f} s" in note
    saved = compiling.GAIN * left
    assert built == (saved >= compiling.BUILD_SECONDS) == note.startswith("Compiling while training continues")
    assert built or (note.startswith("Not compiled:") and "too short to gain from about 45 s of building" in note)
