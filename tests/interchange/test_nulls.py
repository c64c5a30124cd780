"""Keys of a stranger's config that are null: read as Transformers reads them, or said, or refused."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
import transformers

from playground.interchange.foreign_config import Foreign, from_transformers
from tests.interchange.foreign import MODELS

KINDS = ["gpt2", "llama", "mistral", "mixtral", "qwen2", "qwen3", "qwen3_moe", "starcoder2", "gemma", "gpt_oss"]
OTHERS = (True, False, 0, 1, 3, 0.5, "gelu", "silu")  # values of other types than that of a key are refused
USED = {"num_key_value_heads": "num_attention_heads"}  # what stands for a null in Transformers 4


def read(values: dict[str, Any]) -> Foreign | None:
    """What is made of a config, without its notes, or None where it is refused."""
    with contextlib.suppress(ValueError):
        found = from_transformers(values)
        return Foreign(found.architecture, found.model, found.stored)
    return None


def counts(values: dict[str, Any], key: str) -> bool:
    """Whether a key is read at all: some value of it makes another model, or none."""
    return any(read({**values, key: other}) != read(values) for other in OTHERS)


@pytest.mark.parametrize("kind", KINDS)
def test_a_null_is_read_as_transformers_reads_it_or_said_or_refused(kind: str) -> None:
    name, settings = MODELS[kind]
    make = getattr(transformers, f"{name}Config")
    values = make(**settings).to_dict()
    assert read(values) is not None
    said = set()
    for key in [key for key in values if key != "model_type"]:
        null = {**values, key: None}
        ours = read(null)
        if ours is None:
            continue
        theirs = None
        with contextlib.suppress(Exception):  # of several libraries
            theirs = make(**{**settings, key: None}).to_dict()
        if theirs is not None:
            assert ours == read({**values, key: theirs[key]}), key
            continue
        if not counts(values, key):
            assert ours == read(values), key
            continue
        notes = from_transformers(null).notes
        assert any(note.startswith(f"Config: {key} is null; ") for note in notes), key
        used = values[USED[key]] if key in USED else values["hidden_size"] // 4 if key == "head_dim" else False
        assert ours == read({**values, key: used}), key
        said.add(key)
    assert said >= ({"tie_word_embeddings"} if kind != "gemma" else {"tie_word_embeddings", "num_key_value_heads"})


def test_what_must_be_so_cannot_be_null() -> None:
    values = transformers.GPT2Config(**MODELS["gpt2"][1]).to_dict()
    with pytest.raises(ValueError, match=r"^Config: scale_attn_weights is null; only true can be expressed here\.$"):
        from_transformers({**values, "scale_attn_weights": None})


@pytest.mark.parametrize("settings", [None, {}, {"quant_method": "bitsandbytes", "load_in_8bit": True}])
def test_a_quantization_config_beside_weights_is_noted(settings: Any) -> None:
    name, sizes = MODELS["llama"]
    values = getattr(transformers, f"{name}Config")(**sizes).to_dict()
    note = "Config: quantization_config is ignored; the weights are used as the file has them."
    assert (note in from_transformers({**values, "quantization_config": settings}).notes) is bool(settings)
