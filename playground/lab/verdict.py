"""The verdict of a race, in words and numbers, with the rule that it follows.

Every arm is compared with the first, seed by seed: the same seed means the same batches in the same order and the same first
weights where shapes agree, so most of the chance cancels. A difference is claimed only if its t-interval leaves out zero.
In a race of rates (`lab.tuned`) each model is compared at its best learning rate.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from statistics import fmean, stdev
from typing import Any

from playground.config import label, setting_kinds, spelled
from playground.lab import tuned
from playground.lab.footprint import training_memory
from playground.lab.race_results import ArmResult, RunCurve, results
from playground.lab.statistics import LEVEL, STRICT, Difference, cost_ratio, geometric_mean, paired_difference
from playground.runs.curves import Curves
from playground.runs.races import Race
from playground.train.race import RaceSpec

COSTS = {"tokens": "tokens", "flops": "training FLOPs", "seconds": "time"}
RUNGS = 3  # of fewer changes the comparisons with the first arm say it already


@dataclass(frozen=True)
class Comparison:
    """One arm against the first. `costs`: what it needed to reach the same loss (the lowest that both reached), as a part of
    what the first needed, by the keys of COSTS; empty where that cannot be told. `token_time`: the time a token costs it,
    over that of the first. `words` say it in sentences."""

    arm: str
    difference: Difference
    costs: dict[str, float]
    token_time: float | None
    words: list[str]


@dataclass(frozen=True)
class Verdict:
    """What a race says. `sentences` come with the first the most important; what they leave out of the single comparisons
    is in `comparisons`. `rule` is how differences were judged. `best`: the arms to look at in a race of rates."""

    headline: str
    sentences: list[str]
    rule: str
    table: list[dict[str, Any]]
    comparisons: list[Comparison]
    waterfall: list[dict[str, Any]] = field(default_factory=list)
    best: list[int] = field(default_factory=list)


def verdict(race: Race, curves: Curves) -> Verdict:
    """Judge a race as far as it has come."""
    return judge(results(race, curves), race.spec)


def judge(arms: Sequence[ArmResult], spec: RaceSpec) -> Verdict:
    """The verdict on measured arms."""
    one_tokenizer = len({arm.train.tokenizer for arm in arms}) == 1
    unit = "nats per token" if one_tokenizer else "bits per byte"
    table = [_row(arm) for arm in arms]
    lost = _divergences(arms)
    if families := tuned.families(spec):
        return _judge_tuned(arms, families, unit, table, lost)
    baseline, others = arms[0], arms[1:]
    level = race_level(len(others) + (len(others) - 1 if is_ladder(spec) else 0))
    comparisons = []
    for arm in others:
        ours, theirs = _paired(arm, baseline, one_tokenizer)
        if ours:
            difference = paired_difference(ours, theirs, level)
            comparisons.append(_comparison(arm, baseline, difference, unit, level, len(others) > 1))
    waterfall = _waterfall(spec, arms, one_tokenizer, level)
    headline, sentences = _headline(comparisons, baseline.name, lost)
    sentences += _rungs(waterfall)
    if not one_tokenizer:
        sentences.append("Their tokenizers differ, so bits per byte are compared: a loss per token would be unfair.")
    rule = _rule(len(baseline.runs), len(others), level, bool(waterfall))
    return Verdict(headline, sentences, rule, table, comparisons, waterfall)


def race_level(n_comparisons: int) -> float:
    """The level of each comparison, so that at most LEVEL of all races claim a difference that is none (Bonferroni)."""
    return min(STRICT, LEVEL / n_comparisons)


def _paired(arm: ArmResult, baseline: ArmResult, one_tokenizer: bool) -> tuple[list[float], list[float]]:
    """Final numbers of the seeds in which both are still going."""
    ours = {run.seed: run for run in arm.going}
    theirs = {run.seed: run for run in baseline.going}
    seeds = [seed for seed in ours if seed in theirs and len(ours[seed].steps) > 1 and len(theirs[seed].steps) > 1]
    return [_final(ours[s], one_tokenizer) for s in seeds], [_final(theirs[s], one_tokenizer) for s in seeds]


def _final(run: RunCurve, one_tokenizer: bool) -> float:
    return (run.losses if one_tokenizer else run.bits)[-1]


# In words


def _divergences(arms: Sequence[ArmResult]) -> list[str]:
    return [
        f"{arm.name} diverged in {arm.diverged} of {len(arm.runs)} {'seed' if len(arm.runs) == 1 else 'seeds'}; those are "
        "left out. Try a lower learning rate for it."
        for arm in arms
        if arm.diverged
    ]


def _comparison(
    arm: ArmResult, baseline: ArmResult, difference: Difference, unit: str, level: float, many: bool
) -> Comparison:
    one_tokenizer = unit == "nats per token"
    costs = {kind: _ratio(arm, baseline, kind, one_tokenizer) for kind in COSTS}
    known = {kind: ratio for kind, ratio in costs.items() if ratio is not None}
    known = {} if len(known) < len(COSTS) or difference.outcome == "identical" else known
    token_time = baseline.speed / arm.speed if arm.speed and baseline.speed else None
    words = [_claim(arm.name, baseline.name, difference, unit, level, many)]
    cost = _cost(arm.name, baseline.name, difference, known, token_time)
    return Comparison(arm.name, difference, known, token_time, [*words, *([cost] if cost else [])])


def _claim(name: str, baseline: str, difference: Difference, unit: str, level: float, many: bool = False) -> str:
    size = f"{abs(difference.mean):.3f}"
    if difference.outcome == "identical":
        return f"{name} and {baseline} are identical: every difference is exactly 0."
    if difference.half is None:
        direction = "lower" if difference.mean < 0 else "higher"
        return (
            f"{name} ends {size} {unit} {direction} than {baseline}, with one seed: no interval exists, so this may be "
            "chance. Race again with three seeds or more."
        )
    certainty = f"{100 * (1 - level):.4g}\u00a0%"
    interval = f"±\u00a0{difference.half:.3f} {unit} ({certainty}, paired over {difference.n} seeds)"
    if difference.outcome == "unclear":
        mean = f"{difference.mean:+.3f}".replace("-", "−")
        return f"{name} and {baseline} are not distinguishable: {mean} {interval}."
    return f"{name} is {difference.outcome}{f' than {baseline}' if many else ''} by {size} {interval}."


def _cost(
    name: str, baseline: str, difference: Difference, costs: dict[str, float], token_time: float | None
) -> str | None:
    """What the better one needed to get down to where the other one got; of two that cannot be told apart, only the time
    of a token, because the rest would be as much chance as their difference."""
    slower = f"A token costs {name} {token_time:.2f} × the time." if token_time else ""
    if not costs or difference.outcome == "unclear":
        return slower or None
    ahead, behind = (name, baseline) if difference.mean < 0 else (baseline, name)
    ratios = {kind: ratio if ahead == name else 1 / ratio for kind, ratio in costs.items()}
    words = [f"{ratios[kind]:.2f} × the {word}" for kind, word in COSTS.items()]
    needed = f"To reach {behind}'s lowest loss, {ahead} needed {', '.join(words[:-1])} and {words[-1]}."
    return f"{needed} {slower}".strip()


def _ratio(a: ArmResult, b: ArmResult, kind: str, one_tokenizer: bool) -> float | None:
    """What a needed to reach the same loss, as a part of what b needed."""
    ratios = []
    for ours in a.going:
        theirs = next((run for run in b.going if run.seed == ours.seed), None)
        if theirs is not None:
            ratio = cost_ratio(_costed(a, ours, kind, one_tokenizer), _costed(b, theirs, kind, one_tokenizer))
            ratios += [ratio] if ratio else []
    return geometric_mean(ratios) if ratios else None


def _costed(arm: ArmResult, run: RunCurve, kind: str, one_tokenizer: bool) -> tuple[list[float], list[float]]:
    tokens = [step * arm.tokens_per_step for step in run.steps]
    cost = {
        "tokens": [float(count) for count in tokens],
        "flops": [count * arm.flops_per_token for count in tokens],
        "seconds": run.seconds,
    }[kind]
    return cost, run.losses if one_tokenizer else run.bits


def _headline(comparisons: Sequence[Comparison], baseline: str, lost: list[str]) -> tuple[str, list[str]]:
    """The most important sentence, and those that go with it; `lost` tells which runs diverged."""
    if not comparisons and lost:
        return f"Nothing is left to compare: {lost[0]}", lost[1:]
    if not comparisons:
        return "No verdict yet: it needs a measurement of at least two arms after their first steps.", []
    if len(comparisons) == 1:
        return comparisons[0].words[0], [*lost, *comparisons[0].words[1:]]
    best = min(comparisons, key=lambda one: one.difference.mean)
    if best.difference.mean >= 0 or best.difference.outcome in ("unclear", "identical"):
        worse = sum(one.difference.outcome == "worse" for one in comparisons)
        ending = f"; {worse} of {len(comparisons)} {'is' if worse == 1 else 'are'} worse" if worse else ""
        return f"No arm is distinguishably better than {baseline}{ending}.", lost
    return f"{best.words[0]} It ends lowest of all {len(comparisons) + 1}.", [*lost, *best.words[1:]]


def _rule(n_seeds: int, n_others: int, level: float, steps: bool) -> str:
    made = f"{n_others} comparisons with the first arm"
    made += f", and {n_others - 1} more with the arm before, are made" if steps else " are made"
    each = f" {made}, so each is stricter." if level < STRICT else ""
    few = " With one seed there is no interval." if n_seeds == 1 else ""
    return (
        "The rule: final validation losses are subtracted seed by seed (the same seed reads the same batches in the same "
        f"order); the interval is mean ± t(n − 1) · s / √n at {100 * (1 - level):.4g} %. Better or worse is said only if it "
        f"leaves out zero, which happens in at most 5 of 100 races between identical arms.{each}{few}"
    )


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
        values = [getattr(run, key)[-1] for run in going]
        row[name] = fmean(values) if values else None
        row[f"{name}_spread"] = stdev(values) if len(values) > 1 else None
    return row


# A ladder


def is_ladder(spec: RaceSpec) -> bool:
    """Whether each arm keeps all changes of the one before and adds some, several times: then the differences add up."""
    arms = spec.arms
    return len(arms) > RUNGS and all(
        one.preset == two.preset and one.changes.items() < two.changes.items() for one, two in pairwise(arms)
    )


def _waterfall(spec: RaceSpec, arms: Sequence[ArmResult], one_tokenizer: bool, level: float) -> list[dict[str, Any]]:
    """For a ladder: the first arm's level, then what each addition changed."""
    if not is_ladder(spec) or not arms[0].going or len(arms[0].going[0].steps) < 2:
        return []
    bars: list[dict[str, Any]] = [
        {"name": arms[0].name, "value": fmean(_final(run, one_tokenizer) for run in arms[0].going), "change": None}
    ]
    for (before, arm), (wish_before, wish) in zip(pairwise(arms), pairwise(spec.arms), strict=True):
        ours, theirs = _paired(arm, before, one_tokenizer)
        if not ours:
            return []
        change = paired_difference(ours, theirs, level)
        added = {key: value for key, value in wish.changes.items() if key not in wish_before.changes}
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
    """What each addition brought, in a sentence."""
    steps = bars[1:]
    if not steps or any(bar["half"] is None for bar in steps):
        return []
    clear = [
        f"{bar['name']} makes it {bar['outcome']} by {abs(bar['change']):.3f} ±\u00a0{bar['half']:.3f}"
        for bar in steps
        if bar["outcome"] in ("better", "worse")
    ]
    unclear = [bar["name"] for bar in steps if bar["outcome"] not in ("better", "worse")]
    if unclear:
        clear.append(f"{listed(unclear)} cannot be told from no change")
    return [f"Step by step: {'; '.join(clear)}."]


