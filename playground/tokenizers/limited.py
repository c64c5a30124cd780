"""Encoding and decoding with an untrusted file, in a separate process that can be ended.

The patterns in a ``tokenizer.json`` run on a backtracking engine: a short malicious one can keep it busy for years, in
native code that cannot be interrupted. Normalizers and decoders can make a text as long as they like. So a file is tried
here first, and one with parts that are not known to be harmless (`cost`) is only used here.

    python -m playground.tokenizers.limited BYTES     answers requests on standard input (`limited_process`): the text of the
                                                      file, then one JSON object for each request.
                                                      BYTES is the limit on its memory
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import sys
from collections.abc import Iterator, Sequence
from functools import cache, partial
from itertools import chain
from typing import Any

import numpy as np
from tokenizers import Tokenizer

from playground.tokenizers.limited_process import IDLE, NICE, UNUSABLE, ask, receive

SECONDS = 10.0  # time limit per request
SECONDS_PER_MEGABYTE = 3.0
MOST_TOKENS = 10_000_000  # of a request, if its texts are not longer
MOST_TEXT = 100_000_000  # bytes of decoded text of a request
AT_ONCE = 4  # texts


def load(text: str, special: bool = False) -> Tokenizer:
    """The library's object for a file's text, without padding or truncation.

    Unless `special`, nothing in a text is a special token. Raises ValueError if the library cannot read it.
    """
    with panics_are_errors():
        library = Tokenizer.from_str(text)
    library.no_padding()
    library.no_truncation()
    library.encode_special_tokens = (
        not special
    )  # "<|endoftext|>" in a user's text is fifteen characters and nothing more
    return library


@contextlib.contextmanager
def panics_are_errors() -> Iterator[None]:
    """Context manager: errors of the library, some of which are no `Exception`, become a ValueError."""
    try:
        yield
    except (KeyboardInterrupt, SystemExit, GeneratorExit):
        raise
    except BaseException as error:  # noqa: BLE001 - a panic in native code
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise ValueError(f"{UNUSABLE} ({reason[:120]}). Export it again with save_pretrained.") from None


def encode(library: Tokenizer, texts: Sequence[str], special: bool = False) -> list[np.ndarray]:
    """Ids (T,) uint32 of each text, with the tokens that the file adds to each if `special`.

    What the library makes of a text takes thirty times its size: a few at a time.
    """
    ids = []
    for start in range(0, len(texts), AT_ONCE):
        with panics_are_errors():
            found = library.encode_batch_fast(list(texts[start : start + AT_ONCE]), add_special_tokens=special)
        ids += [np.array(text.ids, dtype=np.uint32) for text in found]
    return ids


def read(library: Tokenizer, texts: Sequence[str], special: bool = False) -> list[np.ndarray]:
    """Of each text (T, 4) int64: a token's id, where it begins and ends in the text, in characters, and its word's number.

    Words are the pieces of text that the model sees one by one. What the file adds to a text has word -1.
    """
    tables = []
    for start in range(0, len(texts), AT_ONCE):
        with panics_are_errors():
            batch = library.encode_batch(list(texts[start : start + AT_ONCE]), add_special_tokens=special)
        for found in batch:
            ids, words = found.ids, found.word_ids
            table = np.empty((len(ids), 4), dtype=np.int64)
            table[:, 0] = ids
            places = np.fromiter(chain.from_iterable(found.offsets), dtype=np.int64, count=2 * len(ids))
            table[:, 1:3] = places.reshape(-1, 2)
            table[:, 3] = [-1 if word is None else word for word in words]
            tables.append(table)
    return tables


def decode(library: Tokenizer, sequences: Sequence[Sequence[int]]) -> list[str]:
    """The text of each sequence of ids, special tokens spelled out."""
    with panics_are_errors():
        return list(library.decode_batch([list(ids) for ids in sequences], skip_special_tokens=False))


def spelled(library: Tokenizer, ids: Sequence[int]) -> list[str]:
    """The tokens with these ids as the library's decoder receives them: an added token may have been normalized."""
    with panics_are_errors():
        return [library.id_to_token(number) or "" for number in ids]


def read_limited(tokenizer: str, texts: Sequence[str], special: bool = False) -> list[np.ndarray]:
    """`read` in a separate process. Raises ValueError as `encode_limited` does."""
    head, data = _encoded("read", tokenizer, texts, SECONDS, special, 32)
    return np.split(np.frombuffer(data, dtype=np.int64).reshape(-1, 4), np.cumsum(head)[:-1])


def encode_limited(
    tokenizer: str, texts: Sequence[str], seconds: float = SECONDS, special: bool = False
) -> list[np.ndarray]:
    """`encode` in a separate process. Raises ValueError if the file is broken, takes too long or makes too many tokens."""
    lengths, data = _encoded("encode", tokenizer, texts, seconds, special, 4)
    return np.split(np.frombuffer(data, dtype=np.uint32), np.cumsum(lengths)[:-1])


