"""The sentences of a race's verdict; `races.verdict` decides which apply."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from playground.config import apart, counted, listed, nonzero
from playground.races.results import ArmResult
from playground.races.statistics import STRICT, Difference, Ratio
from playground.runs.comparable import BITS, NATS

COSTS = {"tokens": "tokens", "flops": "training FLOPs", "seconds": "time"}


class Compared(Protocol):
    """What `headline` reads of a comparison."""

    @property
    def difference(self) -> Difference:
        """From the first arm."""

    @property
    def words(self) -> list[str]:
        """What is claimed, then what it cost."""


def divergences(arms: Sequence[ArmResult]) -> list[str]:
    """Which runs are left out because they diverged."""
    return [
        f"{arm.name} diverged in {arm.diverged} of {len(arm.runs)} {'seed' if len(arm.runs) == 1 else 'seeds'}; those are "
        "left out. Try a lower learning rate for it."
        for arm in arms
        if arm.diverged
    ]


def claim(name: str, baseline: str, difference: Difference, unit: str, level: float, many: bool = False) -> str:
    """Whether one is better, and by how much."""
    if difference.outcome == "identical":
        return f"{name} and {baseline} are identical: every difference is exactly 0."
    if difference.half is None:
        direction = "lower" if difference.mean < 0 else "higher"
        return (
            f"{name} ends {nonzero(abs(difference.mean))} {unit} {direction} than {baseline}, with one seed: there is no "
            "interval, so this may be chance. Race again with three or more seeds."
        )
    certainty = f"{100 * (1 - level):.4g}\u00a0%"
    size, half = apart(abs(difference.mean), difference.half, 3)
    interval = f"±\u00a0{half} {unit} ({certainty}, paired over {difference.n} seeds)"
    if difference.outcome == "unclear":
        sign = "+" if difference.mean >= 0 else "−"
        return f"{name} and {baseline} are not distinguishable: {sign}{size} {interval}."
    return f"{name} is {difference.outcome}{f' than {baseline}' if many else ''} by {size} {interval}."


def cost(
    name: str,
    baseline: str,
    difference: Difference,
    costs: Mapping[str, Ratio],
    token_time: Ratio | None,
    passed: bool = True,
) -> list[str]:
    """What the better one needed to get down to where the other one got, in a sentence; none where nothing is clear.

    `passed`: whether the better one reached the other's lowest loss with every seed. A run may end lower and yet not.
    Only ratios whose intervals exclude 1 are reported. For arms without a clear difference only the time per token is,
    because the other costs are as random as the difference.
    """
    sentences = []
    if costs and difference.outcome in ("better", "worse"):
        ahead, behind = (name, baseline) if difference.mean < 0 else (baseline, name)
        ratios = {kind: ratio if ahead == name else ratio.inverse() for kind, ratio in costs.items()}
        parts = [f"{times(ratios[kind], f'the {word}')}" for kind, word in COSTS.items() if ratios[kind].clear]
        if parts:
            target = f"{behind}'s lowest loss" if passed else "the lowest loss that both reached"
            sentences.append(f"To reach {target}, {ahead} needed {listed(parts)}.")
        unclear = [word for kind, word in COSTS.items() if not ratios[kind].clear]
        if parts and unclear:
            sentences.append(f"The difference in {listed(unclear)} is not distinguishable from zero.")
    if token_time is not None and token_time.clear:
        sentences.append(f"{name}'s time per token is {times(token_time, f'that of {baseline}')}.")
    return [" ".join(sentences)] if sentences else []


def times(ratio: Ratio, of: str) -> str:
    """A ratio with its interval: "0.75 × the time (0.71 to 0.79)"."""
    for digits in range(2, 7):  # show enough digits that a ratio that differs from 1 does not read as 1
        mean, low, high = (f"{value:.{digits}f}" for value in (ratio.mean, ratio.low, ratio.high))
        if not ratio.clear or 1 not in (float(low), float(high)):
            break
    return f"{mean} × {of} ({low} to {high})"


def headline(
    comparisons: Sequence[Compared], baseline: str, left_out: list[str], n_arms: int, n_seeds: int, unit: str
) -> tuple[str, list[str]]:
    """The most important sentence and the ones after it; `left_out` says what is not compared, and why."""
    if not comparisons and left_out:
        return f"Nothing is left to compare: {left_out[0]}", left_out[1:]
    if not comparisons:
        return f"No verdict yet: {baseline} and another arm need an evaluation after their first step.", []
    if len(comparisons) == 1:
        return comparisons[0].words[0], [*left_out, *comparisons[0].words[1:]]
    lower = [one for one in comparisons if one.difference.mean < 0]
    found = [[one for one in lower if one.difference.outcome == outcome] for outcome in ("better", "one seed")]
    if all(one.difference.outcome == "identical" for one in comparisons):
        return (
            f"{counted(len(comparisons), 'other arm')} are identical to {baseline}: every difference is exactly 0.",
            left_out,
        )
    if not (better := found[0] or found[1]):
        worse = sum(one.difference.outcome == "worse" for one in comparisons)
        ending = f"; {worse} of {len(comparisons)} {'is' if worse == 1 else 'are'} worse" if worse else ""
        return f"No arm is distinguishably better than {baseline}{ending}.", left_out
    best = min(better, key=lambda one: one.difference.mean)
    # Differences over the same seeds rank the arms. Another arm's may be lower, and only not clear.
    complete = all(one.difference.n == n_seeds for one in comparisons)
    lowest = complete and all(one is best or one.difference.mean > best.difference.mean for one in comparisons)
    some = " that can be compared" if len(comparisons) + 1 < n_arms else ""
    what = "fewest bits per byte at the end" if unit == BITS else "lowest final loss"
    ends = f" It has the {what} of all {len(comparisons) + 1}{some}." if lowest else ""
    return f"{best.words[0]}{ends}", [*left_out, *best.words[1:]]


def different_tokens(arms: Sequence[ArmResult], unit: str) -> list[str]:
    """Why another unit than nats per token is used."""
    if unit != BITS:
        return []
    documents = len({arm.train.documents for arm in arms}) > 1
    what = "Their tokens or document settings" if documents else "Their tokens"
    return [f"{what} differ, so bits per byte are compared: losses per token would refer to different pieces of text."]


def table_note(arms: Sequence[ArmResult]) -> str:
    """What the table's standard errors are, and whether they are part of the error of a difference; "" if it has none."""
    if not any(run.error(NATS) is not None for arm in arms for run in arm.going):
        return ""
    same = len({arm.windows for arm in arms}) == 1
    return "s.e.: standard error over windows of the validation text. " + (
        "All arms are evaluated on the same windows, so it is not the error of their difference."
        if same
        else "It is part of the error of a difference only between arms that are evaluated on different windows."
    )


