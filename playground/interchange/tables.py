"""The mapping of tensors for each architecture of Transformers, as lists of `names.Rule`.

Export, import and tests use the same lists. Our models have biases everywhere or nowhere. If an architecture has a bias
that we lack, zeros are written; if it lacks one that we have, zeros are read.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from playground.config import ModelConfig
from playground.interchange.names import (
    Rule,
    folded,
    interleaved,
    joined,
    one_by_one,
    same,
    scaled,
    shifted,
    transposed,
    zeros,
)
from playground.interchange.names import missing as absent


@dataclass(frozen=True)
class Stored:
    """Which optional tensors a folder has: biases, and a separate head."""

    qkv_bias: bool = True
    out_bias: bool = True
    mlp_bias: bool = True
    head: bool = True


ALL = Stored()


def _embeddings(model: ModelConfig, embed: str, norm: str, head: str, norm_bias: bool = False) -> list[Rule]:
    rules = [same("embed.weight", embed), *_norm(model, "norm", norm, norm_bias)]
    return rules if model.tie_embeddings else [*rules, same("head.weight", head)]


def _norm(model: ModelConfig, ours: str, theirs: str, bias: bool = False) -> list[Rule]:
    rules = [same(f"{ours}.weight", f"{theirs}.weight")]
    if bias and model.norm == "layernorm" and model.bias:
        rules.append(same(f"{ours}.bias", f"{theirs}.bias"))
    elif bias:
        rules.append(zeros(f"{theirs}.bias", (model.n_embd,)))
    return rules


def gpt2_rules(model: ModelConfig, stored: Stored = ALL) -> list[Rule]:
    """GPT-2 has biases everywhere; for a model without them, zeros are written."""
    width, hidden = model.n_embd, model.mlp_hidden
    rules = _embeddings(model, "transformer.wte.weight", "transformer.ln_f", "lm_head.weight", norm_bias=True)
    rules.append(same("positions.table.weight", "transformer.wpe.weight"))
    for i in range(model.n_layer):
        a, b = f"blocks.{i}", f"transformer.h.{i}"
        rules += _norm(model, f"{a}.attn_norm", f"{b}.ln_1", bias=True)
        rules += _norm(model, f"{a}.mlp_norm", f"{b}.ln_2", bias=True)
        parts = [f"{a}.attn.{part}" for part in ("query", "key", "value")]
        rules.append(joined([f"{part}.weight" for part in parts], f"{b}.attn.c_attn.weight", [width] * 3))
        pairs = ((f"{a}.attn.out", f"{b}.attn.c_proj", width), (f"{a}.mlp.up", f"{b}.mlp.c_fc", hidden),
                 (f"{a}.mlp.down", f"{b}.mlp.c_proj", width))  # fmt: skip
        rules += [transposed(f"{ours}.weight", f"{theirs}.weight") for ours, theirs, _ in pairs]
        if model.bias:
            rules.append(joined([f"{part}.bias" for part in parts], f"{b}.attn.c_attn.bias", [width] * 3))
            rules += [same(f"{ours}.bias", f"{theirs}.bias") for ours, theirs, _ in pairs]
        else:
            rules.append(zeros(f"{b}.attn.c_attn.bias", (3 * width,)))
            rules += [zeros(f"{theirs}.bias", (n,)) for _, theirs, n in pairs]
    return rules


def llama_rules(model: ModelConfig, stored: Stored = ALL) -> list[Rule]:
    """Llama's names, which all except GPT-2 share, apart from experts."""
    rules = _embeddings(model, "model.embed_tokens.weight", "model.norm", "lm_head.weight")
    for i in range(model.n_layer):
        a, b = f"blocks.{i}", f"model.layers.{i}"
        rules += _norm(model, f"{a}.attn_norm", f"{b}.input_layernorm")
        rules += _norm(model, f"{a}.mlp_norm", f"{b}.post_attention_layernorm")
        rules += _attention(model, a, b, stored)
        if model.n_expert == 1:
            for part in ("gate", "up", "down"):
                width = model.n_embd if part == "down" else model.mlp_hidden
                rules += _linear(model, f"{a}.mlp.{part}", f"{b}.mlp.{part}_proj", width, stored.mlp_bias)
    return rules


def _attention(model: ModelConfig, a: str, b: str, stored: Stored) -> list[Rule]:
    queries, kv = model.n_head * model.head_dim, model.n_kv_head * model.head_dim
    rules = []
    for ours, theirs, width in (("query", "q_proj", queries), ("key", "k_proj", kv), ("value", "v_proj", kv)):
        rules += _linear(model, f"{a}.attn.{ours}", f"{b}.self_attn.{theirs}", width, stored.qkv_bias)
    rules += _linear(model, f"{a}.attn.out", f"{b}.self_attn.o_proj", model.n_embd, stored.out_bias)
    if model.qk_norm:
        rules += [
            same(f"{a}.attn.{part}_norm.weight", f"{b}.self_attn.{part[0]}_norm.weight") for part in ("query", "key")
        ]
    return rules


def _linear(model: ModelConfig, ours: str, theirs: str, width: int, stored: bool = True) -> list[Rule]:
    """A projection to `width` numbers; `stored`: whether the folder has its bias, if the model has one."""
    rules = [same(f"{ours}.weight", f"{theirs}.weight")]
    if model.bias:
        rules.append(same(f"{ours}.bias", f"{theirs}.bias") if stored else absent(f"{ours}.bias", (width,)))
    return rules


