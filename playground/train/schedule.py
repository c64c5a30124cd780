"""The learning rate as a function of the step: a linear warm-up, then half a cosine down to a floor."""

from __future__ import annotations

import math

from playground.config import TrainConfig


def learning_rate(step: int, config: TrainConfig) -> float:
    """The rate for step number `step`, counted from 1 to `config.steps`. A pure function, so resuming needs no state."""
    if step <= config.warmup_steps:
        return config.learning_rate * step / config.warmup_steps
    progress = (step - config.warmup_steps) / max(1, config.steps - config.warmup_steps)
    floor = config.learning_rate * config.min_lr_ratio
    return floor + (config.learning_rate - floor) * 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))
