"""One config for each architecture of Transformers and each way to fill it, with weights at which a mistake shows."""

from typing import Any

import torch

from playground.config import ModelConfig, preset
from playground.interchange.package import Package
from playground.tokenizers import build_tokenizer
from tests.models.variants import build

SMALL: dict[str, Any] = dict(block_size=64, n_layer=3, n_embd=32)

# name: the class that must be chosen, and the config
CASES: dict[str, tuple[str, ModelConfig]] = {
    "GPT-2": ("GPT2LMHeadModel", preset("classic", **SMALL)),
    "GPT-2, no biases": ("GPT2LMHeadModel", preset("classic", **SMALL, bias=False)),
    "GPT-2, relu2, untied": ("GPT2LMHeadModel", preset("classic", **SMALL, mlp="relu2", tie_embeddings=False)),
    "GPT-2, exact GELU": ("GPT2LMHeadModel", preset("classic", **SMALL, mlp="gelu_exact")),
    "Llama": ("LlamaForCausalLM", preset("modern", **SMALL)),
    "Llama, untied": ("LlamaForCausalLM", preset("modern", **SMALL, tie_embeddings=False, n_kv_head=4, rope_theta=500.0)),
    "Llama, biases, GeGLU": ("LlamaForCausalLM", preset("modern", **SMALL, bias=True, mlp="geglu", norm_eps=1e-5)),
    "Llama, wide MLP": ("LlamaForCausalLM", preset("modern", **SMALL, match_parameters=False, window=64)),
    "Mistral": ("MistralForCausalLM", preset("modern", **SMALL, window=8)),
    "Mistral, untied": ("MistralForCausalLM", preset("modern", **SMALL, window=16, n_kv_head=1, tie_embeddings=False)),
    "Mistral, five heads of 10": (
        "MistralForCausalLM", preset("modern", **SMALL, window=8, n_head=5, n_kv_head=1, head_size=10)
    ),
    "Mixtral": ("MixtralForCausalLM", preset("mixture", **SMALL)),
    "Mixtral, window": (
        "MixtralForCausalLM", preset("mixture", **SMALL, window=8, n_expert=5, n_expert_active=3, tie_embeddings=False)
    ),
    "Qwen3": ("Qwen3ForCausalLM", preset("modern", **SMALL, qk_norm=True)),
    "Qwen3, heads of 16": ("Qwen3ForCausalLM", preset("modern", **SMALL, qk_norm=True, head_size=16)),
    "Qwen3, layers": (
        "Qwen3ForCausalLM", preset("modern", **SMALL, qk_norm=True, window=8, global_every=3, tie_embeddings=False)
    ),
    "Qwen3-MoE": ("Qwen3MoeForCausalLM", preset("mixture", **SMALL, qk_norm=True)),
    "Qwen3-MoE, raw router, window": (
        "Qwen3MoeForCausalLM",
        preset("mixture", **SMALL, qk_norm=True, router_norm=False, n_expert_active=1, window=8, tie_embeddings=False),
    ),
    "Starcoder2": ("Starcoder2ForCausalLM", preset("classic", **SMALL, position="rope")),
    "Starcoder2, no biases, exact GELU, window": (
        "Starcoder2ForCausalLM",
        preset("classic", **SMALL, position="rope", bias=False, mlp="gelu_exact", window=8, tie_embeddings=False,
               n_kv_head=2, head_size=16),
    ),
    "GptOss": ("GptOssForCausalLM", preset("gpt-oss", **SMALL | {"n_layer": 4}, window=8)),
    "GptOss, no biases": (
        "GptOssForCausalLM",
        preset("gpt-oss", **SMALL, bias=False, sink_logit="zero", window=0, global_every=0, tie_embeddings=True),
    ),
    "GptOss, heads of 16, no biases": ("GptOssForCausalLM", preset("gpt-oss", **SMALL, window=8, head_size=16, bias=False)),
    "GptOss, all local": ("GptOssForCausalLM", preset("gpt-oss", **SMALL, window=16, global_every=0, n_expert_active=1)),
}  # fmt: skip


def package(config: ModelConfig, name: str = "a model") -> Package:
    """A model of this config over bytes, with weights five times their initial size and norms that are not all ones."""
    model = build(config)
    generator = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim < 2:
                parameter += 0.3 * torch.randn(parameter.shape, generator=generator)
    weights = {key: parameter.detach() for key, parameter in model.named_parameters()}
    return Package(name, config, weights, build_tokenizer("byte", ""))
