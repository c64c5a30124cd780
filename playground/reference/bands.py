"""Reference bands: the range of reference runs for a preset and a dataset, drawn behind a user's curve."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

from playground.config import config_diff, counted
from playground.reference.make_bands import Reference, read_reference
from playground.runs.comparable import same_settings, text_of, tokens_of
from playground.runs.curves import Curves
from playground.runs.store.run_store import Run
from playground.train.estimate import count_parameters

LEAST = 2  # minimum number of seeds of a band


@dataclass(frozen=True)
class Band:
    """Validation losses, in nats per token, of reference runs that differ only in their seed: mean, lowest and highest."""

    name: str
    seeds: int
    parameters: int
    step: list[int]
    tokens: list[int]
    seconds: list[float]
    mean: list[float]
    low: list[float]
    high: list[float]


def find_band(run: Run, references: Sequence[Run], curves: Curves, gallery: Path | None = None) -> Band | None:
    """The band of the run's preset, validation text and tokens, from reference runs and reference curves; or None.

    If there are several, the one of the closest size, then the one with the fewest other differences.
    """
    if not run.preset:
        return None
    shipped = None if gallery is None else read_reference(gallery, run.preset, run.train.corpus)
    if shipped is not None and (len(shipped.loss) < LEAST or not same_settings(shipped.train, run.train)):
        shipped = None
    found = [*_of_runs(run, references, curves), *([shipped] if shipped else [])]
    return _band(min(found, key=lambda reference: _distance(run, reference))) if found else None


def _distance(run: Run, reference: Reference) -> tuple[int, int]:
    apart = abs(count_parameters(reference.model) - count_parameters(run.model))
    train = run.train.replace(seed=reference.train.seed)
    return apart, len(config_diff(run.model, reference.model)) + len(config_diff(train, reference.train))


def _of_runs(run: Run, references: Sequence[Run], curves: Curves) -> Iterator[Reference]:
    """Reference runs with the run's preset, validation text and tokens that differ only in their seed."""
    groups: dict[tuple[object, ...], list[Run]] = defaultdict(list)
    for other in references:
        if other.reference and other.id != run.id and _comparable(run, other):
            groups[other.model, other.train.replace(seed=0, snapshots=0)].append(other)
    for members in groups.values():
        if len(members) >= LEAST:
            yield _curves_of(members, curves)


def _comparable(run: Run, other: Run) -> bool:
    return run.preset == other.preset and (tokens_of(run), text_of(run)) == (tokens_of(other), text_of(other))


def _curves_of(members: Sequence[Run], curves: Curves) -> Reference:
    tables = [curves.evaluations(run) for run in members]
    n, first = min(len(table) for table in tables), tables[0]
    seconds, loss = (
        {
            run.train.seed: [float(value) for value in table[name][:n]]
            for run, table in zip(members, tables, strict=True)
        }
        for name in ("seconds", "loss")
    )
    step, tokens = ([int(value) for value in first[name][:n]] for name in ("step", "tokens"))
    return Reference(members[0].preset, members[0].model, members[0].train, step, tokens, seconds, loss)


def _band(reference: Reference) -> Band:
    losses = list(zip(*reference.loss.values(), strict=True))  # at each measurement, of all seeds
    return Band(
        name=f"{counted(len(reference.loss), 'reference seed')}, {count_parameters(reference.model) / 1e6:.2g} M",
        seeds=len(reference.loss),
        parameters=count_parameters(reference.model),
        step=reference.step,
        tokens=reference.tokens,
        seconds=min(reference.seconds.values(), key=lambda seconds: seconds[-1]),  # of the least disturbed
        mean=[round(fmean(values), 5) for values in losses],
        low=[round(min(values), 5) for values in losses],
        high=[round(max(values), 5) for values in losses],
    )
