"""The verdict of a race, in words and numbers, with the rule that it follows.

Every arm is compared with the first, seed by seed: the same seed means the same batches in the same order and the same first
weights where shapes agree, so most of the chance cancels. A difference is claimed only if its t-interval leaves out zero.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from statistics import fmean, median, stdev
from typing import Any

from playground.config import ModelConfig, Settings, TrainConfig, label, spelled
from playground.lab.footprint import training_memory
from playground.lab.statistics import LEVEL, STRICT, Difference, cost_ratio, geometric_mean, paired_difference
from playground.runs.curves import Curves
from playground.runs.races import Race
from playground.runs.store import Run
from playground.train.estimate import count_parameters
from playground.train.flops import training_flops
from playground.train.race import UNITS, tokens_per_step

SEEDLESS = ("seed",)
COSTS = {"tokens": "tokens", "flops": "training FLOPs", "seconds": "time"}


@dataclass(frozen=True)
class RunCurve:
    """A run's measurements on the validation text, cut where all runs of the race have arrived."""

    seed: int
    steps: list[int]
    seconds: list[float]
    losses: list[float]  # nats per token
    bits: list[float]  # bits per byte
    accuracies: list[float]
    state: str


@dataclass(frozen=True)
class ArmResult:
    """An arm's part of the verdict: numbers at the last measurement that all have reached."""

    name: str
    preset: str
    model: ModelConfig
    train: TrainConfig
    parameters: int
    flops_per_token: float
    runs: tuple[RunCurve, ...]
    speed: float | None  # tokens per second, the median over seeds, as measured beside the others
    solved: str = ""

    @property
    def tokens_per_step(self) -> int:
        return tokens_per_step(self.model, self.train)

    @property
    def going(self) -> list[RunCurve]:
        """The runs that have not diverged and have been measured."""
        return [run for run in self.runs if run.state not in ("diverged", "failed") and run.losses]

    @property
    def diverged(self) -> int:
        return sum(run.state == "diverged" for run in self.runs)


@dataclass(frozen=True)
class Verdict:
    """What a race says. `sentences` come with the first the most important; `rule` is how differences were judged."""

    headline: str
    sentences: list[str]
    rule: str
    table: list[dict[str, Any]]
    waterfall: list[dict[str, Any]] = field(default_factory=list)


def results(race: Race, curves: Curves) -> list[ArmResult]:
    """All arms, measured as far as every run of the race that still goes has been."""
    measured = [[_curve(run, curves) for run in arm] for arm in race.members]
    going = [curve for arm in measured for curve in arm if curve.state not in ("diverged", "failed")]
    steps = {
        id(c): run.train.steps
        for arm, row in zip(race.members, measured, strict=True)
        for run, c in zip(arm, row, strict=True)
    }
    share = min((curve.steps[-1] / steps[id(curve)] if curve.steps else 0.0 for curve in going), default=0.0)
    arms = []
    for arm, members, rows, solved in zip(race.spec.arms, race.members, measured, race.solved, strict=True):
        first = members[0]
        rows = [_cut(row, share * first.train.steps) for row in rows]
        speeds = [_speed(run, curves) for run in members]
        known = [speed for speed in speeds if speed]
        arms.append(
            ArmResult(
                arm.name, arm.preset, first.model, first.train, count_parameters(first.model), training_flops(first.model),
                tuple(rows), median(known) if known else None, solved,
            )
        )  # fmt: skip
    return arms


def _curve(run: Run, curves: Curves) -> RunCurve:
    table = curves.evaluations(run)
    columns = {name: list(table[name]) for name in ("step", "seconds", "loss", "bits_per_byte", "accuracy")}
    bits = [float("nan") if value is None else float(value) for value in columns["bits_per_byte"]]
    return RunCurve(
        run.train.seed, columns["step"], columns["seconds"], columns["loss"], bits, columns["accuracy"], run.state()
    )


