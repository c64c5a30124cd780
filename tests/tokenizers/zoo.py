"""Tokenizer files of every kind, as the `tokenizers` library writes them: for tests that hold for any of them."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache
from typing import Any

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

from playground.data.tales import tales
from playground.tokenizers.cost import _CL100K

TEXT = tales(20_000) + " Café Émile… ½ ﬁ ™ don't; 12,345 naïve [x]\n\tdef f(x):  return x\n"
BYTES = pre_tokenizers.ByteLevel.alphabet()


def _bpe(pre: Any, decoder: Any, normalizer: Any = None, size: int = 400, **model: Any) -> Tokenizer:
    library = Tokenizer(models.BPE(**model))
    library.normalizer, library.pre_tokenizer, library.decoder = normalizer, pre, decoder
    special = [model["unk_token"]] if model.get("unk_token") else []
    alphabet = BYTES if isinstance(pre, pre_tokenizers.ByteLevel) else []
    library.train_from_iterator(
        [TEXT],
        trainers.BpeTrainer(
            vocab_size=size, show_progress=False, initial_alphabet=alphabet, special_tokens=special, max_token_length=9,
            **{name: model[name] for name in model if name == "end_of_word_suffix"},
        ),
    )  # fmt: skip
    return library


def _llama(strip: bool = True, crossing: bool = False) -> Tokenizer:
    normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    steps = [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]
    decoder = decoders.Sequence([*steps, decoders.Strip(" ", 1, 0)] if strip else steps)
    pre = None if crossing else pre_tokenizers.Metaspace(prepend_scheme="never")
    made = _bpe(pre, decoder, None if crossing else normalizers.Replace(" ", "▁"), unk_token="<unk>")
    values = json.loads(made.to_str())
    known = values["model"]["vocab"]
    known |= {f"<0x{byte:02X}>": len(known) + byte for byte in range(256)}
    values["model"] |= {"byte_fallback": True, "fuse_unk": True}
    values["pre_tokenizer"], values["normalizer"] = None, None
    library = Tokenizer.from_str(json.dumps(values))
    library.normalizer = normalizer
    return library


def _word_piece(decoder: Any, normalizer: Any = None) -> Tokenizer:
    library = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    library.normalizer, library.pre_tokenizer, library.decoder = normalizer, pre_tokenizers.BertPreTokenizer(), decoder
    library.train_from_iterator(
        [TEXT[:8_000]],
        trainers.WordPieceTrainer(vocab_size=300, show_progress=False, special_tokens=["[UNK]", "[CLS]"]),
    )
    library.post_processor = processors.TemplateProcessing("[CLS] $A", special_tokens=[("[CLS]", 1)])
    return library


def _unigram(pre: Any, decoder: Any, normalizer: Any = None) -> Tokenizer:
    library = Tokenizer(models.Unigram())
    library.normalizer, library.pre_tokenizer, library.decoder = normalizer, pre, decoder
    library.train_from_iterator(
        [TEXT[:8_000]],
        trainers.UnigramTrainer(vocab_size=300, show_progress=False, special_tokens=["<unk>"], unk_token="<unk>"),
    )
    return library


def _words(decoder: Any = None) -> Tokenizer:
    vocab = {word: n for n, word in enumerate(["[UNK]", "the", "fox", "a", "was", ".", ",", "and", "said"])}
    library = Tokenizer(models.WordLevel(vocab, unk_token="[UNK]"))
    library.pre_tokenizer, library.decoder = pre_tokenizers.Whitespace(), decoder
    return library


def _gpt2(normalizer: Any = None, added: list[AddedToken] | None = None, prefix: bool = False) -> Tokenizer:
    library = _bpe(pre_tokenizers.ByteLevel(add_prefix_space=prefix), decoders.ByteLevel(), normalizer)
    library.add_special_tokens(["<|endoftext|>"])
    library.add_tokens(added or [])
    library.post_processor = processors.ByteLevel(trim_offsets=True)
    return library


ADDED = [AddedToken("fox", lstrip=True), AddedToken("key", rstrip=True), AddedToken("Émile", normalized=False),
         AddedToken("owl", single_word=True)]  # fmt: skip
SPACES = pre_tokenizers.Metaspace
NORMALIZED = [AddedToken(text, normalized=True) for text in ("FOX", "fox", "Fox said", "Ġx ")]

KINDS: dict[str, Callable[[], Tokenizer]] = {
    "gpt2": _gpt2,
    "gpt2 prefix space": lambda: _gpt2(prefix=True),
    "gpt2 lower": lambda: _gpt2(normalizers.Lowercase()),
    "gpt2 NFKC": lambda: _gpt2(normalizers.NFKC()),
    "gpt2 strip": lambda: _gpt2(normalizers.Strip()),
    "gpt2 added": lambda: _gpt2(added=ADDED),
    "gpt2 lower, added": lambda: _gpt2(normalizers.Lowercase(), NORMALIZED[1:]),
    "gpt2 replaced, added": lambda: _gpt2(normalizers.Replace(Regex("(o|x)"), "É"), NORMALIZED),  # not in this process
    "byte level without words": lambda: _bpe(
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False), decoders.ByteLevel()
    ),
    "cl100k": lambda: _bpe(
        pre_tokenizers.Sequence(
            [
                pre_tokenizers.Split(Regex(_CL100K.replace("DIGITS", "{1,3}")), "isolated"),
                pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
            ]
        ),
        decoders.ByteLevel(),
        normalizers.NFC(),
    ),
    "own pattern": lambda: _bpe(
        pre_tokenizers.Sequence(
            [
                pre_tokenizers.Split(Regex(r"\d+|[^\d\n]{1,20}|\n"), "isolated"),
                pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
            ]
        ),
        decoders.ByteLevel(),
    ),
    "whitespace BPE": lambda: _bpe(pre_tokenizers.Whitespace(), None, unk_token="[UNK]"),
    "whitespace BPE, suffix": lambda: _bpe(
        pre_tokenizers.WhitespaceSplit(), decoders.BPEDecoder(), unk_token="[UNK]", end_of_word_suffix="</w>"
    ),
    "llama": _llama,
    "llama without strip": lambda: _llama(strip=False),
    "llama across words": lambda: _llama(crossing=True),
    "bert": lambda: _word_piece(decoders.WordPiece(), normalizers.BertNormalizer()),
    "word piece without decoder": lambda: _word_piece(None),
    "word piece, not cleaned": lambda: _word_piece(decoders.WordPiece(cleanup=False), normalizers.NFD()),
    "unigram": lambda: _unigram(SPACES(), decoders.Metaspace(), normalizers.NFKC()),
    "unigram first": lambda: _unigram(SPACES(prepend_scheme="first"), decoders.Metaspace(prepend_scheme="first")),
    "unigram underscore": lambda: _unigram(SPACES("_"), decoders.Metaspace("_")),
    "unigram without decoder": lambda: _unigram(SPACES("_"), None),
    "unigram, one word": lambda: _unigram(None, decoders.Fuse()),
    "word level": _words,
    "word level, fused": lambda: _words(decoders.Fuse()),
    "CTC": lambda: _words(decoders.CTC("[UNK]", "|")),
    "joined, then replaced": lambda: _words(decoders.Sequence([decoders.Fuse(), decoders.Replace("the", "THE")])),
}  # fmt: skip


@cache
def file_of(kind: str) -> str:
    """The text of a ``tokenizer.json`` of a kind of the zoo."""
    return str(KINDS[kind]().to_str())


def library_of(kind: str) -> Tokenizer:
    """The library's own object, with special tokens as plain text: what ours is held against."""
    library = Tokenizer.from_str(file_of(kind))
    library.encode_special_tokens = True
    return library
