"""Estimate of a run's training time on this machine, before it starts."""

from __future__ import annotations

import time
from functools import cache

import torch

from playground.config import ModelConfig, TrainConfig
from playground.train.estimate import Estimate
from playground.train.gradients import DTYPES

EFFICIENCY = (
    0.55  # share of the matrix throughput that a training step reaches; measured on the presets, see docs/benchmarks.md
)
STEP_OVERHEAD = 0.004  # seconds a step spends outside of matrices, and per layer a quarter of that
LOGIT_SECONDS = 4e-9  # for the softmax of one logit, which is memory-bound: the cost of a large vocabulary
EVALUATION_SHARE = 1 / 3  # a forward pass costs a third of a training step


@cache
def matrix_rate(precision: str = "fp32") -> float:
    """FLOP/s of matrix products of a small model's shape on this machine, measured once in about 60 ms.

    The best of twelve short bursts: other programs only ever make a burst slower.
    """
    a, b = torch.randn(2048, 128).to(DTYPES[precision]), torch.randn(128, 512).to(DTYPES[precision])
    a @ b
    bursts = []
    for _ in range(12):
        began = time.perf_counter()
        for _ in range(4):
            a @ b
        bursts.append(time.perf_counter() - began)
    return 4 * 2 * 2048 * 128 * 512 / min(bursts)


def seconds_of(estimate: Estimate, model: ModelConfig, train: TrainConfig) -> float:
    """Seconds that a whole run takes without other load: steps, evaluations and samples."""
    overhead = STEP_OVERHEAD * (1 + model.n_layer / 4) * train.grad_accum
    softmax = LOGIT_SECONDS * model.vocab_size * estimate.tokens_per_step
    step = estimate.flops_per_step / (EFFICIENCY * matrix_rate(train.precision)) + softmax + overhead
    evaluated = (train.steps / train.eval_interval + 1) * train.eval_tokens / estimate.tokens_per_step
    return step * (train.steps + evaluated * EVALUATION_SHARE)
