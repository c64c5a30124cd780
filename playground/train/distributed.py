"""Distributed training: each process computes a shard of every step's sequences, and gradients are all-reduced.

    torchrun --nproc-per-node=2 -m playground.runs.worker.worker RUN

All processes draw the same batch (it depends only on seed and step) and hold the same weights, so there is one
all-reduce per step: all gradients and the loss, as one flat vector, after the last micro-batch. Losses are divided by the
targets of the whole step, so that the sum over processes equals that of one process up to rounding. There are two
exceptions: the balance loss of experts is computed per micro-batch, and each process splits its own rows into
micro-batches; and with dropout each process draws its own random numbers (`dropout_seed`).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor, nn

from playground.config import counted
from playground.train.devices import training_device


@dataclass(frozen=True)
class Group:
    """The processes that train together. With one process, all operations do nothing."""

    rank: int = 0
    size: int = 1

    def shard(self, x: Tensor) -> Tensor:
        """This process's rows of a step's sequences (B, T). Raises ValueError if there are fewer rows than processes."""
        if len(x) < self.size:
            raise ValueError(
                f"{self.size} processes need at least {counted(self.size, 'sequence')} a step; batch times "
                f"accumulation is {len(x)}. "
                "Raise the batch or start fewer processes."
            )
        return x.tensor_split(self.size)[self.rank]

    def all_reduce(self, model: nn.Module, loss: float) -> float:
        """Replace every gradient by its sum over the group and return the sum of the losses. A missing gradient counts
        as zero."""
        if self.size == 1:
            return loss
        parameters = list(model.parameters())
        parts = [torch.zeros_like(p) if p.grad is None else p.grad for p in parameters]
        flat = torch.cat([*(part.flatten() for part in parts), parts[0].new_tensor([loss])])
        dist.all_reduce(flat)
        for parameter, total in zip(parameters, flat[:-1].split([p.numel() for p in parameters]), strict=True):
            parameter.grad = total.view_as(parameter)
        return flat[-1].item()

    def agree(self, value: int) -> int:
        """The maximum over all processes, so that all take the same decision."""
        if self.size == 1:
            return value
        agreed = torch.tensor([value])
        dist.all_reduce(agreed, op=dist.ReduceOp.MAX)
        return int(agreed)


SINGLE = Group()
_RANK_STRIDE = (
    0x9E3779B1  # odd, and multiples up to 1023 of it are over 1.8 million apart modulo 2^32: no steps collide
)


def dropout_seed(seed: int, step: int, rank: int = 0) -> int:
    """The seed for dropout at a step, different for each of up to 1,024 processes.

    Torch's generator for CPUs takes its lowest 32 bits only, so these differ among all steps and ranks of a run.
    """
    return (seed << 31) + step + rank * _RANK_STRIDE & 0x7FFF_FFFF_FFFF_FFFF


def processes() -> int:
    """How many processes torchrun has started for this training; 1 without torchrun."""
    return int(os.environ.get("WORLD_SIZE", "1"))


@contextmanager
def process_group() -> Iterator[Group]:
    """The group of the processes that torchrun started, over gloo, and nccl between GPUs; one process without torchrun."""
    if processes() == 1:
        yield SINGLE
        return
    device = training_device()
    if device.type == "cuda":
        torch.cuda.set_device(device)
    dist.init_process_group("cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo")
    try:
        yield Group(dist.get_rank(), dist.get_world_size())
    finally:
        dist.destroy_process_group()
