"""Learning rate sweeps: every model is trained at several learning rates and compared at its best one.

A single rate for all favors the model that it suits. Here each is compared at the rate with its lowest mean loss over the
seeds. This selection is biased equally on all sides: between identical models a difference is claimed no more often than
in a plain race (docs/decisions/2026-11-26-each-at-its-best-rate.md has the numbers).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from playground.config import listed
from playground.train.race_spec import Arm, RaceSpec, arm_name

RATE = "learning_rate"
RULE = (
    " Each model is tried at equally many learning rates and compared at the one with its lowest mean over the seeds."
)
Finals = Mapping[int, Mapping[int, float]]  # by arm and seed; without runs that diverged


@dataclass(frozen=True)
class Family:
    """Arms that differ only in their learning rate. `rates` belong to `arms`, which are indices of the race's arms."""

    name: str
    arms: tuple[int, ...]
    rates: tuple[float, ...]


def families(spec: RaceSpec) -> list[Family]:
    """Group the race's arms by everything but the learning rate; empty unless all groups have the same number of rates."""
    groups: dict[tuple[Any, ...], list[int]] = {}
    for number, arm in enumerate(spec.arms):
        groups.setdefault((arm.preset, _rest(arm)), []).append(number)
    sizes = {len(members) for members in groups.values()}
    rated = all(RATE in arm.changes for arm in spec.arms)
    if len(groups) < 2 or len(sizes) != 1 or sizes == {1} or not rated:
        return []
    found = []
    for members in groups.values():
        first = spec.arms[members[0]]
        name = arm_name(first.preset, {key: value for key, value in first.changes.items() if key != RATE})
        found.append(Family(name, tuple(members), tuple(float(spec.arms[i].changes[RATE]) for i in members)))
    return found if all(len(set(family.rates)) == len(family.rates) for family in found) else []


def _rest(arm: Arm) -> tuple[tuple[str, str], ...]:
    return tuple(sorted((key, repr(value)) for key, value in arm.changes.items() if key != RATE))


def best(family: Family, finals: Finals, seeds: Sequence[int]) -> int | None:
    """The arm whose final losses over these seeds are lowest on average. An arm that diverged with any seed is excluded."""
    means = {index: fmean(finals[index].get(seed, math.inf) for seed in seeds) for index in family.arms if seeds}
    index = min(means, key=means.__getitem__, default=None)
    return index if index is not None and math.isfinite(means[index]) else None


def words(families: Sequence[Family], rates: Sequence[float], levels: Sequence[float], unit: str) -> list[str]:
    """Which rates were tried and which won, and whether a better one may lie beyond. `rates` and `levels` (mean final
    losses) are those of each family's best arm."""
    tried = dict.fromkeys(family.rates for family in families)
    found = [
        f"{rate:g} for {family.name} ({level:.3f} {unit})"
        for family, rate, level in zip(families, rates, levels, strict=True)
    ]
    each = "; ".join(listed([f"{rate:g}" for rate in some]) for some in tried)
    sentences = [f"Learning rates tried: {each}. Best: {', '.join(found)}."]
    for family, rate in zip(families, rates, strict=True):
        for edge, direction, still in ((max, "highest", "higher"), (min, "lowest", "lower")):
            if rate == edge(family.rates):
                sentences.append(f"{family.name}'s best is the {direction} tried, so a {still} one may be better.")
    return sentences
