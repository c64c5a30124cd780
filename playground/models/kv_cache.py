"""The key/value cache: what lets the next token be computed without computing all earlier ones again.

There is one cache. Full, sliding-window, rolling and sink caches differ only in how many slots they have and in which
slot a position lands. The first `n_sink` positions have slots of their own; the others take turns in the rest, a ring.
With capacity 6 and 2 sinks, after 9 tokens (positions 0 to 8):

    slot        0   1 | 2   3   4   5
    position    0   1 | 6   7   8   5        position 9 will take slot 5, the oldest in the ring

A slot's position is data beside it, and who sees whom is decided from positions alone (`attention.visible`), so the order
of the slots never matters. Keys are stored before RoPE turns them, so a position can be reinterpreted at any time.
"""

from __future__ import annotations

import torch
from torch import Tensor

from playground.config import ModelConfig


class KVCache:
    """Keys and values of the last tokens, for every layer. Use: ``model.hidden(tokens, cache=cache)``, again and again.

    Raises ValueError when a model with full attention is fed more tokens than there are slots: forgetting silently
    would no longer be that model.
    """

    def __init__(self, config: ModelConfig, batch_size: int = 1, capacity: int | None = None) -> None:
        """`capacity` in tokens: by default all that can ever be visible, the window and sinks or the whole context."""
        needed = config.window + config.n_sink if config.window else config.block_size
        self.capacity = capacity or needed
        if self.capacity < needed and config.window:
            raise ValueError(f"Cache capacity ({self.capacity}) is below window + sinks ({needed}). Use {needed}.")
        self.n_sink, self.forgets = config.n_sink, bool(config.window)
        shape = (config.n_layer, batch_size, config.n_kv_head, self.capacity, config.head_dim)
        self.keys = torch.zeros(shape)  # (L, B, K, S, D)
        self.values = torch.zeros(shape)  # (L, B, K, S, D)
        self.positions = torch.zeros(self.capacity, dtype=torch.long)  # (S,), of the used slots
        self.length = 0  # tokens seen so far; the next one stands at this position

    @property
    def used(self) -> int:
        """How many slots hold something."""
        return min(self.length, self.capacity)

    @property
    def n_bytes(self) -> int:
        """Memory of keys and values, in bytes. It never changes."""
        return 2 * self.keys.numel() * self.keys.element_size()

    def to(self, like: Tensor) -> KVCache:
        """The cache itself, moved to the device and type of `like`; free when it is there already."""
        self.keys, self.values = self.keys.to(like), self.values.to(like)
        self.positions = self.positions.to(like.device)
        return self

    def new_positions(self, n: int) -> Tensor:
        """Positions (n,) of the next n tokens."""
        if self.length + n > self.capacity and not self.forgets:
            raise ValueError(
                f"The cache has {self.capacity} slots and holds {self.used}; {n} more do not fit. "
                "Start a new cache with the last tokens, or use a model with a sliding window."
            )
        return torch.arange(self.length, self.length + n, device=self.positions.device)

    def key_positions(self, n: int) -> Tensor:
        """Positions (S,) of all keys that `extend` will return when n tokens come: the cached ones, then the new."""
        return torch.cat((self.positions[: self.used], self.new_positions(n)))

    def extend(self, layer: int, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Store new keys and values (B, K, T, D) of a layer; return the cached ones and these, (B, K, S, D).

        The new ones are put behind the old before they overwrite any: within a chunk, an early query may still see a
        key whose slot a later token takes.
        """
        all_keys = torch.cat((self.keys[layer, :, :, : self.used], keys), dim=2)
        all_values = torch.cat((self.values[layer, :, :, : self.used], values), dim=2)
        kept, slots = self._placement(keys.size(2))
        self.keys[layer][:, :, slots] = keys[:, :, kept]
        self.values[layer][:, :, slots] = values[:, :, kept]
        return all_keys, all_values

    def advance(self, n: int) -> None:
        """Count n tokens as seen, once every layer has stored them."""
        kept, slots = self._placement(n)
        self.positions[slots] = self.length + kept
        self.length += n

    def _placement(self, n: int) -> tuple[Tensor, Tensor]:
        """Which of the next n tokens survive their own chunk (indices), and the slots they take."""
        index = torch.arange(n, device=self.positions.device)
        position = self.length + index
        ring = self.capacity - self.n_sink
        is_sink = position < self.n_sink
        kept = index[is_sink | (position >= self.length + n - ring)]
        position = self.length + kept
        slot = torch.where(position < self.n_sink, position, self.n_sink + (position - self.n_sink) % ring)
        return kept, slot
