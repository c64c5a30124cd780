"""Attention: each query is compared with the keys of earlier tokens, and their values are averaged by the softmax.

`attend` is the only place in the project where scores pass through a softmax, and `attention_mask` the only one that decides
which tokens a query may attend to, for training, prefill and decoding alike.
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
from playground.models.positional import Rotation, apply_rotary_emb
from playground.models.trace import HookPoint

PatternHook = Callable[[Tensor], Tensor]


def attention_mask(query_pos: Tensor, key_pos: Tensor, window: int = 0, n_sink: int = 0) -> Tensor:
    """Boolean mask (..., T, S), True where a query may attend to a key, from positions (..., T) and (..., S) in any order.

    A query attends to itself and to earlier tokens. With a window it attends to the last `window` tokens, itself included
    (the convention of Mistral and Transformers), and always to the first `n_sink` tokens of the text (Xiao et al. 2023). A
    window of 0 is full attention. Positions below zero are padding and empty slots: tokens never attend to them; they
    attend to one another, so that no row of the softmax is empty.
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
    hook: PatternHook | None = None,
    dropout: float = 0.0,
    sinks: Tensor | None = None,
    window: int = 0,
) -> Tensor:
    """softmax(q kᵀ / sqrt(D)) v: from queries (B, H, T, D), keys and values (B, K, S, D) to (B, H, T, D).

    `mask` broadcasts to (B, H, T, S): boolean, True where a key takes part, or a float that is added to each score. None is
    causal attention, within `window` if that is given; it needs T = S. Each group of H / K query heads shares one key/value
    head. `sinks` (H,) are the scores of one additional key without a value, which lets a head attend to nothing.

    With a `hook` the pattern (B, H, T, S) is computed eagerly and passed through it: the hook returns it unchanged to read
    it, or changed to edit it. Without one, the fastest algorithm for the shapes computes the same result.
    """
    assert mask is not None or q.size(2) == k.size(2), (
        "causal attention without positions needs as many keys as queries"
    )
    if mask is None and window and hook is None and sinks is None:
        return sliding_window_attention(q, k, v, window, dropout)
    eager = hook is not None or _eager_is_faster(q)
    if mask is None and (eager or sinks is not None):
        positions = torch.arange(q.size(2), device=q.device)
        mask = attention_mask(positions, positions, window)
    if mask is not None and sinks is not None:
        k, v, mask = _with_sink(k, v, mask, sinks)
    if mask is not None and eager:
        return eager_attention(q, k, v, mask, hook, dropout, n_key=k.size(2) - (sinks is not None))
    return sdpa_attention(q, k, v, mask, dropout)


def eager_attention(
    q: Tensor, k: Tensor, v: Tensor, mask: Tensor, hook: PatternHook | None, dropout: float, n_key: int
) -> Tensor:
    """The textbook formula, from q (B, H, T, D), k and v (B, K, S, D) and a mask (B, H, T, S) to (B, H, T, D).

    `hook` sees, and may change, the pattern (B, H, T, n_key). Keys after the first `n_key` take part in the softmax but have
    no value.
    """
    batch, n_head, n_query, size = q.shape
    grouped = q.reshape(batch, k.size(1), -1, n_query, size)  # (B, K, H / K, T, D)
    scores = (grouped @ k[:, :, None].transpose(-1, -2)).reshape(batch, n_head, n_query, -1) * (1 / math.sqrt(size))
    pattern = (scores + _as_scores(mask, q.dtype)).softmax(dim=-1)[..., :n_key]  # (B, H, T, n_key)
    if hook is not None:
        pattern = hook(pattern)
    pattern = F.dropout(pattern, dropout)
    out = pattern.reshape(batch, k.size(1), -1, n_query, n_key) @ v[:, :, None, :n_key]
    return out.reshape(q.shape)


EAGER_MAX_TOKENS = 512  # tokens, measured: docs/decisions/2026-11-25-the-training-step.md


def _eager_is_faster(q: Tensor) -> bool:
    """Whether plain matrix products beat torch's kernel: on CPUs its backward pass is slow for short bf16 sequences."""
    return q.requires_grad and q.device.type == "cpu" and q.dtype != torch.float32 and q.size(2) <= EAGER_MAX_TOKENS


def sdpa_attention(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, dropout: float) -> Tensor:
    """Torch's fused kernel, from q (B, H, T, D), k and v (B, K, S, D) to (B, H, T, D); a mask of None is causal, T = S."""
    mask = mask if mask is None or mask.dtype == torch.bool else mask.to(q.dtype)
    return F.scaled_dot_product_attention(
        q, k, v, attn_mask=mask, dropout_p=dropout, is_causal=mask is None, enable_gqa=q.size(1) != k.size(1)
    )


