"""The supported architectures of Transformers: obstacles to a config, and conversion in both directions.

`choose` finds the one that a model fits, `Architecture.config` and `.rules` write it, `from_transformers` reads a
``config.json``: it takes known keys, with the defaults of each class, and rejects values that would change the results
and are not supported here. Names are those of transformers 5 (``rope_parameters``, ``dtype``); those of
transformers 4 are understood.
"""

from __future__ import annotations

from collections.abc import Callable, Container
from dataclasses import dataclass
from typing import Any, Protocol

from playground.config import ANY, ModelConfig, label, spelled, unsupported
from playground.interchange.names import Rule
from playground.interchange.tables import (
    Stored,
    gemma_rules,
    gpt2_rules,
    gpt_oss_rules,
    llama_rules,
    mixtral_rules,
    qwen3_moe_rules,
    starcoder2_rules,
)

PLAIN_ACTIVATIONS = {"gelu": "gelu_new", "gelu_exact": "gelu", "relu2": "relu2"}
GATED_ACTIVATIONS = {"swiglu": "silu", "geglu": "gelu_pytorch_tanh"}
# Other names of the same functions.
_SAME_FUNCTION = (
    ("silu", "swish"), ("gelu", "gelu_python"),
    ("gelu_new", "gelu_pytorch_tanh", "gelu_fast", "gelu_python_tanh", "gelu_accurate"),
)  # fmt: skip

Supported = dict[str, Container[Any]]


def readable_names(activations: dict[str, str]) -> dict[str, str]:
    """Every name that a config may have for one of these activations, with ours for it; `activations` maps ours to the
    name that is written."""
    return {
        name: ours
        for ours, written in activations.items()
        for name in (written, *(other for same in _SAME_FUNCTION if written in same for other in same))
    }


class Rules(Protocol):
    """An architecture's table of tensors, of a folder that has all of them or what `stored` says."""

    def __call__(self, model: ModelConfig, stored: Stored = ...) -> list[Rule]: ...


# What every architecture here has in common: a setting, and the values of it that can be expressed.
_COMMON: Supported = {
    "rope_fraction": (1.0,), "norm_placement": ("pre",), "n_sink": (0,), "logit_softcap": (0.0,),
    "shared_expert": (False,), "router_norm": (True,),
    **dict.fromkeys((
        "vocab_size", "block_size", "n_layer", "n_embd", "n_head", "n_kv_head", "head_size", "rope_theta", "norm_eps",
        "match_parameters", "mlp_width", "n_expert_active", "tie_embeddings", "init", "dropout",
    ), ANY),
}  # fmt: skip
_ROTARY: Supported = {"position": ("rope",), "norm": ("rmsnorm",)}
_NO_SINK: Supported = {"sink_logit": ("none",)}
_DENSE: Supported = {"n_expert": (1,)}
_NO_BIAS: Supported = {"bias": (False,)}
_FULL: Supported = {"window": (0,), "global_every": (0,)}
_ONE_WINDOW: Supported = {"window": ANY, "global_every": (0,)}
_ANY_WINDOW: Supported = {"window": ANY, "global_every": ANY}


@dataclass(frozen=True)
class Architecture:
    """A class of Transformers. `allowed` names the values that it can express of settings that `_COMMON` leaves out."""

    model_type: str
    name: str  # for display
    allowed: Supported
    config: Callable[[ModelConfig], dict[str, Any]] | None  # None: only read
    rules: Rules

    @property
    def class_name(self) -> str:
        """The name of its class for language models in transformers."""
        return {"gpt2": "GPT2LMHeadModel"}.get(self.model_type, f"{self.name}ForCausalLM")

    @property
    def supported(self) -> Supported:
        """The values that it can express, of every setting."""
        return _COMMON | self.allowed

    def obstacles(self, model: ModelConfig) -> list[str]:
        """Names of the fields whose values it cannot express."""
        found = unsupported(_effective(model), self.supported)
        if self.model_type == "gpt2" and model.n_kv_head != model.n_head:
            found.append("n_kv_head")
        if self.model_type == "gpt2" and model.n_head * model.head_dim != model.n_embd:
            found.append("head_size")
        if self.model_type in ("mixtral", "qwen3_moe", "gpt_oss") and model.n_expert == 1:
            found.append("n_expert")
        if model.n_expert > 1:  # its grouped product requires rows of a multiple of 16 bytes
            sizes = {"n_embd": model.n_embd, "mlp_width": model.mlp_hidden}
            found += [name for name, size in sizes.items() if size % 4]
        if self.model_type == "llama" and model.n_embd % model.n_head:  # its class requires it, whatever the head size
            found.append("n_head")
        return found


