"""Attention: every token asks (query), every earlier token offers (key) and gives (value).

`attend` is the only place in the project where scores meet softmax, and `visible` the only one that decides who sees
whom, for training, prefill and decoding alike.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from playground.config import ModelConfig
from playground.models.kv_cache import KVCache
from playground.models.normalization import HeadNorm
from playground.models.positional import Rotation, rotate
from playground.models.trace import Trace

Look = Callable[[Tensor], Tensor]


def visible(query_pos: Tensor, key_pos: Tensor, window: int = 0, n_sink: int = 0) -> Tensor:
    """Which keys each query may see: a boolean mask (..., T, S) from positions (..., T) and (..., S), in any order.

    A query sees itself and what came before. With a window it sees `window` tokens, itself included (the convention of
    Mistral and Transformers), and the first `n_sink` tokens of the text for ever (Xiao et al. 2023). 0 is no window.
    Positions below zero are padding and empty slots: no token sees them, they see one another.
    """
    query, key = query_pos[..., :, None], key_pos[..., None, :]
    age = query - key
    mask = age >= 0
    if window:
        mask &= (age < window) | (key < n_sink)
    return mask & ((key >= 0) | (query < 0))


def attend(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    mask: Tensor | None,
    look: Look | None = None,
    dropout: float = 0.0,
    sinks: Tensor | None = None,
    window: int = 0,
) -> Tensor:
    """softmax(q kᵀ / sqrt(D)) v: from queries (B, H, T, D), keys and values (B, K, S, D) to (B, H, T, D).

    `mask` broadcasts to (B, H, T, S): boolean, True where a key is visible, or a number that is added to each score. None
    means plain causal, within `window` if that is given, which needs T = S. Each group of H / K query heads shares one
    key/value head. `sinks` (H,) are the scores of one more key that has no value: what a head gives to it, it gives to
    nothing.

    With `look` the pattern (B, H, T, S) is spelled out and passes through it: return it as it is to read it, changed to
    edit it. Without, the fastest way for the shapes computes the same.
    """
    spelled = look is not None or _spelling_pays(q)
    if mask is None:
        assert q.size(2) == k.size(2), "a causal mask without positions needs as many keys as queries"
        if look is None and sinks is None and window:
            return _local(q, k, v, window, dropout)
        if not spelled and sinks is None:
            return _fused(q, k, v, None, dropout)
        positions = torch.arange(q.size(2), device=q.device)
        mask = visible(positions, positions, window)
    if sinks is not None:
        k, v, mask = _with_sink(k, v, mask, sinks)
    if not spelled:
        return _fused(q, k, v, mask, dropout)
    n_key = k.size(2) - (sinks is not None)
    return spelled_out(q, k, v, mask, look, dropout, n_key)


def spelled_out(q: Tensor, k: Tensor, v: Tensor, mask: Tensor, look: Look | None, dropout: float, n_key: int) -> Tensor:
    """The formula as it stands in papers, for the first `n_key` keys; what others take of the softmax goes nowhere."""
    batch, n_head, n_query, size = q.shape
    grouped = q.reshape(batch, k.size(1), -1, n_query, size)  # (B, K, H / K, T, D)
    scores = (grouped @ k[:, :, None].transpose(-1, -2)).reshape(batch, n_head, n_query, -1) * (1 / math.sqrt(size))
    pattern = (scores + _as_scores(mask, q.dtype)).softmax(dim=-1)[..., :n_key]  # (B, H, T, S)
    if look is not None:
        pattern = look(pattern)
    pattern = F.dropout(pattern, dropout)
    out = pattern.reshape(batch, k.size(1), -1, n_query, n_key) @ v[:, :, None, :n_key]
    return out.reshape(q.shape)


SPELLED_UP_TO = 512  # tokens, measured: docs/decisions/2026-11-25-the-training-step.md


def _spelling_pays(q: Tensor) -> bool:
    """Whether matrix products beat torch's kernel: its backward pass on a CPU is slow for short texts at half precision."""
    return q.requires_grad and q.device.type == "cpu" and q.dtype != torch.float32 and q.size(2) <= SPELLED_UP_TO


def _fused(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, dropout: float) -> Tensor:
    """Torch's fastest kernel for the shapes."""
    mask = mask if mask is None or mask.dtype == torch.bool else mask.to(q.dtype)
    return F.scaled_dot_product_attention(
        q, k, v, attn_mask=mask, dropout_p=dropout, is_causal=mask is None, enable_gqa=q.size(1) != k.size(1)
    )


