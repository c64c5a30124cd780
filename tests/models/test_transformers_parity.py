"""Ours against Hugging Face's: the same random weights, five times their initial size, must give the same logits."""

import pytest
import torch
import transformers
from torch import nn

from playground.config import ModelConfig, preset
from playground.models.trace import Trace
from playground.models.transformer import Transformer
from tests.models.variants import build, tokens

SMALL = dict(vocab_size=61, block_size=96, n_layer=3, n_embd=64, n_head=4)
GPT2 = preset("classic", **SMALL)
LLAMA = preset("modern", **SMALL, n_kv_head=2)
UNTIED = LLAMA.replace(tie_embeddings=False, n_kv_head=4, rope_theta=500.0)
MISTRAL = LLAMA.replace(window=16)


def gpt2(ours: Transformer, config: ModelConfig) -> nn.Module:
    theirs = transformers.GPT2LMHeadModel(
        transformers.GPT2Config(
            vocab_size=config.vocab_size, n_positions=config.block_size, n_embd=config.n_embd, n_layer=config.n_layer,
            n_head=config.n_head, activation_function="gelu_new", attn_implementation="eager",
        )
    )  # fmt: skip
    w = dict(ours.named_parameters())
    state = {
        "transformer.wte.weight": w["embed.weight"],
        "transformer.wpe.weight": w["positions.table.weight"],
        "transformer.ln_f.weight": w["norm.weight"],
        "transformer.ln_f.bias": w["norm.bias"],
        "lm_head.weight": w["embed.weight"],
    }
    for i in range(config.n_layer):
        mine, other = f"blocks.{i}.", f"transformer.h.{i}."
        for kind in ("weight", "bias"):
            qkv = torch.cat([w[f"{mine}attn.{part}.{kind}"] for part in ("query", "key", "value")])
            pairs = {"attn.c_attn": qkv, "attn.c_proj": w[f"{mine}attn.out.{kind}"], "ln_1": w[f"{mine}attn_norm.{kind}"],
                     "ln_2": w[f"{mine}mlp_norm.{kind}"], "mlp.c_fc": w[f"{mine}mlp.up.{kind}"],
                     "mlp.c_proj": w[f"{mine}mlp.down.{kind}"]}  # fmt: skip
            # GPT-2's projections are stored transposed.
            state |= {f"{other}{name}.{kind}": t.T if t.ndim == 2 else t for name, t in pairs.items()}
    theirs.load_state_dict(state)
    return theirs.eval()


def llama(ours: Transformer, config: ModelConfig) -> nn.Module:
    options = dict(
        vocab_size=config.vocab_size, hidden_size=config.n_embd, intermediate_size=config.mlp_hidden,
        num_hidden_layers=config.n_layer, num_attention_heads=config.n_head, num_key_value_heads=config.n_kv_head,
        max_position_embeddings=config.block_size, rms_norm_eps=1e-6, tie_word_embeddings=config.tie_embeddings,
        rope_parameters={"rope_type": "default", "rope_theta": config.rope_theta}, attn_implementation="eager",
    )  # fmt: skip
    if config.window:
        theirs = transformers.MistralForCausalLM(transformers.MistralConfig(**options, sliding_window=config.window))
    else:
        theirs = transformers.LlamaForCausalLM(transformers.LlamaConfig(**options))
    w = dict(ours.named_parameters())
    state = {
        "model.embed_tokens.weight": w["embed.weight"],
        "model.norm.weight": w["norm.weight"],
        "lm_head.weight": w.get("head.weight", w["embed.weight"]),
    }
    names = {"attn.query": "self_attn.q_proj", "attn.key": "self_attn.k_proj", "attn.value": "self_attn.v_proj",
             "attn.out": "self_attn.o_proj", "mlp.gate": "mlp.gate_proj", "mlp.up": "mlp.up_proj",
             "mlp.down": "mlp.down_proj", "attn_norm": "input_layernorm",
             "mlp_norm": "post_attention_layernorm"}  # fmt: skip
    for i in range(config.n_layer):
        state |= {f"model.layers.{i}.{b}.weight": w[f"blocks.{i}.{a}.weight"] for a, b in names.items()}
    theirs.load_state_dict(state)
    return theirs.eval()


CASES = {"GPT-2": (gpt2, GPT2), "Llama": (llama, LLAMA), "Llama, untied": (llama, UNTIED), "Mistral": (llama, MISTRAL)}


@pytest.mark.parametrize("name", CASES)
def test_logits_and_every_layer_equal_transformers(name):
    make, config = CASES[name]
    ours, x = build(config), tokens(config, n=96, batch=3)
    theirs = make(ours, config)
    trace = Trace(keep=["*.resid_pre"])
    with torch.no_grad():
        logits = ours.unembed(ours.hidden(x, trace=trace))
        reference = theirs(x, output_hidden_states=True)
    assert logits.std() > 0.5, "weights are large enough that a mistake would show"
    assert (logits - reference.logits).abs().max() < 2e-5
    for layer in range(config.n_layer):
        assert (trace.kept[f"blocks.{layer}.resid_pre"] - reference.hidden_states[layer]).abs().max() < 2e-5


@pytest.mark.parametrize("name", CASES)
def test_gradients_equal_transformers(name):
    make, config = CASES[name]
    ours, x = build(config), tokens(config, n=96, batch=3)
    theirs = make(ours, config)
    for model in (ours, theirs):
        out = model(x)
        logits = out if isinstance(out, torch.Tensor) else out.logits
        nn.functional.cross_entropy(logits[:, :-1].flatten(0, 1), x[:, 1:].flatten()).backward()
    other = theirs.get_input_embeddings().weight.grad
    assert (ours.embed.weight.grad - other).norm() / other.norm() < 1e-5
