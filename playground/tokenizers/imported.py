"""Any other ``tokenizer.json``: GPT-2's, Llama's, BERT's, a user's own file, read by the `tokenizers` library.

`import_tokenizer` validates a file by trying it in a separate process that can be killed (`limited`). Unless every part of
it is known to be harmless (`cost`), and the text is short enough for that, it is only used there.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
from tokenizers import Tokenizer as Library

from playground import config
from playground.config import counted
from playground.tokenizers import limited
from playground.tokenizers.bpe import CHAR_TO_BYTE, BPETokenizer
from playground.tokenizers.cost import DECODED, ENCODED, MAX_ID, bounded_cost
from playground.tokenizers.decoding import (
    byte_of,
    check_ids,
    check_normalized,
    check_replacements,
    decodes_in_pieces,
    falls_back_to_bytes,
    is_byte_level,
)
from playground.tokenizers.encodable import to_bytes
from playground.tokenizers.seams import Apart, apart, in_pieces
from playground.tokenizers.special import (
    Special,
    check_template,
    special_from_dict,
    special_of,
    template,
    without_template,
)

MAX_BYTES = 40_000_000  # Gemma's has 18 million, for 256,000 tokens
MAX_PARTS = 4_000_000  # commas and brackets: what Python makes of the file takes up to 150 bytes for each
PADDED = "padded"  # likewise: the size of the model's vocabulary, if it is larger than the file's
SPECIAL = "special"  # our own key of a saved tokenizer: what a model's other files say of it
CHUNK = 500_000  # characters that are encoded at a time
PROBES = (
    "Hello world, it's 2024!\n\n  def f(x):\treturn x", "नमस्ते 你好 مرحبا 👩‍👩‍👧 é", "Once there was a fox.",
    "… ½ ﬁ ™ e\u0301 Ａ\u00a0«»\u200b ‘’ “”  \r\n\x01zq", "~`@#$%^&*()_+-=[]{}|;':\",./<>?\\",
)  # fmt: skip


class ImportedTokenizer:
    """A tokenizer as its file describes it. Ids are the file's own; numbers that it skips stand for nothing.

    `n_tokens` is one more than the largest id, and so is `vocab_size` unless a model's vocabulary is padded. Some tokenizers
    do not give back what they were given (BERT's lowers case): `exact` says whether this one does.
    """

    name = "imported"

    def __init__(self, values: Mapping[str, Any]) -> None:
        """`values`: the file's content. Raises ValueError if the library cannot read it."""
        self._values = {name: value for name, value in values.items() if name not in (SPECIAL, PADDED)}
        if isinstance(self._values.get("model"), dict) and self._values["model"].get("dropout"):
            self._values["model"] = {**self._values["model"], "dropout": None}  # or the same text would vary
        check_replacements(self._values)
        self.json_text = json.dumps(self._values, ensure_ascii=False)
        self._cost = bounded_cost(self._values)
        self._special_values = values.get(SPECIAL)
        if self._cost is None:
            self._ids = limited.vocabulary_limited(self.json_text)
        else:
            self._ids = self._library.get_vocab(with_added_tokens=True)
        check_template(self._values)
        check_ids(self._ids, self._values)
        self.n_tokens = self.vocab_size = 1 + max(self._ids.values())
        if self.vocab_size > MAX_ID:
            raise ValueError(
                f"The ids in this tokenizer.json reach {self.vocab_size - 1:,}; the limit is {MAX_ID - 1:,}. "
                "Number its tokens from 0."
            )
        if PADDED in values:
            self.vocab_size = _padded(values[PADDED], self.n_tokens)

    @property
    def trusted(self) -> bool:
        """Whether short texts are encoded and decoded in this process, because the cost of that is bounded."""
        return self._cost is not None

    @cached_property
    def special(self) -> Special:
        """Which tokens begin and end a text, as the model's files say, or else as ``tokenizer.json`` suggests."""
        if self._special_values is not None:
            return special_from_dict(self._special_values, self.vocab_size)
        return special_of(self._values, self._ids)

    @property
    def bos(self) -> int | None:
        return self.special.bos

    @property
    def eos(self) -> int | None:
        return next(iter(self.special.eos), None)

    @property
    def adds(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Ids that the file puts before and after each text; `encode` leaves them out, `encode_prompt` does not."""
        return template(self._values)

    def with_special(self, special: Special) -> ImportedTokenizer:
        """The same tokenizer with these tokens at the beginning and end of a text."""
        return ImportedTokenizer({**self.to_dict(), SPECIAL: special.to_dict()})

    def padded(self, vocab_size: int) -> ImportedTokenizer:
        """The same tokenizer for a model with a larger vocabulary: the remaining ids are padding."""
        return ImportedTokenizer({**self.to_dict(), PADDED: vocab_size})

    def id_of(self, token: str | None) -> int | None:
        """The id of a token by its text in the file, or None if there is none."""
        return None if token is None else self._ids.get(token)

    def token_of(self, number: int | None) -> str | None:
        """The text of a token in the file by its id, or None if there is none."""
        return next((token for token, other in self._ids.items() if other == number), None)

    def plain(self) -> ImportedTokenizer:
        """The same tokenizer as one trains with it here: nothing is put before or after a text."""
        return self if self.adds == ((), ()) else ImportedTokenizer(without_template(self.to_dict()))

    @cached_property
    def tokens(self) -> list[bytes]:
        """By id, the bytes that a token adds to a text that has begun; those of a whole text are what `decode` gives."""
        tokens = [b""] * self.vocab_size
        if self.byte_level:
            for token, number in (*self._ids.items(), *self._normalized()):
                tokens[number] = _byte_level(token)
            return tokens
        numbers = sorted(self._ids.values())
        start = self._beginning(numbers)
        before = self.decode(start)
        for number, text in zip(numbers, self._decode_each([[*start, number] for number in numbers]), strict=True):
            whole = text if text.startswith(before) else before + self.decode([number])
            tokens[number] = whole.removeprefix(before).encode("utf-8", "replace")
        for number, byte in self._bytes.items():
            tokens[number] = bytes([byte])
        return tokens

    def _normalized(self) -> Iterable[tuple[str, int]]:
        """Added tokens that the file has normalized (``HELLO`` may be ``hello``), as the decoder receives them."""
        added = [token["content"] for token in self._values.get("added_tokens") or [] if token.get("normalized")]
        if not (ids := [self._ids[content] for content in added if content in self._ids]):
            return ()
        if self._cost is None:
            return zip(limited.spelled_limited(self.json_text, ids), ids, strict=True)
        return zip(limited.spelled(self._library, ids), ids, strict=True)

    def _beginning(self, numbers: Sequence[int]) -> list[int]:
        """A token that is a word or a letter, if there is one among the first thousands: something for others to follow."""
        some = numbers[:5_000]
        texts = zip(some, self._decode_each([[number] for number in some]), strict=True)
        return next(([number] for number, text in texts if text.isalnum()), [])

    def _decode_each(self, texts: Sequence[Sequence[int]]) -> list[str]:
        if self._cost is None:
            return limited.decode_limited(self.json_text, texts)
        size = self._cost.decoded * sum(16 * len(ids) + int(self._lengths[ids].sum()) for ids in texts)
        if size > DECODED:
            return limited.decode_limited(self.json_text, texts)
        return limited.decode(self._library, texts)

    @cached_property
    def _lengths(self) -> np.ndarray:
        """Bytes of each token's text in the file (vocab_size,)."""
        lengths = np.zeros(self.vocab_size, dtype=np.int64)
        for token, number in self._ids.items():
            lengths[number] = len(token.encode("utf-8"))
        return lengths

    def decode(self, ids: Iterable[int]) -> str:
        """The text of some ids, special tokens spelled out: exactly the `tokenizers` library's.

        Raises ValueError if a file with unusual parts takes too long or the text is too long.
        """
        return self._decode_each([[int(token) for token in ids]])[0]

    @cached_property
    def byte_level(self) -> bool:
        """Whether the text of some ids is the bytes of each, one after the other."""
        return is_byte_level(self._values)

    @cached_property
    def in_pieces(self) -> bool:
        """Whether the text of some ids stays what it is when more come, runs of byte tokens excepted."""
        return decodes_in_pieces(self._values, self._ids)

    def is_byte(self, token: int) -> bool:
        """Whether a token such as ``<0xE2>`` is only text together with others."""
        return token in self._bytes

    @cached_property
    def _bytes(self) -> dict[int, int]:
        if not falls_back_to_bytes(self._values):
            return {}
        return {number: byte for token, number in self._ids.items() if (byte := byte_of(token)) is not None}

    @cached_property
    def exact(self) -> bool:
        """Whether some difficult texts come back as they were. Of a text of one's own `RoundTrip` tells."""
        found = zip(self.encode_batch(PROBES), PROBES, strict=True)
        return all(self.decode(ids.tolist()) == text for ids, text in found)

    @cached_property
    def unknown(self) -> int | None:
        """The id that stands for whatever the vocabulary does not have, if there is one."""
        model = self._values["model"]
        number = model.get("unk_id")
        if number is None and isinstance(model.get("unk_token"), str):
            number = self._ids.get(model["unk_token"])
        return number if isinstance(number, int) else None

    def encode(self, text: str) -> np.ndarray:
        """Ids (T,) uint32. Raises ValueError for a lone surrogate and when the file's patterns take too long.

        A long text is read in parts of half a million characters, where the ids are the same (`seams`).
        """
        if len(text) <= CHUNK:
            return self.encode_batch([text])[0]
        to_bytes(text)  # its errors name places in the whole text
        return np.concatenate([ids for _, ids in self.encode_pieces([text])])

    def encode_pieces(self, parts: Iterable[str]) -> Iterator[tuple[str, np.ndarray]]:
        """The ids (T,) uint32 of a text that comes in parts, piece by piece, each with its part of the text.

        They are those of the whole text. Raises ValueError as `encode` does, and for a text that is too long to be encoded
        at once if this tokenizer's ids are never sure before its end.
        """
        return in_pieces(self.read_batch, self._apart, parts, CHUNK)

    def read_batch(self, texts: Sequence[str], special: bool = False) -> list[np.ndarray]:
        """Of each text (T, 4) int64: a token's id, where it begins and ends in the text, and its word (`limited.read`).

        With `special`, of texts as `encode_prompt` reads them. Raises ValueError as `encode` does.
        """
        return self._in_groups(limited.read, limited.read_limited, texts, special)

    def _in_groups(
        self,
        here: Callable[..., list[np.ndarray]],
        there: Callable[..., list[np.ndarray]],
        texts: Sequence[str],
        special: bool,
    ) -> list[np.ndarray]:
        """What a function of the library makes of each text: called `here` for as many as its cost allows, and in the
        limited process, `there`, for the others."""
        found: list[np.ndarray] = []
        for small, group in self._groups(texts):
            if small:
                found += here(self._prompt_library if special else self._library, group, special=special)
            else:
                found += there(self.json_text, group, special=special)
        return found

    def runs_here(self, text: str) -> bool:
        """Whether a text is encoded in this process."""
        return self._cost is not None and self._cost.tokens(text) <= ENCODED

    def _groups(self, texts: Sequence[str]) -> Iterator[tuple[bool, list[str]]]:
        """Consecutive texts that are read together, and whether in this process."""
        group: list[str] = []
        total, small = 0.0, True
        for text in texts:
            to_bytes(text)
            size = self._cost.tokens(text) if self._cost is not None else float(len(text))
            fits = self.runs_here(text)
            if group and (fits != small or total + size > ENCODED):
                yield small, group
                group, total = [], 0.0
            small, total = fits, total + size
            group.append(text)
        if group:
            yield small, group

    @cached_property
    def _apart(self) -> Apart:
        return apart(self._values, self._ids)

    def encode_batch(self, texts: Sequence[str]) -> list[np.ndarray]:
        """Ids (T,) uint32 of each of some texts. Raises ValueError as `encode` does."""
        return self._in_groups(limited.encode, limited.encode_limited, texts, special=False)

    def encode_each(self, texts: Sequence[str]) -> list[np.ndarray]:
        """`encode` of each text, of many short ones together."""
        short = [text for text in texts if len(text) <= CHUNK]
        found = iter(self.encode_batch(short) if short else [])
        return [next(found) if len(text) <= CHUNK else self.encode(text) for text in texts]

    def encode_prompt(self, text: str) -> list[int]:
        """Ids of a text as Transformers reads a prompt: special tokens in it are such, and those that the file adds to
        every text are there. Raises ValueError as `encode` does."""
        return self._in_groups(limited.encode, limited.encode_limited, [text], special=True)[0].tolist()

    @cached_property
    def _library(self) -> Library:
        assert self.trusted
        return limited.load(self.json_text)

    @cached_property
    def _prompt_library(self) -> Library:
        assert self.trusted
        return limited.load(self.json_text, special=True)

    def token_bytes(self, token: int) -> bytes:
        return self.tokens[token]

    def to_dict(self) -> dict[str, Any]:
        own: dict[str, Any] = {} if self._special_values is None else {SPECIAL: self.special.to_dict()}
        if self.vocab_size > self.n_tokens:
            own[PADDED] = self.vocab_size
        return {**self._values, **own}


def import_tokenizer(data: bytes | str) -> BPETokenizer | ImportedTokenizer:
    """The tokenizer of a user's ``tokenizer.json``. Raises ValueError with one sentence for an invalid file."""
    values = _parse(data)
    try:
        return BPETokenizer.from_dict(values)
    except ValueError:
        pass  # it is somebody else's, which is what this is for
    found = limited.encode_limited(json.dumps(values), PROBES)
    tokenizer = ImportedTokenizer(values)
    check_normalized(tokenizer._normalized(), tokenizer._ids)
    _check_decoder(tokenizer, [ids.tolist() for ids in found])
    strange = [number for side in tokenizer.adds for number in side if tokenizer.token_of(number) is None]
    if strange:
        raise ValueError(
            f"The post_processor of this tokenizer.json adds the id {strange[0]} to every text, which no token has. "
            "Export it again with save_pretrained."
        )
    return tokenizer


def _check_decoder(tokenizer: ImportedTokenizer, texts: list[list[int]]) -> None:
    """Raise ValueError where the library cannot decode some texts, a single token or none: its steps can panic."""
    alone = [[number] for number in sorted(tokenizer._ids.values())]
    try:
        limited.decode_limited(tokenizer.json_text, [*texts, [], *alone])
    except ValueError as error:
        reason = re.search(r"\((.*)\)", str(error))
        raise ValueError(
            "The decoder of this tokenizer.json cannot decode every text or token"
            + (f" (the tokenizers library gives up: {reason[1]}). " if reason else f": {error} ")
            + "Change its decoder, or choose another file."
        ) from None


def _padded(size: Any, n_tokens: int) -> int:
    if type(size) is not int or not n_tokens <= size <= MAX_ID:
        raise ValueError(
            f"A vocabulary of {counted(n_tokens, 'token')} cannot be padded to {str(size)[:20]}; choose {n_tokens:,} to "
            f"{MAX_ID:,}."
        )
    return size


def check_parts(data: bytes, name: str) -> None:
    """Raise ValueError for JSON of so many values that Python's objects for them would fill the memory."""
    if data.count(b",") + data.count(b"[") + data.count(b"{") > MAX_PARTS:
        raise ValueError(
            f"{name} has more values than the limit of {MAX_PARTS:,}. Choose one with a smaller vocabulary."
        )


def _parse(data: bytes | str) -> dict[str, Any]:
    raw = data.encode("utf-8", "surrogatepass") if isinstance(data, str) else data
    if len(raw) > MAX_BYTES:
        size, _ = config.apart(len(raw) / 1e6, MAX_BYTES / 1e6)
        raise ValueError(
            f"The tokenizer.json is {size} MB; the limit is {MAX_BYTES / 1e6:.0f} MB. Choose a smaller file."
        )
    check_parts(raw, "The tokenizer.json")
    try:
        values = json.loads(raw)
    except (ValueError, RecursionError):
        raise ValueError(
            "This file is not JSON that can be read here. Choose a tokenizer.json as save_pretrained writes it."
        ) from None
    model = values.get("model") if isinstance(values, dict) else None
    if not isinstance(model, dict) or not model.get("vocab"):
        raise ValueError(
            "This tokenizer.json has no vocabulary (model.vocab). Choose the file that save_pretrained writes."
        )
    return dict(values)


def _byte_level(token: str) -> bytes:
    """GPT-2's way: one character a byte."""
    known = all(char in CHAR_TO_BYTE for char in token)
    return bytes(CHAR_TO_BYTE[char] for char in token) if known else token.encode("utf-8", "replace")
