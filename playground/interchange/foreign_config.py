"""Reading an untrusted ``config.json`` of Transformers: known keys and the defaults of their class.

Keys that do not affect the results are ignored, including ``auto_map``: nothing that a config names is ever loaded or
run. An unsupported value raises ValueError with the key, the value and the supported values.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

from playground.config import ModelConfig, counted, model_config
from playground.interchange.architectures import (
    ARCHITECTURES,
    GATED_ACTIVATIONS,
    PLAIN_ACTIVATIONS,
    Architecture,
    readable_names,
)
from playground.interchange.names import Rule
from playground.interchange.refusal import shown
from playground.interchange.tables import Stored

Values = Mapping[str, Any]
MOST = 10**9  # maximum of any integer in a config

# Defaults of absent keys, where they are not None. From the classes of transformers 5.
_SHARED: dict[str, Any] = {
    "hidden_act": "silu",
    "rms_norm_eps": 1e-6,
    "tie_word_embeddings": False,
    "rope_theta": 10_000.0,
}
_DEFAULTS: dict[str, dict[str, Any]] = {
    "gpt2": {
        "n_positions": 1024, "activation_function": "gelu_new", "layer_norm_epsilon": 1e-5, "tie_word_embeddings": True,
        "scale_attn_weights": True, "resid_pdrop": 0.1,
    },
    "llama": {**_SHARED, "max_position_embeddings": 2048},
    "mistral": {**_SHARED, "max_position_embeddings": 131_072, "num_key_value_heads": 8, "sliding_window": 4096},
    "mixtral": {
        **_SHARED, "max_position_embeddings": 131_072, "num_key_value_heads": 8, "rms_norm_eps": 1e-5, "rope_theta": 1e6,
        "num_local_experts": 8, "num_experts_per_tok": 2,
    },
    "qwen3": {**_SHARED, "max_position_embeddings": 32_768, "num_key_value_heads": 32, "head_dim": 128,
              "sliding_window": 4096, "max_window_layers": 28},
    "qwen2": {**_SHARED, "max_position_embeddings": 32_768, "num_key_value_heads": 32, "sliding_window": 4096,
              "max_window_layers": 28},
    "qwen3_moe": {
        **_SHARED, "max_position_embeddings": 32_768, "num_key_value_heads": 4, "sliding_window": 4096,
        "num_experts_per_tok": 8, "moe_intermediate_size": 768, "decoder_sparse_step": 1,
    },
    "starcoder2": {
        **_SHARED, "hidden_act": "gelu_pytorch_tanh", "max_position_embeddings": 4096, "num_key_value_heads": 2,
        "norm_epsilon": 1e-5, "tie_word_embeddings": True, "use_bias": True,
    },
    "gemma": {
        **_SHARED, "hidden_act": "gelu_pytorch_tanh", "max_position_embeddings": 8192, "num_key_value_heads": 16,
        "head_dim": 256, "tie_word_embeddings": True,
    },
    "gpt_oss": {
        **_SHARED, "max_position_embeddings": 131_072, "num_key_value_heads": 8, "rms_norm_eps": 1e-5,
        "rope_theta": 150_000.0,
        "head_dim": 64, "sliding_window": 128, "num_local_experts": 128, "num_experts_per_tok": 4, "attention_bias": True,
        "swiglu_alpha": 1.702, "swiglu_limit": 7.0, "rope_parameters": {"rope_type": "yarn"},
    },
}  # fmt: skip
# Keys that must have these values or be absent: other values are not supported.
_FIXED: dict[str, dict[str, Any]] = {
    "gpt2": {"scale_attn_weights": True, "scale_attn_by_inverse_layer_idx": False, "add_cross_attention": False},
    "llama": {},
    "mistral": {"layer_types": None},
    "mixtral": {"layer_types": None},
    "qwen2": {},
    "qwen3": {},
    "qwen3_moe": {"decoder_sparse_step": 1, "mlp_only_layers": []},
    "starcoder2": {},
    "gemma": {"attention_bias": False, "use_bidirectional_attention": False},
    "gpt_oss": {"swiglu_alpha": 1.702, "swiglu_limit": 7.0, "attention_bias": True, "hidden_act": "silu"},
}


@dataclass(frozen=True)
class Foreign:
    """A config as ours, which tensors its folder has, and sentences on what was changed on the way."""

    architecture: Architecture
    model: ModelConfig
    stored: Stored
    notes: tuple[str, ...] = ()

    def rules(self) -> list[Rule]:
        """Which tensor of ours is which of theirs."""
        return self.architecture.rules(self.model, self.stored)


def from_transformers(values: Values) -> Foreign:
    """Our config for a ``config.json`` of Transformers. Raises ValueError for what cannot be expressed."""
    kind = values.get("model_type")
    if "model_type" not in values:
        raise ValueError(f"The config has no model_type; these are supported: {', '.join(ARCHITECTURES)}.")
    if not isinstance(kind, str) or kind not in ARCHITECTURES:
        raise ValueError(f"Model type {shown(kind)} is not supported; these are: {', '.join(ARCHITECTURES)}.")
    # An explicit null is not the default: "no window", "no separate head size"; but of RoPE it is.
    values = {key: value for key, value in values.items() if key != "rope_parameters" or value is not None}
    nulls = [key for key, value in values.items() if value is None]
    read = _Reader({key: value for key, value in {**_DEFAULTS[kind], **values}.items() if value is not None}, nulls)
    for key, wanted in _FIXED[kind].items():
        if key in nulls and wanted:  # a null is equivalent to false or an empty list, but to nothing else
            raise ValueError(f"Config: {key} is null; only {shown(wanted)} can be expressed here.")
        if wanted is False and key != "use_bidirectional_attention":  # which may be null
            read.used_for_null(key, "false")
        if read.values.get(key, wanted) != wanted:
            raise ValueError(f"Config: {key} is {shown(read.values[key])}; only {shown(wanted)} can be expressed here.")
    found = (_gpt2 if kind == "gpt2" else _rotary)(ARCHITECTURES[kind], read)
    if values.get("quantization_config"):
        read.notes.append("Config: quantization_config is ignored; the weights are used as the file has them.")
    return replace(found, notes=(*found.notes, *dict.fromkeys(read.notes)))


class _Reader:
    """Takes keys out of a config, each with the check of its type.

    `nulls` are the keys that are there without a value; a note is made of what is used for one of those where Transformers
    would not accept it.
    """

    def __init__(self, values: dict[str, Any], nulls: Sequence[str] = ()) -> None:
        self.values = values
        self.notes: list[str] = []
        self._nulls = frozenset(nulls)

    def _shown(self, key: str) -> str:
        """The value of a key for an error message."""
        return shown(self.values[key]) if key in self.values else "null" if key in self._nulls else "missing"

    def used_for_null(self, key: str, used: str) -> None:
        """Note what is used for a key, if it is null."""
        if key in self._nulls:
            self.notes.append(f"Config: {key} is null; {used} is used.")

    def whole(self, key: str) -> int:
        value = self.values.get(key)
        if type(value) is not int:
            raise ValueError(f"Config: {key} must be a whole number; it is {self._shown(key)}.")
        if not 0 <= value <= MOST:
            raise ValueError(f"Config: {key} must be 0 to {MOST:,}; it is {self._shown(key)}.")
        return value

    def number(self, key: str) -> float:
        value = self.values.get(key)
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise ValueError(f"Config: {key} must be a number; it is {self._shown(key)}.")
        return float(value)

    def flag(self, key: str) -> bool:
        value = self.values.get(key, False)
        self.used_for_null(key, "false")
        if not isinstance(value, bool):
            raise ValueError(f"Config: {key} must be true or false; it is {self._shown(key)}.")
        return value

    def one_of(self, key: str, names: dict[str, str]) -> str:
        """Our name for one of theirs; `names` maps theirs to ours."""
        value = self.values.get(key)
        if isinstance(value, str) and value in names:
            return names[value]
        raise ValueError(f"Config: {key} is {self._shown(key)}; only {', '.join(names)} can be expressed here.")


def _model(values: dict[str, Any]) -> ModelConfig:
    """Our config; its errors are marked as being about the file."""
    try:
        return model_config(values)
    except ValueError as error:
        raise ValueError(f"The config cannot be used here: {error}") from None


def _with_hidden(found: int, model: ModelConfig) -> ModelConfig:
    """The model with this hidden width of its MLP: by a rule of ours, 4 C or 8/3 C, if it follows one, else as a number."""
    for matched in (True, False):
        if model.replace(match_parameters=matched).mlp_hidden == found:
            return model.replace(match_parameters=matched)
    return _model({**model.to_dict(), "mlp_width": found})


def _context(found: int, learned: bool) -> tuple[int, tuple[str, ...]]:
    """The context; where positions are no table, one longer than our limit is cut."""
    limit = int(next(item for item in fields(ModelConfig) if item.name == "block_size").metadata["high"])
    if learned or found <= limit:
        return found, ()
    return limit, (f"The model was made for a context of {counted(found, 'token')}; {limit:,} are used here.",)


def _gpt2(item: Architecture, read: _Reader) -> Foreign:
    context, notes = _context(read.whole("n_positions"), learned=True)
    heads, width = read.whole("n_head"), read.whole("n_embd")
    model = _model(
        {
            "vocab_size": read.whole("vocab_size"),
            "block_size": context,
            "n_layer": read.whole("n_layer"),
            "n_embd": width,
            "n_head": heads,
            "n_kv_head": heads,
            "position": "learned",
            "norm": "layernorm",
            "norm_eps": read.number("layer_norm_epsilon"),
            "mlp": read.one_of("activation_function", readable_names(PLAIN_ACTIVATIONS)),
            "tie_embeddings": read.flag("tie_word_embeddings"),
            "dropout": read.number("resid_pdrop"),
        }
    )
    inner = read.whole("n_inner") if "n_inner" in read.values else 4 * width
    return Foreign(item, _with_hidden(inner, model), Stored(head=not model.tie_embeddings), notes)


def _rotary(item: Architecture, read: _Reader) -> Foreign:
    kind = item.model_type
    context, notes = _context(read.whole("max_position_embeddings"), learned=False)
    heads, width, layers = (read.whole(key) for key in ("num_attention_heads", "hidden_size", "num_hidden_layers"))
    window, every = _windows(kind, read, layers, context)
    bias, stored = _biases(kind, read)
    model = _model(
        {
            "vocab_size": read.whole("vocab_size"),
            "block_size": context,
            "n_layer": layers,
            "n_embd": width,
            "n_head": heads,
            "n_kv_head": _key_value_heads(kind, read, heads),
            "head_size": _head_size(kind, read, width, heads),
            "position": "rope",
            "rope_theta": _rope_theta(read),
            "norm": "layernorm" if kind == "starcoder2" else "rmsnorm",
            "norm_eps": read.number("norm_epsilon" if kind == "starcoder2" else "rms_norm_eps"),
            "mlp": _activation(kind, read),
            "qk_norm": kind in ("qwen3", "qwen3_moe"),
            "window": window,
            "global_every": every,
            "sink_logit": "learned" if kind == "gpt_oss" else "none",
            **_experts(kind, read),
            "bias": bias,
            # Gemma scales the embeddings but not the tied head, so here these are two matrices.
            "tie_embeddings": stored.head is False and kind != "gemma",
        }
    )
    hidden = read.whole("moe_intermediate_size" if kind == "qwen3_moe" else "intermediate_size")
    return Foreign(item, _with_hidden(hidden, model), stored, notes)


def _activation(kind: str, read: _Reader) -> str:
    if kind == "gpt_oss":
        return "clamped_swiglu"
    names = readable_names(PLAIN_ACTIVATIONS if kind == "starcoder2" else GATED_ACTIVATIONS)
    if kind == "gemma":
        names["gelu"] = "geglu"  # its first configs say so and mean the tanh form, as Transformers knows
    return read.one_of("hidden_act", names)


def _experts(kind: str, read: _Reader) -> dict[str, Any]:
    if kind not in ("mixtral", "qwen3_moe", "gpt_oss"):
        return {}
    key = "num_experts" if "num_experts" in read.values else "num_local_experts"
    missing = kind == "qwen3_moe" and key not in read.values
    experts = 128 if missing else read.whole(key)  # Qwen3-MoE's default, under either name
    if experts < 2:
        raise ValueError(f"Config: {key} is {experts}; a mixture needs 2 or more experts here.")
    normalised = read.flag("norm_topk_prob") if kind == "qwen3_moe" else True
    return {"n_expert": experts, "n_expert_active": read.whole("num_experts_per_tok"), "router_norm": normalised}


def _key_value_heads(kind: str, read: _Reader, heads: int) -> int:
    """As many as heads where the key is missing or null, as all classes of transformers 4 have it."""
    if kind not in ("llama", "qwen2", "qwen3"):  # whose classes accept a null
        read.used_for_null("num_key_value_heads", f"num_attention_heads, {heads},")
    return read.whole("num_key_value_heads") if "num_key_value_heads" in read.values else heads


def _head_size(kind: str, read: _Reader, width: int, heads: int) -> int:
    """The size of a head, 0 where it is an equal share of the width."""
    if kind in ("qwen3", "gemma", "gpt_oss"):  # whose classes have a size of their own and accept no null
        read.used_for_null("head_dim", "hidden_size / num_attention_heads")
    own = read.whole("head_dim") if "head_dim" in read.values else 0
    return 0 if own * heads == width else own


def _biases(kind: str, read: _Reader) -> tuple[bool, Stored]:
    """Whether there are biases, and which of them a folder has; the others are zero."""
    head = not read.flag("tie_word_embeddings")
    if kind == "gpt_oss":
        return True, Stored(head=head)
    if kind == "qwen2":
        return True, Stored(out_bias=False, mlp_bias=False, head=head)
    if kind == "starcoder2":  # LayerNorms have one in any case
        bias = read.flag("use_bias")
        return True, Stored(bias, bias, bias, head)
    attention = kind in ("llama", "qwen3", "qwen3_moe") and read.flag("attention_bias")
    mlp = kind == "llama" and read.flag("mlp_bias")
    return attention or mlp, Stored(attention, attention, mlp, head)


def _rope_theta(read: _Reader) -> float:
    """The base, from where transformers 5 or 4 keeps it. Raises ValueError for any RoPE scaling."""
    parameters = read.values.get("rope_parameters", {})
    scaling = read.values.get("rope_scaling", {})
    if not isinstance(parameters, dict) or not isinstance(scaling, dict):
        raise ValueError("Config: rope_parameters must be a table.")
    merged = {**scaling, **parameters}
    kind = merged.get("rope_type", merged.get("type", "default"))
    if kind != "default":
        raise ValueError(f"Config: RoPE of type {shown(kind)} is not supported; only 'default' is.")
    if merged.get("partial_rotary_factor", read.values.get("partial_rotary_factor", 1.0)) != 1.0:
        raise ValueError("Config: a partial_rotary_factor other than 1 is not supported.")
    return _Reader({"rope_theta": merged.get("rope_theta", read.values.get("rope_theta"))}).number("rope_theta")


def _windows(kind: str, read: _Reader, layers: int, context: int) -> tuple[int, int]:
    """Window and `global_every` from ``sliding_window`` and ``layer_types``."""
    if kind in ("llama", "gemma") or (kind.startswith("qwen") and not read.flag("use_sliding_window")):
        return 0, 0
    if kind in ("mistral", "mixtral", "starcoder2", "qwen3_moe"):
        return (min(read.whole("sliding_window"), context) if "sliding_window" in read.values else 0), 0
    types, window = read.values.get("layer_types"), min(read.whole("sliding_window"), context)
    if types is not None:
        return _pattern(types, layers, window)
    if kind == "gpt_oss":
        return window, 2 if layers > 1 else 0
    full = min(read.whole("max_window_layers"), layers)
    if 0 < full < layers:
        raise ValueError(
            f"Config: max_window_layers is {full}, so the first of {counted(layers, 'layer')} have full attention; only 0 "
            f"and {layers} can be expressed here."
        )
    return (0 if full else window), 0


def _pattern(types: Any, layers: int, window: int) -> tuple[int, int]:
    """Window and `global_every` from a list with the kind of each layer."""
    known = ("full_attention", "sliding_attention")
    if not isinstance(types, list) or len(types) != layers or any(word not in known for word in types):
        raise ValueError(f"Config: layer_types must name {' or '.join(known)} for each of {counted(layers, 'layer')}.")
    full = [index + 1 for index, word in enumerate(types) if word == "full_attention"]
    if len(full) == layers:
        return 0, 0
    if not full:
        return window, 0
    every = full[0]
    if full != list(range(every, layers + 1, every)) or every < 2:
        raise ValueError("Config: layer_types must repeat: every n-th layer full, all others sliding.")
    return window, every
