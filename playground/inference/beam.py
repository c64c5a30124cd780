"""Beam search: approximate search for the continuation with the highest total probability.

Greedy decoding takes the most likely token at each step and can miss the most likely text. Beam search keeps the
`n_beam` most likely prefixes instead of one (Lowerre 1976). With as many beams as there are texts it is exhaustive.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from playground.inference.generation import DecodingSession
from playground.models.transformer import Transformer


@dataclass(frozen=True)
class Beam:
    """A candidate: its tokens, the model's probability of each, and the log of their product in nats."""

    ids: tuple[int, ...]
    probabilities: tuple[float, ...]
    score: float


def beam_search(
    model: Transformer, ids: Sequence[int], n_tokens: int, n_beam: int, ends: Collection[int] = ()
) -> Iterator[list[Beam]]:
    """The candidates after each of `n_tokens` tokens, best first; among equals the one with the lower ids.

    A candidate that has reached a token of `ends` is complete and is kept unchanged while it is among the best. The search
    ends when all candidates are complete.
    The model must be in eval mode. Raises ValueError for an empty prompt or fewer than one beam.
    """
    if n_beam < 1:
        raise ValueError(f"Beams must be 1 or more; {n_beam} is not.")
    reader = DecodingSession(model)
    logits = reader.feed(ids)[None]
    growing, whole = [Beam((), (), 0.0)], list[Beam]()
    for count in range(n_tokens):
        longer = zip(*_extend(growing, _log_softmax(logits)[:, : model.n_tokens], n_beam), strict=True)
        candidates = [*((beam, -1) for beam in whole), *longer]
        best = sorted(candidates, key=lambda candidate: -candidate[0].score)[:n_beam]
        yield [beam for beam, _ in best]
        whole = [beam for beam, _ in best if beam.ids[-1] in ends]
        alive = [(beam, parent) for beam, parent in best if beam.ids[-1] not in ends]
        if not alive or count + 1 == n_tokens:
            return
        growing = [beam for beam, _ in alive]
        reader.fork([parent for _, parent in alive])
        logits = reader.feed_rows([beam.ids[-1:] for beam in growing])


def _extend(beams: list[Beam], log_p: np.ndarray, n_beam: int) -> tuple[list[Beam], list[int]]:
    """The best continuations of all beams by one token, with the number of the beam that each comes from."""
    scores = (log_p + np.array([[beam.score] for beam in beams])).ravel()
    best = np.argsort(-scores, kind="stable")[:n_beam]
    parents, tokens = np.divmod(best, log_p.shape[1])
    return [
        Beam(
            (*beams[parent].ids, int(token)),
            (*beams[parent].probabilities, float(np.exp(log_p[parent, token]))),
            float(scores[place]),
        )
        for parent, token, place in zip(parents, tokens, best, strict=True)
    ], parents.tolist()


def _log_softmax(logits: np.ndarray) -> np.ndarray:
    scores = logits.astype(np.float64) - logits.max(axis=-1, keepdims=True)
    return np.asarray(scores - np.log(np.exp(scores).sum(axis=-1, keepdims=True)))
