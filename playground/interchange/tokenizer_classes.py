"""Tokenizer classes of Transformers that do not use all of a ``tokenizer.json``.

Transformers 5 takes the vocabulary and the merges of that file, and what is put around a text. Some classes have a
normalizer and a pre-tokenizer of their own, so ``AutoTokenizer`` may split a text into other tokens than the file says.
Which class is used stands in ``tokenizer_config.json`` and ``config.json``, or follows from the model's type.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

# The class of models whose folder names none, by model type; others use the file as it is.
OF_MODEL = {
    "gemma": "GemmaTokenizer", "gpt2": "GPT2Tokenizer", "starcoder2": "GPT2Tokenizer", "qwen2": "Qwen2Tokenizer",
    "qwen3": "Qwen2Tokenizer", "qwen3_moe": "Qwen2Tokenizer",
}  # fmt: skip
PLAIN = ("mistral", "mixtral")  # these use the file as it is, whichever class their folder names
ALWAYS = ("qwen2",)  # these use the class of their type, whichever class their folder names
_QWEN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)


def tokenizer_class(values: Mapping[str, Any], config: Mapping[str, Any], settings: Mapping[str, Any]) -> str:
    """The class of those below that ``AutoTokenizer`` makes of a folder's files, or "" where it uses ``tokenizer.json`` as
    it is."""
    kind = str(config.get("model_type"))
    named = settings.get("tokenizer_class") or config.get("tokenizer_class")
    own = OF_MODEL.get(kind, "")
    name = own if kind in ALWAYS or not isinstance(named, str) else named.removesuffix("Fast")
    if kind in PLAIN or (name == "LlamaTokenizer" and "ByteLevel" in _kinds(values.get("pre_tokenizer"))):
        return ""
    return name if name in _STEPS else ""


def class_note(values: Mapping[str, Any], config: Mapping[str, Any], settings: Mapping[str, Any]) -> tuple[str, ...]:
    """A sentence where ``AutoTokenizer`` may give other ids than ``tokenizer.json``, because of the class that it uses."""
    name = tokenizer_class(values, config, settings)
    if not name:
        return ()
    normalizer, pre_tokenizer = _STEPS[name](settings)
    replaced = [
        f"{word} ({_named(values.get(key))} in the file)"
        for word, key, expected in (
            ("normalizer", "normalizer", normalizer), ("pre-tokenizer", "pre_tokenizer", pre_tokenizer),
        )
        if not _same(values.get(key), expected)
    ]  # fmt: skip
    if not replaced:
        return ()
    return (
        f"Text is split as tokenizer.json says; Transformers may split it differently, because its {name} has its own "
        f"{' and '.join(replaced)}.",
    )


def _llama(settings: Mapping[str, Any]) -> tuple[Any, Any]:
    prefix = settings.get("add_prefix_space")
    scheme = "never" if prefix is False else "always" if settings.get("legacy") else "first"
    return None, {"type": "Metaspace", "replacement": "▁", "prepend_scheme": scheme, "split": False}


def _gpt2(settings: Mapping[str, Any]) -> tuple[Any, Any]:
    return None, _byte_level(settings, True)


def _qwen2(settings: Mapping[str, Any]) -> tuple[Any, Any]:
    split = {"type": "Split", "pattern": {"Regex": _QWEN}, "behavior": "Isolated", "invert": False}
    return {"type": "NFC"}, {"type": "Sequence", "pretokenizers": [split, _byte_level(settings, False)]}


def _gemma(settings: Mapping[str, Any]) -> tuple[Any, Any]:
    split = {"type": "Split", "pattern": {"String": " "}, "behavior": "MergedWithPrevious", "invert": False}
    return {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}, split


_STEPS = {"LlamaTokenizer": _llama, "GPT2Tokenizer": _gpt2, "Qwen2Tokenizer": _qwen2, "GemmaTokenizer": _gemma}


def _byte_level(settings: Mapping[str, Any], use_regex: bool) -> dict[str, Any]:
    return {"type": "ByteLevel", "add_prefix_space": bool(settings.get("add_prefix_space")), "use_regex": use_regex}


def _same(found: Any, expected: Any) -> bool:
    """Whether a step of the file does what the class's does: all that matters is equal, and a key that older files leave out
    has its default (a regex is used)."""
    if isinstance(expected, dict):
        defaults = {"use_regex": True}
        return isinstance(found, dict) and all(
            _same(found.get(key, defaults.get(key)), value) for key, value in expected.items()
        )
    if isinstance(expected, list):
        return isinstance(found, list) and len(found) == len(expected) and all(map(_same, found, expected))
    return bool(found == expected)


def _kinds(step: Any) -> list[str]:
    """The types of a step and of those in it."""
    if not isinstance(step, Mapping):
        return []
    inner = step.get("pretokenizers") or step.get("normalizers") or []
    return [str(step.get("type")), *(kind for each in inner if isinstance(inner, list) for kind in _kinds(each))]


def _named(step: Any) -> str:
    """A step of the file in a few words, without anything else that a stranger wrote into it."""
    known = [kind for kind in _kinds(step) if kind.isalpha() and len(kind) < 30 and kind != "Sequence"]
    return ", ".join(known[:4]) or "none"
