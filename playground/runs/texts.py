"""The text of a run: its tokens for training and inspection, and what can be determined about a large file beforehand."""

from __future__ import annotations

import threading
from collections import OrderedDict
from pathlib import Path

from playground.config import TrainConfig, usual_documents
from playground.data.corpora import MAX_BYTES, find_corpus, training_text
from playground.data.documents import Text, ends_of, n_documents
from playground.data.sources import TextFile
from playground.data.token_file import Progress, characters
from playground.runs.store.run_store import Run
from playground.tokenizers import ImportedTokenizer, Tokenizer, build_tokenizer, pieces
from playground.tokenizers.bpe import Learning
from playground.tokenizers.character import CharacterTokenizer
from playground.tokenizers.prompts import BEGINNING
from playground.tokenizers.special import END_OF_TEXT
from playground.train.dataset import Dataset, end_of_text, prepare, prepare_file, sample_prompt


def dataset(run: Run, cache_dir: Path | None, progress: Progress | None = None) -> Dataset:
    """The dataset of a run. A user's own text is memory-mapped from a token file, everything else is made in memory.

    The file is in the cache, shared by all runs on that text; in public mode it is in the run's own
    folder, so that it is deleted with the run. Raises ValueError if the text is not available.
    """
    kind, own = find_corpus(run.train.corpus).kind, run.text_path
    if kind == "unknown" or (kind == "own" and own is None):
        raise ValueError("The text that this model was trained on is not here. Choose a run that was trained here.")
    if own is not None and kind == "own":
        home = run.path if cache_dir is None or run.owner is not None else cache_dir
        return prepare_file(own, run.tokenizer, run.model, run.train, home / "tokens", progress, run.document_ends())
    text = training_text(run.train, cache_dir=cache_dir)
    return prepare(text, run.tokenizer, run.model, run.train)


def prompt_of(run: Run) -> str:
    """The prompt of a run's samples, which its tokenizer can encode."""
    path = run.text_path
    return sample_prompt(run.tokenizer, run.train, "" if path is None else beginning(path, 4 * BEGINNING))


def missing(train: TrainConfig) -> str:
    """What training an imported model further would need, as a clause. A folder has no texts, but built-in ones are here."""
    if find_corpus(train.corpus).kind in ("own", "unknown"):
        return "its dataset and optimizer state are missing"
    return "its optimizer state is missing"


class Datasets:
    """A cache of the datasets of recently used runs. One per process, thread-safe."""

    def __init__(self, capacity: int = 3) -> None:
        self._capacity = capacity
        self._lock = threading.Lock()
        self._kept: OrderedDict[str, Dataset] = OrderedDict()

    def get(self, run: Run, cache_dir: Path | None) -> Dataset:
        """The result of `dataset`, cached. Raises ValueError as `dataset` does."""
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
        return fitted(config, beginning(path, MAX_BYTES) if config.tokenizer == "bpe" else "", imported, learning)
    _, codes = characters(path, config.corpus_bytes)
    return CharacterTokenizer("".join(map(chr, codes)), eos=config.documents != "joined")


def fitted(
    config: TrainConfig, text: str, imported: Tokenizer | None = None, learning: Learning | None = None
) -> Tokenizer:
    """The tokenizer that the settings ask for: with an end-of-text token if documents are to be kept apart.

    What an imported one puts around every text is left out, because it is not trained on here.
    """
    if isinstance(imported, ImportedTokenizer):
        imported = imported.plain()
    return build_tokenizer(
        config.tokenizer, text, vocab_size=config.bpe_vocab, imported=imported, progress=learning,
        eos=config.documents != "joined",
    )  # fmt: skip


def with_documents(
    config: TrainConfig, text: str | TextFile, imported: Tokenizer | None, chosen: bool
) -> tuple[TrainConfig, str]:
    """The settings with documents kept apart as far as a text has several, and a sentence on how, or nothing.

    Unless it was `chosen`, that is done in the way that is usual for the tokenizer (`usual_documents`).
    """
    ends, size = (text.ends, text.n_bytes) if isinstance(text, TextFile) else (ends_of(text), len(text))
    several = n_documents(ends, size) > 1
    if not several:
        note = f"This text is a single document, so Documents is joined, not {config.documents}."
        return config.replace(documents="joined"), note if chosen and config.documents != "joined" else ""
    if not chosen:
        config = config.replace(documents=usual_documents(config.tokenizer))
    if config.tokenizer == "imported" and imported is not None and imported.eos is None:
        note = f"This tokenizer has no end-of-text token, so Documents is joined, not {config.documents}."
        return config.replace(documents="joined"), "" if config.documents == "joined" else note
    if config.documents == "joined":
        return config, ""
    eos = END_OF_TEXT
    if config.tokenizer == "imported" and imported is not None:
        eos = pieces(imported, [end_of_text(imported, config)])[0]
    alone = ", and no training window reaches into another one" if config.documents == "isolated" else ""
    return config, f"Documents: separated by {eos}{alone}."


def beginning_of(file: TextFile, n_bytes: int) -> str:
    """`beginning` of a gathered text, which knows the documents that end in it."""
    with open(file.path, "rb") as opened:
        data = opened.read(n_bytes)
    return Text.from_bytes(data, file.ends) if len(file.ends) else data.decode("utf-8", errors="ignore")


def beginning(path: Path, n_bytes: int) -> str:
    """The first `n_bytes` of a UTF-8 file, without a character that is cut in two."""
    with open(path, "rb") as file:
        return file.read(n_bytes).decode("utf-8", errors="ignore")
