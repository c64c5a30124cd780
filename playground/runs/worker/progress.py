"""A progress line on a terminal, or one line per evaluation in a file."""

from __future__ import annotations

import time
from types import TracebackType
from typing import Self, TextIO

from playground.config import TrainConfig
from playground.train.events import Evaluated, Event, StepDone

REDRAW_SECONDS = 0.1
BAR = 24


class ProgressLine:
    """Takes a run's events and shows step, losses, speed and the time left. Use as a context manager."""

    def __init__(self, out: TextIO, config: TrainConfig) -> None:
        """`out`: redrawn in place if it is a terminal; else one line per evaluation."""
        self.step = 0
        self._out = out
        self._steps = config.steps
        self._in_place = out.isatty()
        self._drawn = 0.0
        self._loss = self._measured = ""
        self._recent: list[StepDone] = []

    def __call__(self, event: Event) -> None:
        """Process one event."""
        if isinstance(event, StepDone):
            self.step, self._loss = event.step, f"  loss {event.loss:.3f}"
            self._recent = [*self._recent[-20:], event]
        elif isinstance(event, Evaluated):
            error = "" if event.loss_se is None else f" ± {event.loss_se:.3f}"
            self._measured = f"  validation {event.loss:.3f}{error}"
            if not self._in_place:
                print(self._text(), file=self._out, flush=True)
        if self._in_place and time.monotonic() - self._drawn >= REDRAW_SECONDS:
            self._draw()

    def _draw(self) -> None:
        self._drawn = time.monotonic()
        full = BAR * self.step // self._steps
        self._out.write(f"\r[{'#' * full}{'.' * (BAR - full)}] {self._text()}\x1b[K")
        self._out.flush()

    def _text(self) -> str:
        return f"step {self.step}/{self._steps}{self._loss}{self._measured}{self._speed()}"

    def _speed(self) -> str:
        if len(self._recent) < 2:
            return ""
        first, last = self._recent[0], self._recent[-1]
        elapsed = max(1e-9, last.seconds - first.seconds)
        minutes, seconds = divmod(round((self._steps - last.step) * elapsed / (last.step - first.step)), 60)
        return f"  {(last.tokens - first.tokens) / elapsed:,.0f} tokens/s  {minutes}:{seconds:02d} left"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._in_place:
            self._draw()
            self._out.write("\n")
