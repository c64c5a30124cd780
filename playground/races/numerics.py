"""Comparing numerics: one configuration trained with the same seed and different arithmetic, as a race."""

from __future__ import annotations

from typing import Any

from playground.config import ModelConfig, TrainConfig
from playground.train.race_spec import Arm, RaceSpec

MOST_STEPS = 300  # of each arm: effects of arithmetic show early
MOST_PARTS = 4
# Settings that a race chooses itself, or does not use.
_OWN = {
    "seed",
    "steps",
    "warmup_steps",
    "eval_interval",
    "checkpoint_interval",
    "sample_interval",
    "snapshots",
    "prompt",
}


def numerics_race(start: str, model: ModelConfig, train: TrainConfig) -> RaceSpec:
    """This model and training in fp32, bf16 and fp16, in micro-batches and with recomputed activations, one seed.

    The micro-batches of one arm together are the batch of the others. Raises ValueError for what a race cannot be.
    """
    settings = {name: value for name, value in train.to_dict().items() if name not in _OWN}
    sizes = {name: value for name, value in model.to_dict().items() if name != "vocab_size"}
    plain = {"precision": "fp32", "gradient_checkpointing": False}
    arms: dict[str, dict[str, Any]] = {
        "fp32": {},
        "bf16": {"precision": "bf16"},
        "fp16": {"precision": "fp16"},
        **_micro_batches(train),
        "recomputed": {"gradient_checkpointing": True},
    }
    return RaceSpec(
        name="Numerics",
        arms=tuple(Arm(name, start, {**plain, **changes}) for name, changes in arms.items()),
        shared={**settings, **sizes},
        budget="steps",
        amount=min(train.steps, MOST_STEPS),
        seeds=(train.seed,),
        match="none",
    )


def _micro_batches(train: TrainConfig) -> dict[str, dict[str, int]]:
    """Split the batch into up to four equal parts; none if its size has no such divisor."""
    count = next((n for n in range(MOST_PARTS, 1, -1) if train.batch_size % n == 0), 1)
    if count == 1:
        return {}
    parts = {"batch_size": train.batch_size // count, "grad_accum": train.grad_accum * count}
    return {f"{count} micro-batches": parts}
