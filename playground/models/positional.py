"""Position encodings, by name.

A scheme may *add* something to the token's embedding (learned, sinusoidal), *rotate* queries and keys (RoPE), so that
their product depends on their distance alone, or put a *bias* on scores that grows with distance (ALiBi). `Positions`
itself does nothing: attention is then a bag of words, but for what the causal mask gives away.

Positions come as (T,), or as (B, T) where the rows of a batch stand at different ones.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from playground.config import ModelConfig, counted

Rotation = tuple[Tensor, Tensor]  # cosines and sines, each (..., T, R / 2) for R turned dimensions


class Positions(nn.Module):
    """The interface, and the scheme "none"."""

    limit: float = math.inf  # positions that there are

    def add(self, x: Tensor, positions: Tensor) -> Tensor:
        """Token embeddings (B, T, C) at `positions` (..., T), with what the scheme adds to them."""
        return x

    def rotation(self, positions: Tensor) -> Rotation | None:
        """Cosines and sines for `apply_rotary_emb` at `positions` (..., T); None if the scheme does not rotate."""
        return None

    def bias(self, query_pos: Tensor, key_pos: Tensor) -> Tensor | None:
        """What is added to the scores (..., H, T, S) of queries (..., T) on keys (..., S); None if nothing is."""
        return None

    def check(self, n: int) -> None:
        """Raise ValueError if a text of n tokens goes beyond the last position."""
        if n > self.limit:
            raise ValueError(
                f"Learned positions end at the context of {counted(int(self.limit), 'token')}; "
                f"this text has {n}. Shorten it."
            )


class LearnedPositions(Positions):
    """One trained vector per position, as in GPT-2. There is none beyond the context."""

    def __init__(self, block_size: int, width: int) -> None:
        super().__init__()
        self.table, self.limit = nn.Embedding(block_size, width), block_size

    def add(self, x: Tensor, positions: Tensor) -> Tensor:
        return x + self.table(positions.clamp(min=0))  # padding has position -1 and is masked


class SinusoidalPositions(Positions):
    """Fixed sines and cosines of falling frequency (Vaswani et al. 2017, section 3.5)."""

    frequencies: Tensor

    def __init__(self, width: int) -> None:
        super().__init__()
        exponent = torch.arange(0, width, 2, dtype=torch.float32) / width
        self.register_buffer("frequencies", torch.exp(-math.log(10_000.0) * exponent), persistent=False)

    def add(self, x: Tensor, positions: Tensor) -> Tensor:
        angles = positions[..., None].float() * self.frequencies  # (..., T, C / 2)
        # The paper multiplies embeddings by sqrt(C) and adds sines of amplitude 1. Dividing the sines instead keeps that
        # ratio and the embedding's own scale, which a tied head needs.
        table = torch.stack((angles.sin(), angles.cos()), dim=-1).flatten(-2) / math.sqrt(x.size(-1))
        return x + table.to(x.dtype)


class RotaryPositions(Positions):
    """RoPE (Su et al. 2021): dimensions i and i + R/2 form a plane, turned by position times the plane's frequency.

    R is the head's size, or less: the dimensions beyond R are left alone (partial RoPE, as in GPT-NeoX). This is the
    half-split convention of Llama's released weights in Transformers, so that export needs no permutation. Frequencies are
    rounded as there, too: at position 2,000 the last bit of one would turn a plane by 6e-5 more.
    """

    frequencies: Tensor

    def __init__(self, dims: int, theta: float) -> None:
        super().__init__()
        exponent = torch.arange(0, dims, 2, dtype=torch.float32) / dims
        self.register_buffer("frequencies", 1 / theta**exponent, persistent=False)

    def rotation(self, positions: Tensor) -> Rotation:
        angles = positions[..., None].float() * self.frequencies  # (..., T, R / 2)
        return angles.cos(), angles.sin()


def apply_rotary_emb(x: Tensor, rotation: Rotation | None) -> Tensor:
    """Rotate queries or keys (B, H, T, D) by the cosines and sines of a scheme; None leaves them unchanged."""
    if rotation is None:
        return x
    cos, sin = (part.to(x.dtype).unsqueeze(-3) for part in rotation)  # (..., 1, T, R / 2): all heads alike
    half = cos.size(-1)
    a, b, rest = x.split((half, half, x.size(-1) - 2 * half), dim=-1)
    return torch.cat((a * cos - b * sin, b * cos + a * sin, rest), dim=-1)


class AlibiPositions(Positions):
    """ALiBi (Press et al. 2022): a head's scores fall by a slope of its own for every token of distance."""

    slopes: Tensor

    def __init__(self, n_head: int) -> None:
        super().__init__()
        self.register_buffer("slopes", torch.tensor(alibi_slopes(n_head)), persistent=False)

    def bias(self, query_pos: Tensor, key_pos: Tensor) -> Tensor:
        distance = query_pos[..., :, None] - key_pos[..., None, :]  # (..., T, S)
        return -self.slopes[:, None, None] * distance.unsqueeze(-3)


def alibi_slopes(n_head: int) -> list[float]:
    """The paper's slopes: 2^(-8/n), 2^(-16/n), … for n heads; if n is no power of two, those of the next smaller power
    and then every other one of the next larger."""
    power = 2 ** math.floor(math.log2(n_head))
    slopes = [2 ** (-8 * (head + 1) / power) for head in range(power)]
    between = [2 ** (-4 * (head + 1) / power) for head in range(0, 2 * power, 2)]
    return slopes + between[: n_head - power]


POSITIONS: dict[str, Callable[[ModelConfig], Positions]] = {
    "none": lambda config: Positions(),
    "learned": lambda config: LearnedPositions(config.block_size, config.n_embd),
    "sinusoidal": lambda config: SinusoidalPositions(config.n_embd),
    "rope": lambda config: RotaryPositions(config.rope_dims, config.rope_theta),
    "alibi": lambda config: AlibiPositions(config.n_head),
}
