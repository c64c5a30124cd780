"""Batches: random windows of a token stream, and the same windows shifted by one as targets."""

from __future__ import annotations

import mmap
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

_SCANNED = 1 << 24  # tokens that are searched for ends of documents at a time
IGNORED = -100  # a target that counts neither in the loss nor in the accuracy: torch's own convention
_DRAWS = 1_000  # at most, of a step's windows


@dataclass(frozen=True)
class DocumentWindows:
    """Windows that do not continue into another document.

    A document's first window begins with the end-of-text token before it, each further one with the token at which the one
    before ended, so each token is the target of exactly one window (the very first of a stream of none). The last window of
    a document also contains the tokens after it, but without targets there.
    """

    offsets: np.ndarray  # (W,) where they begin
    lengths: np.ndarray  # (W,) how many of their first targets belong to their document

    @classmethod
    def of(cls, tokens: np.ndarray, eos: int, block_size: int) -> DocumentWindows:
        """The windows of a stream in which `eos` ends each document."""
        marks = [np.flatnonzero(tokens[at : at + _SCANNED] == eos) + at for at in range(0, len(tokens), _SCANNED)]
        _release(tokens)
        last = np.array([len(tokens) - 1])
        ends = np.unique(np.concatenate([*marks, last]))
        starts = np.concatenate([[0], ends[:-1]])
        sizes = ends - starts  # targets of each document
        counts = -(-sizes // block_size)
        number = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)  # of a window in its document
        lengths = np.minimum(np.repeat(sizes, counts) - number * block_size, block_size)
        return cls(np.repeat(starts, counts) + number * block_size, lengths)


def windows(
    tokens: np.ndarray,
    mask: np.ndarray | None,
    offsets: np.ndarray,
    block_size: int,
    lengths: np.ndarray | None = None,
) -> tuple[Tensor, Tensor]:
    """Inputs and targets, each (B, T) int64, of the windows that start at `offsets` (B,).

    `mask` (N,) says which tokens are targets; the others are ignored. Booleans apply to every
    window. Integers give the distance to the first token that is needed to predict a target, -1 for no target: a window
    that begins later ignores it. With `lengths` (B,) only so many targets count in each window, which may then reach beyond
    the end of the stream.
    """
    index = offsets[:, None] + np.arange(block_size + 1)
    if lengths is not None:
        index = np.minimum(index, len(tokens) - 1)
    chunk = tokens[index].astype(np.int64)
    _release(tokens)
    targets = chunk[:, 1:]
    if mask is not None:
        targets = np.where(counted_targets(mask[index[:, 1:]]), targets, IGNORED)
    if lengths is not None:
        targets = np.where(np.arange(block_size) < lengths[:, None], targets, IGNORED)
    return torch.from_numpy(chunk[:, :-1]), torch.from_numpy(np.ascontiguousarray(targets))


def counted_targets(mask: np.ndarray) -> np.ndarray:
    """Flags of those that count among the targets (B, T) of windows, from their part of a mask as `windows` describes it."""
    if mask.dtype == np.bool_:
        return mask
    return (mask >= 0) & (mask <= np.arange(1, mask.shape[1] + 1))  # target t is token t + 1 of its window


def _release(tokens: np.ndarray) -> None:
    """Release the pages of a mapped token file. They stay in the page cache, which the kernel can reclaim; without this, all
    of a large text would eventually count as memory of the process."""
    pages: object = tokens.base
    if isinstance(pages, mmap.mmap) and hasattr(mmap, "MADV_DONTNEED"):
        pages.madvise(mmap.MADV_DONTNEED)


def sample_batch(
    tokens: np.ndarray,
    mask: np.ndarray | None,
    *,
    block_size: int,
    count: int,
    seed: int,
    step: int,
    among: DocumentWindows | None = None,
) -> tuple[Tensor, Tensor]:
    """`count` windows for one step, as `Spread.random` draws them."""
    chosen = Spread.random(len(tokens), block_size, count, seed, step, among, mask)
    return windows(tokens, mask, chosen.offsets, block_size, chosen.lengths)


def spread_windows(length: int, block_size: int, n_tokens: int) -> np.ndarray:
    """Offsets of non-overlapping windows, evenly spread over a stream, that together have about `n_tokens` targets."""
    available = (length - 1) // block_size
    count = max(1, min(available, n_tokens // block_size))
    return np.linspace(0, available - 1, count).astype(np.int64) * block_size


@dataclass(frozen=True)
class Spread:
    """Some windows of a stream: where they begin (W,), and how many of their targets count (W,), or None for all."""

    offsets: np.ndarray
    lengths: np.ndarray | None = None

    @classmethod
    def of(cls, length: int, block_size: int, n_tokens: int, among: DocumentWindows | None = None) -> Spread:
        """Evenly spread: `spread_windows` of a stream of `length` tokens; or of the windows of documents as many as have
        about `n_tokens` targets together."""
        if among is None:
            return cls(spread_windows(length, block_size, n_tokens))
        count = max(1, min(len(among.offsets), round(n_tokens / float(among.lengths.mean()))))
        number = np.linspace(0, len(among.offsets) - 1, count).astype(np.int64)
        return cls(among.offsets[number], among.lengths[number])

    @classmethod
    def random(
        cls,
        length: int,
        block_size: int,
        count: int,
        seed: int,
        step: int,
        among: DocumentWindows | None = None,
        mask: np.ndarray | None = None,
    ) -> Spread:
        """`count` windows of a stream of `length` tokens, drawn for a step: any, or some of those of documents.

        They depend only on seed and step, so runs with different architectures see the same text in the same order, and a
        resumed run needs no additional state. Windows of which none has a target, which can happen with a `mask`
        of integers, are drawn again.
        """
        rng = np.random.default_rng([seed, step])
        if among is not None:
            number = rng.integers(0, len(among.offsets), size=count)
            return cls(among.offsets[number], among.lengths[number])
        offsets = rng.integers(0, length - block_size, size=count)
        for _ in range(_DRAWS if mask is not None and mask.dtype != np.bool_ else 0):
            assert mask is not None
            if counted_targets(mask[offsets[:, None] + np.arange(1, block_size + 1)]).any():
                break
            offsets = rng.integers(0, length - block_size, size=count)
        return cls(offsets)

    def split(self, parts: int) -> list[Spread]:
        """The windows in order, in at most this many non-empty parts."""
        numbers = np.array_split(np.arange(len(self.offsets)), min(len(self.offsets), parts))
        lengths = self.lengths
        return [Spread(self.offsets[part], None if lengths is None else lengths[part]) for part in numbers]
