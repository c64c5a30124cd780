"""Named vectors: token embeddings, or mean hidden states at the ends of words.

Principal components to plot them, cosine similarities to compare them, and analogies.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from playground.config import counted
from playground.interp.activations import streams, text_of
from playground.models.transformer import Transformer
from playground.tokenizers import Tokenizer, pieces

WORD = re.compile(rb"[A-Za-z]+")
RAREST = 5  # minimum number of occurrences of a word


@dataclass(frozen=True)
class Vectors:
    """N vectors (N, C) float64, their names, and how often each was seen in the text (N,)."""

    names: tuple[str, ...]
    matrix: np.ndarray
    counts: np.ndarray

    def find(self, name: str) -> int:
        """The number of a name, as typed or without the spaces around it. Raises ValueError if it does not exist."""
        if (found := self._index(name)) is not None:
            return found
        shown = name if len(name) <= 30 else name[:29] + "…"
        stripped = (self.names[i].strip() for i in np.argsort(-self.counts, kind="stable"))
        known = [word for word in dict.fromkeys(stripped) if word and self._index(word) is not None][:8]
        such = f", such as: {' '.join(known)}" if known else ""
        raise ValueError(
            f"“{shown}” is not among the {counted(len(self.names), 'vector')} shown. Take one that is{such}."
        )

    def _index(self, name: str) -> int | None:
        stripped = name.strip()
        found = (wanted for wanted in (name, stripped, " " + stripped) if wanted in self.names)
        return next((self.names.index(wanted) for wanted in found), None)


def token_vectors(model: Transformer, tokenizer: Tokenizer, tokens: np.ndarray | None, most: int) -> Vectors:
    """Embeddings of the tokens that occur in a text, most frequent first; without a text, of the first tokens."""
    if tokens is None:
        chosen, counts = np.arange(min(most, tokenizer.vocab_size)), np.zeros(min(most, tokenizer.vocab_size), int)
    else:
        every = np.bincount(np.asarray(tokens), minlength=tokenizer.vocab_size)
        chosen = np.argsort(-every, kind="stable")[: min(most, int((every > 0).sum()))]
        counts = every[chosen]
    matrix = model.embed.weight.detach().double().cpu().numpy()[chosen]
    return Vectors(tuple(pieces(tokenizer, chosen.tolist())), matrix, counts)


def word_vectors(model: Transformer, tokenizer: Tokenizer, sequences: np.ndarray, depth: int, most: int) -> Vectors:
    """For each frequent word of a text (N, T), the mean of the residual stream at a depth over the ends of its occurrences.

    A word's end is the token that holds its last letter. Words at the edge of a window are left out: they may be cut.
    """
    hidden = streams(model, sequences, [depth])[0].double().numpy()
    sums: dict[str, np.ndarray] = defaultdict(lambda: np.zeros(model.config.n_embd))
    counts: dict[str, int] = defaultdict(int)
    for row, ids in enumerate(sequences):
        text, ends = text_of(tokenizer, ids)
        for word in WORD.finditer(text):
            if word.start() > 0 and word.end() < len(text):
                name = word.group().decode("ascii")
                sums[name] += hidden[row, np.searchsorted(ends, word.end())]
                counts[name] += 1
    known = sorted((name for name in counts if counts[name] >= RAREST), key=lambda name: (-counts[name], name))[:most]
    if len(known) < 4:
        raise ValueError(
            f"Fewer than four words of the letters a to z occur whole {RAREST} times in the windows read. Look at the "
            "tokens instead."
        )
    matrix = np.stack([sums[name] / counts[name] for name in known])
    return Vectors(tuple(known), matrix, np.array([counts[name] for name in known]))


# ---- principal components --------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Axes:
    """Where points vary most: their mean (C,), unit directions (k, C), and the share of variance along each (k,)."""

    mean: np.ndarray
    directions: np.ndarray
    shares: np.ndarray

    def place(self, matrix: np.ndarray) -> np.ndarray:
        """Points (N, C) in these axes, (N, k)."""
        return (matrix - self.mean) @ self.directions.T


def principal_axes(matrix: np.ndarray, k: int = 3) -> Axes:
    """Principal components (Pearson 1901) of points (N, C), by SVD; the largest entry of each axis is positive."""
    mean = matrix.mean(0)
    _, singular, right = np.linalg.svd(matrix - mean, full_matrices=False)
    right = right[:k]
    signs = np.sign(right[np.arange(len(right)), np.abs(right).argmax(1)])
    variance = singular**2
    return Axes(mean, right * signs[:, None], variance[:k] / max(variance.sum(), 1e-300))


def turned_onto(points: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """Points (N, k), turned and mirrored about the origin so that they lie nearest to a reference (Schönemann 1966).

    Principal components have no sign and swap places when their variances are similar, so they would jump during training.
    Distances between points are preserved.
    """
    left, _, right = np.linalg.svd(points.T @ reference)
    return np.asarray(points @ (left @ right))


# ---- neighbors ------- -----------------------------------------------------------------------------------------------


def unit(matrix: np.ndarray) -> np.ndarray:
    """Rows (N, C) of length one; a row of zeros stays."""
    length = np.linalg.norm(matrix, axis=-1, keepdims=True)
    return np.asarray(matrix / np.where(length > 0, length, 1))


def cosines(a: np.ndarray, b: np.ndarray | None = None) -> np.ndarray:
    """Cosines (N, M) of the rows of two matrices, or of one with itself."""
    left = unit(a)
    return np.asarray(left @ (left if b is None else unit(b)).T)


def neighbours(vectors: Vectors, index: int, k: int) -> list[tuple[int, float]]:
    """The k vectors nearest to one by cosine, itself left out, nearest first."""
    near = cosines(vectors.matrix[index : index + 1], vectors.matrix)[0]
    return [(int(i), float(near[i])) for i in np.argsort(-near, kind="stable") if i != index][:k]


@dataclass(frozen=True)
class Analogy:
    """a is to b as c is to …: the nearest vectors to b − a + c, by cosine.

    `ranked` excludes the three given vectors, as is usual (Mikolov et al. 2013). `raw` is the nearest without that
    rule, mostly one of the three (Linzen 2016). `rank` is the expected answer's rank, from 1; `lazy` its rank among the
    neighbors of c alone, without the offset.
    """

    ranked: tuple[tuple[int, float], ...]
    raw: int
    rank: int | None
    lazy: int | None


def analogy(vectors: Vectors, a: int, b: int, c: int, expected: int | None, k: int = 6) -> Analogy:
    """Solve an analogy over vectors that were centred and brought to length one."""
    matrix = unit(vectors.matrix - vectors.matrix.mean(0))
    near = cosines((matrix[b] - matrix[a] + matrix[c])[None], matrix)[0]
    alone = cosines(matrix[c][None], matrix)[0]
    given = {a, b, c}

    def order(scores: np.ndarray) -> list[int]:
        return [int(i) for i in np.argsort(-scores, kind="stable") if i not in given]

    places = order(near)
    known = expected is not None and expected not in given
    return Analogy(
        ranked=tuple((i, float(near[i])) for i in places[:k]),
        raw=int(near.argmax()),
        rank=places.index(expected) + 1 if known else None,  # type: ignore[arg-type]
        lazy=order(alone).index(expected) + 1 if known else None,  # type: ignore[arg-type]
    )


@dataclass(frozen=True)
class AnalogyTest:
    """How many of n analogies are correct at rank 1, and how many without the offset."""

    n: int
    right: int
    lazy: int
    candidates: int


def capital_analogies(vectors: Vectors) -> AnalogyTest | None:
    """Every "a is to A as b is to B" that these names allow; None with fewer than three letters in both cases.

    This tests whether the offset from a letter to its capital is the same for all letters.
    """
    pairs = [
        (index, vectors.names.index(name.upper()))
        for index, name in enumerate(vectors.names)
        if len(name) == 1 and name.islower() and name.upper() in vectors.names
    ]
    if len(pairs) < 3:
        return None
    found = [
        analogy(vectors, a, capital, b, expected, k=1)
        for a, capital in pairs for b, expected in pairs if a != b
    ]  # fmt: skip
    right, lazy = sum(one.rank == 1 for one in found), sum(one.lazy == 1 for one in found)
    return AnalogyTest(len(found), right, lazy, len(vectors.names) - 3)


def names_near(vectors: Vectors, found: Sequence[tuple[int, float]]) -> list[tuple[str, float]]:
    """Names in place of numbers."""
    return [(vectors.names[i], round(score, 4)) for i, score in found]
