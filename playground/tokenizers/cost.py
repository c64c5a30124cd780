"""How much work and memory a ``tokenizer.json`` can cause, or that nothing bounds it.

A file from a visitor is run in the app's own process only if each of its parts is listed here, with parameters for which
its cost is bounded, and only on texts for which the product of all bounds is small. Everything else runs in a process
with limits (`limited`). A part or a parameter that is missing from these tables is not known to be harmless.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from playground.tokenizers.presplit import PATTERN

ENCODED = 2_500_000  # tokens at most in one call in this process; the library takes some 400 bytes for each
DECODED = 50_000_000  # bytes of text at most in one call in this process
MAX_ID = 1_000_000
MAX_MERGES = 2_000_000
LONGEST_TOKEN = 512  # characters
SHORT = 64  # characters of a pattern, a prefix or the unknown token
MAX_STEPS = 16  # of a normalizer, pre-tokenizer, decoder
MAX_ADDED, MAX_ADDED_CHARACTERS = 20_000, 1_000_000
MAX_TEMPLATE = 64  # tokens that are put around a text
MAX_WORD = 100  # characters of a word of WordPiece, whose cost grows with their square

_CL100K = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}DIGITS| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
# Known to be linear. The library's regular expression engine backtracks: other patterns may take years.
KNOWN_PATTERNS = frozenset([
    PATTERN,
    r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+",  # GPT-2
    _CL100K.replace("DIGITS", "{1,3}"),  # Llama 3 too
    _CL100K.replace("DIGITS", ""),  # Qwen 2
])  # fmt: skip

# The parameters that each part may have, and how many times as many bytes it can make of a text.
_NORMALIZERS: dict[str, tuple[set[str], float]] = {
    "BertNormalizer": ({"clean_text", "handle_chinese_chars", "strip_accents", "lowercase"}, 5),
    "NFC": (set(), 3), "NFD": (set(), 3), "NFKC": (set(), 11), "NFKD": (set(), 11), "Lowercase": (set(), 1.5),
    "Strip": ({"strip_left", "strip_right"}, 1), "StripAccents": (set(), 1), "Nmt": (set(), 1), "ByteLevel": (set(), 2),
    "Prepend": ({"prepend"}, 1), "Replace": ({"pattern", "content"}, 1),
}  # fmt: skip
_PRE_TOKENIZERS: dict[str, tuple[set[str], float]] = {
    "ByteLevel": ({"add_prefix_space", "trim_offsets", "use_regex"}, 2),
    "Split": ({"pattern", "behavior", "invert"}, 1), "Metaspace": ({"replacement", "prepend_scheme", "split"}, 1),
    "Punctuation": ({"behavior"}, 1), "Digits": ({"individual_digits"}, 1), "CharDelimiterSplit": ({"delimiter"}, 1),
    "Whitespace": (set(), 1), "WhitespaceSplit": (set(), 1), "BertPreTokenizer": (set(), 1), "UnicodeScripts": (set(), 1),
}  # fmt: skip
_DECODERS: dict[str, tuple[set[str], float]] = {
    "ByteLevel": ({"add_prefix_space", "trim_offsets", "use_regex"}, 3),  # a byte that is no character becomes U+FFFD
    "WordPiece": ({"prefix", "cleanup"}, 2), "Metaspace": ({"replacement", "prepend_scheme", "split"}, 1),
    "BPEDecoder": ({"suffix"}, 1), "CTC": ({"pad_token", "word_delimiter_token", "cleanup"}, 1), "Fuse": (set(), 1),
    "ByteFallback": (set(), 1), "Strip": ({"content", "start", "stop"}, 1), "Replace": ({"pattern", "content"}, 1),
}  # fmt: skip
_INSIDE = {"normalizers", "pretokenizers", "decoders"}  # the steps of a Sequence
_TOP = {
    "version",
    "truncation",
    "padding",
    "added_tokens",
    "normalizer",
    "pre_tokenizer",
    "post_processor",
    "decoder",
    "model",
}


class _UnboundedError(Exception):
    """A part whose cost is not known to be bounded."""


@dataclass(frozen=True)
class Cost:
    """Of a text of n bytes a tokenizer makes at most `per_byte` * n + `per_text` tokens, and of tokens whose texts have n
    bytes a text of at most `decoded` * n bytes."""

    per_byte: float
    per_text: float
    decoded: float

    def tokens(self, text: str) -> float:
        """A bound on the tokens of a text."""
        return self.per_byte * (len(text) if text.isascii() else len(text.encode("utf-8"))) + self.per_text


def bounded_cost(values: Mapping[str, Any]) -> Cost | None:
    """The bounds of a file's content, or None if a part of it is not known to have one."""
    try:
        _check(not set(values) - _TOP)
        spelled = _check_model(values.get("model"), values)
        shortest = _check_added(values.get("added_tokens"))
        per_byte, per_text = _encoding(values, spelled, shortest)
        return Cost(per_byte, per_text + _template(values.get("post_processor")), _decoding(values.get("decoder")))
    except (_UnboundedError, TypeError, AttributeError, KeyError, RecursionError):
        return None  # not of the form that the library writes


