"""Reference bands: how runs that ship with the project did on a preset and a text, to draw a user's own curve over."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from playground.runs.curves import Curves
from playground.runs.store import Run
from playground.train.estimate import count_parameters


@dataclass(frozen=True)
class Band:
    """Validation losses, in nats per token, of reference runs that differ in their seed alone: mean, lowest and highest."""

    name: str
    seeds: int
    parameters: int
    step: list[int]
    tokens: list[int]
    seconds: list[float]
    mean: list[float]
    low: list[float]
    high: list[float]


def find_band(run: Run, references: Sequence[Run], curves: Curves) -> Band | None:
    """The band of the reference runs with the run's preset, text and tokenizer; of several sizes the closest. Else None."""
    groups: dict[tuple[object, ...], list[Run]] = defaultdict(list)
    for other in references:
        if other.reference and other.id != run.id and _comparable(run, other):
            groups[other.model, other.train.replace(seed=0, snapshots=0)].append(other)
    whole = [members for members in groups.values() if len(members) >= 2]
    if not whole:
        return None
    size = count_parameters(run.model)
    closest = min(whole, key=lambda members: (abs(count_parameters(members[0].model) - size), -members[0].train.steps))
    return _band(closest, curves)


def _comparable(run: Run, other: Run) -> bool:
    same = [
        (run.preset, other.preset),
        (run.train.corpus, other.train.corpus),
        (run.train.tokenizer, other.train.tokenizer),
    ]
    return bool(run.preset) and all(a == b for a, b in same)


def _band(members: Sequence[Run], curves: Curves) -> Band:
    tables = [curves.evaluations(run) for run in members]
    n = min(len(table) for table in tables)
    losses = [[float(table["loss"].iloc[i]) for table in tables] for i in range(n)]
    first, table = members[0], tables[0].iloc[:n]
    return Band(
        name=f"{len(members)} reference seeds, {count_parameters(first.model) / 1e6:.2g} M",
        seeds=len(members),
        parameters=count_parameters(first.model),
        step=[int(step) for step in table["step"]],
        tokens=[int(tokens) for tokens in table["tokens"]],
        seconds=[float(seconds) for seconds in table["seconds"]],
        mean=[round(fmean(values), 5) for values in losses],
        low=[round(min(values), 5) for values in losses],
        high=[round(max(values), 5) for values in losses],
    )
