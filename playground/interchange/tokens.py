"""Tokenizers as ``tokenizer.json`` of the `tokenizers` library, which Transformers loads, and back.

A byte is a token of a byte-level BPE that never merges, a character one of a BPE without any pre-tokenizer: both give the
very ids of ours. On the way back these two are recognised; of others only parts that this file lists are accepted,
because a tokenizer.json can hold regular expressions that never end.
"""

from __future__ import annotations

import json
from typing import Any

from playground.interchange.refusal import shown
from playground.tokenizers import Tokenizer
from playground.tokenizers.byte import ByteTokenizer
from playground.tokenizers.character import CharacterTokenizer
from playground.tokenizers.foreign import ForeignTokenizer, byte_alphabet

_PARTS = {
    "normalizer": {"Sequence", "NFC", "NFD", "NFKC", "NFKD", "Lowercase", "Prepend", "Replace", "Strip", "StripAccents"},
    "pre_tokenizer": {"Sequence", "ByteLevel", "Metaspace", "Whitespace", "WhitespaceSplit", "Digits", "Punctuation", "Split"},
    "decoder": {"Sequence", "ByteLevel", "Metaspace", "ByteFallback", "Fuse", "Replace", "Strip", "BPEDecoder", "WordPiece"},
}  # fmt: skip
_MODELS = {"BPE", "WordLevel", "Unigram", "WordPiece"}
# The regular expressions of well-known tokenizers. Any other might take for ever on a hostile text.
_REGEXES = {
    r"""(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+""",
    r"""(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+""",
    r"""'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]++[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+""",
    r"""'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+""",
}


def to_tokenizer_json(tokenizer: Tokenizer) -> str:
    """The ``tokenizer.json`` that gives the same ids. Raises ValueError for a tokenizer that has none."""
    if isinstance(tokenizer, ByteTokenizer):
        vocab = {character: byte for byte, character in sorted(byte_alphabet().items())}
        level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}
        return _written(vocab, pre_tokenizer=level, decoder=level)
    if isinstance(tokenizer, CharacterTokenizer):
        return _written({character: rank for rank, character in enumerate(tokenizer.characters)}, decoder={"type": "Fuse"})
    text = getattr(tokenizer, "json", None)
    if not isinstance(text, str):
        raise ValueError(f"The tokenizer {tokenizer.name!r} cannot be written as a tokenizer.json.")
    return text


def _written(vocab: dict[str, int], **parts: Any) -> str:
    model = {"type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None,
             "end_of_word_suffix": None, "fuse_unk": False, "byte_fallback": False, "ignore_merges": False,
             "vocab": vocab, "merges": []}  # fmt: skip
    body = {"version": "1.0", "truncation": None, "padding": None, "added_tokens": [], "normalizer": None,
            "pre_tokenizer": None, "post_processor": None, "decoder": None, "model": model}  # fmt: skip
    return json.dumps({**body, **parts}, ensure_ascii=False)


def from_tokenizer_json(values: dict[str, Any], vocab_size: int) -> Tokenizer:
    """Our tokenizer for a ``tokenizer.json`` beside a model of `vocab_size` tokens. Raises ValueError."""
    model = values.get("model")
    if not isinstance(model, dict) or model.get("type") not in _MODELS:
        kind = model.get("type") if isinstance(model, dict) else model
        raise ValueError(f"tokenizer.json: models of type {shown(kind)} are not supported, only {', '.join(sorted(_MODELS))}.")
    for part, known in _PARTS.items():
        _check_part(part, values.get(part), known)
    ours = _ours(values, model.get("vocab"))
    if ours is not None:
        if ours.vocab_size != vocab_size:
            raise ValueError(f"The tokenizer has {ours.vocab_size:,} tokens; the model has {vocab_size:,}.")
        return ours
    values = {**values, "truncation": None, "padding": None, "post_processor": None}
    return ForeignTokenizer(json.dumps(values, ensure_ascii=False), vocab_size)


def _check_part(part: str, value: Any, known: set[str]) -> None:
    if value is None:
        return
    kind = value.get("type") if isinstance(value, dict) else None
    if kind not in known:
        raise ValueError(f"tokenizer.json: {part} of type {shown(kind)} is not supported.")
    pattern = value.get("pattern")
    if isinstance(pattern, dict) and "Regex" in pattern and pattern["Regex"] not in _REGEXES:
        raise ValueError(f"tokenizer.json: the regular expression {shown(pattern['Regex'])} is not one that is known to be safe.")
    for key in ("normalizers", "pretokenizers", "decoders"):
        inner = value.get(key, [])
        for item in inner if isinstance(inner, list) else [inner]:
            _check_part(part, item, known)


def _ours(values: dict[str, Any], vocab: Any) -> Tokenizer | None:
    """The byte or character tokenizer, if the JSON is what `to_tokenizer_json` writes for one."""
    if not isinstance(vocab, dict) or values["model"].get("merges") or values.get("added_tokens"):
        return None
    if vocab == {character: byte for byte, character in byte_alphabet().items()} and values.get("pre_tokenizer"):
        candidate: Tokenizer = ByteTokenizer()
    elif len(vocab) > 1 and list(vocab.values()) == list(range(len(vocab))) and all(len(word) == 1 for word in vocab):
        try:
            candidate = CharacterTokenizer("".join(vocab))
        except ValueError:
            return None
    else:
        return None
    return candidate if json.loads(to_tokenizer_json(candidate)) == values else None
