"""Settings as people read and write them: labels, values, differences."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any, get_type_hints

from playground.config.model import ModelConfig
from playground.config.settings import Settings
from playground.config.train import TrainConfig


def config_diff(a: Settings, b: Settings) -> dict[str, tuple[Any, Any]]:
    """The fields in which two configs of one kind differ, as ``{name: (a's value, b's value)}``."""
    left, right = a.to_dict(), b.to_dict()
    return {name: (left[name], right[name]) for name in left if left[name] != right[name]}


_WORDS = {
    "pre": "before (pre)", "post": "after (post)",
    "learned": "learned", "sinusoidal": "sinusoidal", "rope": "RoPE", "alibi": "ALiBi", "none": "none",
    "layernorm": "LayerNorm", "rmsnorm": "RMSNorm",
    "gelu": "GELU", "gelu_exact": "exact GELU", "relu2": "ReLU²", "swiglu": "SwiGLU", "geglu": "GeGLU",
    "clamped_swiglu": "clamped SwiGLU", "gpt2": "GPT-2", "depth_scaled": "depth-scaled", "byte": "bytes",
    "char": "characters", "bpe": "BPE", "imported": "imported file",
    "classic": "Classic", "modern": "Modern", "mixture": "Mixture", "gpt-oss": "gpt-oss", "speedrun": "Speedrun",
    "adamw": "AdamW", "muon": "Muon", "sgd": "SGD", "wsd": "warm-up, stable, decay",
}  # fmt: skip


def spelled(value: Any) -> str:
    """A setting's value as people write it: "RoPE" for "rope", "yes" for True, 0.002 without a tail of zeros."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:g}" if isinstance(value, float) else _WORDS.get(value, str(value))


def setting_kinds() -> dict[str, type[Settings]]:
    """Every setting of a run with the class that it belongs to. The vocabulary is none: it follows from the tokenizer."""
    return {
        item.name: kind for kind in (ModelConfig, TrainConfig) for item in fields(kind) if item.name != "vocab_size"
    }


def current_name(name: str) -> str:
    """What a setting is called today, for a name from a race file, a link or a command of an earlier version."""
    return ModelConfig.renamed.get(name, TrainConfig.renamed.get(name, name))


def current_names(values: Mapping[str, Any]) -> dict[str, Any]:
    """The same values under today's names."""
    return {current_name(name): value for name, value in values.items()}


def parsed(kind: type[Settings], name: str, text: str) -> Any:
    """A setting's value from text, as its field's type; what does not fit stays text, for the config to complain about."""
    wanted = get_type_hints(kind)[name]
    if wanted is bool:
        return {"true": True, "false": False, "yes": True, "no": False}.get(text.lower(), text)
    try:
        return (float(text) if "." in text or "e" in text.lower() else int(text)) if wanted in (int, float) else text
    except ValueError:
        return text


def label(kind: type[Settings], name: str) -> str:
    """A field's label, as forms, tables and messages show it."""
    return str(next(item.metadata["label"] for item in fields(kind) if item.name == name))  # type: ignore[arg-type]