def sliding_window_attention(q: Tensor, k: Tensor, v: Tensor, window: int, dropout: float) -> Tensor:
    """Causal attention to the last `window` tokens, from q (B, H, T, D), k and v (B, K, T, D) to (B, H, T, D).

    The cost grows with T times the window instead of T²: the sequence is split into blocks of the window's length. A query
    reaches no further than its own block and the one before, so each block becomes a row of the batch with two blocks of
    keys.
    """
    batch, _, n, _ = q.shape
    blocks = -(-n // window)

    def split(x: Tensor) -> Tensor:  # (B, heads, T, D) -> (B, blocks, heads, window, D), padded with zeros
        return F.pad(x, (0, 0, 0, blocks * window - n)).unflatten(2, (blocks, window)).transpose(1, 2)

    def with_previous(x: Tensor) -> Tensor:  # -> (B blocks, heads, 2 window, D)
        return torch.cat((F.pad(x, (0, 0) * 3 + (1, -1)), x), dim=3).flatten(0, 1)

    starts = window * torch.arange(blocks, device=q.device)[:, None]
    queries = starts + torch.arange(window, device=q.device)
    keys = starts + torch.arange(-window, window, device=q.device)
    mask = attention_mask(queries, keys, window).unsqueeze(1).repeat(batch, 1, 1, 1)  # (B blocks, 1, window, 2 window)
    z = attend(split(q).flatten(0, 1), with_previous(split(k)), with_previous(split(v)), mask, dropout=dropout)
    return z.unflatten(0, (batch, blocks)).transpose(1, 2).flatten(2, 3)[:, :, :n]


def _as_scores(mask: Tensor, dtype: torch.dtype) -> Tensor:
    """A mask as floats to add to the scores: a boolean one becomes 0 where a key takes part and -inf elsewhere."""
    if mask.dtype != torch.bool:
        return mask.to(dtype)
    return torch.zeros(mask.shape, dtype=dtype, device=mask.device).masked_fill_(~mask, -math.inf)


def _with_sink(k: Tensor, v: Tensor, mask: Tensor, sinks: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Keys, values and mask with one more key of zeros at the end, whose score is what the mask adds to it."""
    k, v = F.pad(k, (0, 0, 0, 1)), F.pad(v, (0, 0, 0, 1))
    scores = _as_scores(mask, k.dtype)
    heads = (*torch.broadcast_shapes(scores.shape[:-2], sinks.shape), scores.size(-2))  # (..., H, T)
    column = sinks.to(k.dtype)[:, None, None].expand(*heads, 1)
    return k, v, torch.cat((scores.expand(*heads, -1), column), dim=-1)


@dataclass(frozen=True)
class LayerContext:
    """What the layers with one window share in a forward pass: the mask, and the rotations of queries and keys."""

    mask: Tensor | None  # as `attend` takes it; None for causal
    query_rotation: Rotation | None = None
    key_rotation: Rotation | None = None
    window: int = 0  # where the mask is None


@dataclass(frozen=True)
class ForwardContext:
    """What all layers share in one forward pass: contexts by window, the cache, and the routers' decisions."""

    by_window: Mapping[int, LayerContext]
    cache: KVCache | None = None
    routings: list[Any] | None = None  # of `moe.Routing`: routers append their decisions for the auxiliary losses


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
        self.layer = layer
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
        self.hook_pattern = HookPoint()

    def forward(self, x: Tensor, ctx: ForwardContext) -> Tensor:  # (B, T, C) -> (B, T, C)
        q = self.query_norm(self._heads(self.query(x)))  # (B, H, T, D)
        k = self.key_norm(self._heads(self.key(x)))  # (B, K, T, D)
        v = self._heads(self.value(x))  # (B, K, T, D)
        if ctx.cache is not None:
            k, v = ctx.cache.extend(self.layer, k, v)  # (B, K, S, D): keys are cached before RoPE
        layer = ctx.by_window[self.window]
        q, k = apply_rotary_emb(q, layer.query_rotation), apply_rotary_emb(k, layer.key_rotation)
        dropout = self.dropout if self.training else 0.0
        hook = self.hook_pattern if self.hook_pattern.is_hooked() else None
        z = attend(q, k, v, layer.mask, hook, dropout, self.sinks, layer.window)  # (B, H, T, D)
        return self.out(z.transpose(1, 2).flatten(2))

    def _heads(self, x: Tensor) -> Tensor:  # (B, T, heads * D) -> (B, heads, T, D)
        return x.unflatten(-1, (-1, self.head_dim)).transpose(1, 2)
