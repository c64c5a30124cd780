"""Learning rate schedules by name: a linear warm-up, then a decay to a minimum."""

from __future__ import annotations

import math
from collections.abc import Callable

from playground.config import TrainConfig

DECAY_SHARE = 0.2  # share of the steps after the warm-up in which "wsd" decays (Hu et al. 2024 use 10 to 20 %)


def _cosine(progress: float) -> float:
    return 0.5 * (1 + math.cos(math.pi * progress))


def _linear(progress: float) -> float:
    return 1.0 - progress


def _wsd(progress: float) -> float:
    """Warm-up, stable, decay: constant, then linear decay over the last fifth."""
    return min(1.0, (1.0 - progress) / DECAY_SHARE)


def _constant(progress: float) -> float:
    return 1.0


# Share of the way from the floor to the peak, by the share of the steps after the warm-up that is done: (0 to 1) ->
# (1 to 0).
SCHEDULES: dict[str, Callable[[float], float]] = {
    "cosine": _cosine, "linear": _linear, "wsd": _wsd, "constant": _constant,
}  # fmt: skip


def learning_rate(step: int, config: TrainConfig) -> float:
    """The rate for step number `step`, counted from 1 to `config.steps`. A pure function, so resuming needs no state."""
    if step <= config.warmup_steps:
        return config.learning_rate * step / config.warmup_steps
    progress = (step - config.warmup_steps) / max(1, config.steps - config.warmup_steps)
    floor = config.learning_rate * config.min_lr_ratio
    return floor + (config.learning_rate - floor) * SCHEDULES[config.schedule](min(1.0, progress))
