"""Where the import has no note on the tokenizer's class, AutoTokenizer gives the ids of tokenizer.json."""

from __future__ import annotations

import json
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer, normalizers, pre_tokenizers

from playground.interchange.tokenizer_classes import class_note, tokenizer_class
from tests.tokenizers.zoo import _bpe, _llama

transformers = pytest.importorskip("transformers")

TEXTS = (
    "Once there was a fox.",
    " Hello  world",
    "  two",
    "a\nb c\n\n d",
    "don't 12,345!",
    "ﬁ ½ É é",
    "e\u0301a",
    "tab\there",
    "A  B",
    "x",
)
METASPACE = pre_tokenizers.Metaspace(prepend_scheme="first", split=False)


def byte_level(normalizer: Any = None, prefix: bool = False) -> Tokenizer:
    return _bpe(pre_tokenizers.ByteLevel(add_prefix_space=prefix), None, normalizer)


def metaspace() -> Tokenizer:
    made = _llama()
    made.normalizer, made.pre_tokenizer = None, METASPACE
    return made


FILES: dict[str, Tokenizer] = {
    "bytes": byte_level(), "bytes, prefix": byte_level(prefix=True), "bytes, lowercase": byte_level(normalizers.Lowercase()),
    "bytes, NFKC": byte_level(normalizers.NFKC()), "Llama 2": _llama(), "Llama 2, metaspace": metaspace(),
}  # fmt: skip
CLASSES = (None, "PreTrainedTokenizerFast", "LlamaTokenizer", "LlamaTokenizerFast", "GPT2Tokenizer", "Qwen2TokenizerFast",
           "GemmaTokenizer")  # fmt: skip
KINDS = ("llama", "mistral", "gpt2", "qwen2", "qwen3", "gemma", "starcoder2")
SETTINGS: tuple[dict[str, Any], ...] = ({}, {"add_prefix_space": True}, {"legacy": True}, {"add_prefix_space": False})


def ids(place: Path, texts: tuple[str, ...]) -> Any:
    found = transformers.AutoTokenizer.from_pretrained(place)
    return [found(text, add_special_tokens=False)["input_ids"] for text in texts]


def folder(place: Path, library: Tokenizer, kind: str, name: str | None, settings: dict[str, Any]) -> tuple[Any, ...]:
    place.mkdir()
    config = {"model_type": kind}
    settings = {**settings, **({"tokenizer_class": name} if name else {})}
    library.save(str(place / "tokenizer.json"))
    (place / "config.json").write_text(json.dumps(config))
    (place / "tokenizer_config.json").write_text(json.dumps(settings))
    return json.loads(library.to_str()), config, settings


@pytest.mark.parametrize("file", FILES)
def test_without_a_note_the_ids_are_those_of_the_file(file: str, tmp_path: Path) -> None:
    library, silent = FILES[file], 0
    expected = [library.encode(text, add_special_tokens=False).ids for text in TEXTS]
    for number, (kind, name) in enumerate(product(KINDS, CLASSES)):
        turn = number + list(FILES).index(
            file
        )  # each combination with two of the files, which takes a third of the time
        if turn % 3:
            continue
        settings = SETTINGS[turn // 3 % len(SETTINGS)]
        values = folder(tmp_path / str(number), library, kind, name, settings)
        if not class_note(*values):
            silent += 1
            assert ids(tmp_path / str(number), TEXTS) == expected, (kind, name, settings)
    assert silent > 1


@pytest.mark.parametrize(
    ("file", "kind", "settings", "words"),
    [
        (
            "Llama 2",
            "llama",
            {"tokenizer_class": "LlamaTokenizer"},
            "its LlamaTokenizer has its own normalizer (Prepend, ",
        ),
        (
            "bytes",
            "gpt2",
            {"add_prefix_space": True},
            "its GPT2Tokenizer has its own pre-tokenizer (ByteLevel in the file).",
        ),
        ("bytes, lowercase", "gpt2", {}, "its GPT2Tokenizer has its own normalizer (Lowercase in the file)."),
        ("bytes, NFKC", "gpt2", {"tokenizer_class": "GPT2Tokenizer"}, "own normalizer (NFKC in the file)."),
        (
            "bytes",
            "qwen2",
            {"tokenizer_class": "PreTrainedTokenizerFast"},
            "its Qwen2Tokenizer has its own normalizer (none ",
        ),
    ],
)
def test_a_note_says_what_the_class_replaces(
    file: str, kind: str, settings: dict[str, Any], words: str, tmp_path: Path
) -> None:
    (note,) = class_note(*folder(tmp_path / "it", FILES[file], kind, None, settings))
    assert note.startswith("Text is split as tokenizer.json says; Transformers may split it differently, because ")
    assert words in note
    expected = [FILES[file].encode(text, add_special_tokens=False).ids for text in TEXTS]
    assert ids(tmp_path / "it", TEXTS) != expected, "and so it does"


@pytest.mark.parametrize(
    "step", [None, 3, [], "x", {"type": 5}, {"type": "<b>", "normalizers": {}}, {"pretokenizers": [1]}]
)
def test_a_strangers_file_of_any_shape_is_told_in_known_words(step: Any) -> None:
    values = {"normalizer": step, "pre_tokenizer": step}
    for kind, name in product((*KINDS, None, 5), (*CLASSES, 5)):
        note = class_note(values, {"model_type": kind, "tokenizer_class": name}, {})
        assert "<" not in "".join(note)
        assert bool(note) <= bool(tokenizer_class(values, {"model_type": kind, "tokenizer_class": name}, {}))
