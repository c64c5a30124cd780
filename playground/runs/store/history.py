"""A run's log, read as it grows: each step once, in order.

A run that crashed repeats the steps after its last checkpoint when it resumes. So ``Started(step=s)`` in the log
supersedes all earlier events of steps after s, which are dropped here.
"""

from __future__ import annotations

import math
from array import array
from bisect import bisect_right
from pathlib import Path
from typing import Any

from playground.runs.store.log import Tail
from playground.train.events import (
    Column,
    Diverged,
    Evaluated,
    Finished,
    Sampled,
    Started,
    StepDone,
    columns,
    event_from_dict,
)

TRAIN = columns(StepDone)
VALIDATION = columns(Evaluated)


class History:
    """One run's events so far. Call `refresh` to read on.

    `train` holds a column per field of `StepDone`. `generation` increases when events are dropped: what a
    reader has taken before is then no longer valid.
    """

    def __init__(self, log: Path) -> None:
        self._tail = Tail(log)
        self.generation = 0
        self._clear()

    @property
    def damaged(self) -> int:
        """How many rows of the log could not be used."""
        return self._tail.damaged + self._unusable

    @property
    def life(self) -> str:
        """Changes when what was read before is no longer valid."""
        return f"{self._tail.file:x}.{self.generation}"

    @property
    def step(self) -> int:
        """The last step that was trained."""
        steps = self.train["step"]
        return int(steps[-1]) if steps else 0

    def refresh(self) -> None:
        """Read what was added since the last time."""
        if self._tail.changed():
            self._tail = Tail(self._tail.path)
            self.generation += 1
            self._clear()
        for row in self._tail.rows():
            try:
                self._take(event_from_dict(row))
            except (KeyError, TypeError, ValueError):
                self._unusable += 1

    def _clear(self) -> None:
        self._unusable = 0
        self.train: dict[str, array[Any]] = {
            name: array("q" if column.whole else "d") for name, column in TRAIN.items()
        }
        self.validation: list[Evaluated] = []
        self.samples: list[Sampled] = []
        self.started: Started | None = None
        self.closed = False  # Finished or Diverged, and not continued

    def _take(self, event: object) -> None:
        match event:
            case StepDone():
                if event.step > self.step:
                    values = _numbers(event, TRAIN)  # fails before anything is kept
                    for name, value in zip(TRAIN, values, strict=True):
                        self.train[name].append(value)
            case Evaluated():
                if not self.validation or event.step > self.validation[-1].step:
                    _numbers(event, VALIDATION)
                    self.validation.append(event)
            case Sampled():
                if not self.samples or event.step > self.samples[-1].step:
                    self.samples.append(event)
            case Started():
                self.started, self.closed = event, False
                self._supersede(event.step)
            case Finished() | Diverged():
                self.closed = True

    def _supersede(self, step: int) -> None:
        """Drop the events of steps after `step`."""
        keep = bisect_right(self.train["step"], step)
        validation = [event for event in self.validation if event.step <= step]
        samples = [event for event in self.samples if event.step <= step]
        if (keep, len(validation), len(samples)) == (len(self.train["step"]), len(self.validation), len(self.samples)):
            return
        for column in self.train.values():
            del column[keep:]
        self.validation, self.samples = validation, samples
        self.generation += 1


def _numbers(event: object, table: dict[str, Column]) -> list[float]:
    """An event's numbers by column, NaN for one that was not measured.

    A null, which stands for a number that was not finite, raises TypeError in any column that is not optional.
    """
    values = [(getattr(event, name), column) for name, column in table.items()]
    return [math.nan if column.optional and value is None else value + 0 for value, column in values]


class Downsampled:
    """A curve of few points: means over bins of `stride` steps, each bin given out once it is full."""

    def __init__(self, history: History, stride: int) -> None:
        self.history = history
        self.stride = stride
        self.columns: dict[str, list[Any]] = {name: [] for name in TRAIN}
        self._used = 0

    def extend(self) -> None:
        """Add the bins that have become full, or whose run has ended."""
        steps = self.history.train["step"]
        while self._used < len(steps):
            last = -(-steps[self._used] // self.stride) * self.stride  # the bin's last step
            end = bisect_right(steps, last, lo=self._used)
            if end == len(steps) and steps[-1] < last and not self.history.closed:
                return
            for name, column in self.columns.items():
                column.append(_point(TRAIN[name], self.history.train[name][self._used : end]))
            self._used = end


def _point(column: Column, values: array[Any]) -> float | None:
    """A bin's number: the mean of what fluctuates, the last of what only grows, rounded to what a chart can show.

    None where it was not measured.
    """
    if column.whole:
        return int(values[-1])
    value = values[-1] if column.last else sum(values) / len(values)
    return shown(None if math.isnan(value) else value, column)


def shown(value: float | None, column: Column) -> float | None:
    """A number with the digits of its column."""
    return value if value is None or column.digits is None else rounded(value, column.digits)


def rounded(value: float, digits: int) -> float:
    """A number with so many significant digits."""
    return float(f"{value:.{digits}g}")
