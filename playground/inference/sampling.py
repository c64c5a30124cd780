"""From logits to the next token: temperature, then top-k, then top-p, then one draw.

`filter_distribution` is the reference. The browser recomputes it while a slider moves (`ui/components`), and a test holds
the two together.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from playground.config import SampleConfig


@dataclass(frozen=True)
class Filtered:
    """A next-token distribution before and after the filters, each (V,) float64 and summing to 1.

    `removed_by` names, per token, the filter that took it: "", "top-k" or "top-p".
    """

    before: np.ndarray
    after: np.ndarray
    removed_by: list[str]


def softmax(logits: np.ndarray) -> np.ndarray:
    """Probabilities (..., V) of logits (..., V), in float64."""
    exponents = np.exp(logits.astype(np.float64) - logits.max(axis=-1, keepdims=True))
    return np.asarray(exponents / exponents.sum(axis=-1, keepdims=True))


def entropy_bits(probabilities: np.ndarray) -> float:
    """-sum p log2 p, in bits: how undecided a distribution is."""
    positive = probabilities[probabilities > 0]
    return float(-(positive * np.log2(positive)).sum())


def filter_distribution(logits: np.ndarray, config: SampleConfig) -> Filtered:
    """Apply temperature, top-k and top-p, in this order, to logits (V,).

    Ties are broken towards the lower token id, so exactly k tokens survive top-k. Top-p keeps the token that crosses the
    threshold, and always at least one. Temperature 0 puts everything on the likeliest token.
    """
    scores = logits.astype(np.float64)
    order = np.argsort(-scores, kind="stable")
    rank = np.empty(len(scores), dtype=np.int64)
    rank[order] = np.arange(len(scores))
    k = 1 if config.temperature == 0 else config.top_k or len(scores)
    in_k = rank < k
    # The largest score is subtracted first: a tiny temperature then gives 0 and -inf, never inf - inf.
    with np.errstate(over="ignore"):
        scaled = (scores - scores.max()) / (config.temperature or 1.0)
    heated = softmax(np.where(in_k, scaled, -np.inf))
    reached_before = np.cumsum(heated[order]) - heated[order]  # the mass of all likelier tokens
    in_p = np.ones(len(scores), dtype=bool)
    if config.top_p < 1:
        in_p[order] = reached_before < config.top_p
        in_p[order[0]] = True
    kept = np.where(in_k & in_p, heated, 0.0)
    removed_by = np.where(~in_k, "top-k", np.where(~in_p, "top-p", ""))
    return Filtered(softmax(scores), kept / kept.sum(), removed_by.tolist())


def draw(probabilities: np.ndarray, rng: np.random.Generator) -> int:
    """One token id from probabilities (V,), by inverting their cumulative sum; ids of probability 0 never come."""
    cumulative = probabilities.cumsum()
    return int(np.searchsorted(cumulative, rng.random() * cumulative[-1], side="right").clip(0, len(probabilities) - 1))
