"""Whether two tokenizers are the same one: only then do losses per token, and token ids, mean the same thing.

The *kind* of a tokenizer does not tell: two BPE vocabularies, two character sets or two imported files differ.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from functools import cache
from typing import Any

from playground.tokenizers.base import Tokenizer
from playground.tokenizers.bpe import BPETokenizer

_NOT_ENCODING = {"version", "truncation", "padding", "decoder"}  # parts of a tokenizer.json that change no id


def fingerprint(tokenizer: Tokenizer) -> str:
    """A digest (32 hex digits) of all that decides which ids a text gets.

    Equal fingerprints mean the same ids for every text. The reverse is not promised: two files may describe the same
    tokenizer in different words, and are then taken to be different.
    """
    return saved_fingerprint(tokenizer.to_dict())


def saved_fingerprint(values: Mapping[str, Any]) -> str:
    """`fingerprint` of a tokenizer as `to_dict` saved it, without building it."""
    return _bytes_fingerprint(values.get("eos") is True) if values.get("name") == "byte" else _digest(values)


def same_tokens(a: Tokenizer, b: Tokenizer) -> bool:
    """Whether both are known to give the same ids for every text."""
    return a is b or fingerprint(a) == fingerprint(b)


@cache
def _bytes_fingerprint(eos: bool) -> str:
    """Bytes are a BPE that has merged nothing: the same ids, however it is saved."""
    return _digest(BPETokenizer([], eos).to_dict())


def _digest(values: Mapping[str, Any]) -> str:
    parts = {name: value for name, value in values.items() if name not in _NOT_ENCODING and value is not None}
    model = parts.get("model")
    if isinstance(model, dict) and isinstance(model.get("merges"), list):  # "a b" and ["a", "b"] are the same merge
        merges = [merge.split(" ") if isinstance(merge, str) else merge for merge in model["merges"]]
        parts["model"] = {**model, "merges": merges}
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:32]
