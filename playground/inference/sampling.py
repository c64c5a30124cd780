"""From logits to the next token: repetition penalty, temperature, top-k, top-p, min-p, then one draw.

`filter_distribution` is the reference. The browser recomputes it while a slider moves (`ui/components`); a test compares
the two.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from playground.config import GenerationConfig


@dataclass(frozen=True)
class Filtered:
    """A next-token distribution before and after the filters, each (V,) float64 and summing to 1.

    `removed_by` names, per token, the filter that removed it: "", "top-k", "top-p" or "min-p".
    """

    before: np.ndarray
    after: np.ndarray
    removed_by: list[str]


def softmax(logits: np.ndarray) -> np.ndarray:
    """Probabilities (..., V) of logits (..., V), in float64."""
    exponents = np.exp(logits.astype(np.float64) - logits.max(axis=-1, keepdims=True))
    exponents /= exponents.sum(axis=-1, keepdims=True)
    return np.asarray(exponents)


def entropy_bits(probabilities: np.ndarray) -> float:
    """The entropy -sum p log2 p, in bits."""
    positive = probabilities[probabilities > 0]
    return float(-(positive * np.log2(positive)).sum())


def penalize_repetition(logits: np.ndarray, seen: Iterable[int], penalty: float) -> np.ndarray:
    """Logits (V,) float64 in which tokens that were `seen` are less likely (Keskar et al. 2019): / or * by the penalty."""
    scores = logits.astype(np.float64)
    if penalty != 1 and len(ids := np.fromiter(seen, dtype=np.int64)):
        scores[ids] = np.where(scores[ids] < 0, scores[ids] * penalty, scores[ids] / penalty)
    return scores


def filter_distribution(logits: np.ndarray, config: GenerationConfig, seen: Iterable[int] = ()) -> Filtered:
    """Apply repetition penalty, temperature, top-k, top-p and min-p, in this order, to logits (V,).

    `seen` are the ids of the text so far, for the penalty. Ties are broken towards the lower token id, so exactly k tokens
    survive top-k. Top-p keeps the token that crosses the threshold; min-p compares with the most likely token; at least one
    token remains. Temperature 0 puts all probability on the most likely token.
    """
    after, in_k, in_p, in_min = _shape(logits, config, seen)
    removed_by = np.where(~in_k, "top-k", np.where(~in_p, "top-p", np.where(~in_min, "min-p", "")))
    return Filtered(softmax(logits), after, removed_by.tolist())


def filtered_probs(logits: np.ndarray, config: GenerationConfig, seen: Iterable[int] = ()) -> np.ndarray:
    """The filtered distribution, (V,) float64: `filter_distribution(...).after` alone, computed faster."""
    return _shape(logits, config, seen)[0]


def _shape(logits: np.ndarray, config: GenerationConfig, seen: Iterable[int]) -> tuple[np.ndarray, ...]:
    """The filtered distribution, and the masks of top-k, top-p and min-p, each (V,). Sorts only if a filter needs it."""
    scores = penalize_repetition(logits, seen, config.repetition_penalty)
    size, best = len(scores), int(scores.argmax())  # of equal ones the lowest id
    k = 1 if config.temperature == 0 else min(config.top_k or size, size)
    ranked = k < size or config.top_p < 1
    order = np.array([best]) if k == 1 else np.argsort(-scores, kind="stable")[:k] if ranked else np.empty(0, np.int64)
    everyone = np.ones(size, dtype=bool)
    in_k, in_p = everyone, everyone
    # The largest score is subtracted first: a tiny temperature then gives 0 and -1e300, never inf - inf.
    scaled = (scores - scores[best]) * min(1e300, 1 / (config.temperature or 1.0))
    if k < size:
        in_k = np.zeros(size, dtype=bool)
        in_k[order] = True
        scaled = np.where(in_k, scaled, -np.inf)
    heated = softmax(scaled)
    if config.top_p < 1:
        reached_before = np.cumsum(heated[order]) - heated[order]  # the probability of all more likely tokens
        in_p = np.zeros(size, dtype=bool)
        in_p[order] = reached_before < config.top_p
        in_p[best] = True
    in_min = heated >= config.min_p * heated[best] if config.min_p else everyone
    if in_p is everyone and in_min is everyone:
        return heated, in_k, in_p, in_min
    kept = np.where(in_k & in_p & in_min, heated, 0.0)
    return kept / kept.sum(), in_k, in_p, in_min


def topk(logits: np.ndarray, n: int) -> np.ndarray:
    """Ids of the n largest of logits (V,), largest first, lower ids first among equals; without sorting the rest."""
    if n >= len(logits):
        return np.argsort(-logits, kind="stable")
    least = np.partition(logits, len(logits) - n)[len(logits) - n] if n else np.inf
    ids = np.flatnonzero(logits >= least)
    return np.asarray(ids[np.argsort(-logits[ids], kind="stable")[:n]])


def sample_token(probabilities: np.ndarray, rng: np.random.Generator) -> int:
    """One token id from probabilities (V,)."""
    return token_at(probabilities, rng.random())


def token_at(probabilities: np.ndarray, uniform: float) -> int:
    """The token id that a random number from 0 to 1 draws from probabilities (V,), by inverting their cumulative sum.

    Ids of probability 0 are never drawn.
    """
    cumulative = probabilities.cumsum()
    return min(int(cumulative.searchsorted(uniform * cumulative[-1], side="right")), len(probabilities) - 1)