def _check(condition: bool) -> None:
    if not condition:
        raise _UnboundedError


def _text(value: Any, least: int = 1, most: int = SHORT) -> str:
    """A string of at least `least` and at most `most` characters."""
    _check(isinstance(value, str) and least <= len(value) <= most)
    return str(value)


def _check_model(model: Any, values: Mapping[str, Any]) -> Callable[[str], int]:
    """Returns how many tokens a string becomes at most if a normalizer inserts it."""
    kind = model.get("type", "BPE" if "merges" in model else None)
    _check(kind in ("BPE", "WordPiece", "WordLevel", "Unigram"))
    vocab = model["vocab"]
    tokens = [token for token, _ in vocab] if kind == "Unigram" else list(vocab)
    _check(isinstance(vocab, list if kind == "Unigram" else dict) and 0 < len(tokens) <= MAX_ID)
    _check(all(isinstance(token, str) for token in tokens) and max(map(len, tokens)) <= LONGEST_TOKEN)
    _check(len(model.get("merges") or ()) <= MAX_MERGES)
    for name in ("unk_token", "continuing_subword_prefix", "end_of_word_suffix"):
        _text(model.get(name) or "", 0)
    if kind == "WordPiece":
        most = model.get("max_input_chars_per_word")
        _check(type(most) is int and 0 <= most <= MAX_WORD)
    normalizers = {step.get("type") for step in _steps(values.get("normalizer"))}
    simple = normalizers <= {"Prepend", "Replace", "Strip"}  # others may change the characters that are inserted
    alphabet = {token for token in tokens if len(token) == 1} if simple else set()
    return lambda text: sum(1 if char in alphabet else len(char.encode("utf-8")) for char in text)


def _check_added(added: Any) -> int:
    """Returns the length of the shortest added token in characters, 0 if there is none."""
    lengths = [len(_text(token["content"], most=LONGEST_TOKEN)) for token in added or ()]
    _check(len(lengths) <= MAX_ADDED and sum(lengths) <= MAX_ADDED_CHARACTERS)
    return min(lengths, default=0)


def _steps(value: Any) -> Iterator[Mapping[str, Any]]:
    """The steps of a normalizer, pre-tokenizer or decoder in order."""
    if value is None:
        return
    if value["type"] != "Sequence":
        yield value
        return
    names = set(value) - {"type"}
    _check(len(names) == 1 and names <= _INSIDE)
    for step in value[names.pop()]:
        yield from _steps(step)


