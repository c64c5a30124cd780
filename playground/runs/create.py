"""Creating a run: validation before anything is written, shared by the forms and the command line."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from playground.config import ModelConfig, TrainConfig, apart, counted, recipe, spelled, usual_rate
from playground.config import preset as preset_config
from playground.data.corpora import CORPORA, MAX_BYTES, MIN_BYTES, check_text, find_corpus, training_text
from playground.data.documents import notes_of
from playground.data.downloads import Progress
from playground.data.rows import markup_note
from playground.data.sources import TextFile
from playground.runs.limits import LOCAL, Limits, starting_values
from playground.runs.store.names import NAME_LENGTH, checked_name
from playground.runs.store.run_store import Run, RunStore
from playground.runs.texts import beginning, beginning_of, fitted, fitted_tokenizer, with_documents
from playground.tokenizers import ImportedTokenizer, Tokenizer, lost_words, round_trip
from playground.tokenizers.bpe import Learning
from playground.tokenizers.prompts import check_prompt
from playground.tokenizers.special import END_OF_TEXT
from playground.train.dataset import end_of_text, prepare
from playground.train.estimate import estimate

COMPARED_BYTES = 200_000  # of a large file, to check beforehand whether the tokenizer reproduces its text
CGROUP = Path("/sys/fs/cgroup")


@dataclass(frozen=True)
class Prepared:
    """All that a run is created from, checked together."""

    preset: str
    model: ModelConfig
    train: TrainConfig
    tokenizer: Tokenizer
    own_text: str | TextFile | None = None
    notes: tuple[str, ...] = ()  # information for the user; not errors

    @property
    def default_name(self) -> str:
        """The default name of a run."""
        text = self.own_text.name if isinstance(self.own_text, TextFile) else find_corpus(self.train.corpus).label
        return f"{spelled(self.preset) or 'Custom'} on {text}"[:NAME_LENGTH].strip()


def prepare_run(
    preset: str,
    model_changes: Mapping[str, Any] | None = None,
    train_changes: Mapping[str, Any] | None = None,
    own_text: str | TextFile | None = None,
    *,
    cache_dir: Path | None = None,
    progress: Progress | None = None,
    memory_limit: int | None = None,
    limits: Limits = LOCAL,
    imported: Tokenizer | None = None,
    learning: Learning | None = None,
) -> Prepared:
    """Check a run before it is created: settings, text, and that the text fits the model and the model this machine.

    What a preset with a recipe says counts where no change is given. The vocabulary follows from tokenizer and text, the
    learning rate from optimizer and width unless one is given, and so does how documents are kept apart from the tokenizer.
    `own_text`, a string or a file that `sources.gather` made, makes the corpus "own"; a corpus that is downloaded is
    fetched into `cache_dir` now. `memory_limit` is in bytes: by default what the machine has free. `limits` are what this
    visitor may use. `imported` is the tokenizer that the setting "imported" means; `learning` reports the progress of BPE
    training. Writes nothing else; raises ValueError with one sentence on the first thing that is wrong.
    """
    if isinstance(own_text, str):
        own_text = check_text(own_text)
    requested = {**recipe(preset, TrainConfig), **(train_changes or {})}
    train = TrainConfig.from_dict(_with_own_text(requested, own_text))
    given = {**recipe(preset, ModelConfig), **(model_changes or {})}
    changes = {name: value for name, value in given.items() if name != "vocab_size"}
    model = preset_config(preset, **changes)  # settings first: the text may take seconds
    limits.check_frozen({**(model_changes or {}), **(train_changes or {})}, starting_values(preset))
    if "learning_rate" not in requested and "learning_rate" not in limits.frozen:
        train = train.replace(learning_rate=usual_rate(train.optimizer, model.n_embd))
    _check_task(train)
    if train.tokenizer == "bpe":  # whatever it learns, it will not be larger than this
        model = preset_config(preset, **changes, vocab_size=train.bpe_vocab)
        check_memory(model, train, memory_limit)
    limits.check_shape(model, train)
    text = _text(train, own_text, cache_dir, progress)
    chosen = "documents" in requested or "documents" in limits.frozen
    train, separated = with_documents(train, text, imported, chosen)
    if isinstance(text, TextFile):
        tokenizer = fitted_tokenizer(train, text.path, imported, learning)
    else:
        tokenizer = fitted(train, text, imported, learning)
    if train.documents != "joined":
        end_of_text(tokenizer, train)  # raises if there is none
    model = preset_config(preset, **changes, vocab_size=tokenizer.vocab_size)
    if train.prompt:
        check_prompt(tokenizer, train.prompt)
    limits.check_run(model, train)
    check_memory(model, train, memory_limit)
    tried = _lost(text, tokenizer, model, train)
    own = own_text if train.corpus == "own" else None
    how_read = own.notes if isinstance(own, TextFile) else notes_of(own or "")
    notes = (*how_read, *_notes(train, tokenizer, text if own is not None else None, tried, separated))
    if "learning_rate" not in requested:
        notes = (*notes, *_rate_note(model, train))
    return Prepared(preset, model, train, tokenizer, own, notes)


def _rate_note(model: ModelConfig, train: TrainConfig) -> tuple[str, ...]:
    """A sentence on the learning rate that was chosen, where it is not the setting's own default."""
    if train.learning_rate == TrainConfig().learning_rate:
        return ()
    return (
        f"The learning rate is {train.learning_rate:g}, the default for this optimizer at embedding size {model.n_embd}.",
    )


def _check_task(train: TrainConfig) -> None:
    corpus = CORPORA.get(train.corpus)
    if corpus is not None and corpus.kind == "task" and train.tokenizer not in ("byte", "char"):
        raise ValueError(
            f"{corpus.label} is scored letter by letter and needs single letters as tokens. "
            "Set the tokenizer to bytes or characters."
        )


