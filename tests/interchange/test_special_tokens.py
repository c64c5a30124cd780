"""Special tokens of models that come in and go out: prompts, logits and texts, and where these end, are Transformers'."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from tokenizers import Tokenizer, processors

from playground.config import GenerationConfig, ModelConfig, preset
from playground.inference.generation import (
    encode_prompt,
    generate,
    generate_batch,
    generate_text,
    generate_text_batch,
    until_end,
)
from playground.interchange import check
from playground.interchange.folders import read_folder, write_safetensors, write_transformers
from playground.interchange.package import Package
from playground.runs.create import create_run, prepare_run
from playground.runs.export import export_run
from playground.runs.import_model import import_folder
from playground.runs.store.run_store import RunStore
from playground.tokenizers import ImportedTokenizer, build_tokenizer, end_ids, import_tokenizer, learn_bpe
from playground.ui.sample import branches
from tests.models.variants import build

transformers = pytest.importorskip("transformers")

TEXT = "The fox sat by the sea and the hen sat by the fox. " * 30
PROMPTS = ("The fox", "sea</s>hen", "the <s> sat", " and")
N = 12


def library(eos: str = "</s>") -> Tokenizer:
    """A byte-level BPE whose post-processor puts <s> before every text."""
    made = Tokenizer.from_str(learn_bpe(TEXT, 280).json_text)
    made.add_special_tokens(["<s>", eos])
    bos = made.token_to_id("<s>")
    made.post_processor = processors.TemplateProcessing("<s> $A", special_tokens=[("<s>", bos)])
    return made


BOS, EOS = library().token_to_id("<s>"), library().token_to_id("</s>")


@pytest.fixture
def store(tmp_path: Path) -> RunStore:
    return RunStore(tmp_path / "runs")


def foreign(folder: Path, **config: Any) -> tuple[Any, Any]:
    """A tiny Llama of Transformers with that tokenizer, saved into a folder; and what loads back from there."""
    tokens = library()
    torch.manual_seed(3)
    small = transformers.LlamaConfig(
        vocab_size=tokens.get_vocab_size(), hidden_size=32, intermediate_size=48, num_hidden_layers=2,
        num_attention_heads=2, num_key_value_heads=2, max_position_embeddings=64,
        bos_token_id=tokens.token_to_id("<s>"), eos_token_id=tokens.token_to_id("</s>"), **config,
    )  # fmt: skip
    model = transformers.LlamaForCausalLM(small).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(5.0 if parameter.ndim > 1 else 1.0)
    model.save_pretrained(folder)
    transformers.PreTrainedTokenizerFast(tokenizer_object=tokens, bos_token="<s>", eos_token="</s>").save_pretrained(
        folder
    )
    return theirs(folder)


def theirs(folder: Path) -> tuple[Any, Any]:
    model = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager")
    return model.eval(), transformers.AutoTokenizer.from_pretrained(folder)


def change(folder: Path, file: str, **values: Any) -> None:
    path = folder / file
    path.write_text(json.dumps(json.loads(path.read_text("utf-8")) | values), "utf-8")


def greedy(package: Package, prompt: str, n: int = N) -> list[int]:
    """Ids that our reading of a package goes on with, up to the end of the text."""
    model, config = package.build(), GenerationConfig(temperature=0.0, max_new_tokens=n)
    ids = encode_prompt(package.tokenizer, prompt)
    return [token.id for token in until_end(generate(model, ids, config), package.tokenizer, config)]


def generated(model: Any, tokenizer: Any, prompt: str, n: int = N) -> list[int]:
    """What `generate` goes on with, without the token that ended it."""
    given = tokenizer(prompt, return_tensors="pt").input_ids
    found = model.generate(given, max_new_tokens=n, do_sample=False, pad_token_id=0)[0, given.shape[1] :].tolist()
    ends = model.generation_config.eos_token_id
    ends = set(ends if isinstance(ends, list) else [ends])
    return found[:-1] if found[-1] in ends else found


def same(package: Package, model: Any, tokenizer: Any) -> None:
    for prompt in PROMPTS:
        ids = tokenizer(prompt).input_ids
        assert encode_prompt(package.tokenizer, prompt) == ids
        with torch.inference_mode():
            logits = model(torch.tensor([ids])).logits
            assert (package.build()(torch.tensor([ids])) - logits).abs().max() < 2e-5
        assert greedy(package, prompt) == generated(model, tokenizer, prompt)


def test_an_imported_model_reads_and_writes_as_in_transformers(tmp_path: Path) -> None:
    model, tokenizer = foreign(tmp_path)
    package = read_folder(tmp_path)
    assert (package.tokenizer.bos, package.tokenizer.eos) == (BOS, EOS)
    assert encode_prompt(package.tokenizer, "The fox")[0] == BOS
    assert encode_prompt(package.tokenizer, "The fox", special=False)[0] != BOS, "the switch"
    same(package, model, tokenizer)


@pytest.mark.parametrize("several", [False, True])
def test_a_text_ends_where_generate_ends_it(tmp_path: Path, several: bool) -> None:
    model, tokenizer = foreign(tmp_path)
    whole = greedy(read_folder(tmp_path), "The fox", 8)
    ends = [whole[4], EOS] if several else whole[4]
    change(tmp_path, "generation_config.json", eos_token_id=ends)
    model, tokenizer = theirs(tmp_path)
    package = read_folder(tmp_path)
    assert end_ids(package.tokenizer) == {whole[4], *([EOS] if several else [])}
    cut = whole[: whole.index(whole[4])]
    assert greedy(package, "The fox", 8) == generated(model, tokenizer, "The fox", 8) == cut
    same(package, model, tokenizer)


@pytest.mark.parametrize("flags", [{"add_bos_token": False}, {"add_bos_token": True, "add_eos_token": True}])
def test_the_tokenizers_own_file_says_what_is_added(tmp_path: Path, flags: dict[str, bool]) -> None:
    foreign(tmp_path)
    change(tmp_path, "tokenizer_config.json", **flags)
    model, tokenizer = theirs(tmp_path)
    same(read_folder(tmp_path), model, tokenizer)
    change(tmp_path, "tokenizer.json", post_processor=None)
    model, tokenizer = theirs(tmp_path)
    package = read_folder(tmp_path)
    assert encode_prompt(package.tokenizer, "The fox") == package.tokenizer.encode("The fox").tolist()
    same(package, model, tokenizer)


@pytest.mark.parametrize("missing", ["generation_config.json", "tokenizer_config.json"])
def test_a_file_that_is_missing_is_no_obstacle(tmp_path: Path, missing: str) -> None:
    foreign(tmp_path)
    (tmp_path / missing).unlink()
    model, tokenizer = theirs(tmp_path)
    same(read_folder(tmp_path), model, tokenizer)


def test_out_again_and_back(tmp_path: Path, store: RunStore) -> None:
    model, tokenizer = foreign(tmp_path / "theirs")
    run = import_folder(store, tmp_path / "theirs")
    assert encode_prompt(run.tokenizer, "The fox") == tokenizer("The fox").input_ids
    export_run(run, tmp_path / "out", "transformers")
    again = read_folder(tmp_path / "out")
    for folder in (tmp_path / "theirs", tmp_path / "out"):
        same(again, *theirs(folder))
    export_run(run, tmp_path / "ours", "safetensors")
    same(read_folder(tmp_path / "ours"), model, tokenizer)


@pytest.mark.parametrize("installed", [True, False])
def test_a_run_trained_here_on_such_a_tokenizer_goes_out_as_it_was_trained(
    tmp_path: Path, store: RunStore, installed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(check, "installed", lambda: installed)
    prepared = prepare_run(
        "modern", {"block_size": 16, "n_layer": 1, "n_embd": 16, "n_head": 2, "n_kv_head": 2},
        {"tokenizer": "imported"}, TEXT, imported=import_tokenizer(library().to_str()),
    )  # fmt: skip
    run = create_run(store, prepared)
    # runs of earlier versions have the whole file
    (run.path / "tokenizer.json").write_text(library().to_str(), "utf-8")
    run = store.get(run.id)
    assert isinstance(run.tokenizer, ImportedTokenizer)
    plain = run.tokenizer.encode("The fox").tolist()
    assert encode_prompt(run.tokenizer, "The fox") == plain
    weights = dict(build(run.model).named_parameters())
    folder = tmp_path / "out"
    folder.mkdir()
    package = Package("trained", run.model, {name: each.detach() for name, each in weights.items()}, run.tokenizer)
    write_transformers(folder, package)
    if installed:
        assert check.load_back(folder, package).difference < 1e-4
    model, tokenizer = theirs(folder)
    assert tokenizer("The fox").input_ids == plain
    assert (model.config.eos_token_id, tokenizer.eos_token) == (EOS, "</s>")
    same(read_folder(folder), model, tokenizer)


@pytest.mark.parametrize("kind", ["byte", "char", "bpe"])
def test_our_own_end_of_text_token_goes_out_and_comes_back(tmp_path: Path, kind: str) -> None:
    tokenizer = build_tokenizer(kind, TEXT, vocab_size=280, eos=True)
    config = preset(
        "modern", block_size=32, n_layer=1, n_embd=16, n_head=2, n_kv_head=2, vocab_size=tokenizer.vocab_size
    )
    package = Package("ours", config, dict(build(config).state_dict()), tokenizer)
    folders = [tmp_path / "out", tmp_path / "ours"]
    for folder, writer in zip(folders, (write_transformers, write_safetensors), strict=True):
        folder.mkdir()
        writer(folder, package)
        again = read_folder(folder).tokenizer
        assert type(again) is type(tokenizer)
        assert (again.eos, again.vocab_size) == (tokenizer.eos, tokenizer.vocab_size)
    assert check.load_back(folders[0], package).difference < 1e-4
    model, loaded = theirs(folders[0])
    assert model.generation_config.eos_token_id == model.config.eos_token_id == loaded.eos_token_id == tokenizer.eos
    assert loaded("fox<|endoftext|>hen").input_ids == tokenizer.encode_prompt("fox<|endoftext|>hen")
    assert f"eos {tokenizer.eos}" in (folders[0] / "README.md").read_text("utf-8")


def biased(config: ModelConfig, token: int) -> Any:
    """A model that always writes one token: its head answers a constant stream."""
    model = build(config)
    with torch.no_grad():
        model.norm.weight.zero_()
        model.norm.bias.fill_(1.0)
        model.head.weight.zero_()
        model.head.weight[token] = 1.0
    return model.eval()


def test_samples_end_at_the_end_of_text_token_unless_all_is_plain_text() -> None:
    tokenizer = build_tokenizer("byte", "", eos=True)
    config = preset(
        "classic", block_size=32, n_layer=1, n_embd=16, n_head=2, n_kv_head=2, vocab_size=257, tie_embeddings=False
    )
    model = biased(config, 256)
    for special, text in ((True, ""), (False, "<|endoftext|>" * 3)):
        assert (
            generate_text(
                model, tokenizer, "a", GenerationConfig(temperature=0.0, max_new_tokens=3, special_tokens=special)
            )
            == text
        )


def test_each_of_several_texts_ends_by_itself() -> None:
    """Some samples end early, others go on; a page hears which."""
    tokenizer = build_tokenizer("byte", "", eos=True)
    config = preset("classic", block_size=32, n_layer=1, n_embd=16, n_head=2, n_kv_head=2, vocab_size=257)
    model = build(config).eval()
    with torch.no_grad():
        model.embed.weight.mul_(0.0)
        model.embed.weight[256] = 0.01  # all tokens alike: one of some samples' first is the end
    ids, settings = [97], GenerationConfig(temperature=1.0, max_new_tokens=300, n_sample=4, seed=1)
    drawn = [[row[at].id for row in generate_batch(model, ids, settings)] for at in range(4)]
    expected = [row[: row.index(256)] if 256 in row else row for row in drawn]
    rows = list(generate_text_batch(model, tokenizer, ids, settings))
    for at in range(4):
        mine = [row[at] for row in rows if row[at] is not None]
        found = [piece.token.id for piece in mine if piece is not None and not piece.ended]
        assert found == expected[at]
        assert [piece.ended for piece in mine if piece is not None][-1] == (256 in drawn[at])
    growing = [branches.branch(f"{at}") for at in range(4)]
    for row in rows:
        branches.add(tokenizer, growing, row)
    for at, each in enumerate(growing):
        assert (each["note"] == "ended with <|endoftext|>") == (256 in drawn[at])
    assert any(256 in row for row in drawn) and not all(row[:20].count(256) for row in drawn)


def test_a_tokenizer_for_the_limited_process_is_not_loaded_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import transformers

    values = json.loads(learn_bpe(TEXT, 280).json_text)
    values["pre_tokenizer"]["pretokenizers"][0]["pattern"] = {"Regex": r"\d+|\D{1,20}"}
    tokenizer = import_tokenizer(json.dumps(values))
    config = preset(
        "modern", block_size=32, n_layer=1, n_embd=16, n_head=2, n_kv_head=2, vocab_size=tokenizer.vocab_size
    )
    package = Package("ours", config, dict(build(config).state_dict()), tokenizer)
    write_transformers(tmp_path, package)
    monkeypatch.setattr(transformers.AutoTokenizer, "from_pretrained", lambda *_, **__: pytest.fail("loaded here"))
    assert check.load_back(tmp_path, package).difference < 1e-4
