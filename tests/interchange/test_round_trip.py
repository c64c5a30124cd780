"""Out to Transformers and back: same class, same logits, same greedy text, and byte for byte the same tensors."""

from pathlib import Path

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file

from playground.config import ModelConfig, SampleConfig, preset
from playground.inference.generation import generate
from playground.interchange.architectures import ARCHITECTURES
from playground.interchange.check import load_back
from playground.interchange.names import export_tensors
from playground.interchange.package import Package, parameters, read_folder, write_safetensors, write_transformers
from playground.tokenizers import build_tokenizer, tokenizers_json
from tests.interchange.models import CASES, package


def written(folder: Path, package: Package) -> Path:
    folder.mkdir()
    write_transformers(folder, package)
    return folder


@pytest.mark.parametrize("name", CASES)
def test_transformers_loads_it_and_gives_the_same_logits(name: str, tmp_path: Path) -> None:
    class_name, config = CASES[name]
    found = load_back(written(tmp_path / "out", package(config)), package(config))
    assert found.class_name == class_name
    assert found.tokens == 128
    assert found.difference <= 2e-5


@pytest.mark.parametrize("name", CASES)
def test_export_import_export_is_byte_for_byte_the_same(name: str, tmp_path: Path) -> None:
    _, config = CASES[name]
    first = written(tmp_path / "first", package(config))
    read = read_folder(first)
    second = written(tmp_path / "second", read)
    for file in ("model.safetensors", "config.json", "tokenizer.json"):
        assert (first / file).read_bytes() == (second / file).read_bytes()
    tokens = torch.arange(60)[None] * 37 % 256
    assert (read.build()(tokens) - package(config).build()(tokens)).abs().max() <= 2e-5


@pytest.mark.parametrize("name", CASES)
def test_our_own_folder_keeps_everything(name: str, tmp_path: Path) -> None:
    _, config = CASES[name]
    before = package(config, "named")
    write_safetensors(tmp_path, before)
    after = read_folder(tmp_path)
    assert (after.config, after.name, after.tokenizer.name) == (config, "named", "byte")
    assert after.weights.keys() == before.weights.keys()
    assert all(torch.equal(after.weights[key], weight) for key, weight in before.weights.items())


@pytest.mark.parametrize("item", ARCHITECTURES.values(), ids=lambda item: item.name)
def test_every_tensor_has_a_rule_and_every_rule_a_tensor(item) -> None:
    config = next(config for class_name, config in CASES.values() if class_name == item.class_name)
    ours = parameters(config)
    theirs = export_tensors(item.rules(config), ours)
    with pytest.raises(KeyError, match=r"no rule for blocks\.0\.attn\.extra"):
        export_tensors(item.rules(config), {**ours, "blocks.0.attn.extra": ours["embed.weight"]})
    assert all(tensor.device.type == "meta" or not tensor.any() for tensor in theirs.values()), "nothing was allocated"


# Models that Transformers makes, not we


def foreign(kind: str) -> transformers.PreTrainedModel:
    """A random model of Transformers, its weights five times their initial size."""
    torch.manual_seed(3)
    sizes = dict(vocab_size=256, hidden_size=48, num_hidden_layers=3, num_attention_heads=4, num_key_value_heads=2,
                 intermediate_size=128, head_dim=12, max_position_embeddings=256, bos_token_id=None,
                 eos_token_id=None)  # fmt: skip
    plain = {"rope_type": "default", "rope_theta": 10_000.0}
    config = {
        "gpt2": lambda: transformers.GPT2Config(
            vocab_size=256, n_positions=256, n_embd=48, n_layer=3, n_head=4, bos_token_id=None, eos_token_id=None
        ),
        "llama": lambda: transformers.LlamaConfig(**sizes, attention_bias=True, mlp_bias=True),
        "mistral": lambda: transformers.MistralConfig(**sizes | {"intermediate_size": 100}, sliding_window=8),
        "mixtral": lambda: transformers.MixtralConfig(**sizes, num_local_experts=4, sliding_window=16),
        "qwen3": lambda: transformers.Qwen3Config(
            **sizes, use_sliding_window=True, sliding_window=8,
            layer_types=["sliding_attention", "full_attention", "sliding_attention"],
        ),
        "gpt_oss": lambda: transformers.GptOssConfig(
            **sizes, num_local_experts=4, num_experts_per_tok=2, sliding_window=8, rope_parameters=plain
        ),
    }[kind]()  # fmt: skip
    model = transformers.AutoModelForCausalLM.from_config(config, attn_implementation="eager").eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.ndim >= 2 and not name.endswith("bias"):
                parameter *= 5
            elif name.endswith(("bias", "sinks")):
                parameter.normal_(0.0, 0.3)
    return model


