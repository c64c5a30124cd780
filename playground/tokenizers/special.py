"""Special tokens: ids that stand for no text, such as the end of a document.

A tokenizer has them as `bos` and `eos` or has none. In a text that is trained on they are never spelled out: `encode`
takes what looks like one for the characters that it is. A prompt may name them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np

from playground.config import counted
from playground.tokenizers.cost import added_by
from playground.tokenizers.encodable import to_bytes

END_OF_TEXT = "<|endoftext|>"  # GPT-2's
EOS_NAMES = (END_OF_TEXT, "</s>", "<|end_of_text|>", "<eos>", "[EOS]", "<|eos|>", "<EOS>")
MAX_ADDED = 1_000  # tokens that a file may put around a text
BOS_NAMES = ("<s>", "<|begin_of_text|>", "<bos>", "[BOS]", "<|bos|>", "<BOS>")


def encode_marked(encode: Callable[[str], np.ndarray], text: str, eos: int | None) -> list[int]:
    """Ids of a text in which ``<|endoftext|>`` is the token `eos`; without such a token, in which it is plain text."""
    if eos is None:
        return [int(token) for token in encode(text)]
    to_bytes(text)  # its errors name places in the whole text
    ids: list[int] = []
    for number, part in enumerate(text.split(END_OF_TEXT)):
        ids += [eos] if number else []
        ids += map(int, encode(part)) if part else ()
    return ids


@dataclass(frozen=True)
class Special:
    """The special tokens of a ``tokenizer.json``: where a text begins, and all tokens at which generation ends."""

    bos: int | None = None
    eos: tuple[int, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        return {"bos": self.bos, "eos": list(self.eos)}


def special_of(values: Mapping[str, Any], ids: Mapping[str, int]) -> Special:
    """What a ``tokenizer.json`` itself says: the one token that it puts before or after each text, else a usual name.

    `ids` are those of the tokenizers library, which numbers added tokens that `model.vocab` does not have itself, whatever
    the file says.
    """
    before, after = template(values)
    added = {token.get("content") for token in values.get("added_tokens") or []}
    named = [[ids[name] for name in names if name in added and name in ids] for names in (BOS_NAMES, EOS_NAMES)]
    bos = before[0] if len(before) == 1 else next(iter(named[0]), None)
    eos = after if len(after) == 1 else tuple(named[1][:1])
    return Special(bos, tuple(eos))


def special_from_dict(values: Any, vocab_size: int) -> Special:
    """What `Special.to_dict` gave. Raises ValueError for anything else."""
    bos, eos = (values.get("bos"), values.get("eos")) if isinstance(values, Mapping) else (None, None)
    ids = [*([] if bos is None else [bos]), *(eos if isinstance(eos, list) else [None])]
    if not all(type(token) is int and 0 <= token < vocab_size for token in ids):
        raise ValueError("The special tokens of this tokenizer are not ids of its vocabulary. Export it again.")
    return Special(bos, tuple(eos or ()))


def template(values: Mapping[str, Any]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Ids that a ``tokenizer.json`` puts before and after each text, in the words of its post-processor."""
    before: tuple[int, ...] = ()
    after: tuple[int, ...] = ()
    for node in _processors(values.get("post_processor")):
        if node.get("type") in ("BertProcessing", "RobertaProcessing"):
            before, after = (int(node["cls"][1]), *before), (*after, int(node["sep"][1]))
        if node.get("type") == "TemplateProcessing":
            at = next(n for n, piece in enumerate(node["single"]) if "Sequence" in piece)
            known = node["special_tokens"]
            ids = [
                known[piece["SpecialToken"]["id"]]["ids"] if "SpecialToken" in piece else [] for piece in node["single"]
            ]
            before, after = (*chain(*ids[:at]), *before), (*after, *chain(*ids[at:]))
    return before, after


def check_template(values: Mapping[str, Any]) -> None:
    """Raise ValueError for a post-processor that puts very many tokens around a text, or none of its own around it."""
    count = 0
    for node in _processors(values.get("post_processor")):
        if node.get("type") == "TemplateProcessing":
            count += added_by(node)
            if not any("Sequence" in piece for piece in node["single"]):
                raise ValueError(
                    "The post_processor of this tokenizer.json leaves out the text (no Sequence in single). Export it again."
                )
    if count > MAX_ADDED:
        raise ValueError(
            f"The post_processor of this tokenizer.json adds {counted(count, 'token')} to every text; the limit is "
            f"{MAX_ADDED:,}. Shorten its template."
        )


def without_template(values: Mapping[str, Any]) -> dict[str, Any]:
    """The same ``tokenizer.json``, but nothing is put before or after a text."""
    kept = [node for node in _processors(values.get("post_processor")) if node.get("type") == "ByteLevel"]
    return {**values, "post_processor": kept[0] if kept else None}


def _processors(value: Any) -> list[dict[str, Any]]:
    """A post-processor, or those of a sequence."""
    if not isinstance(value, dict):
        return []
    return [node for part in value.get("processors") or () for node in _processors(part)] or [value]
