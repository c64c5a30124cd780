"""Floating-point operations per token, for comparing architectures at equal compute.

Only matrix products count, two operations for each multiply-and-add; norms, activations and softmax are left out, as is
usual. Attention counts only the keys that a query can attend to, although a kernel may compute the masked half of the
scores as well. The backward pass costs twice the forward pass.
"""

from __future__ import annotations

from functools import lru_cache

import torch

from playground.config import ModelConfig
from playground.models.transformer import without_storage
from playground.train.optimizer import is_matrix


def training_flops(model: ModelConfig) -> float:
    """FLOPs of training on one token, forward and backward, averaged over a full context."""
    return 3 * forward_flops(model)


@lru_cache(maxsize=1024)
def forward_flops(model: ModelConfig) -> float:
    """FLOPs of one forward pass per token, averaged over a full context; nothing is allocated."""
    weights = sum(_used(model, name, tensor) for name, tensor in without_storage(model).named_parameters())
    unembed = model.vocab_size * model.n_embd
    keys = sum(mean_visible(model, window) for window in model.windows)
    scores = 2 * model.n_head * model.head_dim * keys  # once for q·k, once for p·v
    return 2.0 * (weights + unembed + scores)


def _used(model: ModelConfig, name: str, tensor: torch.Tensor) -> float:
    """How many of a tensor's elements are used in the matrix products of one token inside the blocks."""
    if not name.startswith("blocks.") or not is_matrix(name, tensor):
        return 0
    # Experts are stacked to three dimensions; a token passes through the active ones.
    return tensor.numel() * (model.n_expert_active / model.n_expert if tensor.ndim == 3 else 1)


@lru_cache(maxsize=1024)
def mean_visible(model: ModelConfig, window: int) -> float:
    """Keys that a query attends to in a layer with this window, itself included, on average over a full context."""
    if not window:
        return (model.block_size + 1) / 2
    positions = torch.arange(model.block_size)
    recent = (positions + 1).clamp(max=window)
    sinks = (positions - window + 1).clamp(min=0, max=model.n_sink)  # those outside the window
    return float((recent + sinks).sum()) / model.block_size
