"""Ablation: the effect of switching off a part of a model.

A part is a head, an MLP, the attention of a layer, or a layer. It is ablated by replacing its output with zeros, or with
its mean over validation text, which removes the information about this text but keeps the constant part (Wang et al.
2022). The model is not retrained, so a higher loss means that other parts relied on this one, not that the model could
not do without it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from playground.config import ModelConfig
from playground.data.batches import IGNORED, Spread, windows
from playground.models.kv_cache import KVCache
from playground.models.trace import Edit, Trace
from playground.models.transformer import Transformer
from playground.train.dataset import Dataset

Kind = Literal["head", "mlp", "attention"]
How = Literal["zero", "mean"]
BATCH_TOKENS = 4096
LONGEST = 64  # maximum length of a continuation, in tokens


@dataclass(frozen=True, order=True)
class Part:
    """A part to ablate. Layers and heads count from 0; `head` is -1 unless the part is a head."""

    layer: int
    kind: Kind
    head: int = -1

    def name(self) -> str:
        """Its name for display, counting from 1."""
        words = {"head": f"head {self.head + 1}", "mlp": "MLP", "attention": "all attention"}
        return f"Layer {self.layer + 1} · {words[self.kind]}"


def parts_of(config: ModelConfig) -> list[Part]:
    """Every head and every MLP, in the order of computation."""
    return [
        part
        for layer in range(config.n_layer)
        for part in (*(Part(layer, "head", head) for head in range(config.n_head)), Part(layer, "mlp"))
    ]


def check_parts(model: Transformer, parts: Iterable[Part]) -> None:
    """Raises ValueError for a part that this model does not have."""
    config = model.config
    for part in parts:
        if not 0 <= part.layer < config.n_layer:
            raise ValueError(f"Layer {part.layer + 1} is not there: this model has {config.n_layer}. Choose another.")
        if part.kind == "head" and not 0 <= part.head < config.n_head:
            raise ValueError(f"Head {part.head + 1} is not there: a layer has {config.n_head}. Choose another.")


Means = dict[str, Tensor]


def means(model: Transformer, sequences: Tensor, lengths: Tensor | None = None) -> Means:
    """The mean outputs of heads, MLPs and attention layers over token ids (B, T), by activation name, for `edits`.

    With `lengths` (B,), over so many tokens of each sequence: what follows is not part of it."""
    with torch.inference_mode(), Trace(model, keep=["*.z", "*.mlp_out", "*.attn_out"]) as trace:
        model.hidden(sequences.to(model.embed.weight.device))
    if lengths is None:
        lengths = torch.full((len(sequences),), sequences.size(1))
    own = (torch.arange(sequences.size(1)) < lengths[:, None]).to(model.embed.weight.device)  # (B, T)
    return {
        name: (value.transpose(1, 2) if value.ndim == 4 else value)[own].mean(
            dim=0
        )  # (H, D) of z (B, H, T, D), else (C,)
        for name, value in trace.kept.items()
    }


def edits(parts: Iterable[Part], average: Means | None = None) -> dict[str, Edit]:
    """The edits for a `Trace` that ablate these parts: to zero, or to the result of `means`."""
    heads: dict[str, list[int]] = {}
    whole: dict[str, Edit] = {}
    for part in sorted(set(parts)):
        if part.kind == "head":
            heads.setdefault(f"blocks.{part.layer}.z", []).append(part.head)
        else:
            name = f"blocks.{part.layer}.{'mlp_out' if part.kind == 'mlp' else 'attn_out'}"
            whole[name] = _replaced(None if average is None else average[name])
    off = {name: _heads_replaced(chosen, None if average is None else average[name]) for name, chosen in heads.items()}
    return {**off, **whole}


def _replaced(value: Tensor | None) -> Edit:
    return lambda x: torch.zeros_like(x) if value is None else value.expand_as(x)


def _heads_replaced(heads: list[int], value: Tensor | None) -> Edit:
    def replace(z: Tensor) -> Tensor:  # (B, H, T, D)
        z = z.clone()
        z[:, heads] = 0 if value is None else value[heads][:, None]
        return z

    return replace


@dataclass(frozen=True)
class Probe:
    """Windows of validation text: inputs and targets (N, T), and the unmodified model's summed loss on each (N,)."""

    inputs: Tensor
    targets: Tensor
    losses: Tensor
    counts: Tensor
    average: Means

    @property
    def n_tokens(self) -> int:
        return int(self.counts.sum())

    @property
    def loss(self) -> float:
        """Nats per token."""
        return float(self.losses.sum() / self.counts.sum())


