"""One batch in detail: the windows of a training step, the loss at each position, and how it is computed."""

from __future__ import annotations

import inspect
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from playground.config import TrainConfig
from playground.data.batches import IGNORED, Spread, windows
from playground.models.transformer import Transformer
from playground.train.dataset import Dataset
from playground.train.gradients import cross_entropy

MAX_ROWS = 8
CANDIDATES = 8


@dataclass(frozen=True)
class Batch:
    """The first rows (B, T) of the windows of one step, and how many there were. Targets that do not count are IGNORED.

    `following` (B,) is the token after each window, whether it counts or not.
    """

    inputs: Tensor
    targets: Tensor
    following: Tensor
    n_rows: int


@dataclass(frozen=True)
class Candidate:
    """A possible next token: `weight` is exp(logit - largest logit), p = weight / sum of all weights."""

    token: int
    logit: float
    weight: float
    p: float


@dataclass(frozen=True)
class Explained:
    """How one row of logits becomes a loss: the most likely tokens, the target, and the sum of all others."""

    candidates: list[Candidate]
    target: int
    largest: float
    total: float  # sum of all weights
    p: float  # of the target
    loss: float  # -ln p, nats
    others: int
    p_others: float


def batch_of_step(data: Dataset, config: TrainConfig, block_size: int, step: int) -> Batch:
    """The windows of training step `step` (from 1). Raises ValueError for an invalid step."""
    if isinstance(step, bool) or not isinstance(step, int) or not 1 <= step <= 10_000_000:
        raise ValueError(f"Step must be a whole number from 1 to 10,000,000; {str(step)[:20]} is not.")
    count = config.batch_size * config.grad_accum
    chosen = Spread.random(len(data.train), block_size, count, config.seed, step, data.train_windows, data.train_mask)
    x, y = windows(data.train, data.train_mask, chosen.offsets, block_size, chosen.lengths)
    _, unmasked = windows(data.train, None, chosen.offsets, block_size, np.full(count, block_size))
    return Batch(x[:MAX_ROWS], y[:MAX_ROWS], unmasked[:MAX_ROWS, -1], count)


def losses(model: Transformer, batch: Batch) -> np.ndarray:
    """The loss of each target (B, T) in nats; NaN for ignored targets."""
    with torch.inference_mode():
        logits = model(batch.inputs).float()
        picked = logits.log_softmax(-1).gather(-1, batch.targets.clamp(min=0)[..., None])[..., 0]
    return torch.where(batch.targets == IGNORED, torch.nan, -picked).numpy()


def softmax_of_row(logits: Tensor) -> tuple[Tensor, Tensor]:
    """Weights (V,) and probabilities (V,) of one row of logits; the largest is subtracted so that nothing overflows."""
    weights = (logits - logits.max()).exp()
    return weights, weights / weights.sum()


def loss_of_row(logits: Tensor, target: int) -> float:
    """The cross-entropy of one position: minus the logarithm of the target's probability, in nats."""
    _, probabilities = softmax_of_row(logits)
    return -math.log(probabilities[target])


def explain(model: Transformer, ids: Sequence[int], position: int, target: int) -> Explained:
    """How the loss at one position of a window is computed, in float64.

    Raises ValueError for ids, a position or a target that the model does not have.
    """
    vocabulary, limit = model.config.vocab_size, model.config.block_size
    if not 1 <= len(ids) <= limit or not all(0 <= token < vocabulary for token in (*ids, target)):
        raise ValueError(f"A window has 1 to {limit} tokens with ids below {vocabulary:,}. Choose one of the batch.")
    if not 0 <= position < len(ids):
        raise ValueError(f"Position must be 0 to {len(ids) - 1}; {position} is not.")
    with torch.inference_mode():
        logits = model(torch.tensor([list(ids[: position + 1])]))[0, -1].double()
    weights, probabilities = softmax_of_row(logits)
    shown = logits.topk(min(CANDIDATES, vocabulary)).indices.tolist()
    shown += [] if target in shown else [target]
    return Explained(
        [Candidate(i, float(logits[i]), float(weights[i]), float(probabilities[i])) for i in shown],
        target,
        float(logits.max()),
        float(weights.sum()),
        float(probabilities[target]),
        loss_of_row(logits, target),
        vocabulary - len(shown),
        max(0.0, 1 - float(probabilities[shown].sum())),
    )


def code() -> list[dict[str, str]]:
    """The source code of the functions that computed these numbers."""
    return [
        {"name": f"{function.__module__}.{function.__name__}", "text": inspect.getsource(function)}
        for function in (windows, softmax_of_row, loss_of_row, cross_entropy)
    ]