def _local(q: Tensor, k: Tensor, v: Tensor, window: int, dropout: float) -> Tensor:
    """Causal attention within a window whose cost grows with T times the window, not with T².

    The text is cut into blocks as long as the window. A query sees no further than its own block and the one before, so
    blocks become rows of a batch, each with two blocks of keys.
    """
    batch, _, n, _ = q.shape
    blocks = -(-n // window)

    def cut(x: Tensor) -> Tensor:  # (B, heads, T, D) -> (B, blocks, heads, window, D), filled up with zeros
        return F.pad(x, (0, 0, 0, blocks * window - n)).unflatten(2, (blocks, window)).transpose(1, 2)

    def with_previous(x: Tensor) -> Tensor:  # -> (B blocks, heads, 2 window, D)
        return torch.cat((F.pad(x, (0, 0) * 3 + (1, -1)), x), dim=3).flatten(0, 1)

    starts = window * torch.arange(blocks, device=q.device)[:, None]
    queries = starts + torch.arange(window, device=q.device)
    keys = starts + torch.arange(-window, window, device=q.device)
    mask = visible(queries, keys, window).unsqueeze(1).repeat(batch, 1, 1, 1)  # (B blocks, 1, window, 2 window)
    z = attend(cut(q).flatten(0, 1), with_previous(cut(k)), with_previous(cut(v)), mask, None, dropout)
    return z.unflatten(0, (batch, blocks)).transpose(1, 2).flatten(2, 3)[:, :, :n]


def _as_scores(mask: Tensor, dtype: torch.dtype) -> Tensor:
    """A boolean mask as numbers to add to scores: 0 where a key is visible, -inf where not. Others are numbers already."""
    if mask.dtype != torch.bool:
        return mask.to(dtype)
    return torch.zeros(mask.shape, dtype=dtype, device=mask.device).masked_fill_(~mask, -math.inf)


def _with_sink(k: Tensor, v: Tensor, mask: Tensor, sinks: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Keys, values and mask with one more key at the end, of zeros: its score is what the mask adds to it."""
    k, v = F.pad(k, (0, 0, 0, 1)), F.pad(v, (0, 0, 0, 1))
    scores = _as_scores(mask, k.dtype)
    heads = (*torch.broadcast_shapes(scores.shape[:-2], sinks.shape), scores.size(-2))  # (..., H, T)
    column = sinks.to(k.dtype)[:, None, None].expand(*heads, 1)
    return k, v, torch.cat((scores.expand(*heads, -1), column), dim=-1)


@dataclass(frozen=True)
class View:
    """What the layers of one window share in a forward pass: who sees whom, and how positions turn queries and keys."""

    mask: Tensor | None  # as `attend` takes it; None for plain causal
    query_rotation: Rotation | None = None
    key_rotation: Rotation | None = None
    window: int = 0  # of a causal square without a mask


@dataclass(frozen=True)
class Step:
    """What all layers share in one forward pass: views by window, the cache, and who is watching."""

    views: Mapping[int, View]
    cache: KVCache | None = None
    trace: Trace | None = None
    routings: list[Any] | None = None  # of `moe.Routing`: routers leave their decisions here for the training loss

    def note(self, name: str, value: Tensor) -> Tensor:
        """Let the trace, if there is one, read or replace an activation."""
        return value if self.trace is None else self.trace(name, value)

    def look(self, name: str) -> Look | None:
        """For `attend`: a function for the pattern called `name`, or None when nobody wants to see it."""
        trace = self.trace
        return None if trace is None or not trace.wants(name) else lambda pattern: trace(name, pattern)


SINK_LOGITS: dict[str, Callable[[int], Tensor | None]] = {
    "none": lambda n_head: None,
    "zero": torch.zeros,
    "learned": lambda n_head: nn.Parameter(torch.zeros(n_head)),
}


class Attention(nn.Module):
    """Multi-head attention: project, split into heads, attend, join. Fewer key/value heads make it grouped-query."""

    sinks: Tensor | None

    def __init__(self, config: ModelConfig, layer: int) -> None:
        super().__init__()
        self.layer, self.name = layer, f"blocks.{layer}"
        self.head_dim, self.dropout, self.window = config.head_dim, config.dropout, config.windows[layer]
        q_width, kv_width = config.n_head * config.head_dim, config.n_kv_head * config.head_dim
        self.query = nn.Linear(config.n_embd, q_width, bias=config.bias)
        self.key = nn.Linear(config.n_embd, kv_width, bias=config.bias)
        self.value = nn.Linear(config.n_embd, kv_width, bias=config.bias)
        self.out = nn.Linear(q_width, config.n_embd, bias=config.bias)
        self.query_norm, self.key_norm = (
            HeadNorm(config.head_dim, eps=config.norm_eps) if config.qk_norm else nn.Identity() for _ in range(2)
        )
        sinks = SINK_LOGITS[config.sink_logit](config.n_head)
        if isinstance(sinks, nn.Parameter):
            self.sinks = sinks
        else:
            self.register_buffer("sinks", sinks, persistent=False)

    def forward(self, x: Tensor, step: Step) -> Tensor:  # (B, T, C) -> (B, T, C)
        q = step.note(f"{self.name}.q", self.query_norm(self._heads(self.query(x))))  # (B, H, T, D)
        k = step.note(f"{self.name}.k", self.key_norm(self._heads(self.key(x))))  # (B, K, T, D)
        v = step.note(f"{self.name}.v", self._heads(self.value(x)))  # (B, K, T, D)
        if step.cache is not None:
            k, v = step.cache.extend(self.layer, k, v)  # (B, K, S, D): keys are cached before they are turned
        view = step.views[self.window]
        q, k = rotate(q, view.query_rotation), rotate(k, view.key_rotation)
        dropout = self.dropout if self.training else 0.0
        z = attend(q, k, v, view.mask, step.look(f"{self.name}.pattern"), dropout, self.sinks, view.window)
        z = step.note(f"{self.name}.z", z)  # (B, H, T, D)
        return self.out(z.transpose(1, 2).flatten(2))

    def _heads(self, x: Tensor) -> Tensor:  # (B, T, heads * D) -> (B, heads, T, D)
        return x.unflatten(-1, (-1, self.head_dim)).transpose(1, 2)
