"""What a folder holds besides its model's own tensors: taken for what it is, used as Transformers uses it, or refused."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from playground.interchange.folders import UNTIED, read_folder
from tests.interchange.foreign import build, change_tensors, difference, reloaded, save

EMBEDDINGS = {"gpt2": "transformer.wte.weight", "llama, biases of the MLP": "model.embed_tokens.weight",
              "starcoder2": "model.embed_tokens.weight", "gemma": "model.embed_tokens.weight"}  # fmt: skip


def causal(n: int, dtype: torch.dtype) -> torch.Tensor:
    return torch.ones(1, 1, n, n).tril().to(dtype)


@pytest.mark.parametrize("dtype", [torch.bool, torch.uint8, torch.float32, torch.float16, torch.bfloat16], ids=str)
@pytest.mark.parametrize("prefix", ["", "transformer."])
def test_masks_of_gpt2_of_any_type(dtype: torch.dtype, prefix: str, tmp_path: Path) -> None:
    theirs = build("gpt2")
    save(tmp_path, theirs)
    scores = torch.tensor(-1e4)
    change_tensors(
        tmp_path, **{f"{prefix}h.{i}.attn.bias": causal(256, dtype) for i in range(3)},
        **{f"{prefix}h.{i}.attn.masked_bias": scores.clone() for i in range(3)},
    )  # fmt: skip
    read = read_folder(tmp_path)
    assert difference(read, theirs) <= 2e-5
    assert not any("attn.bias" in name for name in read.weights)


@pytest.mark.parametrize(
    "mask",
    [torch.ones(1, 1, 256, 256).triu().bool(), torch.ones(1, 1, 256, 256), causal(256, torch.float32) * 2,
     torch.ones(256).bool(), torch.zeros(1, 1, 8, 9), torch.ones(2, 1, 4, 4).tril()],
    ids=["upper", "all", "twos", "a row", "no square", "two of them"],
)  # fmt: skip
def test_another_mask_is_another_model(mask: torch.Tensor, tmp_path: Path) -> None:
    save(tmp_path, build("gpt2"))
    change_tensors(tmp_path, **{"transformer.h.1.attn.bias": mask.contiguous()})
    with pytest.raises(
        ValueError, match=r"^Tensor 'transformer\.h\.1\.attn\.bias' differs from what this model computes there"
    ):
        read_folder(tmp_path)


def test_a_mask_in_a_model_that_has_none_and_a_weight_of_type_bool_are_refused(tmp_path: Path) -> None:
    save(tmp_path, build("llama"))
    change_tensors(tmp_path, **{"model.layers.0.attn.bias": causal(8, torch.bool)})
    with pytest.raises(ValueError, match=r"'model\.layers\.0\.attn\.bias' of 'model\.safetensors' does not belong"):
        read_folder(tmp_path)
    norm = "model.norm.weight"
    change_tensors(tmp_path, **{"model.layers.0.attn.bias": None, norm: torch.ones(48).bool()})
    with pytest.raises(ValueError, match=r"'model\.norm\.weight' has type 'BOOL'; only F32, F16, BF16 are read"):
        read_folder(tmp_path)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_frequencies_of_rope_must_be_those_of_the_config(dtype: torch.dtype, tmp_path: Path) -> None:
    theirs, name = build("llama"), "model.layers.2.self_attn.rotary_emb.inv_freq"
    save(tmp_path, theirs)
    frequencies = 1 / 10_000 ** (torch.arange(0, 12, 2) / 12)
    change_tensors(tmp_path, **{name: frequencies.to(dtype)})
    assert difference(read_folder(tmp_path), theirs) <= 2e-5
    for wrong in (frequencies / 2, frequencies[:-1]):
        change_tensors(tmp_path, **{name: wrong.to(dtype)})
        with pytest.raises(ValueError, match="differs from what this model computes there"):
            read_folder(tmp_path)


@pytest.mark.parametrize("config", ["true", "absent"])
@pytest.mark.parametrize("name", EMBEDDINGS)
def test_a_head_that_is_not_the_embedding_is_used_as_transformers_uses_it(
    name: str, config: str, tmp_path: Path
) -> None:
    """Where the config says that they are one, or says nothing and its class means that."""
    if config == "absent" and name.startswith("llama"):
        return  # its heads are not tied by default
    save(tmp_path, build(name))
    path = tmp_path / "config.json"
    assert '"tie_word_embeddings": true' in path.read_text()
    if config == "absent":
        path.write_text(path.read_text().replace('"tie_word_embeddings": true,', ""))
    change_tensors(tmp_path, **{"lm_head.weight": 0.2 * torch.randn(256, 48)})
    theirs, read = reloaded(tmp_path), read_folder(tmp_path)
    assert difference(read, theirs) <= 2e-5
    assert read.notes == (UNTIED,)
    assert not read.config.tie_embeddings


@pytest.mark.parametrize("name", EMBEDDINGS)
def test_a_tied_head_may_stand_there_twice_or_under_the_heads_name_alone(name: str, tmp_path: Path) -> None:
    theirs, embed = build(name), EMBEDDINGS[name]
    save(tmp_path, theirs)
    weight = load_file(tmp_path / "model.safetensors")[embed]
    change_tensors(tmp_path, **{"lm_head.weight": weight.clone()})
    read = read_folder(tmp_path)
    assert (difference(read, theirs) <= 2e-5) and read.notes == ()
    change_tensors(tmp_path, **{embed: None})
    assert difference(read_folder(tmp_path), reloaded(tmp_path)) <= 2e-5


def test_an_adapter_beside_a_model_is_called_one(tmp_path: Path) -> None:
    save(tmp_path, build("llama"))
    save_file({"base_model.model.lora_A.weight": torch.ones(2, 2)}, tmp_path / "adapter_model.safetensors")
    with pytest.raises(
        ValueError, match=r"^'adapter_model\.safetensors' is an adapter \(LoRA\), not a model: merge it "
    ):
        read_folder(tmp_path)


def test_a_head_of_another_shape_is_refused(tmp_path: Path) -> None:
    save(tmp_path, build("gpt2"))
    change_tensors(tmp_path, **{"lm_head.weight": torch.randn(200, 48)})
    with pytest.raises(ValueError, match=r"'lm_head\.weight' is 200x48; the config asks for 256x48"):
        read_folder(tmp_path)
