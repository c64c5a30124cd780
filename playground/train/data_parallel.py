"""Data parallelism over CPU threads: each thread (*lane*) computes some sequences of a micro-batch; gradients are added up.

Parallelizing each operation instead needs about five hundred synchronizations in a small model's step, each as expensive as
the operation. Lanes synchronize once. The result is the same sum in another, fixed order, so it depends only on the number
of threads.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from playground.config import ModelConfig, TrainConfig
from playground.train.estimate import count_parameters
from playground.train.thread_pool import thread_pool

# Larger models parallelize each operation instead, and gradients for each lane would take too much memory.
MOST_PARAMETERS = 5_000_000


@dataclass(frozen=True)
class DataParallelThreads:
    """How a micro-batch is split: `count` lanes of `rows` sequences, each run by a thread of `thread_pool`."""

    count: int
    rows: int
    threads: int

    @classmethod
    def of(cls, model: ModelConfig, train: TrainConfig, n_threads: int) -> DataParallelThreads:
        """One lane per thread if the model is small, the loss is a sum over sequences and these divide evenly."""
        # The balance loss is over a whole micro-batch; dropout uses one random number generator; fp16 scales the loss; and
        # gradient checkpointing is meant to save memory.
        whole = model.n_expert > 1 or model.dropout or train.precision == "fp16" or train.gradient_checkpointing
        most = 1 if whole or count_parameters(model) > MOST_PARAMETERS else min(n_threads, train.batch_size)
        count = next(n for n in range(most, 0, -1) if train.batch_size % n == 0)
        return cls(count, train.batch_size // count, n_threads // count)

    def sums(self, compute: Callable[[Tensor, Tensor], Sequence[Tensor]], x: Tensor, y: Tensor) -> list[Tensor]:
        """The sum of `compute` over each lane's rows of x and y (B, T), added up in the order of lanes."""
        each = map if self.count == 1 else thread_pool(self.count, self.threads).map
        parts = each(compute, x.split(self.rows), y.split(self.rows))
        first, *others = (list(part) for part in parts)
        for other in others:
            torch._foreach_add_(first, other)
        return first


def collect(parameters: Sequence[nn.Parameter], gradients: Sequence[Tensor]) -> None:
    """Accumulate gradients into `parameter.grad`."""
    for parameter, gradient in zip(parameters, gradients, strict=True):
        parameter.grad = gradient if parameter.grad is None else parameter.grad.add_(gradient)
