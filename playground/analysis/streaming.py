"""Streaming: the memory of KV caches, and evaluation far beyond the context.

A text much longer than the training context is evaluated with five strategies (Xiao et al. 2023, figure 1 and table 1;
Mistral 2023):

- dense: every token sees every earlier one;
- sliding window: every token sees the last W, everything is kept;
- rolling buffer: the same, but only W slots are kept. The numbers must be those of the sliding window;
- window and k sinks: the first k tokens stay, and all positions are those inside the cache (StreamingLLM);
- window, recomputed: the last W tokens are read afresh for each token. Slow; its first token is always a new one.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from playground.config import ADDED, GenerationConfig, ModelConfig, counted
from playground.inference.decoders import prefill
from playground.inference.generation import sequence_rng
from playground.inference.sampling import filter_distribution, sample_token
from playground.models.kv_cache import KVCache
from playground.models.transformer import Transformer, without_storage

RECOMPUTED = "window, recomputed"
TIMED = 40  # tokens over which a policy's milliseconds per token are measured
READ_AT_ONCE = 4_096  # tokens in one forward pass of the recomputation


@dataclass(frozen=True)
class Reading:
    """The losses of a text with one strategy."""

    name: str
    by_text: np.ndarray  # (B, N - 1) nats: of tokens 1, 2, ... of each text
    cache_bytes: int  # at the end, for one text
    milliseconds: float  # per token at the end, one text, one token at a time; the median

    @property
    def nll(self) -> np.ndarray:
        """(N - 1,) nats: the mean over the texts."""
        return np.asarray(self.by_text.mean(axis=0))

    def beyond(self, context: int) -> np.ndarray:
        """(B, M) nats in the last half of each text, as far as it lies beyond the context; at least of the last token."""
        n = self.by_text.shape[1]
        return np.asarray(self.by_text[:, max(n // 2, min(context, n - 1)) :])


Policy = Callable[[Transformer, Tensor, int, int], tuple[Tensor, int, Callable[[], object]]]


def check_streaming(config: ModelConfig, window: int, n_sink: int, n_tokens: int) -> None:
    """Raises ValueError for settings that cannot be streamed."""
    for name, value, low, high in (
        ("Window", window, 1, 1024),
        ("Sinks", n_sink, 0, 64),
        ("Text", n_tokens, 16, 16_384),
    ):
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise ValueError(f"{name} must be a whole number from {low} to {high:,}. You sent {str(value)[:40]}.")
    if config.position in ADDED:
        raise ValueError(
            f"This run has {config.position} positions, which are defined or trained only up to the "
            f"context of {counted(config.block_size, 'token')}, so it cannot stream. "
            "Choose a run with RoPE, ALiBi or no positions."
        )


def readings(model: Transformer, texts: np.ndarray, window: int, n_sink: int) -> Iterator[Reading]:
    """Evaluate `texts` (B, N) with each strategy. The model must be in eval mode.

    Raises ValueError for a model whose positions cannot stream, and for settings out of range.
    """
    check_streaming(model.config, window, n_sink, int(texts.shape[1]))
    tokens = torch.from_numpy(texts.astype(np.int64)).to(model.embed.weight.device)
    for name, policy in policies(n_sink).items():
        yield _reading(name, policy, model, tokens, window, n_sink)


@torch.inference_mode()
def _reading(name: str, policy: Policy, model: Transformer, tokens: Tensor, window: int, n_sink: int) -> Reading:
    """Apart from `readings`: a generator must not yield in inference mode, because another thread may resume it."""
    nll, n_bytes, one_more = policy(model, tokens, window, n_sink)
    return Reading(name, nll.double().cpu().numpy(), n_bytes, median_ms(one_more))


def policies(n_sink: int) -> dict[str, Policy]:
    """The strategies by their names in charts."""
    return {
        "dense": _dense,
        "sliding window": _sliding,
        "rolling buffer": _rolling,
        f"window + {counted(n_sink, 'sink')}": _sinks,
        RECOMPUTED: _recomputed,
    }


def median_ms(work: Callable[[], object]) -> float:
    """Milliseconds of one call, the median of a few."""
    times = []
    for _ in range(TIMED):
        began = time.perf_counter()
        work()
        times.append(1000 * (time.perf_counter() - began))
    return float(np.median(times))


def windowed(model: Transformer, window: int) -> Transformer:
    """The same weights, with a sliding window in every layer and no sinks. Nothing is copied."""
    config = model.config.replace(window=window, n_sink=0, global_every=0)
    other = without_storage(config)
    other.load_state_dict(model.state_dict(), assign=True, strict=False)
    for name, buffer in model.named_buffers():
        holder, _, last = name.rpartition(".")
        other.get_submodule(holder).register_buffer(last, buffer, persistent=False)
    return other.eval().requires_grad_(False)


def _nll(logits: Tensor, targets: Tensor) -> Tensor:
    """(B, T) nats."""
    return -logits.float().log_softmax(-1).gather(-1, targets[..., None])[..., 0]


def _in_one_pass(model: Transformer, tokens: Tensor) -> Tensor:
    """One text at a time, because attention over a long text needs much memory."""
    return torch.cat([_nll(model(row[None, :-1]), row[None, 1:]) for row in tokens])


def _through(model: Transformer, cache: KVCache, tokens: Tensor, chunk: int) -> Tensor:
    parts = [model.unembed(prefill(model, part, cache)) for part in tokens[:, :-1].split(chunk, dim=1)]
    return _nll(torch.cat(parts, dim=1), tokens[:, 1:])


def _dense(model: Transformer, tokens: Tensor, window: int, n_sink: int) -> tuple[Tensor, int, Callable[[], object]]:
    full = _opened(model)
    cache = KVCache(full.config, capacity=tokens.size(1) + TIMED)
    full.hidden(tokens[:1], cache=cache)
    n_bytes = _used(cache, tokens.size(1))
    return _in_one_pass(full, tokens), n_bytes, lambda: full.hidden(tokens[:1, :1], cache=cache)


def _opened(model: Transformer) -> Transformer:
    return model if not model.config.window else windowed(model, 0)


def _sliding(model: Transformer, tokens: Tensor, window: int, n_sink: int) -> tuple[Tensor, int, Callable[[], object]]:
    """All keys and values are kept and masked, as without a rolling buffer."""
    narrow, full = windowed(model, window), _opened(model)
    nll = _in_one_pass(narrow, tokens)
    cache = KVCache(full.config, capacity=tokens.size(1) + TIMED)  # only for its size and speed: what it keeps is all
    full.hidden(tokens[:1], cache=cache)
    n_bytes = _used(cache, tokens.size(1))
    return nll, n_bytes, lambda: full.hidden(tokens[:1, :1], cache=cache)


def _rolling(model: Transformer, tokens: Tensor, window: int, n_sink: int) -> tuple[Tensor, int, Callable[[], object]]:
    narrow = windowed(model, window)
    nll = _through(narrow, KVCache(narrow.config, batch_size=len(tokens)), tokens, chunk=max(16, window))
    cache = KVCache(narrow.config)
    narrow.hidden(tokens[:1], cache=cache)
    return nll, _used(cache, tokens.size(1)), lambda: narrow.hidden(tokens[:1, :1], cache=cache)


def _sinks(model: Transformer, tokens: Tensor, window: int, n_sink: int) -> tuple[Tensor, int, Callable[[], object]]:
    cache = KVCache.streaming(model.config, n_sink, window, batch_size=len(tokens))
    nll = _through(model, cache, tokens, chunk=tokens.size(1))
    one = KVCache.streaming(model.config, n_sink, window)
    prefill(model, tokens[:1, : window + n_sink + 8], one)
    return nll, _used(one, tokens.size(1)), lambda: model.hidden(tokens[:1, :1], cache=one)


def _recomputed(
    model: Transformer, tokens: Tensor, window: int, n_sink: int
) -> tuple[Tensor, int, Callable[[], object]]:
    full, n = _opened(model), tokens.size(1)
    first = _nll(
        full(tokens[:, :window]), tokens[:, 1 : window + 1]
    )  # until the window is full, all tokens are visible
    if n - 1 <= window:
        return first[:, : n - 1], 0, lambda: full(tokens[:1, -window:])
    views = (
        tokens[:, 1:-1].unfold(1, window, 1).flatten(0, 1)
    )  # (B (N - 1 - W), W): what stands before each later token
    last = torch.cat([full.unembed(full.hidden(part)[:, -1]) for part in views.split(max(1, READ_AT_ONCE // window))])
    rest = _nll(last.reshape(len(tokens), n - 1 - window, -1), tokens[:, window + 1 :])
    return torch.cat((first, rest), dim=1), 0, lambda: full(tokens[:1, -window:])


def kept_first(model: Transformer, tokens: Tensor, total: int, n_first: int) -> np.ndarray:
    """Nats (B, N - 1) of texts (B, N) read through a cache of `total` tokens: the first ones of the text and the latest."""
    with torch.inference_mode():
        cache = KVCache.streaming(model.config, n_first, total - n_first, batch_size=len(tokens))
        return np.asarray(_through(model, cache, tokens, chunk=tokens.size(1)).double().numpy())


def within_context(model: Transformer, tokens: Tensor) -> np.ndarray:
    """Nats (B,) per token in the second half of each context of the texts (B, N), as the model was trained to read."""
    n = model.config.block_size
    with torch.inference_mode():
        parts = [_in_one_pass(model, row[: len(row) // n * n].view(-1, n))[:, n // 2 - 1 :].mean() for row in tokens]
    return np.asarray(torch.stack(parts).double().numpy())


def by_position(nll: Sequence[float] | np.ndarray, bins: int = 48) -> tuple[list[float], list[float]]:
    """Perplexity over stretches of a text: the middle of each (tokens) and exp of its mean (nats)."""
    values = np.asarray(nll, dtype=np.float64)
    parts = np.array_split(np.arange(len(values)), min(bins, len(values)))
    return [float(part.mean() + 1) for part in parts], [float(np.exp(values[part].mean())) for part in parts]


@dataclass(frozen=True)
class Proof:
    """Two texts generated with the same seed, with and without the KV cache, and the time of each token."""

    cached: list[int]
    uncached: list[int]
    cached_ms: list[float]
    uncached_ms: list[float]

    @property
    def same(self) -> bool:
        """Whether the texts are identical so far."""
        n = min(len(self.cached), len(self.uncached))
        return self.cached[:n] == self.uncached[:n]


def cache_proof(model: Transformer, ids: Sequence[int], config: GenerationConfig) -> Iterator[Proof]:
    """Generate the same text twice, token by token: with the KV cache, and recomputing everything for each token.

    It ends with the context, within which both are equivalent. Raises ValueError when the prompt fills it already.
    """
    room = min(config.max_new_tokens, model.config.block_size - len(ids))
    if not len(ids) or room < 1:
        raise ValueError(
            f"The prompt has {counted(len(ids), 'token')}; it needs 1 to {model.config.block_size - 1} to leave room for "
            "new ones. Change the prompt."
        )
    runs: list[tuple[list[int], list[float]]] = [([], []), ([], [])]
    cache = KVCache(model.config)
    rngs = [sequence_rng(config.seed, 0), sequence_rng(config.seed, 0)]
    for _ in range(room):
        for kept, (written, times), rng in zip((cache, None), runs, rngs, strict=True):
            text = [*ids, *written]
            began = time.perf_counter()
            with torch.inference_mode():
                new = text if kept is None or not written else text[-1:]
                logits = model.unembed(model.hidden(torch.tensor([new]), cache=kept)[0, -1]).float().numpy()
            written.append(sample_token(filter_distribution(logits, config, text).after, rng))
            times.append(1000 * (time.perf_counter() - began))
        (cached, cached_ms), (uncached, uncached_ms) = runs
        yield Proof(cached, uncached, cached_ms, uncached_ms)


def cache_variants(config: ModelConfig, window: int) -> dict[str, ModelConfig]:
    """The same model with other KV caches."""
    plain = config.replace(window=0, n_sink=0, global_every=0)
    some = max((n for n in range(1, config.n_head) if config.n_head % n == 0 and n > 1), default=1)
    variants = {
        f"MHA, {counted(config.n_head, 'KV head')}": plain.replace(n_kv_head=config.n_head),
        f"GQA, {counted(some, 'KV head')}": plain.replace(n_kv_head=some),
        "MQA, 1 KV head": plain.replace(n_kv_head=1),
        f"window of {window}, all kept": plain,  # a mask alone frees nothing
        f"rolling buffer of {window}": config.replace(window=window, n_sink=0, global_every=0),
    }
    return {name: variant for name, variant in variants.items() if not (some == 1 and name.startswith("GQA"))}


def cache_formula(config: ModelConfig, context: int) -> int:
    """Bytes of keys and values in fp32: 2 · KV heads · head size · slots · 4 in each layer, slots capped by its window."""
    slots = sum(min(window + config.n_sink, context) if window else context for window in config.windows)
    return 2 * config.n_kv_head * config.head_dim * slots * 4


def cache_measured(config: ModelConfig, context: int) -> int:
    """Bytes that keys and values take after `context` tokens, from the tensors themselves."""
    return _used(KVCache(config, capacity=context), context)


def _used(cache: KVCache, n_tokens: int) -> int:
    """Bytes of the slots of a cache that are in use after `n_tokens` tokens."""
    used = [min(n_tokens, ring.capacity) for ring in cache.layers]
    kept = zip((*cache.keys, *cache.values), used * 2, strict=True)
    return sum(part[:, :, :slots].numel() * part.element_size() for part, slots in kept)


@dataclass(frozen=True)
class SlotStep:
    """One token added to a cache: the slots afterwards, the slot it was written to, and the evicted position."""

    held: list[int]  # position in each slot, -1 if empty
    inside: list[int]  # position inside the cache, as used by RoPE; -1 if empty
    slot: int
    evicted: int  # -1: none


def slot_story(window: int, n_sink: int, n_tokens: int, streams: bool) -> list[SlotStep]:
    """The slots of a cache over `n_tokens` tokens, recorded from a real cache with a tiny model."""
    config = ModelConfig(
        vocab_size=2, block_size=2048, n_layer=1, n_embd=8, n_head=1, n_kv_head=1, position="rope", window=window,
        n_sink=0 if streams else n_sink,
    )  # fmt: skip
    cache = KVCache.streaming(config, n_sink, window) if streams else KVCache(config)
    ring, story = cache.layers[0], []
    for _ in range(n_tokens):
        before = ring.slot_positions[0].tolist()
        cache.next_positions(1)
        slot = int(ring.write_index[2][0])
        cache.extend(0, torch.zeros(1, 1, 1, 8), torch.zeros(1, 1, 1, 8))
        cache.advance()
        inside = cache.cache_positions(window, ring.slot_positions)[0]
        held = ring.slot_positions[0].tolist()
        story.append(
            SlotStep(held, [int(p) if h >= 0 else -1 for p, h in zip(inside, held, strict=True)], slot, before[slot])
        )
    return story
