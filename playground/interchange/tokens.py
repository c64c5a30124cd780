"""Tokenizers in Hugging Face folders: a ``tokenizer.json`` that gives the very ids of ours, and back.

On the way back those of the playground are recognised, bytes and characters by what is written for them; any other goes
through the gate that tokenizers brought to training go through (`tokenizers.imported`).
"""

from __future__ import annotations

import json
from typing import Any

from playground.config import counted
from playground.tokenizers import (
    BPETokenizer,
    ImportedTokenizer,
    Tokenizer,
    import_tokenizer,
    n_tokens,
    tokenizers_json,
)
from playground.tokenizers.byte import ByteTokenizer
from playground.tokenizers.character import CharacterTokenizer


def from_tokenizer_json(values: dict[str, Any], vocab_size: int) -> Tokenizer:
    """Our tokenizer for a ``tokenizer.json`` beside a model of `vocab_size` tokens. Raises ValueError."""
    tokenizer = _characters(values) or _bytes(import_tokenizer(json.dumps(values, ensure_ascii=False)))
    if tokenizer.vocab_size > vocab_size:
        raise ValueError(
            f"The tokenizer has {counted(tokenizer.vocab_size, 'token')} and the model only {vocab_size:,}: it would not "
            "know the last. Choose the tokenizer.json that the model was trained with."
        )
    return tokenizer if tokenizer.vocab_size == vocab_size else ImportedTokenizer(values).padded(vocab_size)


def padding_note(tokenizer: Tokenizer) -> tuple[str, ...]:
    """A sentence on a vocabulary that is larger than its tokenizer, if it is."""
    known, size = n_tokens(tokenizer), tokenizer.vocab_size
    if known == size:
        return ()
    return (
        f"The model's vocabulary of {size:,} is padded: its tokenizer has {known:,}, and the others are never written.",
    )


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
    """BPE that merges nothing is the byte tokenizer."""
    bare = isinstance(tokenizer, BPETokenizer) and not tokenizer.merges
    return ByteTokenizer(tokenizer.eos is not None) if bare else tokenizer
