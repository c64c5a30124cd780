"""Load the text that a form describes: a built-in dataset, pasted text, files, a path, or a dataset of the Hugging Face
Hub."""

from __future__ import annotations

import hashlib
import json
import re
import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from playground.analysis.data_card import DataCard, data_card
from playground.config import TrainConfig, counted
from playground.data.corpora import MAX_BYTES, check_text, training_text
from playground.data.documents import ends_of, notes_of
from playground.data.hub import dataset_text
from playground.data.sources import MAX_FILE_BYTES, TextFile, gather
from playground.runs.texts import Datasets, beginning_of, fitted_tokenizer, with_documents
from playground.runs.texts import fitted as fitted_to
from playground.tokenizers import Tokenizer
from playground.ui.services import Services

OwnText = str | TextFile
_CARDS = 16
_MARKS = re.compile(r"[!-/:-@\[-`{-~]")  # characters with a meaning in Markdown or HTML: ASCII punctuation


@dataclass(frozen=True)
class TextSource:
    """The form's values for the text, not validated."""

    corpus: str = "tales"
    pasted: str = ""
    files: Sequence[str] = ()
    field: str = ""
    path: str = ""
    dataset: str = ""
    column: str = "text"
    split: str = ""

    @property
    def has_files(self) -> bool:
        """Whether anything but the paste box is filled in."""
        return bool(self.files or self.path.strip() or self.dataset.strip())


def own_text(services: Services, source: TextSource, n_bytes: int) -> OwnText | None:
    """The user's own text, or None for another dataset. `n_bytes` limits a download.

    Uploads have priority over a path, a path over a Hub dataset, and all of them over pasted text. Raises ValueError.
    """
    if source.corpus != "own":
        return None
    folder = services.cache_dir / "texts"
    if source.files:
        paths = [Path(name) for name in source.files]
        if not all(path.exists() for path in paths):
            raise ValueError(GONE)
        return _gathered(services, paths, source.field)
    if (source.path.strip() or source.dataset.strip()) and services.public:
        raise ValueError("Paths and Hub datasets work only on your own computer. Upload a file instead.")
    if source.path.strip():
        return _gathered(services, [Path(source.path.strip()).expanduser()], source.field)
    if source.dataset.strip():
        return dataset_text(source.dataset, source.column, split=source.split, folder=folder, max_bytes=n_bytes)
    return check_text(source.pasted or "")


GONE = "The uploaded file is not there any more: uploads are deleted with their run and after an hour. Upload it again."
_known: OrderedDict[str, TextFile] = OrderedDict()
_lock = threading.Lock()


def _gathered(services: Services, paths: list[Path], field: str) -> OwnText:
    """`gather`, cached for large files."""
    if services.public:
        return gather(paths, field=field, max_bytes=MAX_BYTES)
    key = json.dumps([[str(path), *_stamp(path)] for path in paths] + [field, str(services.cache_dir)])
    with _lock:
        known = _known.get(key)
    if known is not None and known.path.exists():
        return known
    text = gather(paths, field=field, folder=services.cache_dir / "texts", max_bytes=MAX_FILE_BYTES)
    if isinstance(text, TextFile):
        with _lock:
            _known[key] = text
            while len(_known) > _CARDS:
                _known.popitem(last=False)
    return text


def _stamp(path: Path) -> tuple[int, int]:
    try:
        found = path.stat()
    except (OSError, ValueError):
        return 0, 0  # `gather` reports the error
    return found.st_size, found.st_mtime_ns


def described(text: OwnText) -> str:
    """A brought text in Markdown: its size, and how it was read. A file's name and what is quoted may be anything: the name
    stands in it as code, and no letter of a note is a mark."""
    if isinstance(text, TextFile):
        name = text.name.replace("`", "'")
        size, notes = f"`{name}`: {text.n_bytes / 1e6:,.1f} MB.", text.notes
    else:
        size, notes = f"{counted(len(text), 'character')}, {len(set(text)):,} distinct.", notes_of(text)
    return "\n\n".join((size, *(_MARKS.sub(r"\\\g<0>", note) for note in notes)))


def size_of(text: OwnText) -> int:
    """Bytes of a brought text."""
    return text.n_bytes if isinstance(text, TextFile) else len(text.encode("utf-8"))


def loaded(services: Services, own: OwnText | None, train: TrainConfig) -> OwnText:
    """The text as used for training: a string, or a file if it is too large to hold. Raises ValueError."""
    n_bytes = train.corpus_bytes
    if isinstance(own, TextFile):
        if min(n_bytes, own.n_bytes) > MAX_BYTES:
            return own
        own = beginning_of(own, n_bytes + 4)
    if train.corpus == "own":
        n_bytes = min(n_bytes, MAX_BYTES)
    return training_text(train, n_bytes=n_bytes, cache_dir=services.cache_dir, own_text=own)


def fitted(text: OwnText, train: TrainConfig, imported: Tokenizer | None = None) -> tuple[Tokenizer, TrainConfig]:
    """The tokenizer and document settings that training would use for a text.

    BPE is trained for this, which may take seconds.
    """
    train, _ = with_documents(train, text, imported, chosen=True)
    if isinstance(text, TextFile):
        return fitted_tokenizer(train, text.path, imported), train
    return fitted_to(train, text, imported), train


@dataclass
class Cards:
    """A cache of data cards, by text, split and tokenizer. One per process, thread-safe."""

    _cards: OrderedDict[str, DataCard] = field(default_factory=OrderedDict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def get(self, text: OwnText, train: TrainConfig, imported: Tokenizer | None = None) -> DataCard:
        """The card of a text; seconds for a new one. Raises ValueError."""
        # A large file's name is the hash of its content.
        digest = hashlib.sha256((str(text.path) if isinstance(text, TextFile) else text).encode("utf-8"))
        digest.update((text.ends if isinstance(text, TextFile) else ends_of(text)).tobytes())
        digest.update(json.dumps(imported.to_dict() if imported is not None else {}).encode("ascii"))
        split: list[Any] = [
            train.corpus, train.corpus_bytes, train.validation_fraction, train.documents, train.task_version
        ]  # fmt: skip
        key = f"{digest.hexdigest()} {[*split, train.tokenizer, train.bpe_vocab]}"
        with self._lock:
            card = self._cards.pop(key, None)
        card = card or data_card(text, *fitted(text, train, imported))
        with self._lock:
            self._cards[key] = card
            while len(self._cards) > _CARDS:
                self._cards.popitem(last=False)
        return card


CARDS = Cards()
DATASETS = Datasets()
