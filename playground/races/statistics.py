"""Statistics of races: t-intervals of paired differences, and the cost to reach the same loss."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from statistics import NormalDist, fmean, stdev
from typing import Literal

LEVEL = 0.05  # promised: in at most this share of races between identical arms a difference is claimed
# Intervals are stricter than this level. At 95 % the share would be 5 % in the long run, so a count over some 200
# races would exceed it every other time; at 98 % such a count stays below it in 998 of 1000.
STRICT = 0.02
MOST_LOG = 300.0  # of an interval's ends: two pairs that disagree leave anything possible, but a number stays a number

Outcome = Literal["better", "worse", "unclear", "identical", "one seed"]


@dataclass(frozen=True)
class Difference:
    """A minus B, paired. `half` is half the width of the interval, None with a single pair. Lower is better."""

    mean: float
    half: float | None
    n: int
    outcome: Outcome


def paired_difference(
    a: Sequence[float], b: Sequence[float], level: float = STRICT, shared_error: float = 0.0
) -> Difference:
    """The mean of a - b with its two-sided t-interval at 1 - level; a claim only if the interval leaves out zero.

    a and b hold one number for each seed, in the same order. `shared_error` is the standard error of an error that is the
    same in all pairs, such as that of the text they were measured on: their spread does not show it, so the interval is
    widened by it. Raises ValueError for unequal or empty numbers.
    """
    if len(a) != len(b) or not a:
        raise ValueError(f"Paired differences need as many numbers on both sides; here are {len(a)} and {len(b)}.")
    differences = [x - y for x, y in zip(a, b, strict=True)]
    mean, n = fmean(differences), len(differences)
    if n == 1:
        return Difference(mean, None, 1, "identical" if mean == 0 else "one seed")
    half = t_quantile(1 - level / 2, n - 1) * stdev(differences) / math.sqrt(n)
    half = math.hypot(half, NormalDist().inv_cdf(1 - level / 2) * shared_error)
    outcome: Outcome = "better" if mean + half < 0 else "worse" if mean - half > 0 else "unclear"
    if not shared_error and all(difference == 0 for difference in differences):
        outcome = "identical"
    return Difference(mean, half, n, outcome)


@dataclass(frozen=True)
class Ratio:
    """A ratio of costs: its geometric mean over n pairs, and the interval from `low` to `high`."""

    mean: float
    low: float
    high: float
    n: int

    @property
    def clear(self) -> bool:
        """Whether the interval leaves out 1."""
        return self.low > 1 or self.high < 1

    def inverse(self) -> Ratio:
        """Of b to a instead of a to b."""
        return Ratio(1 / self.mean, 1 / self.high, 1 / self.low, self.n)


def ratio_interval(ratios: Sequence[float], level: float = STRICT) -> Ratio | None:
    """The geometric mean of positive ratios with its two-sided t-interval at 1 - level, on their logarithms.

    None with fewer than two: one ratio of two measured times says nothing about how far chance moves it.
    """
    if len(ratios) < 2:
        return None
    logs, n = [math.log(ratio) for ratio in ratios], len(ratios)
    mean = fmean(logs)
    half = min(MOST_LOG - abs(mean), t_quantile(1 - level / 2, n - 1) * stdev(logs) / math.sqrt(n))
    return Ratio(math.exp(mean), math.exp(mean - half), math.exp(mean + half), n)


@cache
def t_quantile(p: float, degrees: int) -> float:
    """The p-quantile of Student's t with integer degrees of freedom, by bisection; p > 0.5. Good to ten digits."""
    low, high = 0.0, 1.0
    while t_cdf(high, degrees) < p:
        high *= 2
    for _ in range(80):
        middle = (low + high) / 2
        low, high = (middle, high) if t_cdf(middle, degrees) < p else (low, middle)
    return (low + high) / 2


def t_cdf(t: float, degrees: int) -> float:
    """P(T <= t) of Student's t, t >= 0, by the finite series for whole degrees (Abramowitz & Stegun 26.7.3 and 26.7.4)."""
    angle = math.atan(t / math.sqrt(degrees))
    sine, cosine = math.sin(angle), math.cos(angle)
    odd = degrees % 2
    term = cosine if odd else 1.0
    total = term if degrees > 1 else 0.0
    for k in range(2 + odd, degrees - 1, 2):
        term *= cosine**2 * (k - 1) / k
        total += term
    inside = 2 / math.pi * (angle + sine * total) if odd else sine * total
    return 0.5 + inside / 2


def cost_to_reach(x: Sequence[float], losses: Sequence[float], target: float) -> float | None:
    """The cost at which a curve first reaches `target`, by linear interpolation; None if it does not."""
    for i, loss in enumerate(losses):
        if loss <= target:
            if i == 0:
                return x[0]
            share = (losses[i - 1] - target) / (losses[i - 1] - loss)
            return x[i - 1] + share * (x[i] - x[i - 1])
    return None


def cost_ratio(a: tuple[Sequence[float], Sequence[float]], b: tuple[Sequence[float], Sequence[float]]) -> float | None:
    """How much of b's cost a needs to reach the same loss: the lowest that both reach. Curves are (cost, loss) pairs.

    0.7 means that a gets there with 0.7 of the cost. None if there is no cost, as before the first evaluation.
    """
    target = max(min(a[1]), min(b[1]))
    ours, theirs = cost_to_reach(*a, target), cost_to_reach(*b, target)
    return ours / theirs if ours and theirs else None
