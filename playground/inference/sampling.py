"""From logits to the next token: repetition penalty, temperature, top-k, top-p, min-p, then one draw.

`filter_distribution` is the reference. The browser recomputes it while a slider moves (`ui/components`), and a test holds
the two together.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from playground.config import SampleConfig


@dataclass(frozen=True)
class Filtered:
    """A next-token distribution before and after the filters, each (V,) float64 and summing to 1.

    `removed_by` names, per token, the filter that took it: "", "top-k", "top-p" or "min-p".
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


def penalised(logits: np.ndarray, seen: Iterable[int], penalty: float) -> np.ndarray:
    """Logits (V,) float64 in which tokens that were `seen` are less likely (Keskar et al. 2019): / or * by the penalty."""
    scores = logits.astype(np.float64)
    ids = np.fromiter(seen, dtype=np.int64)
    if penalty != 1 and len(ids):
        scores[ids] = np.where(scores[ids] < 0, scores[ids] * penalty, scores[ids] / penalty)
    return scores


def filter_distribution(logits: np.ndarray, config: SampleConfig, seen: Iterable[int] = ()) -> Filtered:
    """Apply repetition penalty, temperature, top-k, top-p and min-p, in this order, to logits (V,).

    `seen` are the ids of the text so far, for the penalty. Ties are broken towards the lower token id, so exactly k tokens
    survive top-k. Top-p keeps the token that crosses the threshold; min-p compares with the likeliest token; one always
    remains. Temperature 0 puts everything on the likeliest token.
    """
    scores = penalised(logits, seen, config.repetition_penalty)
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
    in_min = heated >= config.min_p * heated[order[0]]
    in_min[order[0]] = True
    kept = np.where(in_k & in_p & in_min, heated, 0.0)
    removed_by = np.where(~in_k, "top-k", np.where(~in_p, "top-p", np.where(~in_min, "min-p", "")))
    return Filtered(softmax(logits.astype(np.float64)), kept / kept.sum(), removed_by.tolist())


def draw(probabilities: np.ndarray, rng: np.random.Generator) -> int:
    """One token id from probabilities (V,), by inverting their cumulative sum; ids of probability 0 never come."""
    cumulative = probabilities.cumsum()
    return int(np.searchsorted(cumulative, rng.random() * cumulative[-1], side="right").clip(0, len(probabilities) - 1))
