"""Byte pair encoding (Gage 1994, Sennrich et al. 2016) on bytes: every text, and every byte, can be written.

The tokens are the 256 bytes and whatever adjacent pairs of tokens were found to be the most frequent, one after the other.
Learning and encoding are the `tokenizers` library's; `bpe_from_scratch` is the same on a page that can be read. A
`BPETokenizer` is saved as that library's own ``tokenizer.json``, so whatever reads those files reads ours.
"""

from __future__ import annotations

import json
import re
from array import array
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import chain
from typing import Any

import numpy as np
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

from playground.tokenizers.encodable import to_bytes
from playground.tokenizers.presplit import CHUNK, LONGEST_PIECE, PATTERN, chunks, words
from playground.tokenizers.special import END_OF_TEXT, encode_marked

MIN_VOCAB, MAX_VOCAB = 256, 32_000
LEARN_BYTES = 20_000_000  # of a longer text only the beginning is learned from
DIFFERENT_CHARACTERS = (
    3_000_000  # and no more than what has so many in different words: merging those is what takes time
)
CACHED_WORDS = 200_000
MAX_MERGES = 2**16 - 257  # ids are stored as uint16
LONGEST_TOKEN = 4 * LONGEST_PIECE  # bytes
Learning = Callable[[float, str], None]  # (share done, what is being done)

_PRINTABLE = [*range(33, 127), *range(161, 173), *range(174, 256)]
# tokenizer.json holds text, so each byte is written as a character that can be seen: itself, or one from U+0100 on.
BYTE_TO_CHAR = {byte: chr(byte) for byte in _PRINTABLE} | {
    byte: chr(256 + n) for n, byte in enumerate(byte for byte in range(256) if byte not in _PRINTABLE)
}
CHAR_TO_BYTE = {char: byte for byte, char in BYTE_TO_CHAR.items()}


class BPETokenizer:
    """Token ids 0 to 255 are the bytes; the others follow in the order in which they were learned.

    All its state is the merges: pairs of ids, the first learned first; and whether there is an end-of-text token, which
    is the last then.
    """

    name = "bpe"
    bos = None

    def __init__(self, merges: Sequence[tuple[int, int]], eos: bool = False) -> None:
        """Raises ValueError for a merge of tokens that do not exist yet."""
        self.merges = tuple(merges)
        self.tokens = _tokens(self.merges)
        self._library = _library(self.tokens, self.merges)
        self.eos = len(self.tokens) if eos else None
        if eos:
            if END_OF_TEXT.encode() in self.tokens:
                raise ValueError(f"A merge spells {END_OF_TEXT}, which is the end-of-text token.")
            self._library.add_special_tokens([AddedToken(END_OF_TEXT, special=True, normalized=False)])
            self.tokens.append(END_OF_TEXT.encode())
        self._ids = _Words(self._library)

    @property
    def vocab_size(self) -> int:
        return len(self.tokens)

    @property
    def json_text(self) -> str:
        """The text of this tokenizer's ``tokenizer.json``, as the `tokenizers` library writes it."""
        return self._library.to_str(pretty=False)

    def encode(self, text: str) -> np.ndarray:
        """Ids (T,) uint16. Raises ValueError for a lone surrogate, which UTF-8 cannot express.

        Nothing in a text is special: ``<|endoftext|>`` is thirteen characters. Texts repeat their words, so
        each is merged once.
        """
        to_bytes(text)
        return np.frombuffer(
            b"".join(b"".join(map(self._ids.__getitem__, part)) for part in words(text)), dtype=np.uint16
        )

    def encode_prompt(self, text: str) -> list[int]:
        """Ids of a text in which ``<|endoftext|>`` is a token, if there is one."""
        return encode_marked(self.encode, text, self.eos)

    def encode_bytes(self, data: bytes) -> np.ndarray:
        """Ids (T,) uint16 of any bytes. What is no UTF-8 is written byte by byte."""
        parts = re.split("([\udc80-\udcff]+)", data.decode("utf-8", errors="surrogateescape"))
        texts, strays = parts[::2], [*parts[1::2], ""]
        ids = [array("H", [*self.encode(t), *(ord(c) - 0xDC00 for c in s)]) for t, s in zip(texts, strays, strict=True)]
        return np.frombuffer(b"".join(ids), dtype=np.uint16)

    def token_bytes(self, token: int) -> bytes:
        return self.tokens[token]

    def truncated(self, vocab_size: int) -> BPETokenizer:
        """The tokenizer that would have been learned had it stopped earlier, at `vocab_size` tokens."""
        return BPETokenizer(self.merges[: max(0, vocab_size - 256)])

    def to_dict(self) -> dict[str, Any]:
        """The content of ``tokenizer.json``."""
        return dict(json.loads(self.json_text))

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> BPETokenizer:
        """Back from what `to_dict` gave. Raises ValueError for any other ``tokenizer.json``: `imported` reads those."""
        try:
            vocab, merges = values["model"]["vocab"], values["model"]["merges"]
            if len(merges) > MAX_MERGES:
                raise ValueError(NOT_OURS)
            tokenizer = cls([(vocab[left], vocab[right]) for left, right in merges], eos=bool(values["added_tokens"]))
        except (KeyError, TypeError, AttributeError, IndexError):
            raise ValueError(NOT_OURS) from None
        if tokenizer.to_dict() != dict(values):
            raise ValueError(NOT_OURS)
        return tokenizer