def rule(arms: Sequence[ArmResult], unit: str, level: float, n_others: int, steps: bool = False) -> str:
    """The rule for comparing this many arms with the first; with `steps` also each with the previous one."""
    n_seeds = len(arms[0].runs)
    batches = (
        "the same seed reads the same batches in the same order"
        if len({arm.batches for arm in arms}) == 1
        else "the arms read different batches; the same seed gives only the same initial weights, where shapes agree"
    )
    shared = (
        ""
        if len({arm.windows for arm in arms}) == 1
        else " Arms that are evaluated on other windows of the validation text than the first have a wider interval, which "
        "includes the standard errors of both losses over windows; their costs are not compared."
    )
    few = " With one seed there is no interval." if n_seeds == 1 else ""
    made = f"{counted(n_others, 'comparison')} with the first arm"
    made += f" and {n_others - 1} more with the previous arm" if steps else ""
    each = f" {made} are made, so each uses a stricter level." if level < STRICT else ""
    return (
        f"The rule: final validation losses in {unit} are subtracted seed by seed ({batches}); the interval is mean ± "
        f"t(n − 1) · s / √n at {100 * (1 - level):.4g} %. An arm is called better or worse only if the interval excludes "
        f"zero, which happens in at most 5 of 100 races between identical arms.{shared}{each}{few}"
    )
