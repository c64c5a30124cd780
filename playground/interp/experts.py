"""Experts of a mixture: their load, and which kinds of tokens they process.

Measured are the load of each expert, and the mutual information between the kind of a token and its first-choice expert.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from playground.interp.activations import BATCH_TOKENS
from playground.models.trace import Trace
from playground.models.transformer import Transformer

SHUFFLES = 20


@dataclass(frozen=True)
class Routes:
    """Where N tokens are sent in each of L layers: ids (L, N, k), the first choice first, and probabilities (L, N, E)."""

    chosen: np.ndarray
    probabilities: np.ndarray

    @property
    def load(self) -> np.ndarray:
        """The share of all choices that each expert gets, (L, E)."""
        n_expert = self.probabilities.shape[-1]
        counts = [np.bincount(layer.ravel(), minlength=n_expert) for layer in self.chosen]
        return np.stack(counts) / self.chosen[0].size


def route(model: Transformer, sequences: np.ndarray) -> Routes:
    """The routing of tokens (B, T). Raises ValueError for a model without experts."""
    config = model.config
    if config.n_expert == 1:
        raise ValueError(
            "This model is dense: one MLP a layer, and no router. Choose a run with experts, or train one: Train, "
            "preset Mixture."
        )
    chosen, probabilities = [], []
    size = max(1, BATCH_TOKENS // max(1, sequences.shape[1]))
    with torch.inference_mode(), Trace(model, keep=["*.router", "*.experts"]) as trace:
        for batch in torch.from_numpy(np.asarray(sequences, dtype=np.int64)).split(size):
            model.hidden(batch.to(model.embed.weight.device))
            kept = [
                (trace.kept[f"blocks.{i}.experts"], trace.kept[f"blocks.{i}.router"]) for i in range(config.n_layer)
            ]
            chosen.append(torch.stack([ids.flatten(0, 1) for ids, _ in kept]))
            probabilities.append(torch.stack([p.flatten(0, 1) for _, p in kept]))
    return Routes(torch.cat(chosen, 1).cpu().numpy(), torch.cat(probabilities, 1).double().cpu().numpy())


def entropy(shares: np.ndarray) -> np.ndarray:
    """Entropy in bits of distributions (..., E)."""
    return -(shares * np.log2(np.where(shares > 0, shares, 1))).sum(-1)


def effective(load: np.ndarray) -> np.ndarray:
    """The effective number of experts per layer for loads (L, E): 2 to the entropy of the load, from 1 to E."""
    return 2 ** entropy(load)


def mutual_information(a: np.ndarray, b: np.ndarray) -> float:
    """I(a; b) in bits of two sequences (N,) of labels from 0, by counting (the plug-in estimate, which errs upward)."""
    joint = np.zeros((int(a.max()) + 1, int(b.max()) + 1))
    np.add.at(joint, (a, b), 1 / len(a))
    return float(entropy(joint.sum(1)) + entropy(joint.sum(0)) - entropy(joint.ravel()))


@dataclass(frozen=True)
class Information:
    """Mutual information of label and expert in bits; mean and standard deviation with shuffled labels."""

    bits: float
    shuffled: float
    spread: float


def information(labels: np.ndarray, experts: np.ndarray, seed: int = 0) -> Information:
    """Mutual information of labels and experts (N,), and the same with shuffled labels.

    The shuffled value is not zero, because the plug-in estimate is biased with few tokens and many labels. Only values above
    it are meaningful.
    """
    rng = np.random.default_rng(seed)
    noise = [mutual_information(rng.permutation(labels), experts) for _ in range(SHUFFLES)]
    return Information(mutual_information(labels, experts), float(np.mean(noise)), float(np.std(noise, ddof=1)))


def by_kind(kinds: np.ndarray, experts: np.ndarray, n_kind: int, n_expert: int) -> np.ndarray:
    """For each kind of token, the share that prefers each expert, (n_kind, n_expert); zeros for a kind that does not
    occur."""
    counts = np.zeros((n_kind, n_expert))
    np.add.at(counts, (kinds, experts), 1)
    return counts / np.maximum(1, counts.sum(1, keepdims=True))
