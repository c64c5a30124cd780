"""Evaluation on held-out text."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F

from playground.data.batches import IGNORED, DocumentWindows, Spread, windows
from playground.data.tasks import examples
from playground.models.kv_cache import KVCache
from playground.models.transformer import Transformer
from playground.tokenizers import Tokenizer

BATCH_TOKENS = 4096  # evaluated at a time
SCORED = 32  # held-out problems drawn for an exact match
BATCH_LOGITS = 2**23  # and never more logits than these: a vocabulary of 32,000 would take gigabytes


@contextmanager
def evaluating(model: Transformer) -> Iterator[None]:
    """Context manager: dropout off, no gradients; restores the model's mode afterwards."""
    was_training = model.training
    model.eval()
    try:
        with torch.inference_mode():
            yield
    finally:
        model.train(was_training)


class Evaluation(NamedTuple):
    """Metrics on held-out text. Losses in nats per target."""

    loss: float
    accuracy: float  # share of targets that were the model's top-1 prediction
    loss_se: float | None  # standard error of the loss over windows; None with fewer than two


def evaluate(
    model: Transformer,
    tokens: np.ndarray,
    mask: np.ndarray | None,
    n_tokens: int,
    among: DocumentWindows | None = None,
) -> Evaluation:
    """Mean loss, next-token accuracy and the loss's standard error over about `n_tokens` targets spread through a stream.

    The windows depend only on the stream and the context length, so every evaluation uses the same ones. If document
    windows are given in `among`, they are chosen from those.
    `mask` says which tokens are targets, as in `data.batches.windows`.
    """
    block_size = model.config.block_size
    device = model.embed.weight.device
    where = Spread.of(len(tokens), block_size, n_tokens, among)
    sums, counts, hits = [], [], 0  # of windows
    with evaluating(model):
        at_once = min(BATCH_TOKENS, BATCH_LOGITS // model.config.vocab_size)
        for part in where.split(max(1, len(where.offsets) * block_size // at_once)):
            x, y = (t.to(device) for t in windows(tokens, mask, part.offsets, block_size, part.lengths))
            logits = model(x).float()
            losses = F.cross_entropy(logits.flatten(0, 1), y.flatten(), ignore_index=IGNORED, reduction="none")
            sums.append(losses.view_as(y).sum(1).cpu().numpy().astype(np.float64))
            counts.append((y != IGNORED).sum(1).cpu().numpy())
            hits += int((logits.argmax(-1) == y).sum())
    loss, loss_se = mean_with_error(np.concatenate(sums), np.concatenate(counts))
    return Evaluation(loss, hits / max(1, int(np.concatenate(counts).sum())), loss_se)


def mean_with_error(sums: np.ndarray, counts: np.ndarray) -> tuple[float, float | None]:
    """The mean loss of a target and its standard error, from sums of losses (W,) and numbers of targets (W,) of windows.

    The targets of one window share a context and a topic, so windows, not targets, are treated as independent: the standard
    error is that of a ratio estimate over clusters (Cochran, Sampling Techniques, 6.4). Windows without a target are left
    out; with fewer than two windows the error is None.
    """
    sums, counts = sums[counts > 0], counts[counts > 0]
    n = len(sums)
    mean = float(sums.sum() / max(1, counts.sum()))
    if n < 2:
        return mean, None
    residuals = sums - mean * counts
    return mean, math.sqrt(n / (n - 1) * float(np.square(residuals).sum())) / float(counts.sum())


def scored_problems(task: str, block_size: int, n: int = SCORED, seed: int = 0) -> list[tuple[str, str]]:
    """Of n held-out (prompt, answer) pairs of a task those that fit into the context: these `exact_match` scores."""
    return [case for case in examples(task, n, seed) if len(case[0] + case[1]) <= block_size]


def exact_match(
    model: Transformer, tokenizer: Tokenizer, task: str, n: int = SCORED, seed: int = 0, *, version: int = 2
) -> float | None:
    """Share of `scored_problems` whose whole answer is correct with greedy decoding; None if none fits into the context.

    Each prompt follows a line end, as in the text; in task version 1 it follows nothing, which training windows rarely
    begin with. The share is known to about 1 / sqrt(n) only: `analysis.exact_match` says it with its number.
    """
    before = "\n" if version >= 2 else ""
    cases = scored_problems(task, model.config.block_size, n, seed)
    with evaluating(model):
        return (
            sum(_answers(model, tokenizer, before + prompt, answer) for prompt, answer in cases) / len(cases)
            if cases
            else None
        )


def _answers(model: Transformer, tokenizer: Tokenizer, prompt: str, answer: str) -> bool:
    cache = KVCache(model.config)
    device = model.embed.weight.device
    feed = torch.as_tensor(tokenizer.encode(prompt).astype(np.int64), device=device)
    for wanted in tokenizer.encode(answer):
        guess = model.unembed(model.hidden(feed[None], cache=cache)[0, -1]).argmax()
        if int(guess) != int(wanted):
            return False
        feed = guess[None]
    return True
