"""Position encodings: similarity of position vectors, RoPE's frequencies, ALiBi's slopes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from playground.config import ADDED, ModelConfig
from playground.interp.embeddings import cosines
from playground.models.positional import alibi_slopes
from playground.models.transformer import Transformer

MOST = 128  # positions of a map; of a longer context every n-th is shown


@dataclass(frozen=True)
class Frequency:
    """A pair of dimensions rotated by RoPE: radians per token, tokens per full turn, full turns within the context."""

    plane: int
    frequency: float
    wavelength: float
    turns: float


def rope_frequencies(config: ModelConfig) -> list[Frequency]:
    """theta^(-2 i / R) for planes i = 0 … R/2 - 1 of R turned dimensions (Su et al. 2021, section 3.2.2)."""
    dims = config.rope_dims
    found = []
    for plane in range(dims // 2):
        frequency = config.rope_theta ** (-2 * plane / dims)
        wavelength = 2 * np.pi / frequency
        found.append(Frequency(plane, frequency, wavelength, config.block_size / wavelength))
    return found


def shown_positions(block_size: int) -> np.ndarray:
    """At most `MOST` positions of a context, evenly spaced from the first."""
    return np.arange(0, block_size, -(-block_size // MOST))


def similarity(model: Transformer) -> np.ndarray | None:
    """Similarity (T, T) of the `shown_positions`, 1 on the diagonal; None for encodings without vectors.

    Learned and sinusoidal: cosine of what is added to the embedding. RoPE: the cosine between a vector rotated to one
    position and the same vector rotated to another, if all pairs have equal norms.
    """
    config = model.config
    at = shown_positions(config.block_size)
    if config.position == "rope":
        frequencies = np.array([one.frequency for one in rope_frequencies(config)])
        return np.asarray(np.cos((at[:, None] - at)[..., None] * frequencies).mean(-1))
    if config.position not in ADDED:
        return None
    positions = torch.from_numpy(at)[None].to(model.embed.weight.device)
    nothing = torch.zeros(1, len(at), config.n_embd, device=model.embed.weight.device)
    with torch.inference_mode():
        return cosines(model.positions.add(nothing, positions)[0].double().cpu().numpy())


def slopes(config: ModelConfig) -> list[float] | None:
    """ALiBi's penalty per token of distance, for each head; None for other encodings."""
    return alibi_slopes(config.n_head) if config.position == "alibi" else None
