"""Muon (Jordan 2024): momentum whose singular values are all pushed towards one before it becomes a step.

What torch's own `torch.optim.Muon` computes, with matrices of one shape taken together: at our sizes a step is hundreds of
tiny products, and the time goes into starting them. Steps are scaled to the size of AdamW's (Liu et al. 2025).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from playground.train.threads import threads

COEFFICIENTS = (
    3.4445,
    -4.7750,
    2.0315,
)  # Jordan's: the steepest start at zero that keeps singular values within 0.7 to 1.2
ITERATIONS = 5
EPSILON = 1e-7


class Muon(Optimizer):
    """Nesterov momentum, orthogonalised, with decoupled weight decay. Takes matrices (two dimensions) only."""

    def __init__(self, params: Iterable[nn.Parameter], *, lr: float, weight_decay: float, momentum: float) -> None:
        super().__init__(params, {"lr": lr, "weight_decay": weight_decay, "momentum": momentum})

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> None:  # type: ignore[override]
        """One step along the gradients; parameters without one stay."""
        assert closure is None, "the loss is never evaluated again"
        for group in self.param_groups:
            parameters = [p for p in group["params"] if p.grad is not None]
            if not parameters:
                continue
            gradients = [p.grad for p in parameters]
            moments = [self._moment(p) for p in parameters]
            torch._foreach_lerp_(moments, gradients, 1 - group["momentum"])
            directions = _orthogonalised(torch._foreach_lerp(gradients, moments, group["momentum"]))
            torch._foreach_mul_(parameters, 1 - group["lr"] * group["weight_decay"])
            for parameter, direction in zip(parameters, directions, strict=True):
                parameter.add_(direction, alpha=-group["lr"] * 0.2 * math.sqrt(max(parameter.shape)))

    def _moment(self, parameter: Tensor) -> Tensor:
        state = self.state[parameter]
        if "momentum_buffer" not in state:
            state["momentum_buffer"] = torch.zeros_like(parameter)
        moment: Tensor = state["momentum_buffer"]
        return moment


def _orthogonalised(matrices: Sequence[Tensor]) -> list[Tensor]:
    """`orthogonalise` of each, those of one shape, or of one lying down, together."""
    lying = [m if m.size(0) <= m.size(1) else m.T for m in matrices]
    shapes: dict[torch.Size, list[int]] = {}
    for index, matrix in enumerate(lying):
        shapes.setdefault(matrix.shape, []).append(index)
    found = list(matrices)
    count = torch.get_num_threads() if matrices[0].device.type == "cpu" else 1
    shares = [part for indices in shapes.values() for part in _dealt(indices, count)]
    stacks = (torch.stack([lying[index] for index in share]) for share in shares)
    each = map if count == 1 else threads(count).map
    for share, directions in zip(shares, each(orthogonalise, stacks), strict=True):
        for index, direction in zip(share, directions, strict=True):
            found[index] = direction if lying[index] is matrices[index] else direction.T
    return found


def _dealt(indices: list[int], count: int) -> list[list[int]]:
    """The indices in at most `count` parts, so that each core has some of every shape."""
    size = -(-len(indices) // count)
    return [indices[start : start + size] for start in range(0, len(indices), size)]


def orthogonalise(matrices: Tensor) -> Tensor:
    """U S' Vᵀ for each U S Vᵀ of a stack (N, m, n), m ≤ n, with S' near one: five Newton-Schulz steps in bfloat16."""
    a, b, c = COEFFICIENTS
    x = matrices.bfloat16()
    x = x / x.flatten(1).norm(dim=1).clamp(min=EPSILON)[:, None, None]  # no singular value above one
    for _ in range(ITERATIONS):
        gram = x @ x.mT
        polynomial = torch.baddbmm(gram, gram, gram, beta=b, alpha=c)
        x = torch.baddbmm(x, polynomial, x, beta=a)
    return x
