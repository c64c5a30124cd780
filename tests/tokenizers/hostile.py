"""Run in a process with little memory (test_hostile): use hostile tokenizer files in all ways, and print the peak in MB.

python -m tests.tokenizers.hostile fixed PART | random SEED
"""

from __future__ import annotations

import json
import random
import resource
import sys
from collections.abc import Callable
from typing import Any

from playground.tokenizers import RoundTrip, StreamDecoder, import_tokenizer, limited, limited_process, pieces, spans_of

MEMORY = 1_600_000_000  # address space of this process: Python, numpy and the library need half of it
CHILD = 400_000_000
PARTS = 8  # of the fixed files
USES = {
    "encode": lambda tokenizer, text: tokenizer.encode(text),
    "encode_prompt": lambda tokenizer, text: tokenizer.encode_prompt(text),
    "decode": lambda tokenizer, text: tokenizer.decode([0, 1] * 500),
    "stream": lambda tokenizer, text: StreamDecoder(tokenizer, [0]).feed_all([1, 0, 1]),
    "spans": lambda tokenizer, text: spans_of(tokenizer, text, prompt=True),
    "pieces": lambda tokenizer, text: pieces(tokenizer, [0, 1]),
    "exact": lambda tokenizer, text: tokenizer.exact,
    "round trip": lambda tokenizer, text: RoundTrip(tokenizer).feed(text, tokenizer.encode(text)),
    "special": lambda tokenizer, text: (tokenizer.special, tokenizer.plain()),
}


def words(**parts: Any) -> dict[str, Any]:
    """A file with two tokens and the given parts."""
    model = {"type": "WordLevel", "vocab": {"a": 0, "b": 1}, "unk_token": "a"}
    empty = {"version": "1.0", "truncation": None, "padding": None, "added_tokens": [], "normalizer": None}
    return {**empty, "pre_tokenizer": None, "post_processor": None, "decoder": None, "model": model, **parts}


def sequence(name: str, *steps: Any) -> dict[str, Any]:
    return {"type": "Sequence", name: list(steps)}


def replace(pattern: Any, content: str) -> dict[str, Any]:
    return {
        "type": "Replace",
        "pattern": pattern if isinstance(pattern, dict) else {"String": pattern},
        "content": content,
    }


def template(pieces: int, ids: int) -> dict[str, Any]:
    special = {"x": {"id": "x", "ids": [0] * ids, "tokens": ["a"] * ids}}
    single = [{"SpecialToken": {"id": "x", "type_id": 0}}] * pieces + [{"Sequence": {"id": "A", "type_id": 0}}]
    return {"type": "TemplateProcessing", "single": single, "pair": single, "special_tokens": special}


GROWING = sequence("normalizers", *[replace("ж", "ж" * 100)] * 5)
BYTES = {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": False}
DOUBLING = {"type": "BPE", "vocab": {f"t{n}": 97 if n == 0 else 255 + n for n in range(60)},
            "merges": [[f"t{n}", f"t{n}"] for n in range(60)]}  # fmt: skip
FILES = [
    words(normalizer={**GROWING, "decoders": []}),  # as if there were no normalizers
    words(normalizer=sequence("normalizers", *[replace({"Regex": "ж"}, "ж" * 60)] * 1, *[{"type": "ByteLevel"}] * 40)),
    words(pre_tokenizer=sequence("pretokenizers", *[BYTES] * 40)),
    words(pre_tokenizer={"type": "Split", "pattern": {"Regex": "(?:.*ж){9}.*y|."}, "behavior": "Isolated", "invert": False}),
    words(pre_tokenizer={"type": "Split", "pattern": {"Regex": "(((((ж{999}){999}){999}){999}){999})"},
                         "behavior": "Isolated", "invert": False}),
    words(post_processor=template(2_000, 20_000)),
    words(post_processor=sequence("processors", *[template(10, 90)] * 40)),
    words(decoder=sequence("decoders", *[{"type": "BPEDecoder", "suffix": ""}] * 40)),
    words(decoder={"type": "Strip", "content": "a", "start": 0, "stop": 9}),
    words(decoder={"type": "Strip", "content": "a", "start": 2**63, "stop": 0}),
    words(model={"type": "WordLevel", "vocab": {"a" * 5_000_000: 0, "b": 1}, "unk_token": "a" * 5_000_000}),
    words(model=DOUBLING, added_tokens=[]),
    words(model={"type": "WordPiece", "vocab": {"a": 0, "##ж": 1}, "unk_token": "a", "continuing_subword_prefix": "##",
                 "max_input_chars_per_word": 10**9}),
    words(normalizer={"type": "Precompiled", "precompiled_charsmap": "AAAA"}),
    words(model={**words()["model"], "vocab": [[]] * 9}),
]  # fmt: skip


def random_file(chance: random.Random) -> dict[str, Any]:
    """A file that is composed of growing parts, more often too many of them than not."""

    def some(*steps: Any) -> list[Any]:
        return [chance.choice(steps) for _ in range(chance.choice([1, 3, 9, 30]))]

    plain = [{"type": name} for name in ("NFKD", "NFC", "Lowercase", "ByteLevel")]
    grow = [
        replace("ж", "жж"),
        replace("a", "a" * 50),
        replace({"Regex": "."}, "жжж"),
        {"type": "Prepend", "prepend": "ж" * 50},
    ]
    meta = {"type": "Metaspace", "replacement": "ж", "prepend_scheme": "always", "split": chance.random() < 0.5}
    split = {"type": "Split", "pattern": {"String": "ж"}, "behavior": "Isolated", "invert": False}
    added = [{"id": 2, "content": "ж", "single_word": False, "lstrip": False, "rstrip": False, "normalized": False,
              "special": False}]  # fmt: skip
    return words(
        normalizer=sequence("normalizers", *some(*plain, *grow)),
        pre_tokenizer=sequence("pretokenizers", *some(BYTES, meta, split)),
        decoder=sequence("decoders", *some({"type": "BPEDecoder", "suffix": ""}, replace("a", "aa"), {"type": "Fuse"})),
        added_tokens=added if chance.random() < 0.5 else [],
    )


def use(values: dict[str, Any], text: str, n_uses: int) -> None:
    """Import a file and use it in all ways. Only a ValueError, in one sentence, is expected of any of them."""
    tokenizer = attempt(lambda: import_tokenizer(json.dumps(values)))
    for function in list(USES.values())[:n_uses] if tokenizer is not None else ():
        attempt(lambda function=function: function(tokenizer, text))


def attempt(function: Callable[[], Any]) -> Any:
    try:
        return function()
    except ValueError as error:
        sentence = str(error)
    if "\n" in sentence:
        raise AssertionError(sentence)
    return None


def main() -> int:
    part, seed = sys.argv[1], int(sys.argv[2])
    limited.SECONDS, limited_process.MEMORY = 0.3, CHILD
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, hard))
    chance = random.Random(seed)
    files = [random_file(chance) for _ in range(1)] if part == "random" else FILES[seed::PARTS]
    for values in files:
        use(values, "ж" * 99, 4 if part == "random" else len(USES))
    with open("/proc/self/status") as file:
        print(next(int(line.split()[1]) / 1e3 for line in file if line.startswith("VmHWM")))
    return 0


if __name__ == "__main__":
    sys.exit(main())
