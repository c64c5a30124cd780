"""The key/value cache: with it, the next token is computed without recomputing the earlier ones.

There is one class. Full, sliding-window, rolling and sink caches differ only in the number of slots of a layer and in the
slot of a position. The first `n_sink` positions have their own slots; the others share the rest as a ring buffer.
With capacity 6 and 2 sinks, after 9 tokens (positions 0 to 8):

    slot        0   1 | 2   3   4   5
    position    0   1 | 6   7   8   5        position 9 will take slot 5, the oldest in the ring

The position of each slot is stored beside it, and the mask is computed from positions alone (`attention.attention_mask`), so
the order of the slots does not matter. Each row of a batch has its own positions, so prompts of different lengths share a
cache.

Keys are cached before RoPE is applied, so their positions can be reassigned at any time. `KVCache.streaming` does so: as in
StreamingLLM (Xiao et al. 2023), a model trained with full attention can generate without end, because the cached tokens,
the first and the most recent ones, always have the positions 0, 1, 2, … *inside the cache*.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from playground.config import ADDED, ModelConfig, counted

EMPTY = -1  # the position of padding and of an empty slot


@dataclass
class Ring:
    """The slots of all layers with one window: the position in each, and where the tokens of this forward pass will go."""

    window: int  # 0: full attention, nothing is overwritten
    capacity: int
    n_sink: int
    slot_positions: Tensor  # (B, capacity), EMPTY where a slot is empty
    write_index: tuple[Tensor, Tensor, Tensor]  # rows, tokens and slots that this forward pass stores

    def place(self, positions: Tensor) -> None:
        """Decide which of the tokens at `positions` (B, T) are stored, and in which slots. Later tokens of a chunk win."""
        ring = self.capacity - self.n_sink
        last = positions.max(dim=1, keepdim=True).values
        kept = (positions > EMPTY) & ((positions < self.n_sink) | (positions > last - ring))
        rows, index = kept.nonzero(as_tuple=True)
        stored = positions[rows, index]
        self.write_index = rows, index, stored.where(stored < self.n_sink, self.n_sink + (stored - self.n_sink) % ring)


class KVCache:
    """Keys and values of the last tokens, for every layer. Use: ``model.hidden(tokens, cache=cache)``, again and again.

    Raises ValueError when a layer with full attention is fed more tokens than it has slots: forgetting silently would no
    longer be that model.
    """

    def __init__(self, config: ModelConfig, batch_size: int = 1, capacity: int | None = None) -> None:
        """Slots for what can ever be visible: window and sinks, or `capacity` tokens (default: the context) without one."""
        sizes = {
            window: window + config.n_sink if window else capacity or config.block_size for window in config.windows
        }
        windows = {window: window for window in config.windows}
        self._set_up(config, batch_size, windows, sizes, config.n_sink, streams=False)

    @classmethod
    def streaming(cls, config: ModelConfig, n_sink: int, window: int, batch_size: int = 1) -> KVCache:
        """A cache that never ends: the first `n_sink` tokens and the last `window`, at positions inside the cache.

        The model may have been trained with any attention. Raises ValueError for positions that are part of the cached
        keys already (learned, sinusoidal), and for a window below 1.
        """
        if config.position in ADDED:
            raise ValueError(
                f"Streaming moves cached tokens to new positions, and {config.position} positions are already mixed into "
                "them. Use a model with RoPE, ALiBi or no positions."
            )
        if window < 1 or n_sink < 0:
            raise ValueError(
                f"Streaming needs a window of 1 or more and 0 sinks or more; you gave {window} and {n_sink}."
            )
        windows = {own: min(own or window, window) for own in config.windows}
        cache = cls.__new__(cls)
        sizes = {own: seen + n_sink for own, seen in windows.items()}
        cache._set_up(config, batch_size, windows, sizes, n_sink, streams=True)
        return cache

    def _set_up(
        self,
        config: ModelConfig,
        batch_size: int,
        windows: dict[int, int],
        sizes: dict[int, int],
        n_sink: int,
        streams: bool,
    ) -> None:
        nowhere = torch.zeros(0, dtype=torch.long)
        self.rings = {
            own: Ring(windows[own], size, n_sink, torch.full((batch_size, size), EMPTY), (nowhere, nowhere, nowhere))
            for own, size in sizes.items()
        }
        self.layers = [self.rings[window] for window in config.windows]
        shapes = [(batch_size, config.n_kv_head, ring.capacity, config.head_dim) for ring in self.layers]
        self.keys = [torch.zeros(shape) for shape in shapes]  # per layer (B, K, S, D)
        self.values = [torch.zeros(shape) for shape in shapes]  # per layer (B, K, S, D)
        self.streams, self.n_sink = streams, n_sink
        self.lengths = torch.zeros(batch_size, dtype=torch.long)  # tokens seen so far in each row
        self.length = 0  # of the longest row
        self.new_positions = torch.zeros(batch_size, 0, dtype=torch.long)  # (B, T) of the current forward pass

    @property
    def endless(self) -> bool:
        """Whether it can be used without a limit on length: no layer has full attention."""
        return all(ring.window for ring in self.layers)

    @property
    def n_bytes(self) -> int:
        """Memory of keys and values, in bytes. It never changes."""
        return sum(part.numel() * part.element_size() for part in (*self.keys, *self.values))

    def to(self, like: Tensor) -> KVCache:
        """Move the cache to the device and dtype of `like`, in place, and return it."""
        if self.keys[0].device != like.device or self.keys[0].dtype != like.dtype:
            self.keys = [part.to(like) for part in self.keys]
            self.values = [part.to(like) for part in self.values]
            self.lengths = self.lengths.to(like.device)
            for ring in self.rings.values():
                ring.slot_positions = ring.slot_positions.to(like.device)
        return self

    def select(self, rows: Sequence[int]) -> KVCache:
        """Keep these rows of the batch, in this order, in place; a row may be repeated or left out."""
        index = torch.tensor(rows, device=self.lengths.device)
        self.keys, self.values = [part[index] for part in self.keys], [part[index] for part in self.values]
        self.lengths, self.new_positions = self.lengths[index], self.lengths.new_zeros(len(rows), 0)
        for ring in self.rings.values():
            ring.slot_positions = ring.slot_positions[index]
        return self

    def chunk_sizes(self, n: int) -> list[int]:
        """Sizes of the chunks in which n tokens must be fed: a streaming cache that is full shifts at every token."""
        room = min(ring.capacity for ring in self.layers) - self.length
        if not self.streams or n <= max(room, 1):
            return [n]
        return [room] * (room > 0) + [1] * (n - max(room, 0))

    def next_positions(self, n: int, valid: Tensor | None = None) -> Tensor:
        """Positions (B, n) of the next n tokens, EMPTY where `valid` (B, n) is False; nothing is stored yet.

        Raises ValueError when a layer with full attention has no room for them, and when a streaming cache cannot take
        them at once (`chunk_sizes`).
        """
        if len(sizes := self.chunk_sizes(n)) > 1:
            raise ValueError(
                f"A streaming cache shifts at every token once it is full: feed {counted(n, 'token')} in chunks of "
                f"{sizes[0]} and then 1, as `inference.decoders.prefill` does."
            )
        steps = torch.arange(n, device=self.lengths.device) if valid is None else valid.cumsum(1) - 1
        positions = self.lengths[:, None] + steps
        if valid is not None:
            positions = positions.masked_fill(~valid, EMPTY)
        for ring in self.rings.values():
            if not ring.window and self.length + n > ring.capacity and int(positions.max()) >= ring.capacity:
                held = min(self.length, ring.capacity)
                raise ValueError(
                    f"The cache has {ring.capacity} slots and holds {held}; {n} more do not fit. "
                    "Start a new cache with the last tokens, or use a model with a sliding window."
                )
            ring.place(positions)
        self.new_positions = positions
        return positions

    def key_positions(self, window: int) -> Tensor:
        """Positions (B, S) of all keys that `extend` returns to layers of this window: the cached ones, then the new."""
        ring = self.rings[window]
        return torch.cat((ring.slot_positions[:, : self._used(ring)], self.new_positions), dim=1)

    def cache_positions(self, window: int, positions: Tensor) -> Tensor:
        """Positions inside the cache of tokens at `positions` (B, N), in layers with this window.

        In a streaming cache recent tokens are shifted back by the number of evicted ones, so that the newest is at most at
        capacity - 1; sinks stay. In every other cache these are the positions themselves.
        """
        if not self.streams:
            return positions
        gap = (self.new_positions.max(dim=1, keepdim=True).values - (self.rings[window].capacity - 1)).clamp(min=0)
        return positions.where(positions < self.n_sink, positions - gap)

    def extend(self, layer: int, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Store new keys and values (B, K, T, D) of a layer; return the cached ones and these, (B, K, S, D).

        The new ones are appended before they overwrite any slot: within a chunk, an early query may still attend to a key
        whose slot a later token takes.
        """
        ring = self.layers[layer]
        used = self._used(ring)
        all_keys = torch.cat((self.keys[layer][:, :, :used], keys), dim=2)
        all_values = torch.cat((self.values[layer][:, :, :used], values), dim=2)
        rows, index, slots = ring.write_index
        self.keys[layer][rows, :, slots] = keys[rows, :, index]
        self.values[layer][rows, :, slots] = values[rows, :, index]
        return all_keys, all_values

    def advance(self) -> None:
        """Count the tokens of this forward pass, once every layer has stored them."""
        for ring in self.rings.values():
            rows, index, slots = ring.write_index
            ring.slot_positions[rows, slots] = self.new_positions[rows, index]
        self.lengths = torch.maximum(self.lengths, self.new_positions.max(dim=1).values + 1)
        self.length = int(self.lengths.max())

    def _used(self, ring: Ring) -> int:
        """How many slots of a ring are in use, in any row."""
        return min(self.length, ring.capacity)
