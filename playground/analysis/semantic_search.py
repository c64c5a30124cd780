"""Semantic search by a model's hidden states, compared with character n-grams.

A passage's vector is the mean of the residual stream over its tokens, minus the mean of all passages. The baseline is
bags of character n-grams, weighted by rarity (TF-IDF, Salton & Buckley 1988). Both are compared by cosine.
"""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from playground.config import apart
from playground.interp.activations import passage_means
from playground.interp.embeddings import cosines, unit
from playground.models.transformer import Transformer
from playground.tokenizers import Tokenizer

SIZES = (3, 4, 5)  # of character n-grams
SHORTEST, LONGEST = 25, 300  # characters of a passage
_SENTENCE = re.compile(r'\S.*?(?:[.!?]["”’)]*(?=\s|$)|$)', re.M)


@dataclass(frozen=True)
class Passage:
    """A sentence or line of a text, and the index of the story or paragraph that contains it."""

    text: str
    document: int


def passages_of(text: str, most: int) -> list[Passage]:
    """The first passages of a text. Documents end at blank lines; short sentences are joined to the next, long ones are
    split."""
    found: list[Passage] = []
    for number, document in enumerate(re.split(r"\n\s*\n", text)):
        held = ""
        for sentence in (match.group() for match in _SENTENCE.finditer(document)):
            held = f"{held} {sentence}".strip()
            if len(held) >= SHORTEST:
                found.append(Passage(held[:LONGEST], number))
                held = ""
        if len(found) >= most:
            return found[:most]
    return found


class NGrams:
    """The baseline: cosines of TF-IDF vectors over character 3-, 4- and 5-grams. Rarity is learned from the passages."""

    def __init__(self, texts: Sequence[str]) -> None:
        self.n = len(texts)
        counts = [_grams(text) for text in texts]
        self.frequency = Counter(gram for one in counts for gram in one)
        self.postings: dict[str, list[tuple[int, float]]] = defaultdict(list)
        for index, one in enumerate(counts):
            for gram, weight in self._weights(one).items():
                self.postings[gram].append((index, weight))

    def scores(self, text: str) -> np.ndarray:
        """The cosine (n,) of a text with every passage."""
        found = np.zeros(self.n)
        for gram, weight in self._weights(_grams(text)).items():
            for index, other in self.postings.get(gram, ()):
                found[index] += weight * other
        return found

    def _weights(self, counts: Counter[str]) -> dict[str, float]:
        """Weights of one text, of length one: (1 + log count) log((1 + n) / (1 + passages with it)) + its smoothing."""
        raw = {
            gram: (1 + math.log(count)) * (1 + math.log((1 + self.n) / (1 + self.frequency[gram])))
            for gram, count in counts.items()
        }
        length = math.sqrt(sum(weight * weight for weight in raw.values())) or 1.0
        return {gram: weight / length for gram, weight in raw.items()}


def _grams(text: str) -> Counter[str]:
    padded = f" {' '.join(text.lower().split())} "
    return Counter(padded[i : i + size] for size in SIZES for i in range(len(padded) - size + 1))


class Corpus:
    """Passages with the baseline over them, which is the same for every model. Raises ValueError for fewer than two."""

    def __init__(self, passages: Sequence[Passage]) -> None:
        if len(passages) < 2:
            raise ValueError(
                "The text has fewer than two passages: there is nothing to search in. Choose a longer text."
            )
        self.passages = tuple(passages)
        self.ngrams = NGrams([passage.text for passage in passages])


@dataclass(frozen=True)
class Index:
    """A corpus as a model reads it at a depth: the passages' vectors, centred (N, C), and the centre (C,)."""

    corpus: Corpus
    depth: int
    vectors: np.ndarray
    centre: np.ndarray


def build_index(model: Transformer, tokenizer: Tokenizer, corpus: Corpus, depth: int) -> Index:
    """Read every passage. Raises ValueError for a text that the tokenizer cannot express."""
    means = passage_means(model, [_encoded(tokenizer, passage.text) for passage in corpus.passages], depth)
    centre = means.mean(0)
    return Index(corpus, depth, means - centre, centre)


def _encoded(tokenizer: Tokenizer, text: str) -> list[int]:
    return [int(token) for token in tokenizer.encode(text)]


@dataclass(frozen=True)
class Hit:
    """A search result, with its cosine to the query and its rank by the other method (from 1)."""

    index: int
    score: float
    other: int


