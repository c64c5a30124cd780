"""What may come in ends where memory does; what may be trained, where the form does."""

import json
import time
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from safetensors.torch import save_file

from playground.config import ImportedModelConfig, ModelConfig, model_config, preset
from playground.interchange import folders as reading
from playground.interchange import sizes
from playground.interchange.folders import read_folder, write_safetensors, write_transformers
from playground.interchange.foreign_config import from_transformers
from playground.interchange.names import export_tensors
from playground.interchange.package import Package
from playground.interchange.sizes import Size, parameters, size_of
from playground.models.transformer import Transformer, initialise, without_storage
from playground.runs.import_model import import_folder
from playground.runs.loading import ModelCache
from playground.runs.store.run_store import RunStore
from playground.tokenizers import build_tokenizer
from tests.interchange.foreign import MODELS, build, difference, save

WORDS = 152_000


def filled(config: ModelConfig) -> Package:
    model = initialise(Transformer(config), 0)
    weights = {name: parameter.detach() for name, parameter in model.named_parameters()}
    return Package("large", config, weights, build_tokenizer("byte", ""))


def test_more_layers_and_heads_than_the_form_offers(tmp_path: Path) -> None:
    theirs = build("llama", num_hidden_layers=30, num_attention_heads=40, head_dim=2, hidden_size=40)
    read = read_folder(save(tmp_path, theirs))
    assert (read.config.n_layer, read.config.n_head) == (30, 40)
    assert difference(read, theirs) <= 2e-5 * 5  # thirty layers of weights five times their size
    with pytest.raises(ValueError, match="Layers must be 1 to 24; 30 is not"):
        ModelConfig.from_dict(read.config.to_dict())


