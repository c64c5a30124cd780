"""The verdict of a race: numbers, sentences, and the rule that was used.

Every arm is compared with the first, seed by seed: the same seed means the same first weights where shapes agree and, where
tokens and batch sizes are equal, the same batches in the same order, so much of the noise cancels. A difference is claimed
only if its t-interval excludes zero; losses that are not comparable (`comparable`) are not compared.
In a learning rate sweep (`races.lr_sweep`) each model is compared at its best learning rate.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from statistics import fmean, stdev
from typing import Any

from playground.analysis.memory_usage import training_memory
from playground.config import apart, label, listed, setting_kinds, spelled
from playground.races import lr_sweep
from playground.races.results import ArmResult, RunCurve, results
from playground.races.statistics import (
    LEVEL,
    STRICT,
    Difference,
    Ratio,
    cost_ratio,
    paired_difference,
    ratio_interval,
)
from playground.races.verdict_words import COSTS, claim, cost, different_tokens, divergences, headline, rule, table_note
from playground.runs.comparable import BITS, NATS, OTHER_WINDOWS, common_unit
from playground.runs.curves import Curves
from playground.runs.races import Race
from playground.train.race_spec import RaceSpec

RUNGS = 3  # with fewer changes, the comparisons with the first arm are enough


@dataclass(frozen=True)
class Comparison:
    """One arm against the first. `costs`: what it needed to reach the same loss (the lowest that both reached), as a part of
    what the first needed, by the keys of COSTS; empty where that cannot be told. `token_time`: the time a token costs it,
    over that of the first; None with one seed, of which there is no interval. `words` say it in sentences."""

    arm: str
    difference: Difference
    costs: dict[str, Ratio]
    token_time: Ratio | None
    words: list[str]


@dataclass(frozen=True)
class Verdict:
    """What a race says. `sentences` come with the first the most important; what they leave out of the single comparisons
    is in `comparisons`. `rule` is how differences were judged, `unit` what they are differences of. `best`: the arms to look
    at in a race of rates. `table_note`: what the table's standard errors are errors of."""

    headline: str
    sentences: list[str]
    rule: str
    table: list[dict[str, Any]]
    comparisons: list[Comparison]
    waterfall: list[dict[str, Any]] = field(default_factory=list)
    best: list[int] = field(default_factory=list)
    unit: str = ""
    table_note: str = ""


def verdict(race: Race, curves: Curves) -> Verdict:
    """The verdict on a race at its current step."""
    return judge(results(race, curves), race.spec)


def judge(arms: Sequence[ArmResult], spec: RaceSpec) -> Verdict:
    """The verdict on measured arms."""
    unit, reasons = common_unit(arms[0].measure, [arm.measure for arm in arms[1:]])
    reasons = [reason or _unknown_error(arm, arms[0], unit) for arm, reason in zip(arms[1:], reasons, strict=True)]
    apart = _apart(arms, reasons)
    if families := lr_sweep.families(spec):
        return _judge_tuned(arms, families, unit, apart)
    baseline, others = arms[0], arms[1:]
    level = race_level(len(others) + (len(others) - 1 if is_ladder(spec) else 0))
    comparisons = []
    for arm, reason in zip(others, reasons, strict=True):
        difference = _difference(arm, baseline, unit, level) if not reason else None
        if difference is not None:
            comparisons.append(_comparison(arm, baseline, difference, unit, level, len(others) > 1))
    waterfall = _waterfall(spec, arms, unit, level) if not any(reasons) else []
    first, sentences = headline(
        comparisons, baseline.name, [*divergences(arms), *apart], len(arms), len(baseline.runs), unit
    )
    sentences += _rungs(waterfall)
    sentences += different_tokens(arms, unit)
    said = rule(arms, unit, level, len(others), bool(waterfall))
    return Verdict(
        first,
        sentences,
        said,
        [_row(arm) for arm in arms],
        comparisons,
        waterfall,
        unit=unit,
        table_note=table_note(arms),
    )


def race_level(n_comparisons: int) -> float:
    """The level of each comparison, so that at most LEVEL of all races make a false claim (Bonferroni)."""
    return min(STRICT, LEVEL / n_comparisons)


def _apart(arms: Sequence[ArmResult], reasons: Sequence[str]) -> list[str]:
    """Which arms cannot be compared with the first, and why."""
    return [
        reason.format(arm=arm.name, first=arms[0].name)
        for arm, reason in zip(arms[1:], reasons, strict=True)
        if reason and arm.going
    ]


def _unknown_error(arm: ArmResult, baseline: ArmResult, unit: str) -> str:
    """Why there is no verdict although the unit is common; "" where there is one."""
    known = arm.windows == baseline.windows or _shared_error(arm, baseline, unit) is not None
    return "" if known or not (arm.going and baseline.going) else OTHER_WINDOWS


