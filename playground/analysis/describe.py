"""Describe an architecture in words."""

from __future__ import annotations

from playground.config import ModelConfig, counted, spelled


def describe(config: ModelConfig) -> str:
    """The architecture in one line."""
    return " · ".join([*_positions(config), *_norms(config), *_mlp(config), *_attention(config), *_ends(config)])


def _positions(config: ModelConfig) -> list[str]:
    words = {"rope": "RoPE", "alibi": "ALiBi", "none": "no positions"}
    name = words.get(config.position, f"{config.position} positions")
    partial = config.position == "rope" and config.rope_dims < config.head_dim
    return [f"{name} on {config.rope_dims} of {counted(config.head_dim, 'dimension')}" if partial else name]


def _norms(config: ModelConfig) -> list[str]:
    norm = spelled(config.norm) + (" after each sublayer" if config.norm_placement == "post" else "")
    return [norm, "QK-norm"] if config.qk_norm else [norm]


def _mlp(config: ModelConfig) -> list[str]:
    words = [spelled(config.mlp)]
    if config.n_expert > 1:
        shared = " and a shared one" if config.shared_expert else ""
        words.append(f"{config.n_expert_active} of {counted(config.n_expert, 'expert')}{shared}")
    return words


def _attention(config: ModelConfig) -> list[str]:
    grouped = "grouped-query" if 1 < config.n_kv_head < config.n_head else "multi-query"
    every = "multi-head" if config.n_head > 1 else "one head"
    words = [every if config.n_kv_head == config.n_head else grouped]
    words += [f"heads of {config.head_size}"] if config.head_size else []
    words.append("biases" if config.bias else "no biases")
    if config.window:
        sinks = f" + {counted(config.n_sink, 'sink')}" if config.n_sink else ""
        but = f" but in layers {_every(config)}" if config.global_every else ""
        words.append(f"window {config.window}{sinks}{but}")
    special = {"none": [], "zero": ["softmax-off-by-one"], "learned": ["learned sink logits"]}
    return words + special[config.sink_logit]


def _every(config: ModelConfig) -> str:
    """The layers with full attention, counted from 1: "2, 4"."""
    return ", ".join(str(layer) for layer, window in enumerate(config.windows, 1) if not window)


def _ends(config: ModelConfig) -> list[str]:
    words = [] if config.tie_embeddings else ["untied head"]
    words += [f"logits capped at {config.logit_softcap:g}"] if config.logit_softcap else []
    starts = {"gpt2": [], "depth_scaled": ["depth-scaled start"], "zero": ["blocks start at zero"]}
    return words + starts[config.init]
