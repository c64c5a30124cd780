"""Logit lens: predictions after each layer, and the loss of each token of a text.

The logit lens (nostalgebraist 2020) reads the residual stream after a layer as if it were the last one: the final norm,
then the unembedding. If a prediction appears there, later layers do not need to change it; if none
appears, it may still be encoded in another way.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from playground.config import counted
from playground.interp.limits import check_memory
from playground.models.trace import Trace
from playground.models.transformer import Transformer

TOP = 5


@dataclass(frozen=True)
class Lens:
    """For each depth 0 … L (0 is the embedding, L the model's own prediction) and position t, about the token after t.

    All arrays are (L + 1, T), `top` and `top_probability` (L + 1, T, k), most likely first; bits are base 2.
    """

    top: np.ndarray
    top_probability: np.ndarray
    entropy: np.ndarray  # bits
    divergence: np.ndarray  # bits, KL(final ‖ this depth)
    actual: np.ndarray  # probability of the actual next token; NaN at the last position


def logit_lens(model: Transformer, ids: Sequence[int], k: int = TOP) -> Lens:
    """Predictions after every layer. Raises ValueError without ids, with more than the context length,
    and for more logits than fit into memory."""
    log_probabilities = _by_depth(model, ids)  # (L + 1, T, V), natural logarithms, float64
    probability, top = log_probabilities.exp().topk(min(k, log_probabilities.size(-1)))
    final = log_probabilities[-1]
    actual = torch.full(log_probabilities.shape[:2], math.nan, dtype=torch.float64)
    following = torch.tensor(list(ids[1:]), dtype=torch.long)
    actual[:, :-1] = log_probabilities[:, torch.arange(len(ids) - 1), following].exp()
    return Lens(
        top=top.numpy(),
        top_probability=probability.numpy(),
        entropy=_bits(-(log_probabilities.exp() * log_probabilities).sum(-1)),
        divergence=_bits((final.exp() * (final - log_probabilities)).sum(-1).clamp(min=0)),
        actual=actual.numpy(),
    )


def _by_depth(model: Transformer, ids: Sequence[int]) -> Tensor:
    limit, layers = model.config.block_size, range(model.config.n_layer)
    if not 1 <= len(ids) <= limit:
        raise ValueError(f"The text has {counted(len(ids), 'token')}; this model reads 1 to {limit}. Change the text.")
    depths, n_tokens, vocabulary = len(layers) + 1, len(ids), model.config.vocab_size
    what = f"The lens of {counted(depths, 'depth')} on {counted(n_tokens, 'token')} with a vocabulary of {vocabulary:,}"
    check_memory(what, depths * n_tokens * vocabulary)
    with torch.inference_mode(), Trace(model, keep=["embed", "*.resid_post"]) as trace:
        final = model.hidden(torch.tensor([list(ids)], device=model.embed.weight.device))
        streams = [trace.kept["embed"], *(trace.kept[f"blocks.{layer}.resid_post"] for layer in layers[:-1])]
        hidden = torch.cat([*(model.norm(stream) for stream in streams), final])
        return model.unembed(hidden).double().log_softmax(-1).cpu()


def _bits(nats: Tensor) -> np.ndarray:
    return (nats / math.log(2)).numpy()
