"""How documents are usually kept apart in what a model is trained on."""

from __future__ import annotations

SUBWORDS = ("bpe", "imported")


def usual_documents(tokenizer: str) -> str:
    """An end-of-text token between documents for subword tokenizers (GPT-2, Radford et al. 2019), nothing for bytes and
    characters, whose classic texts are one stream (char-rnn, nanoGPT's Shakespeare)."""
    return "separated" if tokenizer in SUBWORDS else "joined"
