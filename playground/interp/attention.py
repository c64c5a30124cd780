"""Attention patterns of a model on a text."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from playground.config import counted
from playground.interp.limits import check_attention
from playground.models.trace import Trace
from playground.models.transformer import Transformer


def attention_patterns(model: Transformer, ids: Sequence[int], layers: Sequence[int] | None = None) -> np.ndarray:
    """Weights (L, H, T, T) float32: the attention of query token t (row) to key token s (column). Rows sum to 1.

    `layers` selects layers, by default all: only their patterns are computed eagerly. Raises ValueError without ids, with
    more than the context length, and for more weights than fit into memory.
    """
    limit = model.config.block_size
    if not 1 <= len(ids) <= limit:
        raise ValueError(f"The text has {counted(len(ids), 'token')}; this model reads 1 to {limit}. Change the text.")
    chosen = range(model.config.n_layer) if layers is None else layers
    check_attention(model.config, len(chosen), len(ids))
    wanted = [f"blocks.{layer}.pattern" for layer in chosen]
    with torch.inference_mode(), Trace(model, keep=wanted) as trace:
        model.hidden(torch.tensor([list(ids)], device=model.embed.weight.device))
    return torch.stack([trace.kept[name][0] for name in wanted]).float().cpu().numpy()


def as_sprite(patterns: np.ndarray) -> np.ndarray:
    """One grey picture (L T, H T) uint8 of patterns (L, H, T, T): round(255 sqrt(weight)), so small weights stay visible.

    A weight is recovered as (value / 255)², with an error of at most 0.004.
    """
    n_layer, n_head, size, _ = patterns.shape
    grey = np.round(np.sqrt(patterns.clip(0, 1)) * 255).astype(np.uint8)
    return grey.transpose(0, 2, 1, 3).reshape(n_layer * size, n_head * size)
