"""Ours against Hugging Face's: the same random weights, five times their initial size, must give the same numbers.

The weights cross over by the names that export uses (`interchange.architectures`): what is tested here is what ships.
Theirs is always the "eager" attention, and experts one after the other: the code that says what a model is.
"""

import json
from pathlib import Path

import pytest
import torch
import transformers
from safetensors.torch import save_file
from torch import nn
from transformers.models.llama.modeling_llama import LlamaRotaryEmbedding

from playground.config import GenerationConfig, ModelConfig, preset
from playground.inference.generation import generate
from playground.interchange.architectures import choose, transformers_config
from playground.interchange.names import export_tensors
from playground.models.positional import RotaryPositions
from playground.models.trace import Trace
from playground.models.transformer import Transformer
from tests.models.variants import DEVICES, build, tokens

SMALL = dict(vocab_size=61, block_size=256, n_layer=3, n_embd=64, n_head=4)
MODERN = preset("modern", **SMALL, n_kv_head=2)
OSS = preset("gpt-oss", **SMALL, window=16)
CASES: dict[str, ModelConfig] = {
    "GPT2": preset("classic", **SMALL),
    "GPT2, untied, relu2, two heads": preset("classic", **{**SMALL, "n_head": 2}, tie_embeddings=False, mlp="relu2"),
    "GPT2, exact GELU": preset("classic", **SMALL, mlp="gelu_exact"),
    "Llama, grouped": MODERN,
    "Llama, untied": MODERN.replace(tie_embeddings=False, n_kv_head=4, rope_theta=500.0, norm_eps=1e-5),
    "Llama, multi-query, geglu, biases": MODERN.replace(n_kv_head=1, mlp="geglu", bias=True, match_parameters=False),
    "Llama, heads of 24": MODERN.replace(head_size=24),
    "Mistral, grouped": MODERN.replace(window=16),
    "Mistral, untied, window of 5": MODERN.replace(window=5, tie_embeddings=False, n_kv_head=1),
    "Mixtral, 2 of 4": preset("mixture", **SMALL),
    "Mixtral, 3 of 8, windowed, untied": preset(
        "mixture", **SMALL, n_expert=8, n_expert_active=3, window=16, tie_embeddings=False
    ),
    "Qwen3, tied": MODERN.replace(qk_norm=True),
    "Qwen3, heads of 32": MODERN.replace(qk_norm=True, head_size=32),
    "Mistral, five heads of 10": MODERN.replace(window=16, n_head=5, n_kv_head=1, head_size=10),
    "Mixtral, heads of 8": preset("mixture", **SMALL, head_size=8),
    "Qwen3, untied, every other layer local": MODERN.replace(
        qk_norm=True, tie_embeddings=False, window=16, global_every=3, n_kv_head=1
    ),
    "GptOss, 2 of 4": OSS,
    "GptOss, heads of 32": OSS.replace(head_size=32),
    "GptOss, 1 of 3, tied, softmax-off-by-one": OSS.replace(
        n_expert=3, n_expert_active=1, tie_embeddings=True, sink_logit="zero", window=5, n_kv_head=4
    ),
}


def test_every_case_is_the_architecture_that_it_is_called():
    for name, config in CASES.items():
        assert choose(config).name == name.split(",")[0]


def twin(ours: Transformer, folder: Path, tensors: dict[str, torch.Tensor] | None = None) -> nn.Module:
    """Theirs, with our weights, or with other tensors of the same names and shapes; loaded as anybody would load it."""
    item = choose(ours.config)
    named = {name: parameter.detach().cpu() for name, parameter in (tensors or dict(ours.named_parameters())).items()}
    state = {name: tensor.contiguous() for name, tensor in export_tensors(item.rules(ours.config), named).items()}
    (folder / "config.json").write_text(json.dumps(transformers_config(item, ours.config)))
    save_file(state, folder / "model.safetensors", {"format": "pt"})
    theirs = transformers.AutoModelForCausalLM.from_pretrained(
        folder, attn_implementation="eager", experts_implementation="eager"
    )
    theirs.generation_config = transformers.GenerationConfig(do_sample=False, pad_token_id=0, eos_token_id=None)
    return theirs.eval().to(next(ours.parameters()).device)


@pytest.mark.parametrize(("theta", "dims"), [(10_000.0, 16), (500.0, 24), (1e6, 64)])
def test_rotations_equal_llamas_to_the_last_bit(theta, dims):
    """Anywhere in a long text: the angle at position 2,000 is 2,000 times what a frequency's last bit is."""
    config = transformers.LlamaConfig(
        head_dim=dims, rope_parameters={"rope_type": "default", "rope_theta": theta}, max_position_embeddings=2048
    )
    positions = torch.arange(2048)
    theirs = LlamaRotaryEmbedding(config)(torch.zeros(1), positions[None])
    for ours, reference in zip(RotaryPositions(dims, theta).rotation(positions), theirs, strict=True):
        assert torch.equal(torch.cat((ours, ours), dim=-1), reference[0])


