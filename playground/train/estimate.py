"""What a run will need, before it starts: parameters exactly, memory and time roughly."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import torch

from playground.config import ModelConfig, TrainConfig
from playground.models.transformer import Transformer
from playground.train.flops import training_flops

PROCESS_BYTES = 300_000_000  # a Python process with torch loaded, measured


@dataclass(frozen=True)
class Estimate:
    """`flops_per_step`: forward and backward, matrix products only. `memory_bytes`: the worker at its highest."""

    parameters: int
    memory_bytes: int
    flops_per_step: float
    tokens_per_step: int


@lru_cache(maxsize=256)
def count_parameters(config: ModelConfig) -> int:
    """The exact number of trained parameters; nothing is allocated."""
    with torch.device("meta"):
        return Transformer(config).n_parameters()


def estimate(model: ModelConfig, config: TrainConfig) -> Estimate:
    """Parameters, memory, FLOPs and tokens of one step.

    FLOPs are those of `train.flops`. Memory is weights, gradients and two moments (16 bytes a parameter) and, for a
    micro-batch, the activations that the backward pass needs, counted from the shapes in fp32.
    """
    parameters = count_parameters(model)
    tokens = config.batch_size * config.grad_accum * model.block_size
    micro = config.batch_size * model.block_size
    gated = 2 if model.mlp == "swiglu" else 1
    per_layer = 10 * model.n_embd + 2 * (1 + gated) * model.mlp_hidden + 2 * model.n_head
    masked = model.n_head * model.block_size if model.window else 0  # masks keep kernels from fusing
    activations = 4 * micro * (model.n_layer * (per_layer + masked) + 3 * model.vocab_size)
    flops = training_flops(model) * tokens
    return Estimate(parameters, PROCESS_BYTES + 16 * parameters + activations, flops, tokens)
