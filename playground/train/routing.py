"""Auxiliary losses of a mixture's routers: load balancing and z-loss.

Without load balancing a router soon favors a few experts, which then learn more and are favored more. Both losses are
means over tokens and layers, so their weights mean the same for every size of model and batch.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from playground.config import TrainConfig
from playground.models.moe import Routing


def balance_loss(routing: Routing) -> Tensor:
    """E Σ f_e P_e (Fedus et al. 2021, eq. 4): f_e the share of choices that expert e got, P_e its mean probability.

    1 if all experts are chosen equally often, E if one is always chosen. Only P_e has a gradient.
    """
    n_expert = routing.logits.size(-1)
    share = torch.bincount(routing.chosen.flatten(), minlength=n_expert) / routing.chosen.numel()
    return n_expert * (share * routing.logits.softmax(-1).mean(0)).sum()


def z_loss(routing: Routing) -> Tensor:
    """Mean of (log Σ exp logits)² (Zoph et al. 2022, eq. 5): small when router logits are."""
    return routing.logits.logsumexp(-1).square().mean()


def router_loss(routings: Sequence[Routing], config: TrainConfig) -> Tensor | float:
    """Both losses with their weights, the mean over layers; 0 for a model without experts."""
    if not routings:
        return 0.0
    total = sum(config.balance_loss * balance_loss(r) + config.router_z_loss * z_loss(r) for r in routings)
    return total / len(routings)