@dataclass(frozen=True)
class Found:
    """The best passages by the model and by n-grams."""

    model: tuple[Hit, ...]
    ngrams: tuple[Hit, ...]


def search(index: Index, model: Transformer, tokenizer: Tokenizer, query: str, k: int = 8) -> Found:
    """Passages nearest to a query, by both. Raises ValueError for a query that the tokenizer cannot express."""
    vector = passage_means(model, [_encoded(tokenizer, query)], index.depth) - index.centre
    by_model, by_ngrams = cosines(vector, index.vectors)[0], index.corpus.ngrams.scores(query)
    orders = [np.argsort(-scores, kind="stable") for scores in (by_model, by_ngrams)]
    places = [np.argsort(order, kind="stable") for order in orders]

    def hits(order: np.ndarray, scores: np.ndarray, place: np.ndarray) -> tuple[Hit, ...]:
        return tuple(Hit(int(i), float(scores[i]), int(place[i]) + 1) for i in order[:k])

    return Found(hits(orders[0], by_model, places[1]), hits(orders[1], by_ngrams, places[0]))


@dataclass(frozen=True)
class Trial:
    """How often a passage of the same document is nearer than one of another, over n documents; by chance one half.

    Shares by the model and by n-grams with the standard error of each, and their difference with its paired one.
    """

    n: int
    model: float
    model_error: float
    ngrams: float
    ngrams_error: float
    difference: float
    error: float


def same_document(index: Index, each: int = 4, seed: int = 0) -> Trial | None:
    """Take some passages of each document and rank all others: are those of the same document ranked first?

    The share of correctly ordered pairs (the area under the ROC curve) is averaged over a document's passages;
    documents are the unit of the errors. None with fewer than five documents that have two passages.
    """
    documents: dict[int, list[int]] = defaultdict(list)
    passages, ngrams = index.corpus.passages, index.corpus.ngrams
    for number, passage in enumerate(passages):
        documents[passage.document].append(number)
    several = [members for members in documents.values() if 1 < len(members) < len(passages)]
    if len(several) < 5:
        return None
    rng, near = np.random.default_rng(seed), unit(index.vectors)
    shares = np.zeros((2, len(several)))
    for column, members in enumerate(several):
        chosen = rng.choice(members, min(each, len(members)), replace=False)
        for number in chosen:
            same = np.isin(np.arange(len(passages)), members)
            both = near @ near[number], ngrams.scores(passages[number].text)
            for row, scores in enumerate(both):
                shares[row, column] += right_pairs(np.delete(scores, number), np.delete(same, number)) / len(chosen)
    difference = shares[0] - shares[1]
    error = [float(row.std(ddof=1) / math.sqrt(len(several))) for row in (*shares, difference)]
    model, counting = (float(row.mean()) for row in shares)
    return Trial(len(several), model, error[0], counting, error[1], float(difference.mean()), error[2])


def right_pairs(scores: np.ndarray, same: np.ndarray) -> float:
    """The share of pairs (one that is `same`, one that is not) in which the first scores higher; a tie counts half."""
    mine, others = scores[same], np.sort(scores[~same])
    below, upto = np.searchsorted(others, mine, "left"), np.searchsorted(others, mine, "right")
    return float((below + upto).mean() / 2 / len(others))


def in_words(trial: Trial) -> str:
    """Describe the evaluation in a sentence."""
    by_model, by_ngrams = apart(100 * trial.model, 100 * trial.ngrams)
    numbers = (
        f"Given a passage from the same story or paragraph and one from another, the model ranks the related one higher in "
        f"{by_model} % of pairs and n-grams in {by_ngrams} %; chance is 50 %."
    )
    if trial.difference < -2 * trial.error:
        return f"{numbers} N-grams are better than the model here."
    if not trial.difference > 2 * trial.error:  # also if the error is NaN
        return f"{numbers} The difference is within two standard errors: no advantage of the model is shown."
    if not trial.model > 0.5 + 2 * trial.model_error:
        return f"{numbers} The model is better than n-grams here, but not clearly better than chance."
    return f"{numbers} The model is better than n-grams here."


def similarity_map(
    model: Transformer, tokenizer: Tokenizer, lines: Sequence[str], depth: int, centre: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray]:
    """Cosines (N, N) of lines of text, by the model (less a centre, if there is one) and by n-grams."""
    means = passage_means(model, [_encoded(tokenizer, line) for line in lines], depth)
    ngrams = NGrams(lines)
    return cosines(means if centre is None else means - centre), np.stack([ngrams.scores(line) for line in lines])
