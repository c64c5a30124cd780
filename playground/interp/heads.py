"""Head scores: six numbers per head, computed from its attention pattern.

Three measure where it attends: to the previous token, to an earlier copy of the same token, or to the token after such a
copy. The last is an *induction* head: having seen "ab … a", it attends to "b", which lets the model repeat a sequence.
These are measured on random tokens that are repeated once, so that grammar or knowledge cannot help.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from playground.interp.limits import check_attention
from playground.models.trace import Trace
from playground.models.transformer import Transformer
from playground.tokenizers import Tokenizer, pieces

REPEATED = 24  # tokens that are repeated, if the context is long enough
SEQUENCES = 8


@dataclass(frozen=True)
class Score:
    """One of the numbers: what it measures, in words, its unit, and who defined it."""

    id: str
    name: str
    unit: str
    definition: str
    source: str


SCORES = (
    Score("previous", "Previous token", "share",
          "Mean attention from a token to the one just before it, on repeated random tokens.", "Elhage et al. 2021"),
    Score("duplicate", "Duplicate token", "share",
          "Mean attention from a token in the second copy to the same token in the first.", "Wang et al. 2022"),
    Score("induction", "Induction", "share",
          "Mean attention from a token in the second copy to the token that followed it in the first: prefix matching.",
          "Olsson et al. 2022"),
    Score("sink", "First token", "share", "Mean attention to the first token of your text, from all later ones.",
          "Xiao et al. 2023"),
    Score("entropy", "Entropy", "bits", "How spread a row is on your text: 0 for one token, log2 n for n alike.",
          "Shannon 1948"),
    Score("distance", "Distance", "tokens", "How many tokens back it looks on your text, weighted by attention.",
          "Vig & Belinkov 2019"),
)  # fmt: skip


def letters_of(tokenizer: Tokenizer) -> list[int]:
    """Tokens for random sequences: the letters a to z, or all alphanumeric tokens if there are few letters."""
    names = pieces(tokenizer, range(tokenizer.vocab_size))
    letters = [token for token, name in enumerate(names) if len(name) == 1 and "a" <= name <= "z"]
    if len(letters) >= REPEATED // 2:
        return letters
    return [token for token, name in enumerate(names) if name.strip().isalnum()] or list(range(tokenizer.vocab_size))


def repeated_tokens(vocabulary: Sequence[int], block_size: int, seed: int = 0) -> np.ndarray:
    """Probes (N, 2 n): n different tokens of a vocabulary in random order, then the same again."""
    n = max(1, min(REPEATED, block_size // 2, len(vocabulary)))
    rng = np.random.default_rng(seed)
    halves = [rng.choice(np.asarray(vocabulary), n, replace=False) for _ in range(SEQUENCES)]
    return np.stack([np.concatenate((half, half)) for half in halves])


def patterns_of(model: Transformer, ids: np.ndarray) -> np.ndarray:
    """Attention (N, L, H, T, T) of sequences (N, T) that fit the context. Raises ValueError if they do not fit memory."""
    check_attention(model.config, model.config.n_layer, ids.shape[1], len(ids))
    with torch.inference_mode(), Trace(model, keep=["*.pattern"]) as trace:
        model.hidden(torch.from_numpy(ids).to(model.embed.weight.device))
    layers = [trace.kept[f"blocks.{layer}.pattern"] for layer in range(model.config.n_layer)]
    return torch.stack(layers, dim=1).double().cpu().numpy()


def repeat_scores(patterns: np.ndarray, ids: np.ndarray) -> dict[str, np.ndarray]:
    """Previous, duplicate and induction scores (L, H) of patterns (N, L, H, T, T) on sequences (N, T).

    Means over the tokens for which such a position exists: for the last two, tokens that occurred before. If a token
    occurred several times, attention to all of these positions counts.
    """
    earlier = np.tril(ids[:, :, None] == ids[:, None, :], -1)  # (N, T, T): the same token, before
    behind = np.zeros_like(earlier)
    behind[:, :, 1:] = earlier[:, :, :-1]
    rows = earlier.any(-1)[:, None, None, :]  # (N, 1, 1, T)
    count = max(1, int(rows.sum()))

    def share(places: np.ndarray) -> np.ndarray:
        return np.where(rows, (patterns * places[:, None, None]).sum(-1), 0).sum((0, 3)) / count

    before = np.diagonal(patterns, -1, axis1=-2, axis2=-1)
    return {"previous": before.mean((0, 3)), "duplicate": share(earlier), "induction": share(behind)}


def text_scores(patterns: np.ndarray) -> dict[str, np.ndarray]:
    """First-token share, entropy (bits) and distance (tokens), each (L, H), of patterns (L, H, T, T) on a text."""
    size = patterns.shape[-1]
    if size < 2:
        nothing = np.zeros(patterns.shape[:2])
        return {"sink": nothing, "entropy": nothing, "distance": nothing}
    rows = patterns[:, :, 1:]
    ages = np.arange(1, size)[:, None] - np.arange(size)
    entropy = -(rows * np.log2(np.where(rows > 0, rows, 1))).sum(-1)
    return {
        "sink": rows[..., 0].mean(-1),
        "entropy": entropy.mean(-1),
        "distance": (rows * ages).sum(-1).mean(-1),
    }


def head_scores(model: Transformer, probes: np.ndarray, ids: Sequence[int]) -> dict[str, np.ndarray]:
    """All of `SCORES` by id, each (L, H): the first three on repeated random tokens, the others on a text."""
    text = patterns_of(model, np.asarray([list(ids)]))[0]
    return {**repeat_scores(patterns_of(model, probes), probes), **text_scores(text)}