def _cut(curve: RunCurve, last: float) -> RunCurve:
    n = sum(step <= last + 1e-6 for step in curve.steps)
    parts = (curve.steps[:n], curve.seconds[:n], curve.losses[:n], curve.bits[:n], curve.accuracies[:n])
    return RunCurve(curve.seed, *parts, curve.state)


def _speed(run: Run, curves: Curves) -> float | None:
    history = curves.dataframe(run)
    if len(history) < 2:
        return None
    elapsed = float(history["seconds"].iloc[-1] - history["seconds"].iloc[0])
    return float(history["tokens"].iloc[-1] - history["tokens"].iloc[0]) / elapsed if elapsed > 0 else None


# What it says


def verdict(race: Race, curves: Curves) -> Verdict:
    """Judge a race as far as it has come."""
    return judge(results(race, curves), race)


def judge(arms: Sequence[ArmResult], race: Race) -> Verdict:
    """The verdict on measured arms."""
    one_tokenizer = len({arm.train.tokenizer for arm in arms}) == 1
    unit = "nats per token" if one_tokenizer else "bits per byte"
    baseline, others = arms[0], arms[1:]
    level = race_level(len(others))
    sentences = _divergences(arms)
    claims = []
    for arm in others:
        ours, theirs = _paired(arm, baseline, one_tokenizer)
        if ours:
            claims.append((arm, paired_difference(ours, theirs, level)))
    for arm, difference in claims:
        sentences.append(_claim(arm.name, baseline.name, difference, unit, level))
        sentences += _costs(arm, baseline, difference, one_tokenizer)
    if not one_tokenizer:
        sentences.append("Their tokenizers differ, so bits per byte are compared: a loss per token would be unfair.")
    headline = _headline(race, claims, baseline, unit)
    sentences = [sentence for sentence in sentences if sentence not in headline]
    table = [_row(arm) for arm in arms]
    return Verdict(
        headline, sentences, _rule(len(baseline.runs), len(others), level), table, _waterfall(race, arms, one_tokenizer)
    )


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


def _divergences(arms: Sequence[ArmResult]) -> list[str]:
    return [
        f"{arm.name} diverged in {arm.diverged} of {len(arm.runs)} {'seed' if len(arm.runs) == 1 else 'seeds'}; those are "
        "left out. Try a lower learning rate for it."
        for arm in arms
        if arm.diverged
    ]


def _claim(name: str, baseline: str, difference: Difference, unit: str, level: float) -> str:
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
    return f"{name} is {difference.outcome} by {size} {interval}."


def _costs(arm: ArmResult, baseline: ArmResult, difference: Difference, one_tokenizer: bool) -> list[str]:
    """What each needed to reach the same loss: the worse one's final."""
    ahead, behind = (arm, baseline) if difference.mean < 0 else (baseline, arm)
    ratios = {kind: _ratio(ahead, behind, kind, one_tokenizer) for kind in COSTS}
    if any(ratio is None for ratio in ratios.values()) or difference.outcome == "identical":
        return []
    words = [f"{ratio:.2f} × the {COSTS[kind]}" for kind, ratio in ratios.items()]
    step = _step_cost(arm, baseline)
    return [
        f"To reach {behind.name}'s final loss, {ahead.name} needed {', '.join(words[:-1])} and {words[-1]}."
        + (f" A token costs {arm.name} {step:.2f} × the time." if step else "")
    ]


def _ratio(a: ArmResult, b: ArmResult, kind: str, one_tokenizer: bool) -> float | None:
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


def _step_cost(arm: ArmResult, baseline: ArmResult) -> float | None:
    return baseline.speed / arm.speed if arm.speed and baseline.speed else None


