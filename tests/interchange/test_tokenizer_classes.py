"""What AutoTokenizer makes of a folder is known, and where it differs from tokenizer.json the import says how."""

from __future__ import annotations

import ast
import json
import random
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer, normalizers, pre_tokenizers, processors

from playground.interchange import tokenizer_classes
from playground.interchange.tokenizer_classes import as_loaded, class_note, tokenizer_class
from playground.tokenizers import ImportedTokenizer, build_tokenizer, decode, import_tokenizer, tokenizers_json
from tests.tokenizers.zoo import _bpe, _gpt2, _llama, _unigram, _words

transformers = pytest.importorskip("transformers")

TEXTS = (
    "Once there was a fox.", " Hello  world", "  two", "a\nb c\n\n d", "don't 12,345!", "ﬁ ½ É é", "e\u0301a", "tab\there",
    "A  B", "x", "a</s>b", "x<|endoftext|>y <s> z", "the<unk> end<eos>",
)  # fmt: skip


def byte_level(normalizer: Any = None, prefix: bool = False) -> Tokenizer:
    return _bpe(pre_tokenizers.ByteLevel(add_prefix_space=prefix), None, normalizer)


def metaspace(begin: bool = False) -> Tokenizer:
    made = _llama()
    made.normalizer = None
    made.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first", split=False)
    made.add_special_tokens(["<s>", "</s>"])
    if begin:
        made.post_processor = processors.TemplateProcessing("<s> $A", special_tokens=[("<s>", made.token_to_id("<s>"))])
    return made


def gpt2(begin: bool = False) -> Tokenizer:
    made = _gpt2()
    if begin:
        made.post_processor = processors.TemplateProcessing(
            "<|endoftext|> $A", special_tokens=[("<|endoftext|>", made.token_to_id("<|endoftext|>"))]
        )
    return made


FILES: dict[str, Tokenizer] = {
    "bytes": byte_level(), "bytes, prefix": byte_level(prefix=True), "bytes, lowercase": byte_level(normalizers.Lowercase()),
    "bytes, NFKC": byte_level(normalizers.NFKC()), "Llama 2": _llama(), "Llama 2, metaspace": metaspace(),
    "Llama 2, begins": metaspace(begin=True), "GPT-2": gpt2(), "GPT-2, begins": gpt2(begin=True),
    "Unigram": _unigram(pre_tokenizers.Metaspace(), None), "words": _words(),
}  # fmt: skip
CLASSES = (None, "PreTrainedTokenizerFast", "LlamaTokenizer", "LlamaTokenizerFast", "GPT2Tokenizer", "Qwen2TokenizerFast",
           "GemmaTokenizer", "GPTNeoXTokenizerFast", "SomebodysTokenizer")  # fmt: skip
KINDS = ("llama", "mistral", "gpt2", "qwen2", "qwen3", "gemma", "starcoder2")
SETTINGS: tuple[dict[str, Any], ...] = (
    {}, {"add_prefix_space": True}, {"legacy": True}, {"add_prefix_space": False}, {"eos_token": "</s>"},
    {"bos_token": {"__type": "AddedToken", "content": "<s>"}, "eos_token": "fox", "add_bos_token": True},
    {"extra_special_tokens": ["the"]},
)  # fmt: skip
CASES = list(product(KINDS, CLASSES, SETTINGS))


def folder(place: Path, library: Tokenizer, kind: str, name: str | None, settings: dict[str, Any]) -> tuple[Any, ...]:
    place.mkdir()
    config = {"model_type": kind}
    settings = {**settings, **({"tokenizer_class": name} if name else {})}
    library.save(str(place / "tokenizer.json"))
    (place / "config.json").write_text(json.dumps(config))
    (place / "tokenizer_config.json").write_text(json.dumps(settings))
    return json.loads(library.to_str()), config, settings


@pytest.mark.parametrize("file", FILES)
def test_what_auto_tokenizer_makes_of_a_folder_is_known_and_said(file: str, tmp_path: Path) -> None:
    texts = (*TEXTS, *tokenizer_classes._TEXTS)
    ours, silent, said = import_tokenizer(FILES[file].to_str()), 0, 0
    for number, case in enumerate(random.Random(file).sample(CASES, 14)):
        values = folder(tmp_path / str(number), FILES[file], *case)
        theirs = transformers.AutoTokenizer.from_pretrained(tmp_path / str(number))
        loaded, note = ImportedTokenizer(as_loaded(*values)), class_note(ours, *values)
        unknown = loaded.to_dict()["model"].get("unk_token")
        if unknown is not None and unknown not in loaded.to_dict()["model"]["vocab"]:
            assert note, "such a tokenizer fails on some texts"
            continue
        ids = [theirs(text)["input_ids"] for text in texts]
        assert ids == [loaded.encode_prompt(text) for text in texts], case
        decoded = [theirs.decode(some) for some in ids]
        assert decoded == [loaded.decode(some) for some in ids], case
        same = (ids, decoded) == (
            [ours.encode_prompt(text) for text in texts],
            [decode(ours, some) if max(some, default=0) < ours.vocab_size else None for some in ids],
        )
        assert bool(note) is not same, (case, note)
        silent, said = silent + same, said + (not same)
    assert said + silent > 5


