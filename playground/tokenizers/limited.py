"""Encoding with an untrusted file, in a separate process that can be killed.

The patterns in a ``tokenizer.json`` run on a backtracking engine: a short malicious one can keep it busy for years, in
native code that cannot be interrupted. So a file is tried here first, and one with unknown patterns is only used here.

    python -m playground.tokenizers.limited     reads {"tokenizer": text, "texts": [text, ...], "special": bool,
                                                "places": bool} from standard input and writes one line,
                                                {"lengths": [...]}, then all ids as uint32, or with places four
                                                numbers for each token (`read`)
"""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from collections.abc import Sequence
from itertools import chain

import numpy as np
from tokenizers import Tokenizer

SECONDS = 10.0  # time limit per text
SECONDS_PER_MEGABYTE = 3.0
MEMORY = 4_000_000_000
AT_ONCE = 4  # texts
UNUSABLE = "This tokenizer.json does not work: the tokenizers library gives up"


def load(text: str, special: bool = False) -> Tokenizer:
    """The library's object for a file's text, without padding or truncation.

    Unless `special`, nothing in a text is a special token.
    """
    library = Tokenizer.from_str(text)
    library.no_padding()
    library.no_truncation()
    library.encode_special_tokens = (
        not special
    )  # "<|endoftext|>" in a user's text is fifteen characters and nothing more
    return library


def encode(library: Tokenizer, texts: Sequence[str], special: bool = False) -> list[np.ndarray]:
    """Ids (T,) uint32 of each text, with the tokens that the file adds to each if `special`.

    What the library makes of a text takes thirty times its size: a few at a time.
    """
    ids = []
    for start in range(0, len(texts), AT_ONCE):
        found = library.encode_batch_fast(list(texts[start : start + AT_ONCE]), add_special_tokens=special)
        ids += [np.array(text.ids, dtype=np.uint32) for text in found]
    return ids


def read(library: Tokenizer, texts: Sequence[str], special: bool = False) -> list[np.ndarray]:
    """Of each text (T, 4) int64: a token's id, where it begins and ends in the text, in characters, and its word's number.

    Words are the pieces of text that the model sees one by one. What the file adds to a text has word -1.
    """
    tables = []
    for start in range(0, len(texts), AT_ONCE):
        for found in library.encode_batch(list(texts[start : start + AT_ONCE]), add_special_tokens=special):
            ids, words = found.ids, found.word_ids
            table = np.empty((len(ids), 4), dtype=np.int64)
            table[:, 0] = ids
            places = np.fromiter(chain.from_iterable(found.offsets), dtype=np.int64, count=2 * len(ids))
            table[:, 1:3] = places.reshape(-1, 2)
            table[:, 3] = [-1 if word is None else word for word in words]
            tables.append(table)
    return tables


def read_limited(tokenizer: str, texts: Sequence[str], special: bool = False) -> list[np.ndarray]:
    """`read` in a separate process. Raises ValueError as `encode_limited` does."""
    head, data = _ask(tokenizer, texts, SECONDS, special, places=True)
    ends = np.cumsum(head)
    return np.split(np.frombuffer(data, dtype=np.int64).reshape(-1, 4), ends[:-1])


def encode_limited(
    tokenizer: str, texts: Sequence[str], seconds: float = SECONDS, special: bool = False
) -> list[np.ndarray]:
    """`encode` in a separate process. Raises ValueError if the file is broken or takes too long."""
    lengths, data = _ask(tokenizer, texts, seconds, special, places=False)
    return np.split(np.frombuffer(data, dtype=np.uint32), np.cumsum(lengths)[:-1])


def _ask(
    tokenizer: str, texts: Sequence[str], seconds: float, special: bool, *, places: bool
) -> tuple[list[int], bytes]:
    """How many tokens each text has, and what the process says of all of them."""
    allowed = seconds + SECONDS_PER_MEGABYTE * sum(map(len, texts)) / 1e6
    request = {"tokenizer": tokenizer, "texts": list(texts), "special": special, "places": places}
    order = json.dumps(request).encode("ascii")
    try:
        done = subprocess.run(
            [sys.executable, "-m", "playground.tokenizers.limited"],
            input=order, capture_output=True, timeout=allowed, check=False,
            env={**os.environ, "TOKENIZERS_PARALLELISM": "false"},
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise ValueError(
            f"This tokenizer did not finish within {math.floor(10 * allowed) / 10:g} s: it is too slow for this text. "
            "Choose another tokenizer."
        ) from None
    if done.returncode != 0:
        reason = done.stderr.decode("utf-8", "replace").strip().splitlines()[-1:] or ["it ended without a message"]
        raise ValueError(f"{UNUSABLE} ({reason[0][-120:]}). Export it again with save_pretrained.")
    head, _, data = done.stdout.partition(b"\n")
    return json.loads(head)["lengths"], data


def _limit_memory() -> None:
    try:
        import resource
    except ImportError:  # Windows has no such limits
        return
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))


def main() -> int:
    """Answer the one question on standard input."""
    _limit_memory()
    request = json.load(sys.stdin.buffer)
    try:
        answer = read if request["places"] else encode
        found = answer(load(request["tokenizer"], request["special"]), request["texts"], request["special"])
    except BaseException as error:  # noqa: BLE001 - a boundary: the library panics with exceptions of its own
        print(f"{type(error).__name__}: {error}".splitlines()[0], file=sys.stderr)
        return 1
    sys.stdout.buffer.write(json.dumps({"lengths": [len(ids) for ids in found]}).encode("ascii") + b"\n")
    sys.stdout.buffer.write(b"".join(ids.tobytes() for ids in found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
