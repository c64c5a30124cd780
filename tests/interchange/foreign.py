"""Random models that Transformers makes, and folders of them as strangers' would be."""

from pathlib import Path
from typing import Any

import torch
import transformers
from safetensors.torch import load_file, save_file

from playground.interchange.folders import read_folder
from playground.interchange.package import Package
from playground.tokenizers import build_tokenizer, tokenizers_json

SIZES: dict[str, Any] = dict(
    vocab_size=256, hidden_size=48, num_hidden_layers=3, num_attention_heads=4, num_key_value_heads=2,
    intermediate_size=128, head_dim=12, max_position_embeddings=256, bos_token_id=None, eos_token_id=None,
)  # fmt: skip
GPT2: dict[str, Any] = dict(
    vocab_size=256, n_positions=256, n_embd=48, n_layer=3, n_head=4, bos_token_id=None, eos_token_id=None
)
PLAIN = {"rope_type": "default", "rope_theta": 10_000.0}
EXPERTS = {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 40}
LAYERS = ["sliding_attention", "full_attention", "sliding_attention"]

# name: the class of its config, and settings
MODELS: dict[str, tuple[str, dict[str, Any]]] = {
    "gpt2": ("GPT2", GPT2),
    "gpt2, exact GELU": ("GPT2", GPT2 | {"activation_function": "gelu"}),
    "gpt2, tanh by another name": ("GPT2", GPT2 | {"activation_function": "gelu_pytorch_tanh"}),
    "gpt2, untied": ("GPT2", GPT2 | {"tie_word_embeddings": False, "n_inner": 100}),
    "llama": ("Llama", SIZES | {"attention_bias": True, "mlp_bias": True}),
    "llama, biases of attention": ("Llama", SIZES | {"attention_bias": True}),
    "llama, biases of the MLP": ("Llama", SIZES | {"mlp_bias": True, "tie_word_embeddings": True}),
    "mistral": ("Mistral", SIZES | {"intermediate_size": 100, "sliding_window": 8}),
    "mixtral": ("Mixtral", SIZES | {"num_local_experts": 4, "sliding_window": 16}),
    "qwen2": ("Qwen2", SIZES),
    "qwen2, tied, all layers local": (
        "Qwen2", SIZES | {"tie_word_embeddings": True, "use_sliding_window": True, "sliding_window": 8,
                          "max_window_layers": 0}
    ),
    "qwen3": ("Qwen3", SIZES | {"use_sliding_window": True, "sliding_window": 8, "layer_types": LAYERS}),
    "qwen3, biases of attention": ("Qwen3", SIZES | {"attention_bias": True}),
    "qwen3_moe": ("Qwen3Moe", SIZES | EXPERTS),
    "qwen3_moe, normalised, window, biases": (
        "Qwen3Moe", SIZES | EXPERTS | {"norm_topk_prob": True, "attention_bias": True, "use_sliding_window": True,
                                       "sliding_window": 8}
    ),
    "starcoder2": ("Starcoder2", SIZES),
    "starcoder2, window, exact GELU, no biases, untied": (
        "Starcoder2", SIZES | {"use_bias": False, "hidden_act": "gelu", "sliding_window": 8, "tie_word_embeddings": False}
    ),
    "gemma": ("Gemma", SIZES),
    "gemma, heads of 16, untied": ("Gemma", SIZES | {"head_dim": 16, "tie_word_embeddings": False}),
    "gpt_oss": (
        "GptOss", SIZES | {"num_local_experts": 4, "num_experts_per_tok": 2, "sliding_window": 8, "rope_parameters": PLAIN}
    ),
}  # fmt: skip


def build(name: str, **changes: Any) -> transformers.PreTrainedModel:
    """A random model, its weights five times their initial size and no vector plain."""
    torch.manual_seed(3)
    kind, settings = MODELS[name]
    config = getattr(transformers, f"{kind}Config")(**settings | changes)
    model = transformers.AutoModelForCausalLM.from_config(config, attn_implementation="eager").eval()
    with torch.no_grad():
        for key, parameter in model.named_parameters():
            if parameter.ndim >= 2 and not key.endswith("bias"):
                parameter *= 5
            elif key.endswith(("bias", "sinks")):
                parameter.normal_(0.0, 0.3)
            else:
                parameter += 0.3 * torch.randn_like(parameter)
    return model


def save(folder: Path, model: transformers.PreTrainedModel, vocab_size: int = 256) -> Path:
    """Write a model as `save_pretrained` does, with a tokenizer of bytes beside it."""
    model.save_pretrained(folder)
    (folder / "tokenizer.json").write_text(tokenizers_json(build_tokenizer("byte", "")), "utf-8")
    (folder / "tokenizer_config.json").write_text('{"tokenizer_class": "PreTrainedTokenizerFast"}', "utf-8")
    return folder


def change_tensors(folder: Path, **changes: torch.Tensor | None) -> None:
    """Add tensors to a folder's file, replace them, or take them out (None)."""
    path = folder / "model.safetensors"
    tensors: dict[str, Any] = load_file(path) | changes
    save_file({name: tensor for name, tensor in tensors.items() if tensor is not None}, path)


def difference(read: Package, model: transformers.PreTrainedModel) -> float:
    """The largest difference of any logit between what was read and a model of Transformers, over 2 x 64 tokens."""
    tokens = torch.randint(0, 256, (2, 64), generator=torch.Generator().manual_seed(5))
    with torch.inference_mode():
        return float((read.build()(tokens) - model(tokens).logits).abs().max())


def reloaded(folder: Path) -> transformers.PreTrainedModel:
    """What Transformers itself makes of a folder."""
    return transformers.AutoModelForCausalLM.from_pretrained(folder, attn_implementation="eager").eval()


__all__ = ["MODELS", "build", "change_tensors", "difference", "read_folder", "reloaded", "save"]