@pytest.mark.slow
@pytest.mark.parametrize(
    "wanted",
    [
        {"num_hidden_layers": 300, "num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 4, "hidden_size": 8},
        {
            "num_hidden_layers": 1,
            "num_attention_heads": 512,
            "num_key_value_heads": 512,
            "head_dim": 2,
            "hidden_size": 512,
        },
    ],
    ids=["300 layers", "512 heads"],
)
def test_whatever_fits_into_memory_is_taken(wanted: dict[str, int], tmp_path: Path) -> None:
    theirs = build("llama", intermediate_size=8, **wanted)
    read = read_folder(save(tmp_path, theirs), free=2_000_000_000)
    assert (read.config.n_layer, read.config.n_head) == (wanted["num_hidden_layers"], wanted["num_attention_heads"])
    tokens = torch.arange(64)[None]
    with torch.inference_mode():
        largest = float(theirs(tokens).logits.abs().max())
    assert difference(read, theirs) <= 1e-4 * largest


@pytest.mark.parametrize("name", MODELS)
def test_a_size_follows_from_smaller_models(name: str) -> None:
    kind, settings = MODELS[name]
    foreign = from_transformers(getattr(transformers, f"{kind}Config")(**settings).to_dict())
    own = parameters(foreign.model)
    expected = Size(sum(tensor.numel() for tensor in own.values()), len(export_tensors(foreign.rules(), own)))
    assert size_of(foreign.model, lambda one: foreign.architecture.rules(one, foreign.stored)) == expected
    larger = foreign.model.replace(n_layer=5, n_expert=7 if foreign.model.n_expert > 1 else 1, global_every=0)
    own = parameters(larger)
    found = size_of(larger, lambda one: foreign.architecture.rules(one, foreign.stored))
    assert found == Size(
        sum(tensor.numel() for tensor in own.values()),
        len(export_tensors(foreign.architecture.rules(larger, foreign.stored), own)),
    )


@pytest.mark.parametrize(
    ("name", "absurd", "words"),
    [
        ("llama", {"num_hidden_layers": 1_000_000}, "1,000,000 layers and 25,888.0 million parameters"),
        ("gpt_oss", {"num_hidden_layers": 1_000_000, "layer_types": None}, "1,000,000 layers and "),
        ("qwen3_moe", {"num_experts": 1_000_000}, "3 layers and "),
        ("gpt2", {"n_embd": 999_996, "n_inner": 1_000_000}, "3 layers and "),
    ],
)
def test_an_absurd_config_is_refused_before_anything_is_built(
    name: str, absurd: dict[str, Any], words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save(tmp_path, build(name))
    values = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(values | absurd))
    built = []
    monkeypatch.setattr(sizes, "without_storage", lambda config: built.append(config) or without_storage(config))
    start = time.perf_counter()
    with pytest.raises(
        ValueError,
        match=rf"^This model has {words}.*: importing it needs [\d,.]+ GB of memory, and 4\.00 GB are free\.",
    ):
        read_folder(tmp_path, free=4_000_000_000)
    assert time.perf_counter() - start < 1
    assert max(config.n_layer * config.n_expert for config in built) <= 12


def test_more_layers_than_the_files_have_tensors_are_refused_whatever_the_memory(tmp_path: Path) -> None:
    """Building them would take minutes: memory is not all that a config may cost."""
    write_safetensors(tmp_path, filled(preset("modern", block_size=16, n_layer=1, n_embd=8, n_head=2, n_kv_head=1)))
    values = json.loads((tmp_path / "config.json").read_text())
    values["model"]["n_layer"] = 1_000_000
    (tmp_path / "config.json").write_text(json.dumps(values))
    with pytest.raises(
        ValueError,
        match=r"^The config describes a model of 1,000,000 layers, which has 9,000,002 tensors; the files have 11\.",
    ):
        read_folder(tmp_path)


def test_a_large_model_becomes_a_run_that_opens_and_goes_out_again(tmp_path: Path) -> None:
    """Our own folder and that of Transformers."""
    store = RunStore(tmp_path / "runs")
    config = ImportedModelConfig.from_dict(
        {**preset("modern", block_size=16, n_embd=8, n_head=2, n_kv_head=1, mlp_width=16).to_dict(), "n_layer": 26}
    )
    before = filled(config)
    for number, write in enumerate((write_safetensors, write_transformers)):
        folder = tmp_path / str(number)
        folder.mkdir()
        write(folder, before)
        run = RunStore(tmp_path / "runs").get(import_folder(store, folder).id)
        assert run.model.n_layer == 26 and isinstance(run.model, ImportedModelConfig)
        weights = dict(ModelCache(1).get(run).named_parameters())
        assert all(torch.equal(weights[name], weight) for name, weight in before.weights.items())


def test_what_fits_the_form_is_an_ordinary_config() -> None:
    config = preset("modern")
    assert type(model_config(config.to_dict())) is ModelConfig
    assert type(model_config({**config.to_dict(), "n_layer": 25})) is ImportedModelConfig
    with pytest.raises(ValueError, match="Layers must be 1 to 1000000; 1000001 is not"):
        model_config({**config.to_dict(), "n_layer": 1_000_001})
    with pytest.raises(ValueError, match="MLP must be one of"):
        model_config({**config.to_dict(), "mlp": "relu"})
    assert type(ImportedModelConfig().replace(n_layer=30)) is ImportedModelConfig


@pytest.mark.slow
def test_a_vocabulary_of_152_000_comes_in_within_seconds(tmp_path: Path) -> None:
    """A tokenizer file larger than what training may be given until now, and more tokens than the form's bound."""
    vocab = {f"▁word{number:06d}of the sea": number for number in range(WORDS)}
    values = {"version": "1.0", "added_tokens": [], "normalizer": None, "pre_tokenizer": {"type": "Whitespace"},
              "post_processor": None, "decoder": None, "truncation": None, "padding": None,
              "model": {"type": "WordLevel", "vocab": vocab, "unk_token": "▁word000000of the sea"}}  # fmt: skip
    config = ImportedModelConfig.from_dict(
        {**preset("modern", block_size=16, n_layer=1, n_embd=8, n_head=2, n_kv_head=1).to_dict(), "vocab_size": WORDS}
    )
    write_transformers(tmp_path, filled(config))
    (tmp_path / "tokenizer.json").write_text(json.dumps(values, ensure_ascii=False), "utf-8")
    assert (tmp_path / "tokenizer.json").stat().st_size > 4_000_000
    start = time.perf_counter()
    read = read_folder(tmp_path)
    assert read.tokenizer.vocab_size == read.config.vocab_size == WORDS
    assert time.perf_counter() - start < 30


def test_memory_is_estimated_from_the_header_before_any_weight_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half-precision weights double: what counts is the number of numbers."""
    write_safetensors(tmp_path, filled(preset("modern", block_size=16, n_layer=1, n_embd=8, n_head=2, n_kv_head=1)))
    save_file({"a": torch.zeros(500, 1000, dtype=torch.bfloat16)}, tmp_path / "model.safetensors")
    monkeypatch.setattr(reading, "read_tensor", lambda *_: pytest.fail("a weight was read"))
    with pytest.raises(
        ValueError,
        match=r"^This model has 0\.5 million parameters: .* 0\.004000000 GB of memory, and 0\.003999999 GB are",
    ):
        read_folder(tmp_path, free=3_999_999)
    with pytest.raises(ValueError, match="is missing: the config asks for it"):
        read_folder(tmp_path, free=4_000_000)