class _Words(dict[str, bytes]):
    """The ids of words, as the bytes of uint16 numbers; one that is asked for the first time is merged by the library."""

    def __init__(self, library: Tokenizer) -> None:
        super().__init__()
        self._model = library.model

    def __missing__(self, word: str) -> bytes:
        if len(self) >= CACHED_WORDS:
            self.clear()
        written = word.encode("utf-8").decode("latin-1").translate(BYTE_TO_CHAR)
        ids = self[word] = array("H", [token.id for token in self._model.tokenize(written)]).tobytes()
        return ids


NOT_OURS = "This tokenizer.json was not written by the playground."


def learn_bpe(text: str, vocab_size: int, progress: Learning | None = None) -> BPETokenizer:
    """Learn up to `vocab_size` tokens from a text: fewer where no pair of tokens occurs twice any more.

    Deterministic. `progress` hears how much of the text was read, then that pairs are merged. Raises ValueError for a size
    out of bounds and for a lone surrogate.
    """
    if not MIN_VOCAB <= vocab_size <= MAX_VOCAB:
        raise ValueError(f"BPE vocabulary size must be {MIN_VOCAB} to {MAX_VOCAB:,}; {vocab_size} is not.")
    to_bytes(text)
    library = _library([], [])
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size, min_frequency=2, show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )  # fmt: skip
    library.train_from_iterator(_read(text[:LEARN_BYTES], progress), trainer)
    ids = {char: byte for byte, char in BYTE_TO_CHAR.items()}
    merges = []
    for left, right in json.loads(library.to_str())["model"]["merges"]:
        merges.append((ids[left], ids[right]))
        ids[left + right] = len(ids)
    return BPETokenizer(merges)


def _read(text: str, progress: Learning | None) -> Iterator[str]:
    """The text in parts, telling how far the reading has come, until all or enough of it is read."""
    seen: set[str] = set()
    read = different = 0
    for part in _parts(text):
        yield part
        read += len(part)
        new = set(chain.from_iterable(words(part))) - seen
        seen |= new
        different += sum(map(len, new))
        enough = read >= len(text) or different > DIFFERENT_CHARACTERS
        if progress is not None:
            progress(0.9 * read / len(text), "merging the most frequent pairs" if enough else "counting words")
        if enough:
            return


def _parts(text: str) -> Iterator[str]:
    """Chunks, and a chunk that is long because nothing in it can be cut, anywhere: for counting that does no harm."""
    for chunk in chunks(text):
        for start in range(0, len(chunk), 5 * CHUNK):
            yield chunk[start : start + 5 * CHUNK]


def _tokens(merges: Sequence[tuple[int, int]]) -> list[bytes]:
    """The bytes of every token, by id."""
    tokens = [bytes([byte]) for byte in range(256)]
    for left, right in merges:
        if not (0 <= left < len(tokens) and 0 <= right < len(tokens)):
            raise ValueError(f"Token {len(tokens)} joins {left} and {right}, which do not both exist yet.")
        tokens.append(tokens[left] + tokens[right])
        if len(tokens[-1]) > LONGEST_TOKEN:  # or forty merges would make a token of a terabyte
            raise ValueError(f"Token {len(tokens) - 1} is longer than {LONGEST_TOKEN} bytes; no piece of a text is.")
    if len(set(tokens)) < len(tokens):  # merging the most frequent pair each time never makes the same token twice
        raise ValueError("Two of the merges spell the same token.")
    return tokens


def _library(tokens: Sequence[bytes], merges: Sequence[tuple[int, int]]) -> Tokenizer:
    """The same tokenizer as an object of the `tokenizers` library."""
    written = ["".join(BYTE_TO_CHAR[byte] for byte in token) for token in tokens]
    vocab = {token: n for n, token in enumerate(written)}
    library = Tokenizer(models.BPE(vocab, [(written[left], written[right]) for left, right in merges]))
    library.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(PATTERN), "isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
    ])  # fmt: skip
    library.decoder = decoders.ByteLevel()
    return library
