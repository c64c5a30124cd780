"""Attention: every token asks (query), every earlier token offers (key) and gives (value).

`attend` is the only place in the project where scores meet softmax, and `visible` the only one that decides who sees
whom, for training, prefill and decoding alike.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from playground.config import ModelConfig
from playground.models.kv_cache import KVCache
from playground.models.positional import Rotation, rotate
from playground.models.trace import Trace

Look = Callable[[Tensor], Tensor]


def visible(query_pos: Tensor, key_pos: Tensor, window: int = 0, n_sink: int = 0) -> Tensor:
    """Which keys each query may see: a boolean mask (T, S) from positions (T,) and (S,), in any order.

    A query sees itself and what came before. With a window it sees `window` tokens, itself included (the convention of
    Mistral and Transformers), and the first `n_sink` tokens of the text for ever (Xiao et al. 2023). 0 is no window.
    """
    age = query_pos[:, None] - key_pos[None, :]
    mask = age >= 0
    if window:
        mask &= (age < window) | (key_pos[None, :] < n_sink)
    return mask


def attend(
    q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, look: Look | None = None, dropout: float = 0.0
) -> Tensor:
    """softmax(q kᵀ / sqrt(D)) v: from queries (B, H, T, D), keys and values (B, K, S, D) to (B, H, T, D).

    `mask` is boolean, (T, S), True where a key is visible; None means plain causal, which needs T = S. Each group of H / K
    query heads shares one key/value head. With `look` the pattern (B, H, T, S) is spelled out and passes through it:
    return it as it is to read it, changed to edit it. Without, the fastest kernel for the shapes computes the same.
    """
    if mask is None:
        assert q.size(2) == k.size(2), "a causal mask without positions needs as many keys as queries"
    if look is None:
        return F.scaled_dot_product_attention(
            q, k, v, attn_mask=mask, dropout_p=dropout, is_causal=mask is None, enable_gqa=q.size(1) != k.size(1)
        )
    batch, n_head, n_query, size = q.shape
    if mask is None:
        positions = torch.arange(n_query, device=q.device)
        mask = visible(positions, positions)
    grouped = q.reshape(batch, k.size(1), -1, n_query, size)  # (B, K, H / K, T, D)
    scores = grouped @ k[:, :, None].transpose(-1, -2) * (1 / math.sqrt(size))  # (B, K, H / K, T, S)
    pattern = scores.masked_fill(~mask, -math.inf).softmax(dim=-1)
    pattern = look(pattern.reshape(batch, n_head, n_query, -1)).reshape(pattern.shape)
    out = F.dropout(pattern, dropout) @ v[:, :, None] if dropout else pattern @ v[:, :, None]
    return out.reshape(q.shape)


@dataclass(frozen=True)
class Step:
    """What all layers share in one forward pass: who stands where, who sees whom, and who is watching."""

    query_rotation: Rotation | None
    key_rotation: Rotation | None
    mask: Tensor | None  # (T, S), or None for plain causal
    cache: KVCache | None = None
    trace: Trace | None = None

    def note(self, name: str, value: Tensor) -> Tensor:
        """Let the trace, if there is one, read or replace an activation."""
        return value if self.trace is None else self.trace(name, value)

    def look(self, name: str) -> Look | None:
        """For `attend`: a function for the pattern called `name`, or None when nobody wants to see it."""
        trace = self.trace
        return None if trace is None or not trace.wants(name) else lambda pattern: trace(name, pattern)


class Attention(nn.Module):
    """Multi-head attention: project, split into heads, attend, join. Fewer key/value heads make it grouped-query."""

    def __init__(self, config: ModelConfig, layer: int) -> None:
        super().__init__()
        self.layer, self.name = layer, f"blocks.{layer}"
        self.head_dim, self.dropout = config.head_dim, config.dropout
        kv_width = config.n_kv_head * config.head_dim
        self.query = nn.Linear(config.n_embd, config.n_embd, bias=config.bias)
        self.key = nn.Linear(config.n_embd, kv_width, bias=config.bias)
        self.value = nn.Linear(config.n_embd, kv_width, bias=config.bias)
        self.out = nn.Linear(config.n_embd, config.n_embd, bias=config.bias)

    def forward(self, x: Tensor, step: Step) -> Tensor:  # (B, T, C) -> (B, T, C)
        q = step.note(f"{self.name}.q", self._heads(self.query(x)))  # (B, H, T, D)
        k = step.note(f"{self.name}.k", self._heads(self.key(x)))  # (B, K, T, D)
        v = step.note(f"{self.name}.v", self._heads(self.value(x)))  # (B, K, T, D)
        if step.cache is not None:
            k, v = step.cache.extend(self.layer, k, v)  # (B, K, S, D): keys are cached before they are turned
        q, k = rotate(q, step.query_rotation), rotate(k, step.key_rotation)
        dropout = self.dropout if self.training else 0.0
        z = attend(q, k, v, step.mask, step.look(f"{self.name}.pattern"), dropout)
        z = step.note(f"{self.name}.z", z)  # (B, H, T, D)
        return self.out(z.transpose(1, 2).flatten(2))

    def _heads(self, x: Tensor) -> Tensor:  # (B, T, heads * D) -> (B, heads, T, D)
        return x.unflatten(-1, (-1, self.head_dim)).transpose(1, 2)
