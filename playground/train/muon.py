"""Muon (Jordan 2024): momentum, orthogonalized (all singular values near one) before each step.

Equivalent to `torch.optim.Muon`, with matrices of one shape batched: at our sizes a step is hundreds of tiny products,
and most of the time is launch overhead. Steps are scaled to the size of AdamW's (Liu et al. 2025).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

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
        """One optimizer step; parameters without a gradient are unchanged."""
        assert closure is None, "the loss is never evaluated again"
        for group in self.param_groups:
            shapes: dict[torch.Size, list[tuple[Tensor, Tensor]]] = {}
            for parameter in group["params"]:
                if parameter.grad is not None:
                    shapes.setdefault(parameter.shape, []).append((parameter, parameter.grad))
            for shape, alike in shapes.items():
                parameters, gradients = (list(part) for part in zip(*alike, strict=True))
                moments = [self._moment(parameter) for parameter in parameters]
                torch._foreach_lerp_(moments, gradients, 1 - group["momentum"])
                ahead = torch._foreach_lerp(gradients, moments, group["momentum"])
                directions = orthogonalise(torch.stack(ahead)).float().unbind()
                torch._foreach_mul_(parameters, 1 - group["lr"] * group["weight_decay"])
                torch._foreach_add_(parameters, directions, alpha=-group["lr"] * 0.2 * math.sqrt(max(shape)))

    def _moment(self, parameter: Tensor) -> Tensor:
        state = self.state[parameter]
        if "momentum_buffer" not in state:
            state["momentum_buffer"] = torch.zeros_like(parameter)
        moment: Tensor = state["momentum_buffer"]
        return moment


def orthogonalise(matrices: Tensor) -> Tensor:
    """U S' Vᵀ for each U S Vᵀ of a stack (N, m, n), with S' near one: five Newton-Schulz steps in bfloat16."""
    if matrices.size(1) > matrices.size(2):
        return orthogonalise(matrices.mT).mT
    a, b, c = COEFFICIENTS
    x = matrices.bfloat16()
    x = x / x.flatten(1).norm(dim=1).clamp(min=EPSILON)[:, None, None]  # no singular value above one
    for _ in range(ITERATIONS):
        gram = x @ x.mT
        polynomial = torch.baddbmm(gram, gram, gram, beta=b, alpha=c)
        x = torch.baddbmm(x, polynomial, x, beta=a)
    return x
