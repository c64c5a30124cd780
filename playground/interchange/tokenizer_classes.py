"""Tokenizer classes of Transformers that do not use all of a ``tokenizer.json``.

Transformers 5 takes the vocabulary and the merges of that file, and what is put around a text. Some classes have a
normalizer, a pre-tokenizer and a decoder of their own, and each folder may name further special tokens. Here texts are read
as the file says, as Transformers 4 did; where ``AutoTokenizer`` gives other ids or another text, the user is told which.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from unicodedata import is_normalized

from playground.config import listed
from playground.interchange.refusal import shown
from playground.tokenizers import ImportedTokenizer, Tokenizer, decode

Values = Mapping[str, Any]

# The class of models whose folder names none, by model type; others use the file as it is.
OF_MODEL = {
    "gemma": "GemmaTokenizer", "gpt2": "GPT2Tokenizer", "starcoder2": "GPT2Tokenizer", "qwen2": "Qwen2Tokenizer",
    "qwen3": "Qwen2Tokenizer", "qwen3_moe": "Qwen2Tokenizer",
}  # fmt: skip
PLAIN = ("mistral", "mixtral")  # these use the file as it is, whichever class their folder names
ALWAYS = ("qwen2",)  # these use the class of their type, whichever class their folder names
# Classes with steps of their own that are not listed below: no model here is made with them, but a folder can name them.
OTHERS = frozenset([
    "Albert", "Barthez", "Bert", "BigBird", "Blenderbot", "Camembert", "CLIP", "CodeLlama", "CodeGen", "Cohere",
    "Deberta", "DebertaV2", "Esmc", "Funnel", "Herbert", "Lasr", "LayoutLMv2", "LayoutLMv3", "LayoutXLM", "Luke",
    "MarkupLM", "MBart", "MBart50", "MLuke", "MPNet", "Nllb", "Nougat", "OpenAIGPT", "Pegasus", "Qwen3_5", "Reformer",
    "RemBert", "Roberta", "SeamlessM4T", "Siglip2", "Splinter", "T5", "Tipsv2", "Udop", "VideoPrism", "Whisper",
    "XGLM", "XLMRoberta", "XLNet",
])  # fmt: skip
_QWEN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
_NAMED = ("bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token")
_TEXTS = (
    "Hello", " Hello", "Hello  world", "\nHello", "don't", "CAFÉ", "Cafe\u0301", "ﬁ ½", "12345 7", "a\tb\r\n\r\n c", "你好",
    "🦊", "_a_", "Hello world, 12 foxes!\n  def f(x): return x",
)  # fmt: skip
_SAMPLE = 200  # tokens of the vocabulary whose texts are tried too
SECONDS = 5.0


def tokenizer_class(values: Values, config: Values, settings: Values) -> str:
    """The class with steps of its own that ``AutoTokenizer`` makes of a folder's files, or "" where it uses
    ``tokenizer.json`` as it is."""
    kind = str(config.get("model_type"))
    named = settings.get("tokenizer_class") or config.get("tokenizer_class")
    own = OF_MODEL.get(kind, "")
    name = own if kind in ALWAYS or not isinstance(named, str) else named.removesuffix("Fast")
    if kind in PLAIN or (name == "LlamaTokenizer" and _names_byte_level(values)):
        return ""
    known = name in _STEPS or (name.endswith("Tokenizer") and name.removesuffix("Tokenizer") in OTHERS)
    return name if known else ""


def as_loaded(values: Values, config: Values, settings: Values) -> dict[str, Any]:
    """What ``AutoTokenizer`` makes of a folder's files, as the content of a ``tokenizer.json``; of one of OTHERS, the file
    with the special tokens of its settings."""
    name = tokenizer_class(values, config, settings)
    found = dict(values)
    if name in _STEPS:
        steps, merges = _STEPS[name](settings), values["model"].get("merges")
        found |= steps
        found["model"] = {
            "type": "BPE",
            **_MODEL,
            **steps["model"],
            "vocab": _vocabulary(values),
            "merges": merges or [],
        }
    usual = _TOKENS.get(name, {})
    tokens = [settings.get(key, usual.get(key)) for key in _NAMED]  # new ones are numbered in this order
    more = settings.get("extra_special_tokens") or settings.get("additional_special_tokens")
    return _with_special(found, [*tokens, *(more if isinstance(more, list) else [])])


def class_note(tokenizer: Tokenizer, values: Values, config: Values, settings: Values) -> tuple[str, ...]:
    """A sentence where ``AutoTokenizer`` gives other ids or another text than `tokenizer`, which is that of a folder's
    ``tokenizer.json``: what differs, and an example."""
    name = tokenizer_class(values, config, settings)
    if name and name not in _STEPS:
        return (
            f"Text is split as tokenizer.json says. AutoTokenizer makes a {name} of this folder, whose own steps are not "
            "known here: it may give other ids.",
        )
    loaded = as_loaded(values, config, settings)
    changed = list(_changed(values, loaded))
    if not changed:
        return ()
    try:
        example = _difference(tokenizer, ImportedTokenizer(loaded), _contents(loaded)[::-1])
    except ValueError:  # its vocabulary and such steps do not go together
        example = "it does not work with this vocabulary"
    if not example:
        return ()
    whose = f"makes a {name} of this folder, with its own" if name else "adds, from tokenizer_config.json,"
    return (f"Text is split as tokenizer.json says. AutoTokenizer {whose} {listed(changed)}: {example}.",)


def _difference(ours: Tokenizer, theirs: Tokenizer, special: list[str]) -> str:
    """The first difference between two tokenizers that some texts show, in words; "" if none does.

    `special`: texts of tokens that are found before a text is split. Files with unusual parts may be slow, so after
    SECONDS no more is tried.
    """
    end = time.monotonic() + SECONDS
    step = max(1, ours.vocab_size // _SAMPLE)
    alone = [[number] for number in range(0, min(ours.vocab_size, theirs.vocab_size), step)]
    read = [*_TEXTS, *(f"a{token}b c" for token in special[:_SAMPLE])]
    for text in read:
        ids, there = _ids(ours, text), theirs.encode_prompt(text)
        if ids is not None and ids != there:
            spelled = shown(text) if is_normalized("NFC", text) else ascii(text)  # a combining accent would not be seen
            return f"{spelled} has the ids {_few(there)} there and {_few(ids)} here"
        if max(there, default=0) < ours.vocab_size and decode(ours, there) != decode(theirs, there):
            return f"the ids {_few(there)} become another text there"
        if time.monotonic() > end:
            return "it may give other ids"
    for ids in alone:
        text = decode(ours, ids)
        if text != decode(theirs, ids):
            return f"the id {ids[0]} becomes another text there"
        if _ids(ours, text) not in (None, theirs.encode_prompt(text)):
            return f"the text of token {ids[0]} has other ids there"
        if time.monotonic() > end:
            break
    return ""


def _ids(tokenizer: Tokenizer, text: str) -> list[int] | None:
    """The ids of a text, None where it is refused: a character tokenizer knows only its own characters."""
    try:
        return tokenizer.encode_prompt(text)
    except ValueError:
        return None


def _few(ids: list[int]) -> str:
    return f"[{', '.join(map(str, ids[:8]))}{', …' if len(ids) > 8 else ''}]"


def _changed(values: Values, loaded: Values) -> Iterator[str]:
    """The parts of the file that are replaced, in words that say what the file has there."""
    for word, key in (("normalizer", "normalizer"), ("pre-tokenizer", "pre_tokenizer"), ("decoder", "decoder")):
        if not _same(values.get(key), loaded[key]):
            yield f"{word} ({_named(values.get(key))} in the file)"
    file = values["model"]
    if loaded["model"] is not file:
        kind = file.get("type", "BPE")
        other = [key for key in _MODEL if (file.get(key) or None) != (loaded["model"].get(key) or None)]
        if kind != "BPE":
            yield f"model, BPE ({kind if str(kind).isalpha() else 'another'} in the file)"
        elif other:
            yield f"settings of BPE ({', '.join(other)})"
    if loaded.get("post_processor") is not values.get("post_processor"):
        yield f"post-processor ({_named(values.get('post_processor'))} in the file)"
    added = _contents(loaded)[len(_contents(values)) :]
    if added:
        yield f"special tokens ({', '.join(map(shown, added[:4]))}{', …' if len(added) > 4 else ''})"


def _contents(values: Values) -> list[str]:
    """The texts of the tokens that are found in a text before it is split."""
    added = values.get("added_tokens")
    return (
        [str(token.get("content")) for token in added if isinstance(token, Mapping)] if isinstance(added, list) else []
    )


def _with_special(values: dict[str, Any], tokens: list[Any]) -> dict[str, Any]:
    """With these special tokens, each its text or a table with it; those that the vocabulary does not have come after it."""
    known = _vocabulary(values)
    added = list(values.get("added_tokens") or [])
    ids = [token["id"] for token in added if isinstance(token, Mapping) and type(token.get("id")) is int]
    following = 1 + max([*known.values(), *ids], default=-1)
    seen = set(_contents(values))
    for token in tokens:
        text = _text(token)
        if text and text not in seen:
            seen.add(text)
            number = known.get(text, following)
            following += number == following
            flags = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False)
            added.append({"id": number, "content": text, **flags, "special": True})
    return {**values, "added_tokens": added}


def _text(token: Any) -> str | None:
    """The text of a token, which files have as it is or in a table."""
    text = token.get("content") if isinstance(token, Mapping) else token
    return text if isinstance(text, str) else None


def _prefix(settings: Values, default: bool) -> bool:
    found = settings.get("add_prefix_space")
    return default if found is None else bool(found)


def _llama(settings: Values) -> dict[str, Any]:
    prefix = _prefix(settings, True)
    scheme = "never" if not prefix else "always" if settings.get("legacy") else "first"
    return {
        "normalizer": None,
        "pre_tokenizer": {"type": "Metaspace", "replacement": "▁", "prepend_scheme": scheme, "split": False},
        "decoder": _with_bytes([{"type": "Strip", "content": " ", "start": 1, "stop": 0}] if prefix else []),
        "model": {"fuse_unk": True, "byte_fallback": True},
    }


def _gemma(settings: Values) -> dict[str, Any]:
    return {
        "normalizer": {"type": "Replace", "pattern": {"String": " "}, "content": "▁"},
        "pre_tokenizer": {
            "type": "Split", "pattern": {"String": " "}, "behavior": "MergedWithPrevious", "invert": False,
        },
        "decoder": _with_bytes([]),
        "model": {"fuse_unk": True, "byte_fallback": True, "unk_token": _text(settings.get("unk_token", "<unk>"))},
    }  # fmt: skip


def _gpt2(settings: Values) -> dict[str, Any]:
    return {
        "normalizer": None,
        "pre_tokenizer": _byte_level(_prefix(settings, False)),
        "decoder": _byte_level(),
        "model": {},
    }


def _gpt_neox(settings: Values) -> dict[str, Any]:
    return {**_gpt2(settings), "normalizer": {"type": "NFC"}, "post_processor": None}


def _qwen2(settings: Values) -> dict[str, Any]:
    split = {"type": "Split", "pattern": {"Regex": _QWEN}, "behavior": "Isolated", "invert": False}
    steps = [split, _byte_level(_prefix(settings, False), use_regex=False)]
    return {
        "normalizer": {"type": "NFC"}, "pre_tokenizer": {"type": "Sequence", "pretokenizers": steps},
        "decoder": _byte_level(), "model": {},
    }  # fmt: skip


_MODEL: dict[str, Any] = {
    "dropout": None, "unk_token": None, "continuing_subword_prefix": None, "end_of_word_suffix": None, "fuse_unk": False,
    "byte_fallback": False, "ignore_merges": False,
}  # fmt: skip
_STEPS: dict[str, Callable[[Values], dict[str, Any]]] = {
    "LlamaTokenizer": _llama, "GPT2Tokenizer": _gpt2, "Qwen2Tokenizer": _qwen2, "GemmaTokenizer": _gemma,
    "GPTNeoXTokenizer": _gpt_neox,
}  # fmt: skip
# Special tokens of a class whose folder does not name others.
_TOKENS: dict[str, dict[str, Any]] = {
    "LlamaTokenizer": {"unk_token": "<unk>", "bos_token": "<s>", "eos_token": "</s>"},
    "GPT2Tokenizer": dict.fromkeys(("unk_token", "bos_token", "eos_token"), "<|endoftext|>"),
    "Qwen2Tokenizer": dict.fromkeys(("unk_token", "eos_token", "pad_token"), "<|endoftext|>"),
    "GemmaTokenizer": {
        "unk_token": "<unk>", "bos_token": "<bos>", "eos_token": "<eos>", "pad_token": "<pad>", "mask_token": "<mask>",
    },
    "GPTNeoXTokenizer": {
        **dict.fromkeys(("unk_token", "bos_token", "eos_token"), "<|endoftext|>"), "pad_token": "<|padding|>",
    },
}  # fmt: skip


def _with_bytes(last: list[dict[str, Any]]) -> dict[str, Any]:
    """A decoder of tokens with ▁ for a space and <0xE2> for a byte."""
    space = {"type": "Replace", "pattern": {"String": "▁"}, "content": " "}
    return {"type": "Sequence", "decoders": [space, {"type": "ByteFallback"}, {"type": "Fuse"}, *last]}


def _byte_level(prefix: bool = True, use_regex: bool = True) -> dict[str, Any]:
    return {"type": "ByteLevel", "add_prefix_space": prefix, "trim_offsets": True, "use_regex": use_regex}


def _same(found: Any, expected: Any) -> bool:
    """Whether a step of the file does what the class's does: all that matters is equal, and a key that older files leave out
    has its default (a regex is used)."""
    if isinstance(expected, dict):
        defaults = {"use_regex": True}
        return isinstance(found, dict) and all(
            _same(found.get(key, defaults.get(key)), value) for key, value in expected.items() if key != "trim_offsets"
        )
    if isinstance(expected, list):
        return isinstance(found, list) and len(found) == len(expected) and all(map(_same, found, expected))
    return bool(found == expected)


def _names_byte_level(values: Values) -> bool:
    """Whether the file names the part ByteLevel anywhere: then a LlamaTokenizer is not used."""
    steps = ("normalizer", "pre_tokenizer", "post_processor", "decoder")
    return any("ByteLevel" in _kinds(values.get(step)) for step in steps) or "ByteLevel" in _vocabulary(values)


def _vocabulary(values: Values) -> dict[str, int]:
    """The tokens of a file and their ids; of a Unigram model, whose list has pairs of a token and its score, too."""
    model = values.get("model")
    vocab = model.get("vocab") if isinstance(model, Mapping) else None
    if isinstance(vocab, list):
        return {str(entry[0] if isinstance(entry, list) else entry): number for number, entry in enumerate(vocab)}
    return vocab if isinstance(vocab, dict) else {}


def _kinds(step: Any) -> list[str]:
    """The types of a step and of those in it."""
    if not isinstance(step, Mapping):
        return []
    inner: Any = next(
        (step[key] for key in ("pretokenizers", "normalizers", "decoders", "processors") if step.get(key)), []
    )
    return [str(step.get("type")), *(kind for each in inner if isinstance(inner, list) for kind in _kinds(each))]


def _named(step: Any) -> str:
    """A step of the file in a few words, without anything else that a stranger wrote into it."""
    known = [kind for kind in _kinds(step) if kind.isalpha() and len(kind) < 30 and kind != "Sequence"]
    return ", ".join(known[:4]) or "none"
