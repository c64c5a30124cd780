"""The text of a run: as tokens for whoever trains or looks at it, and what can be known of a large file before."""

from __future__ import annotations

import threading
from collections import OrderedDict
from pathlib import Path
from typing import Any

from playground.data.corpora import MAX_BYTES, load_text
from playground.data.token_file import Progress, characters
from playground.runs.store import Run
from playground.tokenizers import Tokenizer, build_tokenizer
from playground.tokenizers.character import CharacterTokenizer
from playground.train.dataset import Dataset, prepare, prepare_file


def dataset(run: Run, cache_dir: Path | None, progress: Progress | None = None) -> Dataset:
    """What a run trains on. A text of one's own is mapped from a file of tokens, everything else is made in memory.

    The file lies in the cache, for all runs on that text; but where visitors are strangers to each other, in the run's own
    folder, so that it goes when its owner deletes the run.
    """
    own = run.text_path
    if own is not None and run.train.corpus == "own":
        home = run.path if cache_dir is None or run.owner is not None else cache_dir
        return prepare_file(own, run.tokenizer, run.model, run.train, home / "tokens", progress)
    text = load_text(run.train.corpus, n_bytes=run.train.corpus_bytes, cache_dir=cache_dir)
    return prepare(text, run.tokenizer, run.model, run.train)


class Datasets:
    """What the runs that were looked at last train on; seconds to make, so kept. One for a process, for any thread."""

    def __init__(self, capacity: int = 3) -> None:
        self._capacity = capacity
        self._lock = threading.Lock()
        self._kept: OrderedDict[str, Dataset] = OrderedDict()

    def get(self, run: Run, cache_dir: Path | None) -> Dataset:
        """What `dataset` makes. Raises ValueError as that does."""
        with self._lock:
            data = self._kept.pop(run.id, None)
        data = data or dataset(run, cache_dir)
        with self._lock:
            self._kept[run.id] = data
            while len(self._kept) > self._capacity:
                self._kept.popitem(last=False)
        return data


def fitted_tokenizer(name: str, path: Path, n_bytes: int, **kind: Any) -> Tokenizer:
    """The tokenizer of the named kind for the first `n_bytes` of a file that is too large to hold.

    Characters are collected from all of it; a kind that learns from text learns from its first 20 MB. `kind` goes to
    `build_tokenizer`.
    """
    if name != "char":
        return build_tokenizer(name, beginning(path, MAX_BYTES), **kind)
    _, codes = characters(path, n_bytes)
    return CharacterTokenizer("".join(map(chr, codes)))


def beginning(path: Path, n_bytes: int) -> str:
    """The first `n_bytes` of a UTF-8 file, without a character that is cut in two."""
    with open(path, "rb") as file:
        return file.read(n_bytes).decode("utf-8", errors="ignore")