def _shared_error(arm: ArmResult, baseline: ArmResult, unit: str) -> float | None:
    """Standard error of the difference that comes from measuring on other windows of the text, the same for all seeds; 0
    for the same windows, None where it is not known. As if they were chosen independently, which is the larger one."""
    if arm.windows == baseline.windows:
        return 0.0
    errors = [[run.error(unit) for run in each.going] for each in (arm, baseline)]
    known = [[error for error in some if error is not None] for some in errors]
    return math.hypot(*map(fmean, known)) if all(known) else None


def _difference(arm: ArmResult, baseline: ArmResult, unit: str, level: float) -> Difference | None:
    """The difference of two arms over the seeds with which neither diverged; None without such seeds or interval."""
    (ours, theirs), error = _paired(arm, baseline, unit), _shared_error(arm, baseline, unit)
    return paired_difference(ours, theirs, level, error) if ours and error is not None else None


def _paired(arm: ArmResult, baseline: ArmResult, unit: str) -> tuple[list[float], list[float]]:
    """Final values for the seeds with which neither diverged."""
    ours, theirs = ({run.seed: run for run in each.going if len(run.values(unit)) > 1} for each in (arm, baseline))
    seeds = [seed for seed in ours if seed in theirs]
    return [_final(ours[s], unit) for s in seeds], [_final(theirs[s], unit) for s in seeds]


def _final(run: RunCurve, unit: str) -> float:
    return run.values(unit)[-1]


def _comparison(
    arm: ArmResult, baseline: ArmResult, difference: Difference, unit: str, level: float, many: bool
) -> Comparison:
    # Without a clear difference the costs are random too; between curves on other windows they depend on the windows.
    clear = difference.outcome in ("better", "worse") and arm.windows == baseline.windows
    costs = {kind: _ratio(arm, baseline, kind, unit, level) for kind in COSTS} if clear else {}
    known = {kind: ratio for kind, ratio in costs.items() if ratio is not None}
    known = {} if len(known) < len(COSTS) else known
    token_time = _token_time(arm, baseline, level)
    words = [claim(arm.name, baseline.name, difference, unit, level, many)]
    ahead, behind = (arm, baseline) if difference.mean < 0 else (baseline, arm)
    passed = all(min(one.values(unit)) <= min(two.values(unit)) for one, two in _pairs(ahead, behind))
    words += cost(arm.name, baseline.name, difference, known, token_time, passed)
    return Comparison(arm.name, difference, known, token_time, words)


def _pairs(a: ArmResult, b: ArmResult) -> list[tuple[RunCurve, RunCurve]]:
    """Runs of both arms with the same seed."""
    return [(ours, theirs) for ours in a.going for theirs in b.going if ours.seed == theirs.seed]


def _token_time(a: ArmResult, b: ArmResult, level: float) -> Ratio | None:
    """The time of a's tokens over that of b's, seed by seed: what slows the machine slows both runs of a pair."""
    return ratio_interval([two.speed / one.speed for one, two in _pairs(a, b) if one.speed and two.speed], level)


def _ratio(a: ArmResult, b: ArmResult, kind: str, unit: str, level: float) -> Ratio | None:
    """The cost of a to reach the same loss, relative to that of b."""
    found = [cost_ratio(_costed(a, one, kind, unit), _costed(b, two, kind, unit)) for one, two in _pairs(a, b)]
    return ratio_interval([ratio for ratio in found if ratio], level)


def _costed(arm: ArmResult, run: RunCurve, kind: str, unit: str) -> tuple[list[float], list[float]]:
    tokens = [step * arm.tokens_per_step for step in run.steps]
    cost = {
        "tokens": [float(count) for count in tokens],
        "flops": [count * arm.flops_per_token for count in tokens],
        "seconds": run.seconds,
    }[kind]
    return cost, run.values(unit)


def _row(arm: ArmResult) -> dict[str, Any]:
    going = arm.going
    row: dict[str, Any] = {
        "arm": arm.name,
        "preset": arm.preset,
        "parameters": arm.parameters,
        "flops_per_token": arm.flops_per_token,
        "solved": arm.solved,
        "tokens_per_second": arm.speed,
        "memory_bytes": training_memory(arm.model, arm.train),
        "steps": arm.train.steps,
        "diverged": arm.diverged,
    }
    for name, key in (("loss", "losses"), ("bits_per_byte", "bits"), ("accuracy", "accuracies")):
        curves = [getattr(run, key) for run in going]
        values = [curve[-1] for curve in curves if curve] if all(curves) else []
        row[name] = fmean(values) if values else None
        row[f"{name}_spread"] = stdev(values) if len(values) > 1 else None
    row["loss_se"], row["bits_per_byte_se"] = _text_error(going, NATS), _text_error(going, BITS)
    return row


