"""Tokenizers in Hugging Face folders: writing a ``tokenizer.json`` that gives the same ids, and reading one.

Exported byte and character tokenizers of the playground are recognized; any other file is checked like a tokenizer that is
imported for training (`tokenizers.imported`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tokenizers import Tokenizer as Library

from playground.config import counted
from playground.tokenizers import (
    BPETokenizer,
    ImportedTokenizer,
    Tokenizer,
    end_ids,
    import_tokenizer,
    n_tokens,
    tokenizers_json,
)
from playground.tokenizers.byte import ByteTokenizer
from playground.tokenizers.character import CharacterTokenizer
from playground.tokenizers.special import Special


@dataclass(frozen=True)
class SpecialTokenFiles:
    """The other files of a folder with special tokens: its configs, {} or None for missing ones."""

    config: Mapping[str, Any] = field(default_factory=dict)
    generation: Mapping[str, Any] | None = None  # generation_config.json
    tokenizer: Mapping[str, Any] = field(default_factory=dict)  # tokenizer_config.json


def from_tokenizer_json(values: dict[str, Any], vocab_size: int, files: SpecialTokenFiles | None = None) -> Tokenizer:
    """Our tokenizer for a ``tokenizer.json`` beside a model of `vocab_size` tokens. Raises ValueError.

    It reads a prompt as ``tokenizer.json`` says: in transformers 5 that file alone says what is put around a text, and not
    ``add_bos_token``. So does ``AutoTokenizer``, unless its class has steps of its own (`tokenizer_classes`). It
    ends a text where ``generate`` would.
    """
    tokenizer = _characters(values) or _bytes(import_tokenizer(json.dumps(values, ensure_ascii=False)))
    if tokenizer.vocab_size > vocab_size:
        raise ValueError(
            f"The tokenizer has {counted(tokenizer.vocab_size, 'token')} and the model only {vocab_size:,}: the last "
            "tokens would have no embedding. Choose the tokenizer.json that the model was trained with."
        )
    if tokenizer.vocab_size < vocab_size:
        tokenizer = ImportedTokenizer(values).padded(vocab_size)
    if files is not None and isinstance(tokenizer, ImportedTokenizer):
        tokenizer = tokenizer.with_special(_special(tokenizer, files))
    return tokenizer


def padding_note(tokenizer: Tokenizer) -> tuple[str, ...]:
    """A sentence on a vocabulary that is larger than its tokenizer, if it is."""
    known, size = n_tokens(tokenizer), tokenizer.vocab_size
    if known == size:
        return ()
    return (
        f"The model's vocabulary of {size:,} is padded: its tokenizer has {known:,}, and the other ids are never generated.",
    )


def _content(token: Any) -> str | None:
    """A token as ``tokenizer_config.json`` names it: its text, or a table with its text."""
    token = token.get("content") if isinstance(token, Mapping) else token
    return token if isinstance(token, str) else None


def _special(tokenizer: ImportedTokenizer, files: SpecialTokenFiles) -> Special:
    """Special tokens as ``generate`` knows them: by the generation config if there is one, else by the model's config;
    otherwise from the tokenizer's settings, or else from ``tokenizer.json`` itself."""
    suggested = tokenizer.special
    named = [tokenizer.id_of(_content(files.tokenizer.get(f"{name}_token"))) for name in ("bos", "eos")]
    source = files.config if files.generation is None else files.generation
    bos = _ids(source.get("bos_token_id"), tokenizer.vocab_size)
    if "eos_token_id" in source or files.generation is not None:
        eos = _ids(source.get("eos_token_id"), tokenizer.vocab_size)
    else:
        eos = suggested.eos if named[1] is None else (named[1],)
    return Special(bos[0] if bos else suggested.bos if named[0] is None else named[0], eos)


def _ids(value: Any, vocab_size: int) -> tuple[int, ...]:
    """One id or several; none that the vocabulary does not have."""
    values = value if isinstance(value, list) else [value]
    return tuple(token for token in values if type(token) is int and 0 <= token < vocab_size)


def special_settings(tokenizer: Tokenizer, json_text: str) -> tuple[dict[str, Any], dict[str, str]]:
    """A tokenizer's special tokens for a model's config (ids) and for ``tokenizer_config.json`` (texts)."""
    eos = sorted(end_ids(tokenizer), key=lambda token: token != tokenizer.eos)
    ids = {
        "bos_token_id": tokenizer.bos, "eos_token_id": eos[0] if len(eos) == 1 else eos or None, "pad_token_id": None,
    }  # fmt: skip
    token_of = (
        tokenizer.token_of if isinstance(tokenizer, ImportedTokenizer) else Library.from_str(json_text).id_to_token
    )
    names = {"bos_token": tokenizer.bos, "eos_token": tokenizer.eos}
    texts = {name: token_of(token) for name, token in names.items() if token is not None}
    return ids, {name: text for name, text in texts.items() if text is not None}


def _characters(values: dict[str, Any]) -> Tokenizer | None:
    """The character tokenizer, if this is what is written for one."""
    model = values.get("model")
    vocab = model.get("vocab") if isinstance(model, dict) else None
    if not isinstance(vocab, dict) or not all(len(word) == 1 for word in vocab):
        return None
    try:
        candidate = CharacterTokenizer("".join(sorted(vocab)), eos=bool(values.get("added_tokens")))
    except ValueError:
        return None
    return candidate if json.loads(tokenizers_json(candidate)) == values else None


def _bytes(tokenizer: Tokenizer) -> Tokenizer:
    """The byte tokenizer is BPE without merges."""
    bare = isinstance(tokenizer, BPETokenizer) and not tokenizer.merges
    return ByteTokenizer(tokenizer.eos is not None) if bare else tokenizer
