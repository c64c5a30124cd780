"""What a race has measured: per arm and seed, cut where all runs of the race have arrived."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median

from playground.config import ModelConfig, TrainConfig
from playground.runs.curves import Curves
from playground.runs.races import Race
from playground.runs.store import Run
from playground.train.estimate import count_parameters
from playground.train.flops import training_flops
from playground.train.race import tokens_per_step


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