@pytest.mark.parametrize("kind", ARCHITECTURES)
def test_their_random_models_come_in_with_equal_logits_and_equal_text(kind: str, tmp_path: Path) -> None:
    theirs = foreign(kind)
    theirs.save_pretrained(tmp_path)
    (tmp_path / "tokenizer.json").write_text(tokenizers_json(build_tokenizer("byte", "")), "utf-8")
    read = read_folder(tmp_path)
    ours = read.build()
    tokens = torch.randint(0, 256, (2, 64), generator=torch.Generator().manual_seed(5))
    with torch.inference_mode():
        reference = theirs(tokens).logits
        assert reference.std() > 0.3, "weights are large enough that a mistake would show"
        assert (ours(tokens) - reference).abs().max() <= 2e-5
        greedy = theirs.generate(tokens[:1, :8], max_new_tokens=200, do_sample=False, pad_token_id=0)[0, 8:].tolist()
        chosen = generate(ours, tokens[0, :8].tolist(), SampleConfig(temperature=0, max_new_tokens=200))
        assert [token.id for token in chosen] == greedy


def test_the_names_of_older_files_are_understood(tmp_path: Path) -> None:
    """GPT-2's own file has no prefix and keeps its masks; a tied head may be there once more."""
    _, config = CASES["GPT-2"]
    folder = written(tmp_path / "out", package(config))
    tensors = {
        name.removeprefix("transformer."): value for name, value in load_file(folder / "model.safetensors").items()
    }
    tensors["h.0.attn.bias"] = torch.ones(1, 1, 64, 64).tril()
    tensors["lm_head.weight"] = tensors["wte.weight"].clone()
    save_file(tensors, folder / "model.safetensors")
    tokens = torch.arange(50)[None]
    assert torch.equal(read_folder(folder).build()(tokens), package(config).build()(tokens))


def test_half_precision_and_several_files(tmp_path: Path) -> None:
    _, config = CASES["Llama"]
    folder = written(tmp_path / "out", package(config))
    tensors = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    names = sorted(tensors)
    for number, (part, dtype) in enumerate(((names[:9], torch.bfloat16), (names[9:], torch.float16)), start=1):
        save_file({name: tensors[name].to(dtype) for name in part}, folder / f"model-0000{number}-of-00002.safetensors")
    read = read_folder(folder)
    kept = export_tensors(ARCHITECTURES["llama"].rules(config), read.weights)
    for name in names:
        expected = tensors[name].to(torch.bfloat16 if name in names[:9] else torch.float16).float()
        assert torch.equal(kept[name], expected)


OBSTACLES = [
    (dict(position="sinusoidal"), "Positions sinusoidal cannot be expressed in any of GPT2"),
    (dict(position="alibi"), "Positions ALiBi cannot be expressed in any"),
    (dict(norm_placement="post"), "Norm placement after (post) cannot"),
    (dict(logit_softcap=30.0), "Logit cap 30 cannot"),
    (dict(window=8, n_sink=2), "Sinks 2 cannot"),
    (dict(position="rope", rope_fraction=0.5), "RoPE share 0.5 cannot"),
    (dict(n_expert=4, shared_expert=True), "Shared expert yes cannot"),
    (dict(n_expert=4, router_norm=False), "Normalised router no cannot"),
    (dict(head_size=16), "the closest is GPT2, which cannot express Head size 16"),
    (dict(n_kv_head=1), "the closest is GPT2, which cannot express KV heads 1"),
    (dict(norm="rmsnorm"), "the closest is GPT2, which cannot express Norm RMSNorm"),
]


@pytest.mark.parametrize(("changes", "message"), OBSTACLES)
def test_what_no_architecture_expresses_names_the_field(changes: dict, message: str, tmp_path: Path) -> None:
    config: ModelConfig = preset("classic", block_size=64, n_layer=2, n_embd=32, **changes)
    with pytest.raises(ValueError, match=r"export as safetensors or code\.$") as caught:
        write_transformers(tmp_path, package(config))
    assert message in str(caught.value)
    assert list(tmp_path.iterdir()) == []