def starcoder2_rules(model: ModelConfig, stored: Stored = ALL) -> list[Rule]:
    """Llama's attention between LayerNorms, and an MLP under GPT-2's names. LayerNorms always have a bias."""
    rules = _embeddings(model, "model.embed_tokens.weight", "model.norm", "lm_head.weight", norm_bias=True)
    for i in range(model.n_layer):
        a, b = f"blocks.{i}", f"model.layers.{i}"
        rules += _norm(model, f"{a}.attn_norm", f"{b}.input_layernorm", bias=True)
        rules += _norm(model, f"{a}.mlp_norm", f"{b}.post_attention_layernorm", bias=True)
        rules += _attention(model, a, b, stored)
        rules += _linear(model, f"{a}.mlp.up", f"{b}.mlp.c_fc", model.mlp_hidden, stored.mlp_bias)
        rules += _linear(model, f"{a}.mlp.down", f"{b}.mlp.c_proj", model.n_embd, stored.mlp_bias)
        if not model.bias:
            queries, kv = model.n_head * model.head_dim, model.n_kv_head * model.head_dim
            widths = {"self_attn.q_proj": queries, "self_attn.k_proj": kv, "self_attn.v_proj": kv,
                      "self_attn.o_proj": model.n_embd, "mlp.c_fc": model.mlp_hidden,
                      "mlp.c_proj": model.n_embd}  # fmt: skip
            rules += [zeros(f"{b}.{name}.bias", (n,)) for name, n in widths.items()]
    return rules


def gemma_rules(model: ModelConfig, stored: Stored = ALL) -> list[Rule]:
    """Gemma multiplies embeddings by √C and norms by 1 + weight: here both are folded into the weights."""
    scale, rules = math.sqrt(model.n_embd), []
    for rule in llama_rules(model, stored):
        name, theirs = rule.ours[0], "".join(rule.theirs)
        if name.endswith("norm.weight"):
            rules.append(shifted(name, theirs))
        elif name == "embed.weight":
            rules.append(scaled(name, theirs, scale) if stored.head else folded(name, "head.weight", theirs, scale))
        elif name != "head.weight" or stored.head:
            rules.append(rule)
    return rules


def mixtral_rules(model: ModelConfig, stored: Stored = ALL) -> list[Rule]:
    """On disk Mixtral uses its original names, one tensor per expert: w1 is the gate, w3 up, w2 down."""
    rules = llama_rules(model, stored)
    for i in range(model.n_layer):
        a, b = f"blocks.{i}.mlp", f"model.layers.{i}.block_sparse_moe"
        rules.append(same(f"{a}.router.weight", f"{b}.gate.weight"))
        rules += [
            one_by_one(f"{a}.experts.{part}", [f"{b}.experts.{e}.{theirs}.weight" for e in range(model.n_expert)])
            for part, theirs in (("gate", "w1"), ("up", "w3"), ("down", "w2"))
        ]
    return rules


def qwen3_moe_rules(model: ModelConfig, stored: Stored = ALL) -> list[Rule]:
    """One tensor per expert. Neither router nor experts have biases."""
    rules = llama_rules(model, stored)
    experts, hidden = model.n_expert, model.mlp_hidden
    widths = {"gate": hidden, "up": hidden, "down": model.n_embd}
    for i in range(model.n_layer):
        a, b = f"blocks.{i}.mlp", f"model.layers.{i}.mlp"
        rules += _linear(model, f"{a}.router", f"{b}.gate", experts, stored=False)
        for part, width in widths.items():
            names = [f"{b}.experts.{e}.{part}_proj.weight" for e in range(experts)]
            rules.append(one_by_one(f"{a}.experts.{part}", names))
            if model.bias:
                rules.append(absent(f"{a}.experts.{part}_bias", (experts, width)))
    return rules


def gpt_oss_rules(model: ModelConfig, stored: Stored = ALL) -> list[Rule]:
    """gpt-oss stores experts as (E, in, out), gate and up interleaved. Its biases are zeros if we have none."""
    rules = llama_rules(model, stored)
    experts, width, hidden = model.n_expert, model.n_embd, model.mlp_hidden
    queries, kv = model.n_head * model.head_dim, model.n_kv_head * model.head_dim
    for i in range(model.n_layer):
        a, b = f"blocks.{i}", f"model.layers.{i}"
        mine, other = f"{a}.mlp.experts", f"{b}.mlp.experts"
        rules += [
            *_linear(model, f"{a}.mlp.router", f"{b}.mlp.router", experts),
            interleaved(f"{mine}.gate", f"{mine}.up", f"{other}.gate_up_proj"),
            transposed(f"{mine}.down", f"{other}.down_proj"),
        ]
        if model.bias:
            rules += [
                interleaved(f"{mine}.gate_bias", f"{mine}.up_bias", f"{other}.gate_up_proj_bias"),
                same(f"{mine}.down_bias", f"{other}.down_proj_bias"),
            ]
        else:
            widths = {"q_proj": queries, "k_proj": kv, "v_proj": kv, "o_proj": width}
            rules += [zeros(f"{b}.self_attn.{name}.bias", (n,)) for name, n in widths.items()]
            rules += [
                zeros(f"{b}.mlp.router.bias", (experts,)),
                zeros(f"{other}.gate_up_proj_bias", (experts, 2 * hidden)),
                zeros(f"{other}.down_proj_bias", (experts, width)),
            ]
        learned = model.sink_logit == "learned"  # a fixed logit of zero is theirs, untrained
        sinks = f"{b}.self_attn.sinks"
        rules.append(same(f"{a}.attn.sinks", sinks) if learned else zeros(sinks, (model.n_head,)))
    return rules
