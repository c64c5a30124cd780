"""The feed-forward half of a block, by name: what a token does with what attention brought it.

A plain MLP widens, bends, narrows. A gated one has a second widened vector that decides how much of the first passes
(Shazeer 2020). `BENDS` holds the formulas between the matrices, for an MLP and for an expert (`moe`) alike.
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
    """The gate bent by SiLU, times the other (Shazeer 2020)."""
    return F.silu(gate) * up


def geglu(gate: Tensor, up: Tensor) -> Tensor:
    """The gate bent by GELU, times the other (Shazeer 2020)."""
    return gelu(gate) * up


def clamped_swiglu(gate: Tensor, up: Tensor) -> Tensor:
    """SwiGLU with a sharper sigmoid, inputs cut at ±7, and one added to the other half, as in gpt-oss."""
    gate, up = gate.clamp(max=CLAMP), up.clamp(-CLAMP, CLAMP)
    return (up + 1) * gate * torch.sigmoid(ALPHA * gate)


BENDS: dict[str, Callable[..., Tensor]] = {
    "gelu": gelu, "gelu_exact": gelu_exact, "relu2": relu2, "swiglu": swiglu,
    "geglu": geglu, "clamped_swiglu": clamped_swiglu,
}  # fmt: skip


class MLP(nn.Module):
    """One hidden layer. Gated kinds have a matrix `gate` beside `up`."""

    def __init__(self, kind: str, width: int, hidden: int, bias: bool) -> None:
        super().__init__()
        self.bend = BENDS[kind]
        self.gate = nn.Linear(width, hidden, bias=bias) if kind in GATED else None
        self.up = nn.Linear(width, hidden, bias=bias)
        self.down = nn.Linear(hidden, width, bias=bias)

    def forward(self, x: Tensor, _step: object = None) -> Tensor:
        """(B, T, C) -> (B, T, C). The forward pass's step matters to a mixture of experts only."""
        up = self.up(x)
        return self.down(self.bend(up) if self.gate is None else self.bend(self.gate(x), up))


MLPS: dict[str, Callable[[int, int, bool], nn.Module]] = {kind: partial(MLP, kind) for kind in BENDS}