def _text_error(runs: Sequence[RunCurve], unit: str) -> float | None:
    """The standard error of an arm's mean loss, in a unit, as an estimate for all text of the kind: that of one run, since
    all seeds are measured on the same windows, so that averaging them makes it no smaller."""
    known = [error for run in runs if (error := run.error(unit)) is not None]
    return fmean(known) if known and len(known) == len(runs) else None


# A ladder


def is_ladder(spec: RaceSpec) -> bool:
    """Whether each arm adds changes to those of the previous arm, several times, so that differences add up."""
    arms = spec.arms
    return len(arms) > RUNGS and all(
        one.preset == two.preset and one.changes.items() < two.changes.items() for one, two in pairwise(arms)
    )


def _waterfall(spec: RaceSpec, arms: Sequence[ArmResult], unit: str, level: float) -> list[dict[str, Any]]:
    """For a ladder: the first arm's loss, then the change of each addition."""
    if not is_ladder(spec) or not arms[0].going or any(len(run.values(unit)) < 2 for run in arms[0].going):
        return []
    bars: list[dict[str, Any]] = [
        {"name": arms[0].name, "value": fmean(_final(run, unit) for run in arms[0].going), "change": None}
    ]
    for (before, arm), (variant_before, variant) in zip(pairwise(arms), pairwise(spec.arms), strict=True):
        change = _difference(arm, before, unit, level)
        if change is None:
            return []
        added = {key: value for key, value in variant.changes.items() if key not in variant_before.changes}
        bars.append(
            {
                "name": _added(arm.name, added),
                "value": bars[-1]["value"] + change.mean,
                "change": change.mean,
                "half": change.half,
                "outcome": change.outcome,
            }
        )
    return bars


def _added(name: str, changes: dict[str, Any]) -> str:
    """What a rung adds: "+ RoPE", and for a number whose it is, "+ KV heads 2"."""
    if name.startswith("+"):
        return name
    kinds = setting_kinds()
    words = [
        spelled(value) if isinstance(value, str) else f"{label(kinds[key], key)} {spelled(value)}"
        for key, value in changes.items()
    ]
    return "+ " + ", ".join(words)


def _rungs(bars: Sequence[dict[str, Any]]) -> list[str]:
    """A sentence on the effect of each addition."""
    steps = bars[1:]
    if not steps or any(bar["half"] is None for bar in steps):
        return []
    clear = [
        "{} makes it {} by {} ±\u00a0{}".format(bar["name"], bar["outcome"], *apart(abs(bar["change"]), bar["half"], 3))
        for bar in steps
        if bar["outcome"] in ("better", "worse")
    ]
    unclear = [bar["name"] for bar in steps if bar["outcome"] not in ("better", "worse")]
    if unclear:
        clear.append(f"the change from {listed(unclear)} is not distinguishable from zero")
    return [f"Step by step: {'; '.join(clear)}."]


# Each model at its best rate


def _judge_tuned(
    arms: Sequence[ArmResult], families: Sequence[lr_sweep.Family], unit: str, apart: Sequence[str]
) -> Verdict:
    """The verdict on a learning rate sweep: each model at its best rate."""
    level = race_level(len(families) - 1)
    finals = {
        index: {run.seed: _final(run, unit) for run in arms[index].going if len(run.values(unit)) > 1}
        for family in families
        for index in family.arms
    }
    seeds = [run.seed for run in arms[0].runs]
    best = [lr_sweep.best(family, finals, seeds) for family in families]
    comparisons = []
    for family, ours in zip(families[1:], best[1:], strict=True):
        if ours is not None and best[0] is not None:
            one, many = (arms[ours], arms[best[0]]), len(families) > 2
            if common_unit(one[1].measure, [one[0].measure])[1][0]:
                continue
            difference = _difference(*one, unit, level)
            if difference is None:
                continue
            found = _comparison(*one, difference, unit, level, many)
            words = claim(family.name, families[0].name, difference, unit, level, many)
            comparisons.append(replace(found, arm=family.name, words=[words, *found.words[1:]]))
    first, sentences = headline(
        comparisons, families[0].name, [*divergences(arms), *apart], len(families), len(seeds), unit
    )
    prefix = "Each at its best learning rate: " if comparisons else ""
    known = [index for index in best if index is not None]
    if comparisons and len(known) == len(families):
        levels = [fmean(finals[index].values()) for index in known]
        sentences = [*lr_sweep.words(families, [arms[i].train.learning_rate for i in known], levels, unit), *sentences]
    sentences += different_tokens(arms, unit)
    said = rule(arms, unit, level, len(families) - 1) + lr_sweep.RULE
    return Verdict(
        prefix + first,
        sentences,
        said,
        [_row(arm) for arm in arms],
        comparisons,
        best=known,
        unit=unit,
        table_note=table_note(arms),
    )
