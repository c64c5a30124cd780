"""The feed-forward half of a block, by name.

A plain MLP projects up, applies an activation and projects down. A gated one has a second projection whose activation
scales the first (Shazeer 2020). `ACTIVATIONS` holds the formulas between the matrices, for MLPs and experts (`moe`).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from playground.config import GATED

CLAMP, ALPHA = 7.0, 1.702  # gpt-oss


def gelu(up: Tensor) -> Tensor:
    """GELU in its tanh form, as GPT-2 has it (Hendrycks & Gimpel 2016)."""
    return F.gelu(up, approximate="tanh")


def gelu_exact(up: Tensor) -> Tensor:
    """GELU as it is defined, x Φ(x) by the error function: torch's default, and so nanoGPT's."""
    return F.gelu(up)


def relu2(up: Tensor) -> Tensor:
    """Squared ReLU (So et al. 2021)."""
    return F.relu(up).square()


def swiglu(gate: Tensor, up: Tensor) -> Tensor:
    """SiLU of the gate, times the other projection (Shazeer 2020)."""
    return F.silu(gate) * up


def geglu(gate: Tensor, up: Tensor) -> Tensor:
    """GELU of the gate, times the other projection (Shazeer 2020)."""
    return gelu(gate) * up


def clamped_swiglu(gate: Tensor, up: Tensor) -> Tensor:
    """SwiGLU with a steeper sigmoid, inputs clamped at ±7, and one added to the other projection, as in gpt-oss."""
    gate, up = gate.clamp(max=CLAMP), up.clamp(-CLAMP, CLAMP)
    return (up + 1) * gate * torch.sigmoid(ALPHA * gate)


ACTIVATIONS: dict[str, Callable[..., Tensor]] = {
    "gelu": gelu, "gelu_exact": gelu_exact, "relu2": relu2, "swiglu": swiglu,
    "geglu": geglu, "clamped_swiglu": clamped_swiglu,
}  # fmt: skip


class MLP(nn.Module):
    """One hidden layer. Gated kinds have a matrix `gate` beside `up`."""

    def __init__(self, kind: str, width: int, hidden: int, bias: bool) -> None:
        super().__init__()
        self.act = ACTIVATIONS[kind]
        self.gate = nn.Linear(width, hidden, bias=bias) if kind in GATED else None
        self.up = nn.Linear(width, hidden, bias=bias)
        self.down = nn.Linear(hidden, width, bias=bias)

    def forward(self, x: Tensor, _ctx: object = None) -> Tensor:
        """(B, T, C) -> (B, T, C). Only a mixture of experts uses the forward context."""
        up = self.up(x)
        return self.down(self.act(up) if self.gate is None else self.act(self.gate(x), up))


MLPS: dict[str, Callable[[int, int, bool], nn.Module]] = {kind: partial(MLP, kind) for kind in ACTIVATIONS}