def probe(model: Transformer, data: Dataset, n_tokens: int) -> Probe:
    """About `n_tokens` targets, spread over the validation text, with the losses of the whole model."""
    size = model.config.block_size
    where = Spread.of(len(data.validation), size, n_tokens, data.validation_windows)
    inputs, targets = windows(data.validation, data.validation_mask, where.offsets, size, where.lengths)
    counts = (targets != IGNORED).sum(1)
    lengths = None if where.lengths is None else torch.from_numpy(where.lengths)
    return Probe(inputs, targets, _losses(model, inputs, targets, {}), counts, means(model, inputs, lengths))


def _losses(model: Transformer, inputs: Tensor, targets: Tensor, changes: dict[str, Edit]) -> Tensor:
    """Loss summed over each window (N,), in nats, float64."""
    device, size = model.embed.weight.device, max(1, BATCH_TOKENS // inputs.size(1))
    parts = []
    with torch.inference_mode(), Trace(model, edit=changes):
        for x, y in zip(inputs.split(size), targets.split(size), strict=True):
            logits = model.unembed(model.hidden(x.to(device))).float()
            loss = F.cross_entropy(logits.transpose(1, 2), y.to(device), ignore_index=IGNORED, reduction="none")
            parts.append(loss.double().sum(1).cpu())
    return torch.cat(parts)


@dataclass(frozen=True)
class Effect:
    """How the loss changes (nats per token) when something is switched off, and the standard error of this change."""

    change: float
    error: float  # NaN for a single window


def effect(model: Transformer, on: Probe, parts: Sequence[Part], how: How = "zero") -> Effect:
    """Measure the effect of ablating parts. The same windows are used with and without: the error is of paired differences.

    Windows differ in their number of targets, so this is a ratio of means, with the usual linearised standard error.
    """
    check_parts(model, parts)
    off = edits(parts, on.average if how == "mean" else None)
    difference = _losses(model, on.inputs, on.targets, off) - on.losses
    weight = on.counts.double()
    change = float(difference.sum() / weight.sum())
    n = len(difference)
    residual = difference - change * weight
    spread = float(residual.square().sum()) * n / (n - 1) if n > 1 else math.nan
    return Effect(change, math.sqrt(spread) / float(weight.sum()))


@dataclass(frozen=True)
class Continuation:
    """The next token's distribution (V,) after a text, and the text's greedy continuation."""

    probabilities: np.ndarray
    ids: list[int]


def continuation(
    model: Transformer, ids: Sequence[int], parts: Sequence[Part], average: Means | None, n_tokens: int
) -> Continuation:
    """The greedy continuation of a text with these parts ablated (none: the whole model), within the context."""
    check_parts(model, parts)
    cache, device = KVCache(model.config), model.embed.weight.device
    feed, first = [int(token) for token in ids[-model.config.block_size :]], None
    written: list[int] = []
    n_tokens = min(n_tokens, LONGEST, model.config.block_size - len(feed) + 1)
    with torch.inference_mode(), Trace(model, edit=edits(parts, average)):
        while len(written) < max(1, n_tokens):
            logits = model.unembed(model.hidden(torch.tensor([feed], device=device), cache=cache)[0, -1])
            first = logits.double().softmax(-1).cpu().numpy() if first is None else first
            feed = [int(logits[: model.n_tokens].argmax())]  # padding ids are never generated
            written += feed
    assert first is not None
    return Continuation(first, written)
