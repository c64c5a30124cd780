"""Which runs' validation losses can be compared, and in which unit.

Losses per token are comparable between runs with the same tokens; bits per byte also between different tokenizers, if
they reproduce the text; losses on different validation texts are not comparable.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from playground.config import TrainConfig
from playground.data.batches import spread_windows
from playground.data.corpora import CORPORA
from playground.data.downloads import DOWNLOADS
from playground.runs.store.files import read_json
from playground.runs.store.run_store import DOCUMENTS, Run
from playground.tokenizers.identity import saved_fingerprint

NATS, BITS = "nats per token", "bits per byte"
WHOLE_BYTES = 32_000_000  # for longer texts, evenly spaced pieces are compared
_PIECES, _PIECE_BYTES = 64, 65_536
# Settings that determine the validation text and which of its tokens count.
_TEXT = ("validation_fraction", "task_version")
_TOKENS = ("tokenizer", "documents")


@dataclass(frozen=True)
class Measure:
    """Identifies what a run's validation losses are measured on: digests of its tokens and its validation text.

    `bits`: whether there are bits per byte; None while that is not known.
    """

    tokens: str
    text: str
    bits: bool | None


UNKNOWN = Measure("", "", None)


def tokens_of(run: Run) -> str:
    """Equal only for runs that make the same tokens of the same text: whose tokenizers give the same ids, and which keep
    documents apart in the same way, because a token between them is a target too."""
    tokens = tokenizer_of(run)
    if run.train.documents == "joined":
        return tokens
    ends = None if run.text_path is None else run.text_path.parent / DOCUMENTS
    parts = (tokens, run.train.documents, _own_text(ends) if ends is not None and ends.exists() else "")
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:32]


def tokenizer_of(run: Run) -> str:
    """Equal only for runs whose tokenizers give the same ids for the same text."""
    return _tokens(run.path) or f"unreadable {run.id}"


def text_of(run: Run) -> str:
    """Equal only for runs with the same training and the same validation text."""
    train, path = run.train, run.text_path if run.train.corpus == "own" else None
    values = train.to_dict()
    if train.corpus == "own":
        source = f"unknown {run.id}" if path is None else _own_text(path)
    else:
        source = train.corpus if train.corpus in CORPORA else f"unknown {run.id}"
    parts = [source, text_bytes(run), *(values.get(name) for name in _TEXT)]
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:32]


def text_bytes(run: Run) -> int:
    """How many bytes of its text a run uses: the number in its settings, or all of a shorter text."""
    train = run.train
    if train.corpus == "own":
        path = run.text_path
        return train.corpus_bytes if path is None else min(train.corpus_bytes, path.stat().st_size)
    return min(train.corpus_bytes, DOWNLOADS[train.corpus].n_bytes) if train.corpus in DOWNLOADS else train.corpus_bytes


def same_settings(a: TrainConfig, b: TrainConfig) -> bool:
    """Whether losses per token compare as far as settings alone can tell: a built-in text of one size, of which as much is
    evaluated, and a tokenizer that is made from it in the same way."""
    if a.corpus == "own" or a.tokenizer == "imported":
        return False
    names = {
        "corpus",
        "corpus_bytes",
        "eval_tokens",
        *_TEXT,
        *_TOKENS,
        *(("bpe_vocab",) if a.tokenizer == "bpe" else ()),
    }
    one, two = a.to_dict(), b.to_dict()
    return all(one.get(name) == two.get(name) for name in names)


def same_batches(runs: Sequence[Run]) -> bool:
    """Whether these runs, with one seed, read the same batches in the same order."""
    return len({batches_of(run) for run in runs}) <= 1


def batches_of(run: Run) -> tuple[object, ...]:
    """Equal for runs that, with one seed, read the same tokens in the same steps."""
    return (tokens_of(run), text_of(run), run.model.block_size, run.train.batch_size * run.train.grad_accum)


def windows_of(run: Run, validation_tokens: int | None) -> tuple[object, ...]:
    """Equal for runs whose losses are measured on the same windows of the validation text. Where they differ, the losses
    differ by the choice of the text too, by the same amount for every seed.

    `validation_tokens`: how many tokens the validation text has, None while that is not known. A run evaluates at most
    those, whatever number its settings have.
    """
    block_size, evaluated = run.model.block_size, run.train.eval_tokens
    if validation_tokens is not None and run.train.documents == "isolated":  # each token but the first is a target
        evaluated = min(evaluated, validation_tokens - 1)
    elif validation_tokens is not None:
        evaluated = block_size * len(spread_windows(validation_tokens, block_size, evaluated))
    return (tokens_of(run), text_of(run), block_size, evaluated)


def common_unit(first: Measure, others: Sequence[Measure]) -> tuple[str, list[str]]:
    """The unit in which the first and as many of the others as can be are compared, and for each other the reason why it
    cannot be: "" where it can."""
    texts = [other.text == first.text for other in others]
    if all(other.tokens == first.tokens for other, same in zip(others, texts, strict=True) if same):
        return NATS, ["" if same else OTHER_TEXT for same in texts]
    known = {(each.tokens, each.text) for each in (first, *others) if each.bits is False}

    def loses(one: Measure) -> bool:  # of a run that has not begun, what is known of another with its tokens and text
        return one.bits is False or (one.bits is None and (one.tokens, one.text) in known)

    if not loses(first):
        reasons = [
            OTHER_TEXT if not same else NO_BITS if loses(other) else ""
            for other, same in zip(others, texts, strict=True)
        ]
        return BITS, reasons
    return NATS, [
        OTHER_TEXT if not same else "" if other.tokens == first.tokens else FIRST_NO_BITS
        for other, same in zip(others, texts, strict=True)
    ]


# Reasons not to compare {arm} with {first}.
OTHER_TEXT = "{arm} was measured on another validation text than {first}, so there is no verdict between them."
OTHER_WINDOWS = (
    "{arm} was evaluated on other windows of the validation text than {first}, and how much that changes is not known for "
    "both, so there is no verdict between them."
)
_LOSES = (
    "does not give back the text that it reads, or is not known to, so it has no bits per byte; there is no verdict between "
    "them."
)
NO_BITS = "{arm} and {first} have different tokens, and {arm}'s tokenizer " + _LOSES
FIRST_NO_BITS = "{arm} and {first} have different tokens, and {first}'s tokenizer " + _LOSES


@lru_cache(maxsize=1024)
def _tokens(folder: Path) -> str:
    """Of a run's folder, which never changes its tokenizer; "" where it cannot be read."""
    values = read_json(folder / "tokenizer.json")
    return saved_fingerprint(values) if isinstance(values, dict) else ""


def _own_text(path: Path) -> str:
    facts = path.stat()
    return _content(path, facts.st_size, facts.st_mtime_ns)


@lru_cache(maxsize=256)
def _content(path: Path, size: int, _changed: int) -> str:
    """A digest of a file's size and bytes; of a long one's pieces."""
    digest = hashlib.sha256(str(size).encode())
    with open(path, "rb") as file:
        if size <= WHOLE_BYTES:
            digest.update(file.read())
        else:
            for number in range(_PIECES):
                file.seek((size - _PIECE_BYTES) * number // (_PIECES - 1))
                digest.update(file.read(_PIECE_BYTES))
    return digest.hexdigest()
