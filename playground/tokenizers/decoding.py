"""How the decoder in a ``tokenizer.json`` makes text of tokens: what of it is refused, and which can decode piece by piece.

The text is always the `tokenizers` library's own. What is known here of a decoder only says whether the text of the first
tokens stays what it is when more tokens come.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from typing import Any

GROWTH = 64  # times as long as it was a text may become by all replacements of a normalizer or decoder together
_BYTE = re.compile(r"<0x[0-9A-Fa-f]{2}>")


def check_replacements(values: Mapping[str, Any]) -> None:
    """Raise ValueError for replacements that could hang or exhaust memory when decoding or encoding."""
    for part in ("normalizer", "decoder"):
        nodes = list(_steps(values.get(part)))
        if part == "decoder" and any(_pattern(node, "Regex") is not None for node in nodes):
            raise ValueError(
                "The decoder of this tokenizer.json has a regular expression (decoder.pattern.Regex); only plain strings "
                "can be decoded here. Replace it with a String pattern."
            )
        if (growth := math.prod(map(_growth, nodes))) > GROWTH:
            raise ValueError(
                f"The steps of the {part} of this tokenizer.json could together make a text up to {growth:.6g} times as "
                f"long; the limit is {GROWTH}. Shorten or remove what they insert."
            )


def check_ids(ids: Mapping[str, int], values: Mapping[str, Any]) -> None:
    """Raise ValueError where two tokens have one id: which of them an id decodes to would be up to chance.

    `ids` are the library's, which numbers the added tokens of the file (`values`) that `model.vocab` does not have itself.
    """
    owners: dict[int, str] = {}
    written = {token.get("content"): token.get("id") for token in values.get("added_tokens") or []}
    for token, number in sorted(ids.items()):
        other = owners.setdefault(number, token)
        if other == token:
            continue
        for added, taken in ((other, token), (token, other)):
            if written.get(added, number) != number:
                raise ValueError(
                    f"The tokenizers library gives the added token {added[:30]!r} the id {number}, which {taken[:30]!r} "
                    f"has, and not {str(written[added])[:20]} as this tokenizer.json says. Number the ids of model.vocab "
                    "from 0 without gaps."
                )
        else:
            raise ValueError(
                f"The tokens {other[:30]!r} and {token[:30]!r} of this tokenizer.json have the same id {number}. "
                "Give each token an id of its own."
            )


def check_normalized(added: Iterable[tuple[str, int]], ids: Mapping[str, int]) -> None:
    """Raise ValueError where the normalizer makes the same text of two added tokens (`added`: that text and the id): which
    of them the library finds in a text differs from one load of the file to the next."""
    first: dict[str, int] = {}
    for text, number in added:
        if (other := first.setdefault(text, number)) != number:
            one, two = (next(token for token, known in ids.items() if known == each) for each in (other, number))
            raise ValueError(
                f"The normalizer of this tokenizer.json makes {text[:30]!r} of both added tokens {one[:30]!r} and "
                f'{two[:30]!r}, so the ids of a text would be up to chance. Set "normalized" to false for one of them.'
            )


def is_byte_level(values: Mapping[str, Any]) -> bool:
    """Whether tokens are bytes, written as GPT-2 writes them, and the text is those bytes."""
    return [node.get("type") for node in _steps(values.get("decoder"))] == ["ByteLevel"]


def falls_back_to_bytes(values: Mapping[str, Any]) -> bool:
    """Whether ``<0xE2>`` stands for a byte."""
    return any(node.get("type") == "ByteFallback" for node in _steps(values.get("decoder")))


def byte_of(token: str) -> int | None:
    """The byte that a token such as ``<0xE2>`` stands for."""
    return int(token[3:5], 16) if _BYTE.fullmatch(token) else None


def decodes_in_pieces(values: Mapping[str, Any], vocabulary: Iterable[str]) -> bool:
    """Whether the text of some tokens is the beginning of their text with more tokens behind them.

    Runs of byte tokens excepted, which are text when they have ended. So it is where each step of the decoder works on
    single tokens, or knows of others only which is the first; what works on the joined text may only take from its start.
    """
    joined = False
    seen: list[Mapping[str, Any]] = []
    for node in _steps(values.get("decoder")):
        kind = node.get("type")
        if kind == "Fuse":
            joined = True
        elif kind == "Strip":
            if joined and node.get("stop"):
                return False
        elif joined or not _by_token(node, seen, vocabulary):
            return False
        seen.append(node)
    return True


def _by_token(node: Mapping[str, Any], before: list[Mapping[str, Any]], vocabulary: Iterable[str]) -> bool:
    kind = node.get("type")
    if any(other.get("type") == "BPEDecoder" for other in before):  # it changes a token when it is the last no more
        return False
    if kind == "ByteFallback":  # no step before may make bytes of what is none
        return all(other.get("type") == "Replace" and str(other.get("content")).isspace() for other in before)
    if kind == "BPEDecoder":
        suffix = str(node.get("suffix"))
        return bool(suffix) and not any(suffix in token.removesuffix(suffix) for token in vocabulary)
    return kind in ("Replace", "Metaspace", "WordPiece", "CTC")


def _steps(value: Any) -> Iterator[Mapping[str, Any]]:
    """The steps of a normalizer or decoder, in order."""
    if isinstance(value, dict):
        inner = [value[name] for name in ("decoders", "normalizers") if isinstance(value.get(name), list)]
        if value.get("type") == "Sequence" and inner:
            for node in chain(*inner):
                yield from _steps(node)
        else:
            yield value


def _pattern(node: Mapping[str, Any], kind: str) -> str | None:
    pattern = node.get("pattern")
    found = pattern.get(kind) if isinstance(pattern, dict) else None
    return found if isinstance(found, str) else None


def _growth(node: Mapping[str, Any]) -> float:
    """How many times as long a text can become in one step."""
    if node.get("type") == "Prepend":
        return 1.0 + len(str(node.get("prepend")))
    if node.get("type") != "Replace":
        return 1.0
    return max(1.0, len(str(node.get("content"))) / max(1, len(_pattern(node, "String") or "")))
