"""Prompts that a tokenizer can encode: a character tokenizer knows only the characters of its text."""

from __future__ import annotations

from playground.tokenizers.base import Tokenizer, decode
from playground.tokenizers.encodable import to_bytes

BEGINNING = 10_000  # characters of a text that are searched for a prompt, and from whose start one is taken
_LENGTH = 20  # characters of a prompt that is the beginning of a text, at most
_TOKENS = 4  # tokens of a prompt where no text is known


def can_encode(tokenizer: Tokenizer, text: str) -> bool:
    """Whether `tokenizer` has ids for all characters of `text`."""
    try:
        tokenizer.encode_prompt(text)
    except ValueError:
        return False
    return True


def check_prompt(tokenizer: Tokenizer, prompt: str) -> None:
    """Raise ValueError, naming the characters, for a prompt that `tokenizer` cannot encode."""
    if can_encode(tokenizer, prompt):
        return
    to_bytes(prompt)  # raises for what no tokenizer can encode
    unknown = [character for character in sorted(set(prompt)) if not can_encode(tokenizer, character)]
    shown = ", ".join(map(repr, unknown[:8]))
    raise ValueError(
        f"Prompt {prompt[:40]!r}: the text has no {shown}, and the character tokenizer knows only what is in the text. "
        "Change the prompt or the tokenizer."
    )


def default_prompt(tokenizer: Tokenizer, usual: str, text: str = "", *, found: bool = False) -> str:
    """`usual` if `tokenizer` can encode it, else the first words of `text`, else what some of its tokens stand for.

    `found`: `usual` is used only if it also occurs near the beginning of `text`.
    """
    if can_encode(tokenizer, usual) and (not found or usual in text[:BEGINNING]):
        return usual
    words = _first_words(text[:BEGINNING])
    if words and can_encode(tokenizer, words):
        return words
    if can_encode(tokenizer, usual):
        return usual
    return decode(tokenizer, range(min(_TOKENS, tokenizer.vocab_size)))


def _first_words(text: str) -> str:
    """The beginning of the first line that is not blank, cut after a word if it has several."""
    line = text.lstrip().partition("\n")[0].rstrip()
    if len(line) <= _LENGTH:
        return line
    cut = line[: _LENGTH + 1].rsplit(maxsplit=1)
    return cut[0] if len(cut) > 1 else line[:_LENGTH]
