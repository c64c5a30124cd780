"""Architectures by name, and the recipes that some of them come with.

A preset is data: the fields of `ModelConfig` in which it differs from the defaults. A recipe says more: sizes, text and
training, all that a run needs. It is a beginning like the rest: whatever is chosen besides stands above it.
"""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from playground.config.model import ModelConfig
from playground.config.settings import Settings, shown

CLASSIC: dict[str, Any] = {
    "position": "learned",
    "norm": "layernorm",
    "mlp": "gelu",
    "bias": True,
    "n_head": 4,
    "n_kv_head": 4,
}
MODERN: dict[str, Any] = {
    "position": "rope",
    "norm": "rmsnorm",
    "norm_eps": 1e-6,
    "mlp": "swiglu",
    "bias": False,
    "n_head": 4,
    "n_kv_head": 2,
}
MIXTURE: dict[str, Any] = {**MODERN, "n_expert": 4, "n_expert_active": 2}  # as Mixtral (Jiang et al. 2024)
GPT_OSS: dict[str, Any] = {  # as OpenAI's gpt-oss (2025), at our size
    **MODERN,
    "norm_eps": 1e-5,
    "rope_theta": 150_000.0,
    "mlp": "clamped_swiglu",
    "n_expert": 4,
    "n_expert_active": 2,
    "window": 32,
    "global_every": 2,
    "sink_logit": "learned",
    "bias": True,
    "tie_embeddings": False,
}
SPEEDRUN: dict[str, Any] = {
    **MODERN,
    "rope_theta": 100.0,  # no period longer than a context of 64 needs
    "mlp": "relu2",
    "qk_norm": True,
    "init": "zero",
    "n_kv_head": 4,
    "tie_embeddings": False,
}
# What the arms of a race start with: a model that learns something on a laptop within a minute.
RACE_START: dict[str, Any] = {
    "corpus": "tales", "corpus_bytes": 2_000_000, "n_layer": 2, "n_embd": 64, "n_head": 4, "block_size": 128,
    "batch_size": 8, "learning_rate": 3e-3, "eval_tokens": 8_192,
}  # fmt: skip
PRESETS: dict[str, dict[str, Any]] = {
    "classic": CLASSIC,
    "modern": MODERN,
    "mixture": MIXTURE,
    "gpt-oss": GPT_OSS,
    "speedrun": SPEEDRUN,
}
# Validation 1.88 on Tiny Shakespeare as soon as possible: docs/speedrun.md says which choice brought how much.
RECIPES: dict[str, dict[str, Any]] = {
    "speedrun": {
        "block_size": 64, "n_layer": 2, "n_embd": 128,
        "corpus": "tiny_shakespeare", "corpus_bytes": 2_000_000, "tokenizer": "char", "steps": 200, "batch_size": 24,
        "optimizer": "muon", "schedule": "linear", "learning_rate": 0.008, "min_lr_ratio": 0.0, "warmup_steps": 0,
        "beta1": 0.8, "beta2": 0.95, "precision": "bf16", "compile": "auto", "eval_interval": 100,
        "sample_interval": 100, "checkpoint_interval": 200, "snapshots": 0,
    },
}  # fmt: skip


def recipe(name: str, kind: type[Settings]) -> dict[str, Any]:
    """The settings of one kind, `ModelConfig` or `TrainConfig`, that a preset brings besides its architecture."""
    known = {item.name for item in fields(kind)}  # type: ignore[arg-type]
    return {key: value for key, value in RECIPES.get(str(name), {}).items() if key in known}


def preset(name: str, **changes: Any) -> ModelConfig:
    """The `ModelConfig` of a preset with some fields changed.

    `n_kv_head` follows `n_head` in the preset's proportion unless it is given. Raises ValueError for an unknown preset.
    """
    if not isinstance(name, str) or name not in PRESETS:
        raise ValueError(f"Preset must be one of {', '.join(PRESETS)}. You sent {shown(name)}.")
    values = {**PRESETS[name], **changes}
    n_head = values["n_head"]
    if "n_kv_head" not in changes and isinstance(n_head, int) and n_head > 0:
        group = PRESETS[name]["n_head"] // PRESETS[name]["n_kv_head"]
        values["n_kv_head"] = n_head // group if n_head % group == 0 else n_head
    return ModelConfig.from_dict(values)
