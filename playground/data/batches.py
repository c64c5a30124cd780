"""Batches: random windows of a token stream, and the same windows shifted by one as targets."""

from __future__ import annotations

import mmap

import numpy as np
import torch
from torch import Tensor

IGNORED = -100  # a target that counts neither in the loss nor in the accuracy: torch's own convention


def windows(tokens: np.ndarray, mask: np.ndarray | None, offsets: np.ndarray, block_size: int) -> tuple[Tensor, Tensor]:
    """Inputs and targets, each (B, T) int64, of the windows that start at `offsets` (B,).

    Where `mask` (one flag per token) is False the token is no target: nothing is learned from predicting it.
    """
    index = offsets[:, None] + np.arange(block_size + 1)
    chunk = tokens[index].astype(np.int64)
    _release(tokens)
    targets = chunk[:, 1:]
    if mask is not None:
        targets = np.where(mask[index[:, 1:]], targets, IGNORED)
    return torch.from_numpy(chunk[:, :-1]), torch.from_numpy(np.ascontiguousarray(targets))


def _release(tokens: np.ndarray) -> None:
    """Give the pages of a mapped token file back. They stay in the system's cache, which can be taken away at any time;
    without this a run that has visited the whole of a large text would count all of it as its own memory."""
    pages: object = tokens.base
    if isinstance(pages, mmap.mmap) and hasattr(mmap, "MADV_DONTNEED"):
        pages.madvise(mmap.MADV_DONTNEED)


def random_windows(
    tokens: np.ndarray, mask: np.ndarray | None, *, block_size: int, count: int, seed: int, step: int
) -> tuple[Tensor, Tensor]:
    """`count` windows for one step. They depend on seed and step alone, so two runs see the same text in the same order
    whatever their architecture, and a resumed run needs no memory of where it was."""
    offsets = np.random.default_rng([seed, step]).integers(0, len(tokens) - block_size, size=count)
    return windows(tokens, mask, offsets, block_size)


def spread_windows(length: int, block_size: int, n_tokens: int) -> np.ndarray:
    """Offsets of non-overlapping windows, evenly spread over a stream, that together have about `n_tokens` targets."""
    available = (length - 1) // block_size
    count = max(1, min(available, n_tokens // block_size))
    return np.linspace(0, available - 1, count).astype(np.int64) * block_size
