"""One step's loss and gradients: micro-batches, precision, and what is asked of the model besides the next token.

Weights, gradients and optimizer are fp32 always. At a lower `precision` the matrix products read rounded copies of weights
and activations (autocast). fp16 has no numbers below 6e-8, so its loss is multiplied before the backward pass and the
gradients divided after it (Micikevicius et al. 2018).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from playground.config import TrainConfig
from playground.data.batches import IGNORED
from playground.models.moe import Routing
from playground.models.transformer import Transformer
from playground.train.lanes import Lanes, collect
from playground.train.routing import router_loss

Passes = Callable[[Tensor, Tensor, int, float], float]  # as `compiled.Passes` and `faster_passes`

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


def accumulate(
    model: Transformer,
    x: Tensor,
    y: Tensor,
    config: TrainConfig,
    *,
    targets: int,
    count: int,
    scale: float = 1.0,
    passes: Passes | None = None,
) -> float:
    """Add the gradients of sequences x, y (B, T), micro-batch by micro-batch, to the model's; return their part of the loss.

    `targets` and `count` are the targets and sequences of the whole step, of which x and y may be a part: micro-batches are
    weighted by their number of targets, so the result is a mean over all of them and not a mean of means. The gradients
    are `scale` times too long; the loss, in nats per target, is not. `passes` computes micro-batches of full size.
    """
    loss = 0.0
    for inputs, wanted in zip(x.split(config.batch_size), y.split(config.batch_size), strict=True):
        if passes is not None and len(inputs) == config.batch_size:
            loss += passes(inputs, wanted, targets, len(inputs) / count)
            continue
        part, asked = losses(model, inputs, wanted, config)
        # What is asked for besides is a mean over tokens, and no part of the loss that is shown.
        total = part / targets + asked * (len(inputs) / count)
        (total * scale if scale != 1.0 else total).backward()
        loss += part.item() / targets
    return loss


def faster_passes(model: Transformer, config: TrainConfig) -> Passes | None:
    """A faster way than the plain one, where there is one that needs no preparation: lanes, or a GPU's own compiler."""
    device = model.embed.weight.device.type
    if device == "cpu":
        lanes = Lanes.of(model.config, config, torch.get_num_threads())
        return _laned(model, config, lanes) if lanes.count > 1 else None
    plain = config.precision != "fp16" and not config.recompute and model.config.n_expert == 1
    return traced(model, config) if device == "cuda" and config.compile == "on" and plain else None


def _laned(model: Transformer, config: TrainConfig, lanes: Lanes) -> Passes:
    """Passes that cores share by sequences."""
    parameters = list(model.parameters())

    def passes(x: Tensor, y: Tensor, targets: int, share: float) -> float:
        def lane(x: Tensor, y: Tensor) -> Sequence[Tensor]:
            part, _ = losses(model, x, y, config)
            return part.detach(), *torch.autograd.grad(part / targets, parameters)

        loss, *gradients = lanes.sums(lane, x, y)
        collect(parameters, gradients)
        return loss.item() / targets

    return passes


def traced(model: Transformer, config: TrainConfig, backend: str = "inductor") -> Passes:
    """Passes that `torch.compile` fuses when they are first called. Dropout draws other random numbers than without."""
    fused = torch.compile(losses, backend=backend, dynamic=False)

    def passes(x: Tensor, y: Tensor, targets: int, share: float) -> float:
        part, asked = fused(model, x, y, config)
        (part / targets + asked * share).backward()
        return float(part.item()) / targets

    return passes


def losses(model: Transformer, x: Tensor, y: Tensor, config: TrainConfig) -> tuple[Tensor, Tensor | float]:
    """Summed cross-entropy of targets y (B, T) in nats; and what is asked for besides, a mean: calm logits and routers."""
    routings: list[Routing] = []
    dtype = DTYPES[config.precision]
    # Torch would remember rounded weights in a cache that all threads share; each is used once.
    with torch.autocast(x.device.type, dtype, enabled=dtype != torch.float32, cache_enabled=False):
        logits = model(x, routings)
    asked = router_loss(routings, config)
    if config.z_loss:
        asked = asked + config.z_loss * logit_z_loss(logits, y)
    return cross_entropy(logits, y), asked


def cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
    """Summed -log p of the targets (B, T) under logits (B, T, V), in nats; ignored targets count nothing."""
    return F.cross_entropy(logits.float().flatten(0, 1), targets.flatten(), ignore_index=IGNORED, reduction="sum")


def logit_z_loss(logits: Tensor, targets: Tensor) -> Tensor:
    """Mean of (log Σ exp logits)² where there is a target (PaLM, Chowdhery et al. 2022, section 5)."""
    counts = targets != IGNORED
    return (logits.float().logsumexp(-1).square() * counts).sum() / counts.sum().clamp(min=1)


def unscale(model: nn.Module, scale: float) -> None:
    """Divide all gradients by the scale that their loss was multiplied by."""
    if scale != 1.0:
        torch._foreach_mul_([p.grad for p in model.parameters() if p.grad is not None], 1 / scale)
