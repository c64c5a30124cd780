"""Activation patching: which activations carry the difference between two prompts?

The model reads a clean and a corrupted prompt of the same length, whose answers differ. While it reads the corrupted one,
an activation is replaced by its value on the clean one: the residual stream at one position (Meng et al. 2022), a head or
an MLP at all positions (Wang et al. 2022). The restored share of the logit difference between the two answers measures how
much that activation carries. Shares need not add up: two activations may be redundant, or depend on each other.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import Tensor

from playground.config import ModelConfig, counted
from playground.interp.limits import check_parts
from playground.models.trace import Trace
from playground.models.transformer import Transformer

LONGEST = 128  # tokens of a prompt: each position needs a forward pass
ROWS = 32  # prompts in one forward pass


@dataclass(frozen=True)
class Patching:
    """Logit differences of both prompts, and the share restored by each patch: usually 0 (none) to 1 (all).

    `residual` is (L + 1, T), depth 0 the embedding, depth L the stream after the last layer; `heads` (L, H); `mlps` (L,).
    """

    clean: float  # logit of the clean answer minus that of the corrupted one, after the clean prompt
    corrupted: float
    residual: np.ndarray
    heads: np.ndarray
    mlps: np.ndarray


def telling(model: Transformer, clean: Sequence[int], corrupted: Sequence[int]) -> tuple[int, int]:
    """The tokens whose probability increases and decreases most from the corrupted to the clean prompt."""
    with torch.inference_mode():
        after = [
            model.unembed(model.hidden(_tokens(model, ids))[0, -1]).double().softmax(-1) for ids in (clean, corrupted)
        ]
    gained = after[0] - after[1]
    return int(gained.argmax()), int(gained.argmin())


def patching(model: Transformer, clean: Sequence[int], corrupted: Sequence[int], answers: tuple[int, int]) -> Patching:
    """Patch every activation, one at a time. `answers` are the answer tokens of the clean and the corrupted prompt.

    Raises ValueError for prompts of different lengths, or longer than 128 tokens or the context, and if there is no
    difference to restore.
    """
    _check(model, clean, corrupted, answers)
    config, n_tokens = model.config, len(clean)
    with torch.inference_mode(), Trace(model, keep=[*streams(config), "*.z", "*.mlp_out"]) as trace:
        model.hidden(_tokens(model, clean))
    whole, broken = (logit_difference(model, ids, answers).item() for ids in (clean, corrupted))
    if abs(whole - broken) < 1e-6:
        raise ValueError("The two prompts change nothing between these answers. Change a prompt or an answer.")

    def restored(name: str, patch: Patch, copies: int) -> np.ndarray:
        return (logit_difference(model, corrupted, answers, {name: patch}, copies) - broken) / (whole - broken)

    layers = range(config.n_layer)
    heads, mlps = ([f"blocks.{layer}.{part}" for layer in layers] for part in ("z", "mlp_out"))
    return Patching(
        whole, broken,
        np.stack([restored(name, one_each(trace.kept[name]), n_tokens) for name in streams(config)]),
        np.stack([restored(name, one_each(trace.kept[name]), config.n_head) for name in heads]),
        np.concatenate([restored(name, everywhere(trace.kept[name]), 1) for name in mlps]),
    )  # fmt: skip


def streams(config: ModelConfig) -> list[str]:
    """The names of the residual stream at depth 0 … L."""
    layers = range(config.n_layer)
    return [*(f"blocks.{layer}.resid_pre" for layer in layers), f"blocks.{config.n_layer - 1}.resid_post"]


def _check(model: Transformer, clean: Sequence[int], corrupted: Sequence[int], answers: tuple[int, int]) -> None:
    check_parts(model.config)
    limit = min(LONGEST, model.config.block_size)
    if len(clean) != len(corrupted):
        raise ValueError(
            f"The clean prompt has {counted(len(clean), 'token')}, the corrupted one {len(corrupted)}. Make "
            "them equally long."
        )
    if not 1 <= len(clean) <= limit:
        remedy = "Shorten both" if clean else "Write some words"
        raise ValueError(
            f"A prompt has {counted(len(clean), 'token')}; patching this model takes 1 to {limit}. {remedy}."
        )
    if list(clean) == list(corrupted):
        raise ValueError("The two prompts are the same tokens. Change a word in one of them.")
    if answers[0] == answers[1]:
        raise ValueError(
            "Both prompts have the same answer, so patching has nothing to measure. Change a prompt or an answer."
        )


def _tokens(model: Transformer, ids: Sequence[int]) -> Tensor:
    return torch.tensor([list(ids)], device=model.embed.weight.device)


Patch = Callable[
    [Tensor, Tensor], Tensor
]  # an activation (B, ...) of B copies and their numbers -> the activation, changed


def logit_difference(
    model: Transformer,
    ids: Sequence[int],
    answers: tuple[int, int],
    patches: Mapping[str, Patch] | None = None,
    copies: int = 1,
) -> np.ndarray:
    """Logit of the first answer minus that of the second after a prompt, for a batch of copies of it: (copies,) float64.

    `patches` change activations by name; each receives the indices of its copies, so that each copy can be patched
    differently.
    """
    found = []
    for rows in torch.arange(copies, device=model.embed.weight.device).split(ROWS):
        edit = {name: partial(_apply, patch, rows) for name, patch in (patches or {}).items()}
        with torch.inference_mode(), Trace(model, edit=edit):
            hidden = model.hidden(_tokens(model, ids).expand(len(rows), -1))[:, -1]
            logits = model.unembed(hidden).double()
        found.append((logits[:, answers[0]] - logits[:, answers[1]]).cpu().numpy())
    return np.concatenate(found)


def _apply(patch: Patch, rows: Tensor, x: Tensor) -> Tensor:
    return patch(x.clone(), rows)


def one_each(clean: Tensor) -> Patch:
    """Copy n receives the n-th slice of a clean activation: position n of a stream (1, T, C), head n of a z (1, H, T, D)."""

    def patch(x: Tensor, rows: Tensor) -> Tensor:
        x[torch.arange(len(rows)), rows] = clean[0, rows]
        return x

    return patch


def everywhere(clean: Tensor) -> Patch:
    """Every copy receives the whole clean activation."""
    return lambda x, rows: clean.expand_as(x)
