"""One step's losses and gradients: micro-batches, precision and auxiliary losses.

Weights, gradients and optimizer state are always fp32. At a lower `precision` the matrix products read rounded copies
of weights and activations (autocast). fp16 has no numbers below 6e-8, so its loss is multiplied before the backward
pass and the gradients divided after it (Micikevicius et al. 2018), by PyTorch's `GradScaler`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.amp import GradScaler

from playground.config import TrainConfig
from playground.data.batches import IGNORED
from playground.models.moe import Routing
from playground.models.transformer import Transformer
from playground.train.data_parallel import DataParallelThreads, collect
from playground.train.routing import router_loss

ForwardBackward = Callable[
    [Tensor, Tensor, int], float
]  # as `compiled.CompiledForwardBackward` and `fastest_forward_backward`; for models without experts

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
UNSCALED = GradScaler("cpu", enabled=False)  # has no state and returns losses as they are


def accumulate(
    model: Transformer,
    x: Tensor,
    y: Tensor,
    config: TrainConfig,
    *,
    targets: int,
    count: int,
    scaler: GradScaler = UNSCALED,
    passes: ForwardBackward | None = None,
) -> float:
    """Add the gradients of sequences x, y (B, T), micro-batch by micro-batch, to the model's; return their part of the loss.

    `targets` and `count` are the targets and sequences of the whole step, of which x and y may be a part. Cross-entropy
    and z-loss are means over the targets of the step, and the router z-loss is one over its tokens, however they are
    dealt out to micro-batches, lanes and processes. The balance loss is not a mean over tokens: it is that of each
    micro-batch, weighted by its sequences. Only the cross-entropy is part of the loss that is returned, in nats per
    target. The gradients are multiplied by the scale of `scaler`; the loss is not. `passes` computes micro-batches of
    full size.
    """
    loss = 0.0
    for inputs, wanted in zip(x.split(config.batch_size), y.split(config.batch_size), strict=True):
        if passes is not None and len(inputs) == config.batch_size:
            loss += passes(inputs, wanted, targets)
            continue
        lm_loss, aux_loss = compute_losses(model, inputs, wanted, config)
        total = (lm_loss + aux_loss.z_loss) / targets + aux_loss.router * (len(inputs) / count)
        scaler.scale(total).backward()
        loss += lm_loss.item() / targets
    return loss


def fastest_forward_backward(model: Transformer, config: TrainConfig) -> ForwardBackward | None:
    """A faster way to compute passes that needs no separate build, if there is one: lanes, or `torch.compile` on a GPU."""
    device = model.embed.weight.device.type
    if device == "cpu":
        lanes = DataParallelThreads.of(model.config, config, torch.get_num_threads())
        return _threaded(model, config, lanes) if lanes.count > 1 else None
    plain = config.precision != "fp16" and not config.gradient_checkpointing and model.config.n_expert == 1
    return traced_forward_backward(model, config) if device == "cuda" and config.compile == "on" and plain else None


def _threaded(model: Transformer, config: TrainConfig, lanes: DataParallelThreads) -> ForwardBackward:
    """Passes that are split by sequence over CPU threads."""
    parameters = list(model.parameters())

    def passes(x: Tensor, y: Tensor, targets: int) -> float:
        def lane(x: Tensor, y: Tensor) -> Sequence[Tensor]:
            lm_loss, aux_loss = compute_losses(model, x, y, config)
            total = (lm_loss + aux_loss.z_loss) / targets
            return lm_loss.detach(), *torch.autograd.grad(total, parameters)

        loss, *gradients = lanes.sums(lane, x, y)
        collect(parameters, gradients)
        return loss.item() / targets

    return passes


def traced_forward_backward(model: Transformer, config: TrainConfig, backend: str = "inductor") -> ForwardBackward:
    """Passes compiled by `torch.compile` at their first call. Dropout draws other random numbers than in eager mode."""
    fused = torch.compile(compute_losses, backend=backend, dynamic=False)

    def passes(x: Tensor, y: Tensor, targets: int) -> float:
        lm_loss, aux_loss = fused(model, x, y, config)
        ((lm_loss + aux_loss.z_loss) / targets).backward()
        return float(lm_loss.item()) / targets

    return passes


class AuxiliaryLosses(NamedTuple):
    """What is added to the language modelling loss, with its weights from the config."""

    z_loss: Tensor | float  # summed over targets
    router: Tensor | float  # a mean over tokens and layers: balance and router z-loss


def compute_losses(model: Transformer, x: Tensor, y: Tensor, config: TrainConfig) -> tuple[Tensor, AuxiliaryLosses]:
    """The cross-entropy of targets y (B, T) under a model that reads x (B, T), summed in nats, and the auxiliary losses."""
    routings: list[Routing] = []
    dtype = DTYPES[config.precision]
    # Autocast would cache rounded weights in a cache shared by all threads, but each is used only once.
    with torch.autocast(x.device.type, dtype, enabled=dtype != torch.float32, cache_enabled=False):
        logits = model(x, routings)
    z_loss = config.z_loss * logit_z_loss(logits, y) if config.z_loss else 0.0
    return cross_entropy(logits, y), AuxiliaryLosses(z_loss, router_loss(routings, config))


def cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
    """Summed -log p of the targets (B, T) under logits (B, T, V), in nats; ignored targets do not count."""
    return F.cross_entropy(logits.float().flatten(0, 1), targets.flatten(), ignore_index=IGNORED, reduction="sum")


def logit_z_loss(logits: Tensor, targets: Tensor) -> Tensor:
    """Summed (log Σ exp logits)² over targets (PaLM, Chowdhery et al. 2022, section 5)."""
    return (logits.float().logsumexp(-1).square() * (targets != IGNORED)).sum()