def _known_steps(value: Any, table: Mapping[str, tuple[set[str], float]]) -> list[tuple[Mapping[str, Any], float]]:
    """The steps with the growth from their table. Unknown steps and parameters are unbounded."""
    steps = list(_steps(value))
    _check(len(steps) <= MAX_STEPS)
    for step in steps:
        _check(step["type"] in table and set(step) - {"type"} <= table[step["type"]][0])
    return [(step, table[step["type"]][1]) for step in steps]


def _encoding(values: Mapping[str, Any], spelled: Callable[[str], int], shortest: int) -> tuple[float, float]:
    """At most how many tokens per byte and per text all steps make of a text, before the post-processor."""
    per_byte, per_text = 1.0, 0.0
    segments = 1 / shortest if shortest else 0.0  # a text is cut at added tokens, and each segment is read by itself
    for step, growth in _known_steps(values.get("normalizer"), _NORMALIZERS):
        kind = step["type"]
        if kind == "Prepend":
            inserted = spelled(_text(step["prepend"], 0))
            per_byte, per_text = per_byte * (1 + segments * inserted), per_text * (1 + segments * inserted) + inserted
            continue
        growth = max(growth, _replaced(step, spelled) if kind == "Replace" else 0)
        per_byte, per_text = growth * per_byte, growth * per_text
    steps = _known_steps(values.get("pre_tokenizer"), _PRE_TOKENIZERS)
    for number, (step, growth) in enumerate(steps):
        kind, inserted = step["type"], 0
        if kind == "Split":
            _check(step["pattern"].get("Regex") in KNOWN_PATTERNS or bool(_text(step["pattern"].get("String"))))
        if kind == "Metaspace":
            inserted = spelled(_text(step["replacement"], most=1))
            growth = inserted  # a space becomes one
            inserted = 0 if step["prepend_scheme"] == "never" else inserted
        if kind == "ByteLevel":
            growth = 1 if number == len(steps) - 1 and not values["model"].get("byte_fallback") else growth
            inserted = int(step["add_prefix_space"])
        pieces = segments if number == 0 else 1.0  # each piece of the steps before gets what is put in front
        per_byte, per_text = per_byte * (growth + pieces * inserted), per_text * (growth + pieces * inserted) + inserted
    return per_byte, per_text


def _replaced(step: Mapping[str, Any], spelled: Callable[[str], int]) -> float:
    _check(set(step["pattern"]) == {"String"})
    return spelled(_text(step["content"], 0)) / spelled(_text(step["pattern"]["String"]))


def _decoding(decoder: Any) -> float:
    """At most how many bytes of text a decoder makes of each byte of a token."""
    total = 1.0
    for step, growth in _known_steps(decoder, _DECODERS):
        kind = step["type"]
        if kind == "Replace":
            growth = max(growth, _replaced(step, lambda text: len(text.encode("utf-8"))))
        elif kind == "BPEDecoder":
            _text(step["suffix"])
        elif kind == "CTC":
            _text(step["word_delimiter_token"])
            _text(step["pad_token"])
        elif kind == "Strip":  # the library panics for a token that is shorter than what is taken from its end
            _check(step["stop"] == 0 and type(step["start"]) is int and 0 <= step["start"] <= SHORT)
        total *= growth
    return total


def _template(value: Any) -> float:
    """How many tokens a post-processor adds to a text."""
    if value is None or value["type"] == "ByteLevel":
        return 0
    if value["type"] in ("BertProcessing", "RobertaProcessing"):
        return 2
    if value["type"] == "Sequence":
        _check(len(value["processors"]) <= MAX_STEPS)
        return sum(map(_template, value["processors"]))
    _check(value["type"] == "TemplateProcessing" and sum("Sequence" in piece for piece in value["single"]) == 1)
    count = added_by(value)
    _check(count <= MAX_TEMPLATE)
    return count


def added_by(template: Mapping[str, Any]) -> int:
    """How many tokens a TemplateProcessing puts around a text."""
    known = template["special_tokens"]
    return sum(
        len(known[piece["SpecialToken"]["id"]]["ids"]) for piece in template["single"] if "SpecialToken" in piece
    )
