"""The text of a run: as tokens for whoever trains or looks at it, and what can be known of a large file before."""

from __future__ import annotations

import threading
from collections import OrderedDict
from pathlib import Path

from playground.config import TrainConfig
from playground.data.corpora import CORPORA, MAX_BYTES, load_text
from playground.data.token_file import Progress, characters
from playground.runs.store import Run
from playground.tokenizers import Tokenizer, build_tokenizer
from playground.tokenizers.bpe import Learning
from playground.tokenizers.character import CharacterTokenizer
from playground.train.dataset import Dataset, prepare, prepare_file


def dataset(run: Run, cache_dir: Path | None, progress: Progress | None = None) -> Dataset:
    """What a run trains on. A text of one's own is mapped from a file of tokens, everything else is made in memory.

    The file lies in the cache, for all runs on that text; but where visitors are strangers to each other, in the run's own
    folder, so that it goes when its owner deletes the run.
    """
    if run.train.corpus not in CORPORA:
        raise ValueError("The text that this model was trained on is not here. Choose a run that was trained here.")
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


def fitted_tokenizer(
    config: TrainConfig, path: Path, imported: Tokenizer | None = None, learning: Learning | None = None
) -> Tokenizer:
    """The tokenizer that the settings ask for, for a file that is too large to hold.

    Characters are collected from all of it that is used; BPE learns from its first 20 MB.
    """
    if config.tokenizer != "char":
        text = beginning(path, MAX_BYTES) if config.tokenizer == "bpe" else ""
        return build_tokenizer(
            config.tokenizer, text, vocab_size=config.bpe_vocab, imported=imported, progress=learning
        )
    _, codes = characters(path, config.corpus_bytes)
    return CharacterTokenizer("".join(map(chr, codes)))


def beginning(path: Path, n_bytes: int) -> str:
    """The first `n_bytes` of a UTF-8 file, without a character that is cut in two."""
    with open(path, "rb") as file:
        return file.read(n_bytes).decode("utf-8", errors="ignore")