def listed(words: Sequence[str]) -> str:
    """Words as a sentence lists them: "a, b and c"."""
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


# Each model at its best rate


def _judge_tuned(
    arms: Sequence[ArmResult],
    families: Sequence[tuned.Family],
    unit: str,
    table: list[dict[str, Any]],
    lost: list[str],
) -> Verdict:
    """The verdict on a race of rates: family against family, each at its best rate."""
    one_tokenizer = unit == "nats per token"
    level = race_level(len(families) - 1)
    finals = {
        index: {run.seed: _final(run, one_tokenizer) for run in arms[index].going if len(run.steps) > 1}
        for family in families
        for index in family.arms
    }
    seeds = [run.seed for run in arms[0].runs]
    best = [tuned.best(family, finals, seeds) for family in families]
    comparisons = []
    for family, ours in zip(families[1:], best[1:], strict=True):
        if ours is not None and best[0] is not None:
            one, many = (arms[ours], arms[best[0]]), len(families) > 2
            difference = paired_difference(*_paired(*one, one_tokenizer), level)
            found = _comparison(*one, difference, unit, level, many)
            claim = _claim(family.name, families[0].name, difference, unit, level, many)
            comparisons.append(replace(found, arm=family.name, words=[claim, *found.words[1:]]))
    headline, sentences = _headline(comparisons, families[0].name, lost)
    prefix = "Each at its best learning rate: " if comparisons else ""
    known = [index for index in best if index is not None]
    if comparisons and len(known) == len(families):
        levels = [fmean(finals[index].values()) for index in known]
        sentences = [*tuned.words(families, [arms[i].train.learning_rate for i in known], levels, unit), *sentences]
    return Verdict(prefix + headline, sentences, _rule(len(seeds), len(families) - 1, level, False) + tuned.RULE,
                   table, comparisons, best=known)  # fmt: skip
