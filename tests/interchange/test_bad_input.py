"""What strangers may send: one sentence each, at once, with nothing large allocated and nothing written."""

import contextlib
import io
import json
import pickle
import struct
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file
from transformers.activations import ACT2CLS

from playground.interchange.folders import read_files, read_folder, write_safetensors, write_transformers
from playground.interchange.foreign_config import from_transformers
from playground.interchange.refusal import read_object
from playground.interchange.sizes import parameters
from playground.interchange.tensors import read_header
from tests.interchange.foreign import MODELS
from tests.interchange.models import CASES, package

_, CONFIG = CASES["Llama"]
PICKLE = pickle.dumps({"weights": [1.0] * 200}, protocol=4)
MB = 1_000_000


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_transformers(tmp_path, package(CONFIG))
    return tmp_path


def refused(folder: Path) -> str:
    """The one sentence that a folder is refused with; memory does not grow, and the folder stays as it was."""
    parameters(CONFIG)  # what torch imports when it first computes shapes is not counted
    before = {path: path.read_bytes() for path in folder.iterdir() if path.is_file() and path.stat().st_size < MB}
    memory = psutil.Process().memory_info().rss
    with pytest.raises(ValueError, match=r"\S") as caught:
        read_folder(folder)
    assert psutil.Process().memory_info().rss - memory < 60 * MB
    message = str(caught.value)
    assert len(message) < 400
    assert "\n" not in message
    assert str(folder) not in message
    assert {path: path.read_bytes() for path in before} == before
    return message


def safetensors(header: Any, data: bytes = b"", length: int | None = None) -> bytes:
    raw = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(raw) if length is None else length) + raw + data


def entry(shape: list[int], begin: int, end: int, dtype: str = "F32") -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


HEADERS: list[tuple[bytes, str]] = [
    (b"", "not a safetensors file"),
    (b"short", "not a safetensors file"),
    (safetensors({"a": entry([1], 0, 4)}, b"1234")[:-2], "its header accounts for"),
    (safetensors({"a": entry([1], 0, 4)}, b"12345"), "its header accounts for"),
    (safetensors(b"{}", length=2**60), "not a safetensors file"),
    (safetensors(b" " * 9_000_000), "header of 'model.safetensors' has 9,000,000 bytes; the limit is 8,000,000"),
    (safetensors(b"not json at all"), "is not JSON"),
    (safetensors(b"[" * 100_000), "nested too deeply"),
    (safetensors(b'{"a": ' + b"9" * 5000 + b"}"), "is not JSON"),
    (safetensors(b"\xff\xfe{}"), "is not JSON"),
    (safetensors([1, 2]), "not a table of tensors"),
    (safetensors({}), "holds 0 tensors"),
    (safetensors({f"t{i}": 0 for i in range(30_001)}), "holds 30,001 tensors; 1 to 30,000"),
    (safetensors(b"{" + b'"a":{},' * 300_000 + b'"b":{}}'), "names 'a' twice"),
    (safetensors(b"{" + b'"a":{},' * 1_000_000 + b'"b":{}}'), "is not a table of tensors"),
    (safetensors(b'{"a":[' + b"{}," * 2_000_000 + b"{}]}"), "is not a table of tensors"),
    (safetensors(b'{"a": {"dtype": "F32"}, "a": {"dtype": "F32"}}'), "names 'a' twice"),
    (safetensors({"a": entry([1], 0, 4, "F64")}, b"1234"), "has type 'F64'; only F32, F16, BF16"),
    (safetensors({"a": entry([1], 0, 4, "I64")}, b"1234"), "has type 'I64'"),
    (safetensors({"a": 3}, b"1234"), "has type null"),
    (safetensors({"a": entry([0, 2**62], 0, 0)}), "at most 4 dimensions of 1 to 1,000,000"),
    (safetensors({"a": entry([1_000_001], 0, 4_000_004)}), "at most 4 dimensions of 1 to 1,000,000"),
    (safetensors({"a": entry([1] * 5, 0, 4)}, b"1234"), "at most 4 dimensions"),
    (safetensors({"a": {"dtype": "F32", "shape": [1.5], "data_offsets": [0, 4]}}), "at most 4 dimensions"),
    (safetensors({"a": {"dtype": "F32", "shape": [True], "data_offsets": [0, 4]}}), "at most 4 dimensions"),
    (safetensors({"a": entry([1], -4, 0)}, b"1234"), "is invalid"),
    (safetensors({"a": {"dtype": "F32", "shape": [1], "data_offsets": [0]}}), "is invalid"),
    (safetensors({"a": entry([2], 0, 4)}, b"1234"), "takes 4 bytes; its shape and type need 8"),
    (safetensors({"a": entry([60_000, 60_000], 0, 4)}, b"1234"), "its shape and type need 14,400,000,000"),
    (safetensors({"a": entry([1], 0, 4), "b": entry([1], 0, 4)}, b"1234"), "overlap or leave gaps"),
    (safetensors({"a": entry([1], 4, 8)}, b"12345678"), "overlap or leave gaps"),
    (safetensors({"a": entry([1], 0, 4), "b": entry([1], 8, 12)}, b"x" * 12), "overlap or leave gaps"),
    (safetensors({"../../etc/passwd": entry([1], 0, 4)}, b"1234"), "is not one that a model has"),
    (safetensors({"a" * 300: entry([1], 0, 4)}, b"1234"), "is not one that a model has"),
    (safetensors({"a\nb": entry([1], 0, 4)}, b"1234"), "is not one that a model has"),
    (PICKLE, "'model.safetensors' is a Python pickle, which can run code: only safetensors files are read"),
    (b"PK\x03\x04" + bytes(500), "is an archive (ZIP"),
    (b"\x1f\x8b" + bytes(500), "is an archive (GZIP)"),
    (b"GGUF" + b"\xff" * 500, "is a GGUF file"),
]


