"""How a token knows where it stands, by name.

A scheme may *add* something to the token's embedding (learned, sinusoidal) or *rotate* queries and keys (RoPE), so that
their product depends on their distance alone. `Positions` itself does neither: attention is then a bag of words, but for
what the causal mask gives away.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from playground.config import ModelConfig

Rotation = tuple[Tensor, Tensor]  # cosines and sines, each (T, D / 2)


class Positions(nn.Module):
    """The interface, and the scheme "none"."""

    def add(self, x: Tensor, positions: Tensor) -> Tensor:
        """Token embeddings (B, T, C) at `positions` (T,), with what the scheme adds to them."""
        return x

    def rotation(self, positions: Tensor) -> Rotation | None:
        """What `rotate` needs to turn vectors that stand at `positions` (T,); None if the scheme does not rotate."""
        return None


class LearnedPositions(Positions):
    """One trained vector per position, as in GPT-2. There is none beyond the context."""

    def __init__(self, block_size: int, width: int) -> None:
        super().__init__()
        self.table = nn.Embedding(block_size, width)

    def add(self, x: Tensor, positions: Tensor) -> Tensor:
        return x + self.table(positions)


class SinusoidalPositions(Positions):
    """Fixed sines and cosines of falling frequency (Vaswani et al. 2017, section 3.5)."""

    frequencies: Tensor

    def __init__(self, width: int) -> None:
        super().__init__()
        exponent = torch.arange(0, width, 2, dtype=torch.float32) / width
        self.register_buffer("frequencies", torch.exp(-math.log(10_000.0) * exponent), persistent=False)

    def add(self, x: Tensor, positions: Tensor) -> Tensor:
        angles = positions[:, None].float() * self.frequencies  # (T, C / 2)
        # The paper multiplies embeddings by sqrt(C) and adds sines of amplitude 1. Dividing the sines instead keeps that
        # ratio and the embedding's own scale, which a tied head needs.
        table = torch.stack((angles.sin(), angles.cos()), dim=-1).flatten(1) / math.sqrt(x.size(-1))
        return x + table.to(x.dtype)


class RotaryPositions(Positions):
    """RoPE (Su et al. 2021): dimension i and i + D/2 form a plane, turned by position times the plane's frequency.

    This is the half-split convention of Llama's released weights in Transformers, so that export needs no permutation.
    """

    frequencies: Tensor

    def __init__(self, head_dim: int, theta: float) -> None:
        super().__init__()
        exponent = torch.arange(0, head_dim, 2, dtype=torch.float32) / head_dim
        self.register_buffer("frequencies", theta**-exponent, persistent=False)

    def rotation(self, positions: Tensor) -> Rotation:
        angles = positions[:, None].float() * self.frequencies  # (T, D / 2)
        return angles.cos(), angles.sin()


def rotate(x: Tensor, rotation: Rotation | None) -> Tensor:
    """Turn queries or keys (B, H, T, D) by a scheme's rotation; None leaves them as they are."""
    if rotation is None:
        return x
    cos, sin = (part.to(x.dtype) for part in rotation)
    a, b = x.chunk(2, dim=-1)
    return torch.cat((a * cos - b * sin, b * cos + a * sin), dim=-1)


POSITIONS: dict[str, Callable[[ModelConfig], Positions]] = {
    "none": lambda config: Positions(),
    "learned": lambda config: LearnedPositions(config.block_size, config.n_embd),
    "sinusoidal": lambda config: SinusoidalPositions(config.n_embd),
    "rope": lambda config: RotaryPositions(config.head_dim, config.rope_theta),
}
