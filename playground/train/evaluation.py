"""Measuring a model on text it has not trained on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
import torch.nn.functional as F

from playground.data.batches import IGNORED, spread_windows, windows
from playground.data.tasks import examples
from playground.models.kv_cache import KVCache
from playground.models.transformer import Transformer
from playground.tokenizers import Tokenizer

BATCH_TOKENS = 4096  # evaluated at a time
BATCH_LOGITS = 2**23  # and never more logits than these: a vocabulary of 32,000 would take gigabytes


@contextmanager
def evaluating(model: Transformer) -> Iterator[None]:
    """Dropout off and no gradients inside; the model's mode as it was afterwards."""
    was_training = model.training
    model.eval()
    try:
        with torch.inference_mode():
            yield
    finally:
        model.train(was_training)


def evaluate(model: Transformer, tokens: np.ndarray, mask: np.ndarray | None, n_tokens: int) -> tuple[float, float]:
    """Mean loss (nats per token) and next-token accuracy over about `n_tokens` targets spread through a stream.

    The windows depend on the stream's length and the context alone: every model is asked the same questions each time.
    """
    block_size = model.config.block_size
    device = model.embed.weight.device
    offsets = spread_windows(len(tokens), block_size, n_tokens)
    loss, hits, count = 0.0, 0, 0
    with evaluating(model):
        at_once = min(BATCH_TOKENS, BATCH_LOGITS // model.config.vocab_size)
        for part in np.array_split(offsets, min(len(offsets), max(1, len(offsets) * block_size // at_once))):
            x, y = (t.to(device) for t in windows(tokens, mask, part, block_size))
            logits = model(x).float()
            loss += F.cross_entropy(logits.flatten(0, 1), y.flatten(), ignore_index=IGNORED, reduction="sum").item()
            hits += int((logits.argmax(-1) == y).sum())
            count += int((y != IGNORED).sum())
    return loss / max(1, count), hits / max(1, count)


def exact_match(model: Transformer, tokenizer: Tokenizer, task: str, n: int = 32, seed: int = 0) -> float:
    """Share of n held-out examples of an algorithmic task whose whole answer the model's first guesses get right."""
    cases = [case for case in examples(task, n, seed) if len(case[0] + case[1]) <= model.config.block_size]
    with evaluating(model):
        return sum(_answers(model, tokenizer, *case) for case in cases) / max(1, len(cases))


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