@pytest.mark.parametrize(("data", "message"), HEADERS)
def test_malformed_and_malicious_headers(data: bytes, message: str, folder: Path) -> None:
    (folder / "model.safetensors").write_bytes(data)
    assert message in refused(folder)


def test_a_header_cut_anywhere_or_with_any_byte_changed_is_refused_or_read(folder: Path) -> None:
    path = folder / "model.safetensors"
    whole = path.read_bytes()
    end = 8 + int.from_bytes(whole[:8], "little")
    for cut in [*range(40), *range(40, end, 97), end, len(whole) - 1]:
        path.write_bytes(whole[:cut])
        with pytest.raises(ValueError, match=r"model\.safetensors"):
            read_header(path)
    for at in range(0, end, 13):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 0x20]) + whole[at + 1 :])
        with contextlib.suppress(ValueError):
            read_header(path)


def test_archives_and_pickles_under_any_name(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    archive, tarred = io.BytesIO(), io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("../../outside.txt", "out")
    with tarfile.open(fileobj=tarred, mode="w") as file:
        file.addfile(tarfile.TarInfo("../../outside.txt"), io.BytesIO())
    for name, data, kind in (
        ("pytorch_model.bin", PICKLE, "Python pickle"),
        ("model.pt", archive.getvalue(), "archive (ZIP"),
        ("run.zip", archive.getvalue(), "archive (ZIP"),
        ("model.ckpt", PICKLE, "Python pickle"),
        ("weights.tar", tarred.getvalue(), "archive (TAR)"),
        ("weights.pkl", b"cos\nsystem\n", "not a file that is read here"),
        ("notes.txt", b"hello", "not a file that is read here"),
    ):
        (folder / name).write_bytes(data)
        message = refused(folder)
        assert kind in message
        assert name in message
        with pytest.raises(ValueError, match=r"\S"):  # the same when it was uploaded beside good files
            read_files([folder / "config.json", folder / name])
        (folder / name).unlink()
    assert not (folder.parent / "outside.txt").exists()
    assert not (folder.parent.parent / "outside.txt").exists()
    assert refused(folder) == "There is no .safetensors file: a model's weights are missing."


def change_config(**changes: Any) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        path = folder / "config.json"
        values = json.loads(path.read_text()) | changes
        path.write_text(json.dumps({key: value for key, value in values.items() if value != "gone"}))

    return change


LIES: list[tuple[Callable[[Path], None], str]] = [
    (change_config(num_hidden_layers=4), "Tensor 'model.layers.3.input_layernorm.weight' is missing"),
    (change_config(num_hidden_layers=2), "Tensor 'model.layers.2.input_layernorm.weight' of 'model.safetensors' does not"),
    (change_config(num_hidden_layers=10**9 - 1), "Layers must be 1 to 1000000; 999999999 is not."),
    (change_config(hidden_size=64, intermediate_size=168, head_dim=16), "is 256x32; the config asks for 256x64"),
    (change_config(hidden_size=10**8), "Embedding size (d_model) must be 8 to 1000000"),
    (change_config(hidden_size="32"), "hidden_size must be a whole number; it is '32'"),
    (change_config(hidden_size=32.5), "hidden_size must be a whole number; it is 32.5"),
    (change_config(hidden_size=True), "hidden_size must be a whole number; it is true"),
    (change_config(vocab_size=60_000), "is 256x32; the config asks for 60000x32"),
    (change_config(vocab_size=10**7), "Vocabulary size must be 2 to 1000000"),
    (change_config(num_attention_heads=3, head_dim="gone"), "not divisible by 3 heads"),
    (change_config(num_key_value_heads=3), "KV heads (3) must divide Heads (4)"),
    (change_config(intermediate_size=100), "the config asks for 100x32"),
    (change_config(intermediate_size=10**8), "MLP hidden size must be 0 to 1000000"),
    (change_config(head_dim=16), "is 32x32; the config asks for 64x32"),
    (change_config(head_dim=7), "RoPE needs an even head size; 7 is odd"),
    (change_config(head_dim=-8), "head_dim must be 0 to 1,000,000,000; it is -8"),
    (change_config(head_dim=10**6), "is 32x32; the config asks for 4000000x32"),
    (change_config(head_dim=10**7), "Head size must be 0 to 1000000; 10000000 is not"),
    (change_config(model_type="mamba"), "Model type 'mamba' is not supported; these are: gpt2, llama"),
    (change_config(model_type="gone"), "The config has no model_type; these are supported: gpt2, "),
    (change_config(model_type=None), "Model type null is not supported"),
    (change_config(hidden_act=None), "Config: hidden_act is null; only silu"),
    (change_config(hidden_size=None), "hidden_size must be a whole number; it is null"),
    (change_config(hidden_size="gone"), "hidden_size must be a whole number; it is missing"),
    (change_config(model_type={"a": 1}), "is not supported"),
    (change_config(model_type="gpt2"), "n_head must be a whole number"),
    (change_config(hidden_act="__import__('os')"), "hidden_act is \"__import__('os')\"; only silu, swish, gelu_"),
    (change_config(rope_scaling={"rope_type": "yarn", "factor": 4.0}, rope_parameters="gone"), "RoPE of type 'yarn'"),
    (change_config(rope_parameters={"rope_type": "default", "rope_theta": "1"}), "rope_theta must be a number"),
    (change_config(rope_parameters=[1]), "rope_parameters must be a table"),
    (change_config(rms_norm_eps=float("nan")), "'config.json' is not valid JSON"),
    (change_config(rms_norm_eps=-1.0), "Norm epsilon must be"),
    (change_config(tie_word_embeddings=False), "Tensor 'lm_head.weight' is missing"),
    (change_config(tie_word_embeddings="no"), "tie_word_embeddings must be true or false"),
    (change_config(attention_bias=True), "Tensor 'model.layers.0.self_attn.q_proj.bias' is missing"),
    (lambda folder: (folder / "config.json").unlink(), "config.json is missing"),
    (lambda folder: (folder / "config.json").write_bytes(PICKLE), "'config.json' is a Python pickle"),
    (lambda folder: (folder / "config.json").write_text("[" * 99_999), "'config.json' is nested too deeply"),
    (lambda folder: (folder / "config.json").write_text("[]"), "'config.json' is not a JSON object"),
    (lambda folder: (folder / "config.json").write_bytes(b" " * 300_000), "has 300,000 bytes; the limit is 262,144"),
    (lambda folder: (folder / "tokenizer.json").unlink(), "tokenizer.json is missing"),
    (lambda folder: (folder / "tokenizer.json").write_bytes(PICKLE), "'tokenizer.json' is a Python pickle"),
    (lambda folder: (folder / "tokenizer.json").write_text("{}"), "no vocabulary"),
    (lambda folder: (folder / "tokenizer.json").write_bytes(b" " * 40_000_001), "the limit is 40,000,000"),
]  # fmt: skip


@pytest.mark.parametrize(("spoil", "message"), LIES)
def test_configs_that_lie(spoil: Callable[[Path], None], message: str, folder: Path) -> None:
    spoil(folder)
    assert message in refused(folder)


def test_auto_map_and_its_like_are_passed_over(folder: Path) -> None:
    change_config(auto_map={"AutoModel": "evil.Model"}, trust_remote_code=True, torch_dtype="__import__")(folder)
    assert read_folder(folder).config == CONFIG


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
def test_weights_that_are_no_numbers(bad: float, folder: Path) -> None:
    tensors = load_file(folder / "model.safetensors")
    tensors["model.layers.1.mlp.up_proj.weight"][3, 4] = bad
    save_file(tensors, folder / "model.safetensors")
    assert "Tensor 'model.layers.1.mlp.up_proj.weight' holds numbers that are not finite" in refused(folder)


def test_a_large_file_that_does_not_fit_its_config_is_not_read(folder: Path) -> None:
    save_file({"model.embed_tokens.weight": torch.zeros(50_000, 1024)}, folder / "model.safetensors")  # 205 MB
    assert "is 50000x1024; the config asks for 256x32" in refused(folder)


OURS: list[tuple[dict[str, Any], str]] = [
    ({"version": 2}, "version 2 is not one"),
    ({"model": None}, "model must be a table"),
    ({"train": [1]}, "train must be a table"),
    ({"step": -1}, "name, preset and step"),
    ({"step": "5"}, "name, preset and step"),
    ({"name": 5}, "name, preset and step"),
    ({"model": {"colour": 1}}, "Unknown setting 'colour'"),
]


@pytest.mark.parametrize(("changes", "message"), OURS)
def test_our_own_folders_are_not_trusted_either(changes: dict[str, Any], message: str, tmp_path: Path) -> None:
    write_safetensors(tmp_path, package(CONFIG))
    change_config(**changes)(tmp_path)
    assert message in refused(tmp_path)


@pytest.mark.parametrize("log", [b"nonsense", b"[1]\n", b'{"event": "Finished"}\n{"a"', b"[" * 100_000])
def test_a_log_that_is_none(log: bytes, tmp_path: Path) -> None:
    write_safetensors(tmp_path, package(CONFIG))
    (tmp_path / "events.jsonl").write_bytes(log)
    assert "is not a JSON object" in refused(tmp_path)


def test_a_file_of_millions_of_empty_values_is_not_parsed(tmp_path: Path) -> None:
    (tmp_path / "tokenizer_config.json").write_bytes(b'{"a": [' + b"[]," * 2_100_000 + b"[]]}")
    with pytest.raises(ValueError, match="has more values than the limit of 4,000,000"):
        read_object(tmp_path / "tokenizer_config.json", 40_000_000)


@pytest.mark.parametrize(
    "kind", ["gpt2", "llama", "mistral", "mixtral", "qwen2", "qwen3", "qwen3_moe", "starcoder2", "gemma"]
)
def test_a_refused_activation_names_all_that_can_be_read_and_no_other(kind: str) -> None:
    name, settings = MODELS[kind]
    values = getattr(transformers, f"{name}Config")(**settings).to_dict()
    key = "activation_function" if kind == "gpt2" else "hidden_act"
    with pytest.raises(ValueError, match=rf"^Config: {key} is 'relu'; only .* can be expressed here\.$") as caught:
        from_transformers({**values, key: "relu"})
    offered = str(caught.value).partition("; only ")[2].removesuffix(" can be expressed here.").split(", ")
    read = []
    for activation in ACT2CLS:
        with contextlib.suppress(ValueError):
            from_transformers({**values, key: activation})
            read.append(activation)
    assert sorted(offered) == sorted(read)
    assert {"gelu_fast", "gelu_pytorch_tanh"} <= set(read)