def _effective(model: ModelConfig) -> dict[str, Any]:
    """The fields, with those that do nothing in this model as if they were off."""
    values = model.to_dict()
    if model.position != "rope":
        values["rope_fraction"] = 1.0
    if model.n_expert == 1:
        values["router_norm"] = True
    if not 0 < model.window < model.block_size:  # as wide as the context: no effect
        values["window"] = values["n_sink"] = values["global_every"] = 0
    return values


# Our config as theirs


def _gpt2_config(model: ModelConfig) -> dict[str, Any]:
    return {
        "n_positions": model.block_size,
        "n_embd": model.n_embd,
        "n_layer": model.n_layer,
        "n_head": model.n_head,
        "n_inner": model.mlp_hidden,
        "activation_function": PLAIN_ACTIVATIONS[model.mlp],
        "layer_norm_epsilon": model.norm_eps,
        **dict.fromkeys(("resid_pdrop", "embd_pdrop", "attn_pdrop"), model.dropout),
    }


def _rotary_config(model: ModelConfig) -> dict[str, Any]:
    return {
        "max_position_embeddings": model.block_size,
        "hidden_size": model.n_embd,
        "intermediate_size": model.mlp_hidden,
        "num_hidden_layers": model.n_layer,
        "num_attention_heads": model.n_head,
        "num_key_value_heads": model.n_kv_head,
        "head_dim": model.head_dim,
        "hidden_act": GATED_ACTIVATIONS.get(model.mlp, "silu"),
        "rms_norm_eps": model.norm_eps,
        "rope_parameters": {"rope_type": "default", "rope_theta": model.rope_theta},
        "attention_dropout": model.dropout,
    }


def _llama_config(model: ModelConfig) -> dict[str, Any]:
    return {**_rotary_config(model), "attention_bias": model.bias, "mlp_bias": model.bias}


def _windowed_config(model: ModelConfig) -> dict[str, Any]:
    return {**_rotary_config(model), "sliding_window": _effective(model)["window"] or None}


def _mixtral_config(model: ModelConfig) -> dict[str, Any]:
    return {
        **_windowed_config(model),
        "num_local_experts": model.n_expert,
        "num_experts_per_tok": model.n_expert_active,
    }


def _layer_types(model: ModelConfig) -> list[str]:
    window = _effective(model)["window"]
    return ["sliding_attention" if window and each else "full_attention" for each in model.windows]


def _qwen3_config(model: ModelConfig) -> dict[str, Any]:
    window = _effective(model)["window"]
    return {
        **_rotary_config(model),
        "attention_bias": False,
        "use_sliding_window": bool(window),
        "sliding_window": window or None,
        "layer_types": _layer_types(model),
    }


def _qwen3_moe_config(model: ModelConfig) -> dict[str, Any]:
    return {
        **{key: value for key, value in _qwen3_config(model).items() if key != "layer_types"},
        "moe_intermediate_size": model.mlp_hidden,
        "num_experts": model.n_expert,
        "num_experts_per_tok": model.n_expert_active,
        "norm_topk_prob": model.router_norm,
        "decoder_sparse_step": 1,
        "mlp_only_layers": [],
    }


def _starcoder2_config(model: ModelConfig) -> dict[str, Any]:
    config = _windowed_config(model)
    return {
        **config,
        "hidden_act": PLAIN_ACTIVATIONS[model.mlp],
        "norm_epsilon": config.pop("rms_norm_eps"),
        "use_bias": True,
        **dict.fromkeys(("residual_dropout", "embedding_dropout"), model.dropout),
    }


def _gpt_oss_config(model: ModelConfig) -> dict[str, Any]:
    return {
        **_mixtral_config(model),
        "sliding_window": _effective(model)["window"] or model.block_size,
        "layer_types": _layer_types(model),
        "attention_bias": True,
        "swiglu_alpha": 1.702,
        "swiglu_limit": 7.0,
    }


