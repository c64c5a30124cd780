"""N-gram baselines: the bits per byte of a text given only the last few bytes."""

from dataclasses import dataclass

import numpy as np

MAX_ORDER = 8  # an n-gram is packed into 64 bits
NAMES = ("unigram", "bigram", "trigram", "4-gram", "5-gram", "6-gram", "7-gram", "8-gram")


@dataclass(frozen=True)
class NgramEntropy:
    """The entropies of a byte n-gram of one order, in bits per byte.

    `held_out` is the cross-entropy of text that was not counted (`ngram_bits_per_byte`): what a model's loss compares with.
    `counted` is the entropy of the next byte given the order - 1 before it, within the counted text itself,
    -Σ count(h, c) log2(count(h, c) / count(h)) / Σ count(h, c). It falls with every order, in the end to nothing, because
    long contexts occur only once: the difference to the held-out value is memorization.
    """

    order: int
    held_out: float
    counted: float

    @property
    def name(self) -> str:
        """unigram, bigram, trigram, 4-gram, ..."""
        return NAMES[self.order - 1]


def ngram_bits_per_byte(train: bytes, held_out: bytes, order: int) -> float:
    """Return the bits per byte of `held_out` under a byte n-gram of `order` (the longest context has order - 1 bytes).

    The estimator is interpolated Witten-Bell (Witten and Bell 1991): with h' the context h without its oldest byte,
    n the number of times h occurred in `train` and t the number of different bytes that followed it there,

        p(c | h) = (count(h, c) + t * p(c | h')) / (n + t),

    down to p = 1/256 for no model at all; a context that never occurred leaves p(c | h') as it is. The first bytes of
    `held_out` have as much context as there is. Time and memory are O(order * len(train)) apart from one sort an order.
    Raises ValueError if `order` is not 1 to 8 or either text is empty.
    """
    return ngram_entropies(train, held_out, order)[-1].held_out


def ngram_entropies(
    train: bytes, held_out: bytes, max_order: int = 5, mask: np.ndarray | None = None
) -> list[NgramEntropy]:
    """Return both entropies of each order from 1 to `max_order`, in one pass; see `ngram_bits_per_byte`.

    Where `mask` (one flag per byte of `held_out`) is False the byte is context but its cost is not counted, as with the
    prompts of algorithmic tasks. Raises ValueError as `ngram_bits_per_byte` does, and for a mask without any True.
    """
    if not 1 <= max_order <= MAX_ORDER:
        raise ValueError(f"Order must be 1 to {MAX_ORDER}; {max_order} is not.")
    if not train or not held_out or (mask is not None and not mask.any()):
        raise ValueError("An n-gram needs a training text and a held-out text; one of them is empty. Add some text.")
    seen, scored = (np.frombuffer(text, dtype=np.uint8).astype(np.uint64) for text in (train, held_out))
    grams, queries = seen, scored  # the k bytes that end at position i + k - 1, packed with the latest byte lowest
    p = np.full(len(scored), 1 / 256)
    results: list[NgramEntropy] = []
    counted = 0.0
    for k in range(1, max_order + 1):
        if k > 1:
            shift = np.uint64(8 * (k - 1))
            grams = (seen[: max(0, len(seen) - k + 1)] << shift) | grams[1:]
            queries = (scored[: max(0, len(scored) - k + 1)] << shift) | queries[1:]
        if len(grams):
            counts = _Counts.of(grams)
            counted = counts.entropy()
            if len(queries):
                p[k - 1 :] = counts.witten_bell(queries, p[k - 1 :])
        costs = -np.log2(p if mask is None else p[mask])
        results.append(NgramEntropy(k, float(costs.mean()), counted))
    return results


@dataclass(frozen=True)
class _Counts:
    """How often each packed n-gram occurred, and each context: sorted keys with counts."""

    kinds: np.ndarray  # (K,) uint64
    counts: np.ndarray  # (K,)
    contexts: np.ndarray  # (H,) uint64
    occurred: np.ndarray  # (H,) n of the formula
    followers: np.ndarray  # (H,) t of the formula

    @classmethod
    def of(cls, grams: np.ndarray) -> "_Counts":
        """Count packed n-grams (N,) uint64."""
        kinds, counts = np.unique(grams, return_counts=True)
        context_of_kind = kinds >> np.uint64(8)  # sorted, like the kinds
        first = np.flatnonzero(np.concatenate(([True], context_of_kind[1:] != context_of_kind[:-1])))
        return cls(
            kinds, counts, context_of_kind[first], np.add.reduceat(counts, first), np.diff(first, append=len(kinds))
        )

    def entropy(self) -> float:
        """Bits per byte of the next byte given its context, over what was counted."""
        of_context = np.repeat(self.occurred, self.followers)
        return float((self.counts * np.log2(of_context / self.counts)).sum() / self.counts.sum())

    def witten_bell(self, queries: np.ndarray, p_shorter: np.ndarray) -> np.ndarray:
        """One level of the recursion: p of each packed query (Q,) uint64, given p(c | h') of each (Q,) float64."""
        count = _look_up(self.kinds, self.counts, queries)
        n, t = (_look_up(self.contexts, values, queries >> np.uint64(8)) for values in (self.occurred, self.followers))
        return np.where(n > 0, (count + t * p_shorter) / np.maximum(n + t, 1), p_shorter)


def _look_up(keys: np.ndarray, values: np.ndarray, queries: np.ndarray) -> np.ndarray:
    """The value of each query's key, 0 where there is none; `keys` are sorted and unique."""
    at = np.minimum(np.searchsorted(keys, queries), len(keys) - 1)
    return np.where(keys[at] == queries, values[at], 0)
