"""A mixture of experts: a router sends each token through a few of several MLPs (Shazeer et al. 2017).

Parameters grow with the number of experts, compute only with the active ones: each expert processes the tokens routed to it
and no others.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from playground.config import GATED, ModelConfig
from playground.models.attention import ForwardContext
from playground.models.mlp import ACTIVATIONS, MLPS
from playground.models.trace import HookPoint

# On CPUs, products whose rows are no multiple of four, and the last numbers of a vectorised function when they do not fill
# this many, are rounded in their own way. Filled up with zeros, what an expert answers to a token does not depend, to the
# last bit, on how many others chose it: a later token changes nothing about an earlier one.
ROWS, LANES = 4, 32


@dataclass(frozen=True)
class Routing:
    """What the router of one layer decided for N tokens; training keeps it balanced (`train.routing`)."""

    logits: Tensor  # (N, E)
    chosen: Tensor  # (N, k), expert ids


class Experts(nn.Module):
    """E MLPs of one shape, their matrices stacked: ``gate``, ``up`` (E, hidden, C) and ``down`` (E, C, hidden)."""

    def __init__(self, kind: str, n_expert: int, width: int, hidden: int, bias: bool) -> None:
        super().__init__()
        self.act = ACTIVATIONS[kind]
        self.rows = max(ROWS, LANES // math.gcd(LANES, hidden))  # 4, as long as eight divides the hidden width
        self.inward = ("gate", "up") if kind in GATED else ("up",)
        shapes = {**dict.fromkeys(self.inward, (hidden, width)), "down": (width, hidden)}
        for name, shape in shapes.items():
            self.register_parameter(name, nn.Parameter(torch.zeros(n_expert, *shape)))
            self.register_parameter(f"{name}_bias", nn.Parameter(torch.zeros(n_expert, shape[0])) if bias else None)

    def forward(self, parts: Sequence[Tensor]) -> list[Tensor]:
        """One part of the tokens, (N_e, C) and possibly empty, through each expert."""
        rows = ROWS if self.training else self.rows  # training reads whole batches, and only cost counts
        filled = [F.pad(part, (0, 0, 0, -len(part) % rows)) for part in parts]
        inward = zip(*(self._linear(name, filled) for name in self.inward), strict=True)
        out = self._linear("down", [self.act(*pair) for pair in inward])
        return [answer[: len(part)] for answer, part in zip(out, parts, strict=True)]

    def _linear(self, name: str, parts: Sequence[Tensor]) -> list[Tensor]:
        # Stacks are taken apart once: to index them would cost a gradient of the whole stack for every expert.
        weights, bias = getattr(self, name).unbind(), getattr(self, f"{name}_bias")
        biases = [None] * len(parts) if bias is None else bias.unbind()
        return [F.linear(*case) for case in zip(parts, weights, biases, strict=True)]


class MoE(nn.Module):
    """Replaces an MLP: route each token, apply the chosen experts, and add their outputs weighted by the router.

    The weights are the router's probabilities of the chosen experts, divided by their sum if `router_norm` (Mixtral,
    gpt-oss) and unchanged if not (Switch). A shared expert, if there is one, is applied to every token.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.n_expert, self.n_active, self.normalise = config.n_expert, config.n_expert_active, config.router_norm
        shape = config.n_embd, config.mlp_hidden, config.bias
        self.router = nn.Linear(config.n_embd, config.n_expert, bias=config.bias)
        self.experts = Experts(config.mlp, config.n_expert, *shape)
        self.shared = MLPS[config.mlp](*shape) if config.shared_expert else None
        self.hook_router, self.hook_experts = HookPoint(), HookPoint()

    def forward(self, x: Tensor, ctx: ForwardContext) -> Tensor:  # (B, T, C) -> (B, T, C)
        weights, chosen = (part.flatten(0, 1) for part in self._route(x, ctx))  # (N, k) each
        tokens = x.flatten(0, 1)  # (N, C)
        order = chosen.flatten().argsort(stable=True)  # (N k,): all choices, sorted by expert
        token = order // self.n_active
        counts = torch.bincount(chosen.flatten(), minlength=self.n_expert).tolist()
        parts = tokens[token].split(counts)  # one contiguous part an expert, possibly empty
        answers = torch.cat(self.experts(parts))
        answers = answers * weights.flatten()[order, None]
        out = torch.zeros_like(tokens) if self.shared is None else self.shared(tokens)
        return out.index_add(0, token, answers.to(out.dtype)).view_as(x)

    def _route(self, x: Tensor, ctx: ForwardContext) -> tuple[Tensor, Tensor]:
        """Weights and ids (B, T, k) of each token's experts. The softmax is taken in fp32 at least."""
        logits = self.router(x)  # (B, T, E)
        wide = torch.promote_types(logits.dtype, torch.float32)
        probabilities = self.hook_router(logits.softmax(-1, dtype=wide))
        chosen = self.hook_experts(probabilities.topk(self.n_active).indices)
        weights = probabilities.gather(-1, chosen)
        if ctx.routings is not None:
            ctx.routings.append(Routing(logits.flatten(0, 1), chosen.flatten(0, 1)))
        return weights / weights.sum(-1, keepdim=True) if self.normalise else weights, chosen
