"""Measurements of a race per arm and seed, up to the last evaluation that all its runs have reached."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from statistics import median

from playground.config import ModelConfig, TrainConfig
from playground.runs.comparable import NATS, UNKNOWN, Measure, batches_of, windows_of
from playground.runs.curves import Curves
from playground.runs.races import Race
from playground.runs.store.run_store import Run
from playground.train.estimate import count_parameters
from playground.train.flops import training_flops
from playground.train.race import tokens_per_step


@dataclass(frozen=True)
class RunCurve:
    """A run's evaluations, up to the last one that all runs of the race have reached."""

    seed: int
    steps: list[int]
    seconds: list[float]
    losses: list[float]  # nats per token
    bits: list[float] | None  # bits per byte; None where there are none
    accuracies: list[float]
    state: str
    speed: float | None = None  # tokens per second of its median step
    errors: list[float | None] = field(default_factory=list)  # standard errors of `losses` over windows of the text

    def values(self, unit: str) -> list[float]:
        """The curve in a unit of `comparable`; empty where the run has none in it."""
        return self.losses if unit == NATS else self.bits or []

    def error(self, unit: str) -> float | None:
        """Standard error of the last value over windows of the validation text, in a unit; None where it is not known."""
        error = self.errors[-1] if self.errors else None
        if error is None or unit == NATS:
            return error
        return error * self.bits[-1] / self.losses[-1] if self.bits and self.losses[-1] else None


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
    solved: str = ""
    measure: Measure = UNKNOWN  # what its losses are measured on
    batches: tuple[object, ...] = ()  # equal for arms that read the same batches
    windows: tuple[object, ...] = ()  # equal for arms that are measured on the same windows of the validation text

    @property
    def speed(self) -> float | None:
        """Tokens per second, the median over seeds."""
        known = [run.speed for run in self.runs if run.speed]
        return median(known) if known else None

    @property
    def tokens_per_step(self) -> int:
        return tokens_per_step(self.model, self.train)

    @property
    def going(self) -> list[RunCurve]:
        """The runs that have not diverged and have been evaluated."""
        return [run for run in self.runs if run.state not in ("diverged", "failed") and run.losses]

    @property
    def diverged(self) -> int:
        return sum(run.state == "diverged" for run in self.runs)


def results(race: Race, curves: Curves) -> list[ArmResult]:
    """All arms, up to the last evaluation of every run that has not diverged."""
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
        columns = curves.columns(first)
        rows = [_cut(row, share * first.train.steps) for row in rows]
        arms.append(
            ArmResult(
                arm.name, arm.preset, first.model, first.train, count_parameters(first.model), training_flops(first.model),
                tuple(rows), solved, columns.measure, batches_of(first), windows_of(first, columns.validation_tokens),
            )
        )  # fmt: skip
    return arms


def _curve(run: Run, curves: Curves) -> RunCurve:
    table = curves.evaluations(run)
    columns = {name: list(table[name]) for name in ("step", "seconds", "loss", "bits_per_byte", "accuracy", "loss_se")}
    bits = [float(value) for value in columns["bits_per_byte"] if value is not None and value == value]  # not NaN
    return RunCurve(
        run.train.seed, columns["step"], columns["seconds"], columns["loss"],
        bits if len(bits) == len(columns["loss"]) else None, columns["accuracy"], run.state(), _speed(run, curves),
        [None if value is None or value != value else float(value) for value in columns["loss_se"]],
    )  # fmt: skip


def _cut(curve: RunCurve, last: float) -> RunCurve:
    n = sum(step <= last + 1e-6 for step in curve.steps)
    return replace(
        curve, steps=curve.steps[:n], seconds=curve.seconds[:n], losses=curve.losses[:n],
        bits=None if curve.bits is None else curve.bits[:n], accuracies=curve.accuracies[:n], errors=curve.errors[:n],
    )  # fmt: skip


def _speed(run: Run, curves: Curves) -> float | None:
    """Speed of the median step, which is robust to steps that were disturbed by other programs."""
    history = curves.dataframe(run)
    if len(history) < 2:
        return None
    seconds, tokens = history["seconds"].diff().iloc[1:], history["tokens"].diff().iloc[1:]
    usual = float((seconds / tokens).median())
    return 1 / usual if usual > 0 else None
