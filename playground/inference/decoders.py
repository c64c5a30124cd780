"""Decoders continue several texts token by token: `PlainDecoder` with the model and its KV cache, `NativeDecoder` in C.

Both draw the same tokens from the same random numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from playground.config import GenerationConfig
from playground.inference.native.decode_step import DecodeStep, Floats, Marks
from playground.inference.sampling import filtered_probs, softmax, token_at, topk
from playground.models.kv_cache import KVCache
from playground.models.transformer import Transformer


@dataclass(frozen=True)
class GeneratedToken:
    """A token, and the distribution it was drawn from."""

    id: int
    probability: float  # under the model itself (the softmax over its whole vocabulary), before any filter
    alternatives: tuple[tuple[int, float], ...]  # the most likely tokens with their probabilities, before any filter


class Decoder(Protocol):
    """Continues B texts. Its state is the tokens that it was fed."""

    def feed(self, rows: Sequence[Sequence[int]]) -> np.ndarray:
        """Logits (B, V) float32 after these tokens, equally many for each text."""

    def decode(
        self, tokens: Sequence[int], uniforms: Floats, config: GenerationConfig, seen: Marks, n_alternatives: int
    ) -> list[list[GeneratedToken]]:
        """Feed one token to each text, then draw and feed n more; the last one drawn is not fed.

        `uniforms` (B, n) float64 from 0 to 1 are the random numbers. `seen` (B, `n_tokens`) uint8 marks the ids of each text
        so far, `tokens` included, and is kept up to date. Returns n lists of B tokens.
        """

    def select(self, rows: Sequence[int]) -> None:
        """Continue with these texts, by index; an index that occurs several times becomes several texts."""


class PlainDecoder:
    """Decodes with the model, on any device and with any cache."""

    def __init__(self, model: Transformer, cache: KVCache) -> None:
        self.model, self.cache = model, cache

    def feed(self, rows: Sequence[Sequence[int]]) -> np.ndarray:
        with torch.inference_mode():
            tokens = torch.tensor(rows, device=self.model.embed.weight.device)
            hidden = prefill(self.model, tokens, self.cache)
            return self.model.unembed(hidden[:, -1]).float().cpu().numpy()

    def decode(
        self, tokens: Sequence[int], uniforms: Floats, config: GenerationConfig, seen: Marks, n_alternatives: int
    ) -> list[list[GeneratedToken]]:
        drawn: list[list[GeneratedToken]] = []
        for column in uniforms.T:
            logits = self.feed([[token] for token in tokens])
            drawn.append(choose(logits, column, config, seen, n_alternatives))
            tokens = [token.id for token in drawn[-1]]
        return drawn

    def select(self, rows: Sequence[int]) -> None:
        self.cache.select(rows)


class NativeDecoder:
    """Decodes with compiled steps, one for each text, which take over the contents of a cache."""

    def __init__(self, model: Transformer, cache: KVCache) -> None:
        """Only where `native.decode_step.covers` the model and the cache."""
        self.steps = [DecodeStep(model, cache, row) for row in range(len(cache.lengths))]

    def feed(self, rows: Sequence[Sequence[int]]) -> np.ndarray:
        return np.stack([[step.feed(token) for token in row][-1] for step, row in zip(self.steps, rows, strict=True)])

    def decode(
        self, tokens: Sequence[int], uniforms: Floats, config: GenerationConfig, seen: Marks, n_alternatives: int
    ) -> list[list[GeneratedToken]]:
        texts = zip(self.steps, tokens, uniforms, seen, strict=True)
        drawn = [step.write(token, numbers, config, marks, n_alternatives) for step, token, numbers, marks in texts]
        return [[_as_generated(row[at]) for row in drawn] for at in range(uniforms.shape[1])]

    def select(self, rows: Sequence[int]) -> None:
        self.steps = [self.steps[row].copy() for row in rows]


def prefill(model: Transformer, tokens: Tensor, cache: KVCache, valid: Tensor | None = None) -> Tensor:
    """`Transformer.hidden` (B, T, C) for token ids (B, T) that continue a cache, in as many chunks as the cache needs."""
    sizes = cache.chunk_sizes(tokens.size(1))
    if len(sizes) == 1:
        return model.hidden(tokens, cache=cache, valid=valid)
    masks = [None] * len(sizes) if valid is None else valid.split(sizes, dim=1)
    chunks = zip(tokens.split(sizes, dim=1), masks, strict=True)
    return torch.cat([model.hidden(chunk, cache=cache, valid=mask) for chunk, mask in chunks], dim=1)


def choose(
    logits: np.ndarray, uniforms: Floats, config: GenerationConfig, seen: Marks, n_alternatives: int
) -> list[GeneratedToken]:
    """Draw a token for each text from its logits (B, V) and one random number each (B,), and mark it in `seen`."""
    drawn = [_choose(*row, config, n_alternatives) for row in zip(logits, uniforms, seen, strict=True)]
    for token, marks in zip(drawn, seen, strict=True):
        marks[token.id] = 1
    return drawn


def _choose(
    logits: np.ndarray, uniform: float, seen: Marks, config: GenerationConfig, n_alternatives: int
) -> GeneratedToken:
    """Draw one of the ids that a tokenizer has, as many as `seen` has marks; logits of more ids are those of padding."""
    possible = logits[: len(seen)]
    penalised = np.flatnonzero(seen) if config.repetition_penalty != 1 else ()
    token = token_at(filtered_probs(possible, config, penalised), uniform)
    before = softmax(logits)
    top = topk(possible, n_alternatives) if n_alternatives else ()
    alternatives = tuple((int(other), float(before[other])) for other in top)
    return GeneratedToken(token, float(before[token]), alternatives)


def _as_generated(drawn: np.ndarray) -> GeneratedToken:
    """A token as a compiled step drew it."""
    (token, probability), *others = drawn.tolist()
    return GeneratedToken(token, probability, tuple(others))