def decode_limited(tokenizer: str, sequences: Sequence[Sequence[int]]) -> list[str]:
    """`decode` in a separate process. Raises ValueError if it takes too long or the text is too long."""
    allowed = SECONDS + SECONDS_PER_MEGABYTE * sum(map(len, sequences)) / 1e6
    request = {"do": "decode", "sequences": [list(map(int, ids)) for ids in sequences]}
    _, data = ask(tokenizer, request, allowed, MOST_TEXT)
    return list(json.loads(data))


def vocabulary_limited(tokenizer: str) -> dict[str, int]:
    """Every token of a file and its id. Raises ValueError if the library cannot read the file."""
    _, data = ask(tokenizer, {"do": "vocabulary"}, SECONDS + SECONDS_PER_MEGABYTE * len(tokenizer) / 1e6, MOST_TEXT)
    return dict(json.loads(data))


def spelled_limited(tokenizer: str, ids: Sequence[int]) -> list[str]:
    """`spelled` in a separate process. Raises ValueError if that takes too long."""
    _, data = ask(tokenizer, {"do": "spelled", "ids": list(ids)}, SECONDS, MOST_TEXT)
    return list(json.loads(data))


def _encoded(
    do: str, tokenizer: str, texts: Sequence[str], seconds: float, special: bool, size: int
) -> tuple[list[int], bytes]:
    """How many tokens of `size` bytes each text has, and what the process says of all of them."""
    characters = sum(map(len, texts))
    allowed = seconds + SECONDS_PER_MEGABYTE * characters / 1e6
    request = {"do": do, "texts": list(texts), "special": special}
    head, data = ask(tokenizer, request, allowed, size * max(MOST_TOKENS, 4 * characters))
    return list(head), data


def _limit_memory(memory: int) -> None:
    with contextlib.suppress(ImportError):  # Windows has no such limits
        import resource

        _, hard = resource.getrlimit(resource.RLIMIT_AS)
        most = memory if hard == resource.RLIM_INFINITY else min(memory, hard)
        resource.setrlimit(resource.RLIMIT_AS, (most, most))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _limit_time(seconds: int) -> None:
    """The processor time of the next request; the process is ended by the system even if its owner is gone."""
    with contextlib.suppress(ImportError):
        import resource

        used = resource.getrusage(resource.RUSAGE_SELF)
        _, hard = resource.getrlimit(resource.RLIMIT_CPU)
        soft = int(used.ru_utime + used.ru_stime) + seconds + 2
        resource.setrlimit(resource.RLIMIT_CPU, (soft if hard == resource.RLIM_INFINITY else min(soft, hard), hard))


def _answer(library: Any, request: dict[str, Any]) -> tuple[Any, bytes]:
    """`library`: a function of whether special tokens are recognized in a text."""
    if request["do"] == "vocabulary":
        return None, json.dumps(library(False).get_vocab(with_added_tokens=True)).encode("ascii")
    if request["do"] == "decode":
        return None, json.dumps(decode(library(False), request["sequences"])).encode("ascii")
    if request["do"] == "spelled":
        return None, json.dumps(spelled(library(False), request["ids"])).encode("ascii")
    function = read if request["do"] == "read" else encode
    found = function(library(request["special"]), request["texts"], request["special"])
    return [len(ids) for ids in found], b"".join(ids.tobytes() for ids in found)


def _respond(library: Any, request: dict[str, Any]) -> tuple[Any, bytes]:
    try:
        head, body = _answer(library, request)
    except ValueError as error:
        return {"error": str(error)}, b""
    except BaseException as error:  # noqa: BLE001 - a boundary: whatever happens is the file's
        return {"error": f"{UNUSABLE} ({type(error).__name__}). Export it again with save_pretrained."}, b""
    if len(body) > request["most"]:
        return {
            "error": "This tokenizer makes too much of this input. Choose another tokenizer or a shorter text."
        }, b""
    return head, body


def main() -> int:
    """Answer requests until standard input ends or none comes for a minute."""
    _limit_memory(int(sys.argv[1]))
    with contextlib.suppress(AttributeError):  # Windows
        os.nice(NICE)
    pipe, out = sys.stdin.buffer, sys.stdout.buffer
    _limit_time(60)
    try:
        library = cache(partial(load, receive(pipe).decode("utf-8")))
        waiting = True  # the first request comes with the file, and may be in the pipe's buffer
        while waiting:
            request = json.loads(receive(pipe))
            _limit_time(request["seconds"])
            head, body = _respond(library, request)
            for part in (json.dumps(head).encode("ascii"), body):
                out.write(len(part).to_bytes(8, "big") + part)
            out.flush()
            waiting = os.name == "nt" or bool(select.select([pipe], [], [], IDLE)[0])
    except EOFError:
        pass
    return 0


if __name__ == "__main__":
    sys.exit(main())