@pytest.mark.parametrize(
    ("file", "kind", "name", "settings"),
    [
        ("GPT-2", "gpt2", None, {}), ("GPT-2", "starcoder2", "GPT2Tokenizer", {"add_prefix_space": False}),
        ("GPT-2", "mistral", "LlamaTokenizer", {}), ("GPT-2, begins", "llama", "LlamaTokenizerFast", {}),
        ("Llama 2", "llama", "PreTrainedTokenizerFast", {"add_bos_token": True}),
        ("words", "llama", "SomebodysTokenizer", {}),
        ("Llama 2, metaspace", "llama", "LlamaTokenizer", {}), ("Unigram", "gpt_oss", None, {}),
    ],
)  # fmt: skip
def test_nothing_is_said_where_nothing_differs(
    file: str, kind: str, name: str | None, settings: dict[str, Any], tmp_path: Path
) -> None:
    assert (
        class_note(import_tokenizer(FILES[file].to_str()), *folder(tmp_path / "it", FILES[file], kind, name, settings))
        == ()
    )


@pytest.mark.parametrize(
    ("file", "kind", "settings", "words"),
    [
        (
            "Llama 2, metaspace", "llama", {"tokenizer_class": "LlamaTokenizer", "legacy": True},
            "a LlamaTokenizer of this folder, with its own pre-tokenizer (Metaspace in the file)",
        ),
        ("Llama 2", "llama", {"tokenizer_class": "LlamaTokenizer"}, "its own normalizer (Prepend, Replace in the file), "),
        ("GPT-2", "gpt2", {"add_prefix_space": True}, "pre-tokenizer (ByteLevel in the file): 'Hello' has the ids ["),
        ("bytes, lowercase", "gpt2", {}, "GPT2Tokenizer of this folder, with its own normalizer (Lowercase in the "),
        ("GPT-2", "llama", {"tokenizer_class": "GPTNeoXTokenizer"}, r"'Cafe\u0301' has the ids ["),
        ("GPT-2", "qwen2", {"tokenizer_class": "PreTrainedTokenizerFast"}, "a Qwen2Tokenizer of this folder, with its "),
        ("GPT-2, begins", "llama", {"tokenizer_class": "GPTNeoXTokenizer"}, "post-processor (TemplateProcessing in the "),
        ("GPT-2", "llama", {"eos_token": "fox"}, "adds, from tokenizer_config.json, special tokens ('fox'): "),
        ("words", "gpt2", {}, "model, BPE (WordLevel in the file)"),
        ("GPT-2", "gpt2", {"tokenizer_class": "T5Tokenizer"}, "whose own steps are not known here: it may give other ids."),
    ],
)  # fmt: skip
def test_a_note_says_what_differs_and_gives_an_example(
    file: str, kind: str, settings: dict[str, Any], words: str, tmp_path: Path
) -> None:
    ours = import_tokenizer(FILES[file].to_str())
    (note,) = class_note(ours, *folder(tmp_path / "it", FILES[file], kind, None, settings))
    assert note.startswith("Text is split as tokenizer.json says. AutoTokenizer ") and words in note


def test_a_character_tokenizer_is_tried_on_its_own_characters() -> None:
    ours = build_tokenizer("char", "the fox sat.")
    (note,) = class_note(ours, json.loads(tokenizers_json(ours)), {"model_type": "gpt2"}, {})
    assert "model, BPE (WordLevel in the file)" in note and "has other ids there." in note
    plain = {"tokenizer_class": "PreTrainedTokenizerFast"}
    assert class_note(ours, json.loads(tokenizers_json(ours)), {"model_type": "gpt2"}, plain) == ()


def test_a_slow_file_is_not_tried_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tokenizer_classes, "SECONDS", -1.0)
    ours, values = import_tokenizer(FILES["GPT-2"].to_str()), json.loads(FILES["GPT-2"].to_str())
    settings = {"tokenizer_class": "GPT2Tokenizer", "eos_token": "owl"}  # which a later text shows
    (note,) = class_note(ours, values, {"model_type": "gpt2"}, settings)
    assert note.endswith("with its own special tokens ('owl'): it may give other ids.")


def test_every_class_with_steps_of_its_own_is_listed() -> None:
    models = Path(transformers.__file__).parent / "models"
    found = set()
    for path in models.glob("*/tokenization_*.py"):
        for node in ast.parse(path.read_text("utf-8")).body:
            bases = [ast.unparse(base) for base in node.bases] if isinstance(node, ast.ClassDef) else []
            if "TokenizersBackend" in bases and any(getattr(part, "name", "") == "__init__" for part in node.body):
                found.add(node.name)
    assert {
        name.removesuffix("Tokenizer") for name in found - set(tokenizer_classes._STEPS)
    } == tokenizer_classes.OTHERS


@pytest.mark.parametrize(
    "step", [None, 3, [], "x", {"type": 5}, {"type": "<b>", "normalizers": {}}, {"pretokenizers": [1]}]
)
def test_a_strangers_file_of_any_shape_is_told_in_known_words(step: Any) -> None:
    values = {**json.loads(FILES["GPT-2"].to_str()), "normalizer": step, "pre_tokenizer": step, "added_tokens": []}
    ours = import_tokenizer(FILES["bytes"].to_str())
    for kind, name in product((*KINDS, None, 5), (*CLASSES, 5)):
        config = {"model_type": kind, "tokenizer_class": name}
        changed = list(tokenizer_classes._changed(values, as_loaded(values, config, {"eos_token": 5})))
        assert "<b>" not in "".join(changed)
        assert tokenizer_class(values, config, {}) in ("", *tokenizer_classes._STEPS)
    (note,) = class_note(ours, values, {"model_type": "gpt2"}, {"extra_special_tokens": [7, None]})
    assert "<b>" not in note
