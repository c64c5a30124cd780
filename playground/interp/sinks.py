"""Attention sinks: the attention of each head to the first token, during training.

The measure is that of Gu et al. 2024 ("When Attention Sink Emerges in Language Models"): for a head, the attention that the
first token gets from all tokens of a text, itself included, on average; and the share of heads in which that is above
epsilon = 0.3.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from playground.config import counted
from playground.interp.attention import attention_patterns
from playground.models.transformer import Transformer

EPSILON = 0.3
LENGTH = 64  # tokens of a text, as in the paper


def sink_mass(model: Transformer, texts: np.ndarray) -> np.ndarray:
    """Attention (L, H) to the first token, averaged over texts (B, T) and queries. The model must be in eval mode.

    A head with uniform attention would have (1 + 1/2 + ... + 1/T) / T: 0.074 for 64 tokens.
    """
    return masses(model, texts)[0]


def masses(model: Transformer, texts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """`sink_mass`, and the attention (L, H) to a sink logit, i.e. to nothing; zero without a sink logit."""
    patterns = [attention_patterns(model, text.tolist()).astype(np.float64) for text in texts]  # (L, H, T, T) each
    first = np.mean([pattern[:, :, :, 0].mean(axis=-1) for pattern in patterns], axis=0)
    seen = np.mean([pattern.sum(axis=-1).mean(axis=-1) for pattern in patterns], axis=0)
    return np.asarray(first), np.asarray((1 - seen).clip(min=0).round(6))


def sink_rate(mass: np.ndarray, epsilon: float = EPSILON) -> float:
    """The share of heads whose mass is above epsilon."""
    return float((mass > epsilon).mean())


def even_mass(length: int) -> float:
    """The mass of a head with uniform attention."""
    return float(np.mean(1 / np.arange(1, length + 1)))


@dataclass(frozen=True)
class SinkPoint:
    """The heads of one checkpoint."""

    step: int
    mass: np.ndarray  # (L, H) on the first token
    nothing: np.ndarray  # (L, H) on nothing


def through_training(
    load: Callable[[int], Transformer], steps: Sequence[int], texts: np.ndarray
) -> Iterator[SinkPoint]:
    """The heads at each checkpoint, one after the other."""
    for step in steps:
        yield SinkPoint(step, *masses(load(step), texts))


def idle(points: Sequence[SinkPoint]) -> str:
    """A sentence on the final attention to a sink logit; empty without one."""
    last = points[-1]
    if not last.nothing.any():
        return ""
    layer, head = np.unravel_index(int(last.nothing.argmax()), last.nothing.shape)
    n, above = last.nothing.size, int((last.nothing > EPSILON).sum())
    return (
        f" The sink logits take {100 * last.nothing.mean():.1f} % of all attention; heads with more than 30 %: {above} "
        f"of {n}; "
        f"the highest is layer {layer + 1} head {head + 1} with {100 * last.nothing.max():.1f} %."
    )


def in_words(points: Sequence[SinkPoint], length: int) -> str:
    """Describe the points in a sentence."""
    last = points[-1]
    n, above = last.mass.size, int((last.mass > EPSILON).sum())
    layer, head = np.unravel_index(int(last.mass.argmax()), last.mass.shape)
    strongest = f"The strongest is layer {layer + 1} head {head + 1} with {100 * last.mass.max():.1f} %"
    even = f"uniform attention to all tokens so far would give {100 * even_mass(length):.1f} %"
    if not above:
        found = f"No head of {n} puts more than 30 % of its attention on the first token."
    else:
        sinks = last.mass > EPSILON
        first = next(point.step for point in points if (point.mass > EPSILON)[sinks].any())
        found = (
            f"{above} of {counted(n, 'head')} {'puts' if above == 1 else 'put'} more than 30 % of attention on the first "
            f"token, first seen at step {first:,}."
        )
    return f"**{found}**\n\n{strongest}; {even}.{idle(points)}"
