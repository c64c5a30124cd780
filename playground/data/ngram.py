"""A baseline that counts: what a text costs if only the last few bytes may be looked at."""

import numpy as np

MAX_ORDER = 8  # an n-gram is packed into 64 bits


def ngram_bits_per_byte(train: bytes, held_out: bytes, order: int) -> float:
    """Return the bits per byte of `held_out` under a byte n-gram of `order` (the longest context has order - 1 bytes).

    The estimator is interpolated Witten-Bell (Witten and Bell 1991): with h' the context h without its oldest byte,
    n the number of times h occurred in `train` and t the number of different bytes that followed it there,

        p(c | h) = (count(h, c) + t * p(c | h')) / (n + t),

    down to p = 1/256 for no model at all; a context that never occurred leaves p(c | h') as it is. The first bytes of
    `held_out` have as much context as there is. Time and memory are O(order * len(train)) apart from one sort an order.
    Raises ValueError if `order` is not 1 to 8 or either text is empty.
    """
    if not 1 <= order <= MAX_ORDER:
        raise ValueError(f"Order must be 1 to {MAX_ORDER}; {order} is not.")
    if not train or not held_out:
        raise ValueError("An n-gram needs a training text and a held-out text; one of them is empty. Add some text.")
    seen, asked = (np.frombuffer(text, dtype=np.uint8).astype(np.uint64) for text in (train, held_out))
    grams, queries = seen, asked  # the k bytes that end at position i + k - 1, packed with the latest byte lowest
    p = np.full(len(asked), 1 / 256)
    for k in range(1, order + 1):
        if k > 1:
            shift = np.uint64(8 * (k - 1))
            grams = (seen[: len(seen) - k + 1] << shift) | grams[1:]
            queries = (asked[: len(asked) - k + 1] << shift) | queries[1:]
        if not len(grams) or not len(queries):
            break
        p[k - 1 :] = _witten_bell(grams, queries, p[k - 1 :])
    return float(-np.log2(p).mean())


def _witten_bell(grams: np.ndarray, queries: np.ndarray, p_shorter: np.ndarray) -> np.ndarray:
    """One level of the recursion: packed n-grams (N,) and (Q,) uint64, and p(c | h') of each query (Q,) float64."""
    kinds, counts = np.unique(grams, return_counts=True)
    context_of_kind = kinds >> np.uint64(8)  # sorted, like the kinds
    first = np.flatnonzero(np.concatenate(([True], context_of_kind[1:] != context_of_kind[:-1])))
    contexts = context_of_kind[first]
    n = np.add.reduceat(counts, first)
    t = np.diff(first, append=len(kinds))
    count = _look_up(kinds, counts, queries)
    n_of, t_of = (_look_up(contexts, values, queries >> np.uint64(8)) for values in (n, t))
    return np.where(n_of > 0, (count + t_of * p_shorter) / np.maximum(n_of + t_of, 1), p_shorter)


def _look_up(keys: np.ndarray, values: np.ndarray, queries: np.ndarray) -> np.ndarray:
    """The value of each query's key, 0 where there is none; `keys` are sorted and unique."""
    at = np.minimum(np.searchsorted(keys, queries), len(keys) - 1)
    return np.where(keys[at] == queries, values[at], 0)
