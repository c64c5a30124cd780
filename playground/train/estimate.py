"""Resources of a run, before it starts: exact parameter counts, estimates of memory and FLOPs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from playground.config import ModelConfig, TrainConfig
from playground.models.attention import EAGER_MAX_TOKENS
from playground.models.transformer import without_storage
from playground.train.evaluation import BATCH_LOGITS, BATCH_TOKENS
from playground.train.flops import training_flops

# Tensors of the hidden size that an MLP keeps for its backward pass; the maximum is used for other kinds.
MLP_KEEPS = {"gelu": 4, "gelu_exact": 4, "relu2": 4, "swiglu": 6, "geglu": 6, "clamped_swiglu": 9}
PROCESS_BYTES = 300_000_000  # a Python process with torch loaded, measured


@dataclass(frozen=True)
class Estimate:
    """`flops_per_step`: forward and backward, matrix products only. `memory_bytes`: the worker's peak.

    `active_parameters` are those used for one token: without inactive experts.
    """

    parameters: int
    active_parameters: int
    memory_bytes: int
    flops_per_step: float
    tokens_per_step: int


@lru_cache(maxsize=256)
def count_parameters(config: ModelConfig, active: bool = False) -> int:
    """The exact number of trained parameters, or of those used for one token; allocates nothing."""
    share = config.n_expert_active if active else config.n_expert
    return sum(
        parameter.numel() // config.n_expert * share if ".experts." in name else parameter.numel()
        for name, parameter in without_storage(config).named_parameters()
    )


LEARNED_FROM_TEXT = frozenset({"char", "bpe"})  # tokenizers whose vocabulary is known only when the text has been read


def expected_vocabulary(config: TrainConfig) -> int:
    """The vocabulary size before the text is read, exact except for `LEARNED_FROM_TEXT`: a BPE vocabulary may turn out
    smaller, and one of characters smaller or larger."""
    return config.bpe_vocab if config.tokenizer == "bpe" else 256


def estimate(model: ModelConfig, config: TrainConfig) -> Estimate:
    """Parameters, memory, FLOPs and tokens of one step.

    FLOPs are those of `train.flops`. Memory is weights, gradients and two moments (16 bytes a parameter, 4 more for an
    average) and, for a micro-batch, the activations that the backward pass needs, counted from the shapes in fp32; or
    what an evaluation needs, if more.
    """
    parameters, active = count_parameters(model), count_parameters(model, active=True)
    tokens = config.batch_size * config.grad_accum * model.block_size
    activations = _activation_bytes(model, config, config.batch_size * model.block_size)
    measuring = 12 * min(BATCH_TOKENS * model.vocab_size, BATCH_LOGITS)  # logits and two copies of them
    memory = PROCESS_BYTES + (20 if config.ema else 16) * parameters + max(activations, measuring)
    return Estimate(parameters, active, memory, training_flops(model) * tokens, tokens)


def race_memory(arms: Sequence[tuple[ModelConfig, TrainConfig]], n_seeds: int) -> int:
    """Estimated memory of a race's process in bytes: all models with their gradients and moments, and the activations of
    the one that takes its step."""
    kept = sum(16 * count_parameters(model) for model, _ in arms) * n_seeds
    return PROCESS_BYTES + kept + max(estimate(*arm).memory_bytes - PROCESS_BYTES for arm in arms)


def _activation_bytes(model: ModelConfig, config: TrainConfig, tokens: int) -> int:
    """Activations kept for the backward pass of `tokens` tokens, in fp32; with checkpointing, block inputs and one block."""
    passes = model.n_expert_active + model.shared_expert  # MLPs applied to one token
    moved = 4 * model.n_embd * model.n_expert_active if model.n_expert > 1 else 0  # tokens sorted by expert, and back
    heads = model.n_head * model.head_dim
    inner = MLP_KEEPS.get(model.mlp, max(MLP_KEEPS.values())) * model.mlp_hidden * passes
    per_layer = 6 * model.n_embd + 4 * heads + inner + moved + 2 * model.n_head
    per_layer += 4 * heads * model.qk_norm
    fused = model.position != "alibi" and model.sink_logit == "none"  # other masks prevent the fused kernel
    spelled = config.precision != "fp32" and model.block_size <= EAGER_MAX_TOKENS
    masked = sum(model.n_head * model.block_size for window in model.windows if window or not fused or spelled)
    blocks = model.n_layer * per_layer + masked
    if config.gradient_checkpointing:
        blocks = model.n_layer * model.n_embd + blocks // model.n_layer
    return 4 * tokens * (blocks + 3 * model.vocab_size)