GPT2 = Architecture(
    "gpt2", "GPT2",
    {"position": ("learned",), "norm": ("layernorm",), "mlp": tuple(PLAIN_ACTIVATIONS), "qk_norm": (False,), "bias": ANY,
     **_FULL, **_NO_SINK, **_DENSE},
    _gpt2_config, gpt2_rules,
)  # fmt: skip
LLAMA = Architecture(
    "llama", "Llama",
    {**_ROTARY, "mlp": tuple(GATED_ACTIVATIONS), "qk_norm": (False,), "bias": ANY, **_FULL, **_NO_SINK, **_DENSE},
    _llama_config, llama_rules,
)  # fmt: skip
MISTRAL = Architecture(
    "mistral", "Mistral",
    {**_ROTARY, "mlp": tuple(GATED_ACTIVATIONS), "qk_norm": (False,), **_ONE_WINDOW, **_NO_BIAS, **_NO_SINK, **_DENSE},
    _windowed_config, llama_rules,
)  # fmt: skip
MIXTRAL = Architecture(
    "mixtral", "Mixtral",
    {**_ROTARY, "mlp": tuple(GATED_ACTIVATIONS), "qk_norm": (False,), "n_expert": ANY, **_ONE_WINDOW, **_NO_BIAS,
     **_NO_SINK},
    _mixtral_config, mixtral_rules,
)  # fmt: skip
QWEN3 = Architecture(
    "qwen3", "Qwen3",
    {**_ROTARY, "mlp": tuple(GATED_ACTIVATIONS), "qk_norm": (True,), **_ANY_WINDOW, **_NO_BIAS, **_NO_SINK, **_DENSE},
    _qwen3_config, llama_rules,
)  # fmt: skip
QWEN3_MOE = Architecture(
    "qwen3_moe", "Qwen3Moe",
    {**_ROTARY, "mlp": tuple(GATED_ACTIVATIONS), "qk_norm": (True,), "n_expert": ANY, "router_norm": (True, False),
     **_ONE_WINDOW, **_NO_BIAS, **_NO_SINK},
    _qwen3_moe_config, qwen3_moe_rules,
)  # fmt: skip
STARCODER2 = Architecture(
    "starcoder2", "Starcoder2",
    {"position": ("rope",), "norm": ("layernorm",), "mlp": tuple(PLAIN_ACTIVATIONS), "qk_norm": (False,), "bias": ANY,
     **_ONE_WINDOW, **_NO_SINK, **_DENSE},
    _starcoder2_config, starcoder2_rules,
)  # fmt: skip
GPT_OSS = Architecture(
    "gpt_oss", "GptOss",
    {**_ROTARY, "mlp": ("clamped_swiglu",), "qk_norm": (False,), "sink_logit": ("zero", "learned"), "bias": ANY,
     "n_expert": ANY, **_ANY_WINDOW},
    _gpt_oss_config, gpt_oss_rules,
)  # fmt: skip
# These are import only, and exported as Llama, which can express them.
QWEN2 = Architecture("qwen2", "Qwen2", {}, None, llama_rules)
GEMMA = Architecture("gemma", "Gemma", {}, None, gemma_rules)
WRITTEN = {item.model_type: item for item in (GPT2, LLAMA, MISTRAL, MIXTRAL, QWEN3, QWEN3_MOE, STARCODER2, GPT_OSS)}
ARCHITECTURES = WRITTEN | {item.model_type: item for item in (QWEN2, GEMMA)}


def choose(model: ModelConfig) -> Architecture:
    """The first architecture that expresses a model completely. Raises ValueError naming the unsupported field."""
    in_the_way = {item.name: item.obstacles(model) for item in WRITTEN.values()}
    for item in WRITTEN.values():
        if not in_the_way[item.name]:
            return item
    everywhere = [name for name in model.to_dict() if all(name in names for names in in_the_way.values())]
    if everywhere:
        said = " and ".join(_said(model, name) for name in everywhere)
        raise ValueError(
            f"{said} cannot be expressed in any of {', '.join(in_the_way)}: export as safetensors or code."
        )
    closest = min(in_the_way, key=lambda name: len(in_the_way[name]))
    said = " and ".join(_said(model, name) for name in in_the_way[closest])
    raise ValueError(
        f"No architecture of Transformers has all of this together; the closest is {closest}, which cannot express {said}: "
        "export as safetensors or code."
    )


def _said(model: ModelConfig, name: str) -> str:
    return f"{label(type(model), name)} {spelled(getattr(model, name))}"


def transformers_config(item: Architecture, model: ModelConfig) -> dict[str, Any]:
    """The ``config.json`` of a model. Without beginning and end tokens: our tokenizers have none."""
    assert item.config is not None, "an architecture that is written"
    return {
        "architectures": [item.class_name],
        "model_type": item.model_type,
        "vocab_size": model.vocab_size,
        **item.config(model),
        "tie_word_embeddings": model.tie_embeddings,
        "bos_token_id": None,
        "eos_token_id": None,
        "pad_token_id": None,
        "initializer_range": 0.02,
        "dtype": "float32",
        "use_cache": True,
    }
