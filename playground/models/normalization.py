"""Normalisation layers, by name.

LayerNorm (Ba et al. 2016) subtracts the mean and divides by the standard deviation of each token's C numbers; RMSNorm
(Zhang & Sennrich 2019) only divides by their root mean square and has no bias. Both are torch's own; a test holds them
to the float64 formulas.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn


def layer_norm(width: int, bias: bool, eps: float) -> nn.Module:
    """(x - mean) / sqrt(var + eps) * weight + bias, over the last dimension of size `width`."""
    return nn.LayerNorm(width, eps=eps, bias=bias)


def rms_norm(width: int, bias: bool, eps: float) -> nn.Module:
    """x / sqrt(mean(x²) + eps) * weight, over the last dimension of size `width`; never a bias."""
    return nn.RMSNorm(width, eps=eps)


class HeadNorm(nn.RMSNorm):
    """RMSNorm of queries or keys, over each head's D numbers (QK-norm). Taken at the weight's precision: under autocast
    what comes out of a projection is coarser than that."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.to(self.weight.dtype)).to(x.dtype)


NORMS: dict[str, Callable[[int, bool, float], nn.Module]] = {"layernorm": layer_norm, "rmsnorm": rms_norm}
