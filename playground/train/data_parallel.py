"""Cores share a micro-batch by sequences: each computes some of them in a *lane* of its own, and gradients are added up.

Threads that share every operation instead have to meet some five hundred times in a small model's step, and each of these
meetings costs as much as the operation. Lanes meet once. What is computed is the same sum in another order, always in the
same one, so it depends on the number of threads, as it would without lanes, and on nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from playground.config import ModelConfig, TrainConfig
from playground.train.estimate import count_parameters
from playground.train.thread_pool import thread_pool

# Above, operations are long enough to be shared, and another set of gradients for each lane would be felt.
MOST_PARAMETERS = 5_000_000


@dataclass(frozen=True)
class DataParallelThreads:
    """How threads share a micro-batch: `count` lanes of `rows` sequences, each computed by `thread_pool` threads."""

    count: int
    rows: int
    threads: int

    @classmethod
    def of(cls, model: ModelConfig, train: TrainConfig, n_threads: int) -> DataParallelThreads:
        """As many lanes as threads, if the model is small, the loss a sum over sequences, and these can be dealt out."""
        # The balance loss is one of a whole micro-batch; dropout draws from one row of random numbers; fp16's loss has a
        # scale; recomputing is for those who are short of memory.
        whole = model.n_expert > 1 or model.dropout or train.precision == "fp16" or train.gradient_checkpointing
        most = 1 if whole or count_parameters(model) > MOST_PARAMETERS else min(n_threads, train.batch_size)
        count = next(n for n in range(most, 0, -1) if train.batch_size % n == 0)
        return cls(count, train.batch_size // count, n_threads // count)

    def sums(self, compute: Callable[[Tensor, Tensor], Sequence[Tensor]], x: Tensor, y: Tensor) -> list[Tensor]:
        """What `compute` makes of each lane's rows of x and y (B, T), added up in the order of lanes."""
        each = map if self.count == 1 else thread_pool(self.count, self.threads).map
        parts = each(compute, x.split(self.rows), y.split(self.rows))
        first, *others = (list(part) for part in parts)
        for other in others:
            torch._foreach_add_(first, other)
        return first


def collect(parameters: Sequence[nn.Parameter], gradients: Sequence[Tensor]) -> None:
    """Add gradients to those that parameters have."""
    for parameter, gradient in zip(parameters, gradients, strict=True):
        parameter.grad = gradient if parameter.grad is None else parameter.grad.add_(gradient)