def _lost(
    text: str | TextFile, tokenizer: Tokenizer, model: ModelConfig, train: TrainConfig
) -> tuple[str, float | None]:
    """The part of the text that was tried, and the share of its characters that its tokens do not reproduce; None if they
    reproduce all of it.

    A text that is held in memory is prepared as the run will, which raises ValueError where it does not fit the model. Of a
    larger one the beginning is tried; the worker prepares the tokens, which takes too long for a click.
    """
    if isinstance(text, str):
        prepared = prepare(text, tokenizer, model, train)
        return "validation text", prepared.lost if prepared.bits_per_nat is None else None
    start = beginning(text.path, COMPARED_BYTES)
    back = round_trip(tokenizer, start, tokenizer.encode(start))
    return "beginning of the text", None if back.exact else back.lost


def _notes(
    train: TrainConfig,
    tokenizer: Tokenizer,
    own: str | TextFile | None,
    tried: tuple[str, float | None],
    separated: str,
) -> tuple[str, ...]:
    """Notes for the user that are not errors. `tried`: of `_lost`; `separated` says how documents are separated."""
    part, lost = tried
    start = own if isinstance(own, str) else beginning(own.path, COMPARED_BYTES) if own is not None else ""
    notes = [
        markup_note(own) if isinstance(own, str) else "",
        _marker_note(start),
        "" if lost is None else lost_words(lost, f"the {part}"),
    ]
    if train.tokenizer == "bpe" and tokenizer.vocab_size < train.bpe_vocab:
        where = f"the first {MAX_BYTES / 1e6:g} MB, from which BPE learns" if isinstance(own, TextFile) else "this text"
        notes.append(
            f"The vocabulary stopped at {tokenizer.vocab_size:,} of {counted(train.bpe_vocab, 'token')}: "
            f"no pair of tokens occurs twice any more in {where}."
        )
    if isinstance(tokenizer, ImportedTokenizer) and not tokenizer.exact:
        back = f" The {part} of this run comes back unchanged." if lost is None else ""
        notes.append(
            "This tokenizer changes what it reads in some texts (case, accents or spaces), and so what the model writes."
            + back
        )
    return tuple(note for note in (*notes, separated) if note)


def _marker_note(text: str) -> str:
    """A note on a text that spells the end-of-text token."""
    if END_OF_TEXT not in text:
        return ""
    return (
        f"{END_OF_TEXT} in this text is read as {counted(len(END_OF_TEXT), 'character')}, not as the end of a document. "
        "Documents are told apart only where they are files, rows of a table or lines of JSON lines."
    )


def _with_own_text(changes: Mapping[str, Any], own_text: str | TextFile | None) -> Mapping[str, Any]:
    """Use all of a user's own text unless a size is given."""
    if own_text is None:
        return changes
    whole = max(MIN_BYTES, own_text.n_bytes) if isinstance(own_text, TextFile) else CORPORA["own"].default_bytes
    return {"corpus_bytes": whole, **changes, "corpus": "own"}


def _text(
    train: TrainConfig, own: str | TextFile | None, cache_dir: Path | None, progress: Progress | None
) -> str | TextFile:
    """The text that a run will read, or the file that it is in where it is too large to hold."""
    n_bytes = train.corpus_bytes
    if isinstance(own, TextFile):
        if min(n_bytes, own.n_bytes) > MAX_BYTES:
            return own
        own = beginning_of(own, n_bytes + 4)  # so that it can be cut at a line end
    if train.corpus == "own":
        n_bytes = min(n_bytes, MAX_BYTES)
    return training_text(train, n_bytes=n_bytes, cache_dir=cache_dir, own_text=own, progress=progress)


def create_run(store: RunStore, prepared: Prepared, *, name: str = "", owner: str | None = None) -> Run:
    """Write a prepared run into the store, not started. `owner` is the visitor's secret.

    Raises ValueError for a bad name and for a full disk; nothing is left behind then.
    """
    try:
        return store.create(
            prepared.model,
            prepared.train,
            prepared.tokenizer,
            name=checked_name(name) if name else prepared.default_name,
            preset=prepared.preset,
            owner=owner,
            own_text=prepared.own_text,
        )
    except OSError as error:
        raise ValueError(f"The run could not be written: {error.strerror}. Free some space and try again.") from error


def check_memory(model: ModelConfig, train: TrainConfig, limit: int | None = None) -> None:
    """Raise ValueError if training would need more than `limit` bytes, or than the machine has free."""
    need = estimate(model, train).memory_bytes
    available = free_memory() if limit is None else limit
    if need > available:
        here = "are free on this machine" if limit is None else "is the limit here"
        needed, left = apart(need / 1e9, available / 1e9)
        raise ValueError(
            f"This run needs about {needed} GB of memory; {left} GB {here}. Lower the batch size, context length, "
            f"embedding size or layers."
        )


def free_memory() -> int:
    """Memory available to a new process in bytes: the machine's, or less if a container has a limit."""
    available = int(psutil.virtual_memory().available)
    try:
        limit, used = (int((CGROUP / name).read_text("ascii")) for name in ("memory.max", "memory.current"))
        rows = (line.split() for line in (CGROUP / "memory.stat").read_text("ascii").splitlines())
        cached = sum(int(size) for name, size in rows if name in ("inactive_file", "active_file"))
    except (OSError, ValueError):  # no cgroup v2, or "max": no limit
        return available
    # A container's usage includes the page cache, which the kernel reclaims when needed.
    return max(0, min(available, limit - used + cached))