def _headline(race: Race, claims: Sequence[tuple[ArmResult, Difference]], baseline: ArmResult, unit: str) -> str:
    if not claims:
        return "No verdict yet: it needs a measurement of at least two arms after their first steps."
    if len(claims) == 1:
        arm, difference = claims[0]
        return _claim(arm.name, baseline.name, difference, unit, STRICT)
    best, difference = min(claims, key=lambda claim: claim[1].mean)
    if difference.mean >= 0 or difference.outcome == "unclear":
        worse = sum(d.outcome == "worse" for _, d in claims)
        ending = f"; {worse} of {len(claims)} {'is' if worse == 1 else 'are'} worse" if worse else ""
        return f"No arm is distinguishably better than {baseline.name}{ending}."
    return (
        _claim(best.name, baseline.name, difference, unit, race_level(len(claims)))
        + f" It is the best of {len(claims) + 1}."
    )


def _rule(n_seeds: int, n_others: int, level: float) -> str:
    each = f" {n_others} comparisons are made, so each is stricter." if level < STRICT else ""
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


def _waterfall(race: Race, arms: Sequence[ArmResult], one_tokenizer: bool) -> list[dict[str, Any]]:
    """For a race in which each arm adds to the one before: the first arm's level, then what each addition changed."""
    if not is_ladder(race) or not arms[0].going or len(arms[0].going[0].steps) < 2:
        return []
    level = race_level(len(arms) - 1)
    bars: list[dict[str, Any]] = [
        {"name": arms[0].name, "value": fmean(_final(run, one_tokenizer) for run in arms[0].going), "change": None}
    ]
    for before, arm in pairwise(arms):
        ours, theirs = _paired(arm, before, one_tokenizer)
        if not ours:
            return []
        change = paired_difference(ours, theirs, level)
        value = bars[-1]["value"] + change.mean
        added = {
            key: v
            for key, v in race.spec.arms[len(bars)].changes.items()
            if key not in race.spec.arms[len(bars) - 1].changes
        }
        bars.append(
            {
                "name": _added(arm.name, added),
                "value": value,
                "change": change.mean,
                "half": change.half,
                "outcome": change.outcome,
            }
        )
    return bars


def _added(name: str, changes: dict[str, Any]) -> str:
    return (
        name if name.startswith("+") or not changes else "+ " + ", ".join(spelled(value) for value in changes.values())
    )


def is_ladder(race: Race) -> bool:
    """Whether each arm keeps all changes of the one before and adds some: only then do the differences add up."""
    arms = race.spec.arms
    return len(arms) > 2 and all(
        one.preset == two.preset and one.changes.items() < two.changes.items() for one, two in pairwise(arms)
    )


def what_differs(race: Race) -> list[str]:
    """The race's headline: the settings in which arms differ from the first, as "norm: LayerNorm → RMSNorm"."""
    lines = []
    first = race.members[0][0]
    for kind, part in ((ModelConfig, "model"), (TrainConfig, "train")):
        base = getattr(first, part).to_dict()
        for name in base:
            if name in SEEDLESS or name in _FOLLOWS:
                continue
            values = [_value(getattr(arm[0], part), name) for arm in race.members]
            if any(value != values[0] for value in values):
                lines.append(f"{label(kind, name)}: {' → '.join(spelled(value) for value in dict.fromkeys(values))}")
    return lines


def _value(config: Settings, name: str) -> Any:
    """A field's value; of an MLP size that follows from a rule, the size."""
    return config.mlp_hidden if name == "mlp_width" and isinstance(config, ModelConfig) else config.to_dict()[name]


# From budget and text, or without effect on what is learned.
_FOLLOWS = {
    "steps", "warmup_steps", "eval_interval", "checkpoint_interval", "vocab_size", "snapshots", "sample_interval", "prompt",
}  # fmt: skip


def conditions(race: Race) -> str:
    """A race in a line: text, arms, seeds, budget, what is equal."""
    spec, first = race.spec, race.members[0][0]
    n = len(spec.seeds)
    equal = {"none": "not matched", "parameters": "equal parameters", "flops": "equal FLOPs per token"}[spec.match]
    return (
        f"{len(spec.arms)} arms × {n} {'seed' if n == 1 else 'seeds'} · {spec.amount:,.6g} {UNITS[spec.budget]} each · "
        f"{equal} · same batches in the same order · {tokens_per_step(first.model, first.train):,} tokens a step"
    )