def listen(theirs: nn.Module) -> dict[str, list[torch.Tensor]]:
    """What their MLPs and routers will say in a forward pass, in the order of layers."""
    heard: dict[str, list[torch.Tensor]] = {"mlp": [], "router": [], "experts": []}

    def note(module: nn.Module, inputs: object, output) -> None:
        if type(module).__name__.endswith("TopKRouter"):
            heard["router"].append(output[0])
            heard["experts"].append(output[2])
        else:
            heard["mlp"].append(output[0] if isinstance(output, tuple) else output)

    for module in theirs.modules():
        if type(module).__name__.endswith(("TopKRouter", "MLP", "SparseMoeBlock")):
            module.register_forward_hook(note)
    return heard


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("name", CASES)
def test_logits_and_every_layer_equal_transformers(name, device, tmp_path):
    """The text is six windows long. In a mixture the router's probabilities are the same and its tokens go to the same
    experts. A text read by itself gives what it gave among others."""
    config = CASES[name]
    ours, x = build(config).to(device), tokens(config, n=96, batch=3).to(device)
    theirs = twin(ours, tmp_path)
    heard, keep = listen(theirs), ["*.resid_pre", "final", "*.mlp_out", "*.router", "*.experts"]
    with torch.no_grad(), Trace(ours, keep) as trace:
        logits = ours.unembed(ours.hidden(x))
    with torch.no_grad():
        reference = theirs(x, output_hidden_states=True)
        alone = ours(x[1:2])
    assert logits.std() > 0.5, "weights are large enough that a mistake would show"
    assert (logits - reference.logits).abs().max() < 2e-5
    assert (alone - reference.logits[1:2]).abs().max() < 2e-5
    for layer in range(config.n_layer):
        assert (trace.kept[f"blocks.{layer}.resid_pre"] - reference.hidden_states[layer]).abs().max() < 2e-5
        said = heard["mlp"][layer].view(3, 96, config.n_embd)
        assert (trace.kept[f"blocks.{layer}.mlp_out"] - said).abs().max() < 2e-5
    assert (trace.kept["final"] - reference.hidden_states[-1]).abs().max() < 2e-5
    assert len(heard["mlp"]) == config.n_layer
    assert len(heard["experts"]) == (config.n_layer if config.n_expert > 1 else 0)
    for layer, (scores, ids) in enumerate(zip(heard["router"], heard["experts"], strict=True)):
        assert (trace.kept[f"blocks.{layer}.router"].flatten(0, 1) - scores.softmax(-1)).abs().max() < 1e-6
        assert torch.equal(trace.kept[f"blocks.{layer}.experts"].flatten(0, 1), ids)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("name", CASES)
def test_in_bfloat16_ours_stays_as_near_as_theirs(name, device, tmp_path):
    """Both in bfloat16 throughout, against fp32 logits; the experts are those of fp32, since near ties may flip."""
    config = CASES[name]
    ours, x = build(config).to(device), tokens(config, n=96, batch=3).to(device)
    theirs = twin(ours, tmp_path)
    with torch.no_grad(), Trace(ours, keep=["*.experts"]) as choice:
        ours.hidden(x)
    frozen = {layer: (lambda _, ids=ids: ids) for layer, ids in choice.kept.items()}
    with torch.no_grad():
        exact = theirs(x).logits
        with Trace(ours.to(torch.bfloat16), edit=frozen):
            rough = ours.unembed(ours.hidden(x)).float()
        limit = 0.1 * exact.std()
        if config.n_expert == 1:
            limit = min(limit, 1.3 * (theirs.to(torch.bfloat16)(x).logits.float() - exact).square().mean().sqrt())
    assert (rough - exact).square().mean().sqrt() < limit


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("name", CASES)
def test_gradients_of_every_parameter_equal_transformers(name, device, tmp_path):
    config = CASES[name]
    ours, x = build(config).to(device), tokens(config, n=96, batch=3).to(device)
    theirs = twin(ours, tmp_path)
    for model in (ours, theirs):
        out = model(x)
        logits = out if isinstance(out, torch.Tensor) else out.logits
        nn.functional.cross_entropy(logits[:, :-1].flatten(0, 1), x[:, 1:].flatten()).backward()
    mine = {name: parameter.grad for name, parameter in ours.named_parameters()}
    gradients = dict(twin(ours, tmp_path, mine).named_parameters())  # re-arranged as the weights were
    others = dict(theirs.named_parameters())
    largest = max(other.grad.norm() for other in others.values())
    compared = 0
    for part, other in others.items():
        if part.endswith("sinks") and config.sink_logit == "zero":
            continue  # a number that is not trained here
        difference = (gradients[part] - other.grad).norm()
        # What is zero in exact arithmetic (a key's bias: softmax takes no notice of it) is noise in both.
        assert difference <= 1e-5 * other.grad.norm() or other.grad.norm() < 1e-6 * largest, part
        compared += 1
    assert compared >= len(others) - config.n_layer


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("name", CASES)
def test_greedy_text_equals_transformers_token_for_token(name, device, tmp_path):
    """200 tokens, theirs with their cache and ours with ours. At twelve times the initial size the text is as good as
    random: at five times most models fall into a rut, and a wrong one could fall into the same."""
    config = CASES[name]
    ours = build(config, scale=12.0).to(device)
    prompt = tokens(config, n=7, batch=1).to(device)
    with torch.no_grad():
        reference = twin(ours, tmp_path).generate(prompt, max_new_tokens=200, attention_mask=torch.ones_like(prompt))
    written = [
        token.id for token in generate(ours, prompt[0].tolist(), GenerationConfig(temperature=0, max_new_tokens=200))
    ]
    assert len(set(written)) > 10, "the text does not just repeat itself"
    assert written == reference[0, 7:].tolist()
