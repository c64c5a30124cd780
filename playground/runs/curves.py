"""Curves for the live chart: what has changed since the client's last request, cheap enough for frequent polling.

One `Curves` serves all viewers of a process. Each run's log is read once as it grows. The client sends back a
cursor, which is only a hint: a forged or outdated one just results in a full answer.
"""

from __future__ import annotations

import json
import re
import threading
import time
import zlib
from bisect import bisect_left
from collections import OrderedDict
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import pandas as pd

from playground.config import PRESETS, counted, spelled
from playground.data.corpora import find_corpus
from playground.runs import baselines
from playground.runs.comparable import Measure, text_of, tokenizer_of, tokens_of
from playground.runs.store.history import VALIDATION, Downsampled, History, rounded, shown
from playground.runs.store.run_store import Run, RunStore
from playground.runs.store.status import Status
from playground.tokenizers import ImportedTokenizer, lost_words

POINTS = 400  # per run
CAPACITY = 128  # runs kept in memory: three of the largest races
STATUS_SECONDS = 0.25  # a run's state is looked up at most this often, for any number of viewers
RECENT_SECONDS = 3.0  # of training over which the speed is measured

_CURSOR = re.compile(r"([0-9a-z.]{1,60}):([0-9]{1,9}):([0-9]{1,9}):([0-9]{1,9}):([0-9a-f]{4})")
NOT_COMPARED = (
    "No bits per byte: this tokenizer changes some texts, and the log does not say whether it changed this one."
)
_EMPTY_CURSOR = ("", 0, 0, 0, "")


class Curves:
    """Answers "what is new?" for any number of runs and viewers. All methods may be called from any thread."""

    def __init__(self, store: RunStore, capacity: int = CAPACITY) -> None:
        self.store = store
        self._capacity = capacity
        self._lock = threading.Lock()
        self._readers: OrderedDict[str, _Reader] = OrderedDict()

    def since(self, run: Run, cursor: object = None) -> dict[str, Any]:
        """What a client that holds `cursor` (None at first) lacks, JSON-able.

        Always there: ``id``, ``cursor`` (to send back), ``reset`` (drop all points before adding these), ``step``,
        ``tokens_per_second`` and ``eta_seconds`` (null when not training). There when they have changed, and in a first
        answer: ``name``, ``state``, ``message``, ``role``, ``reference``, ``model``, ``corpus``, ``tokenizer``, ``steps``,
        ``tokens`` and ``text`` (digests: losses per token compare where both are equal, bits per byte where ``text`` is),
        ``tokenizer_id`` (a digest, equal for equal tokenizers) and ``documents`` (joined, separated or isolated), which
        ``tokens`` is made of, ``imported`` (whether it came from elsewhere), ``bits_per_nat`` (null where a text does not
        come back from its tokens, and then ``no_bits`` says so in words), ``baselines`` (bits per byte of n-grams by
        name, or null) and ``vocabulary`` (tokens). There when there is something new, and in a first answer: ``train`` and
        ``validation`` (lists by field) and ``samples``.
        """
        reader = self._reader(run)
        with reader.lock:
            reader.refresh(run)
            return reader.reply(run, _parse_cursor(cursor))

    def dataframe(self, run: Run) -> pd.DataFrame:
        """Every trained step: the fields of `StepDone` (losses in nats) and bits_per_byte."""
        reader = self._reader(run)
        with reader.lock:
            reader.refresh(run)
            frame = pd.DataFrame({name: pd.Series(list(column)) for name, column in reader.history.train.items()})
            frame["bits_per_byte"] = frame["loss"].astype(float) * (reader.bits_per_nat or float("nan"))
        return frame

    def evaluations(self, run: Run) -> pd.DataFrame:
        """Every measurement on the validation text: the fields of `Evaluated` (nats per token), bits_per_byte and
        its standard error bits_per_byte_se."""
        reader = self._reader(run)
        with reader.lock:
            reader.refresh(run)
            return pd.DataFrame(reader.validation(0))

    def columns(self, run: Run) -> Columns:
        """A run's downsampled training curve and all its evaluations."""
        reader = self._reader(run)
        with reader.lock:
            reader.refresh(run)
            train = {name: list(column) for name, column in reader.thinned.columns.items()}
            return Columns(
                reader.life, reader.status.state, reader.history.step, reader.bits_per_nat, train, reader.validation(0),
                reader.passes, reader.measure(run), reader.first_loss, reader.validation_tokens,
            )  # fmt: skip

    def _reader(self, run: Run) -> _Reader:
        with self._lock:
            reader = self._readers.pop(run.id, None) or _Reader(History(run.log))
            self._readers[run.id] = reader
            while len(self._readers) > self._capacity:
                self._readers.popitem(last=False)
            return reader


@dataclass(frozen=True)
class Columns:
    """A run's curves. `life` changes when earlier points are no longer valid."""

    life: str
    state: str
    step: int
    bits_per_nat: float | None
    train: dict[str, list[Any]]
    validation: dict[str, list[Any]]
    passes: float  # over the training text
    measure: Measure  # what its validation losses are measured on
    first_loss: float | None = (
        None  # training loss of the first logged step; the first point of `train` is a mean of several
    )
    validation_tokens: int | None = None  # of the validation text; None before training begins


class _Reader:
    """One run's log and derived data. Used under its lock."""

    def __init__(self, history: History) -> None:
        self.lock = threading.Lock()
        self.history = history
        self.thinned = Downsampled(history, 1)
        self.baselines: dict[str, float] | None = None
        self.status = Status()
        self._life = ""
        self._looked = -STATUS_SECONDS
        self._of: Run | None = None

    @property
    def life(self) -> str:
        return self._life

    @property
    def passes(self) -> float:
        """Epochs: tokens seen divided by tokens in the training text."""
        started, tokens = self.history.started, self.history.train["tokens"]
        return tokens[-1] / started.train_tokens if started and tokens and started.train_tokens else 0.0

    @property
    def validation_tokens(self) -> int | None:
        return None if self.history.started is None else self.history.started.validation_tokens

    @property
    def first_loss(self) -> float | None:
        """The training loss of the first logged step, None before it."""
        losses = self.history.train["loss"]
        return float(losses[0]) if losses else None

    @property
    def bits_per_nat(self) -> float | None:
        started = self.history.started
        if started is None or started.bits_per_nat is None or not (started.compared or self._gives_back):
            return None
        return rounded(started.bits_per_nat, 7)

    @property
    def no_bits(self) -> str:
        """Why a run that has begun has no bits per byte; empty if it has."""
        started = self.history.started
        if started is None or self.bits_per_nat is not None:
            return ""
        return lost_words(started.lost, "the validation text") if started.compared else NOT_COMPARED

    @cached_property
    def _gives_back(self) -> bool:
        """Whether the tokens give back the text, of a run whose log does not say: an imported file is tried."""
        if self._of is None or self._of.train.tokenizer != "imported":
            return True
        try:
            tokenizer = self._of.tokenizer
            return not isinstance(tokenizer, ImportedTokenizer) or (tokenizer.trusted and tokenizer.exact)
        except (ValueError, OSError):
            return False

    def measure(self, run: Run) -> Measure:
        """What its validation losses are losses of."""
        return Measure(tokens_of(run), text_of(run), self.bits_per_nat is not None if self.history.started else None)

    def refresh(self, run: Run) -> None:
        """Read new events; restart the downsampled curve if earlier points are no longer valid."""
        now = time.monotonic()
        if now - self._looked >= STATUS_SECONDS or run is not self._of:
            self.status, self._looked, self._of = run.status(), now, run
            self.baselines = self.baselines or baselines.read(run.path)
        self.history.refresh()
        life = f"{self.history.life}.{run.train.steps}"
        if life != self._life:
            self._life = life
            self.thinned = Downsampled(self.history, max(1, run.train.steps // POINTS))
        self.thinned.extend()

    def reply(self, run: Run, cursor: tuple[str, int, int, int, str]) -> dict[str, Any]:
        """The answer to a client with this cursor."""
        life, *counts, seen_head = cursor
        points, measured, written = (
            len(self.thinned.columns["step"]),
            len(self.history.validation),
            len(self.history.samples),
        )
        reset = life != self._life or any(
            had > has for had, has in zip(counts, (points, measured, written), strict=True)
        )
        if reset:
            counts, seen_head = [0, 0, 0], ""
        head = self._head(run)
        head_sum = f"{zlib.crc32(json.dumps(head).encode()) & 0xFFFF:04x}"
        answer: dict[str, Any] = {"id": run.id, "step": self.history.step, **self._speed(run)}
        answer |= {"cursor": f"{self._life}:{points}:{measured}:{written}:{head_sum}", "reset": reset}
        answer |= head if head_sum != seen_head else {}
        if points > counts[0] or reset:
            answer["train"] = {name: column[counts[0] :] for name, column in self.thinned.columns.items()}
        if measured > counts[1] or reset:
            answer["validation"] = self.validation(counts[1])
        if written > counts[2] or reset:
            new = self.history.samples[counts[2] :]
            answer["samples"] = [{"step": sample.step, "prompt": sample.prompt, "text": sample.text} for sample in new]
        return answer

    def _head(self, run: Run) -> dict[str, Any]:
        """The fields that rarely change."""
        damaged = self.history.damaged
        notes = [self.status.message] if self.status.message else []
        notes += [f"{counted(damaged, 'damaged row')} of the log skipped."] if damaged else []
        known = run.preset in PRESETS
        return {
            "name": run.name,
            "state": self.status.state,
            "message": " ".join(notes),
            "role": run.preset if known else "other",
            "reference": run.reference,
            "model": spelled(run.preset) if known else "Custom",
            "corpus": find_corpus(run.train.corpus).label,
            "tokenizer": run.tokenizer_words,
            "steps": run.train.steps,
            "bits_per_nat": self.bits_per_nat,
            "no_bits": self.no_bits,
            "tokens": tokens_of(run)[:16],
            "text": text_of(run)[:16],
            "tokenizer_id": tokenizer_of(run)[:32],
            "documents": run.train.documents,
            "imported": bool(run.origin),
            "baselines": self.baselines,
            "vocabulary": run.model.vocab_size,
        }

    def _speed(self, run: Run) -> dict[str, float | None]:
        """Tokens per second of late, and the seconds that are left at that speed; nothing for a run that does not train."""
        steps, seconds, tokens = (self.history.train[name] for name in ("step", "seconds", "tokens"))
        first = bisect_left(seconds, seconds[-1] - RECENT_SECONDS) if seconds else 0
        first = min(first, max(0, len(seconds) - 2))
        elapsed = seconds[-1] - seconds[first] if seconds else 0.0
        if self.status.state != "running" or elapsed <= 0:
            return {"tokens_per_second": None, "eta_seconds": None}
        left = max(0, run.train.steps - steps[-1]) * elapsed / (steps[-1] - steps[first])
        return {
            "tokens_per_second": round(rounded((tokens[-1] - tokens[first]) / elapsed, 3)),
            "eta_seconds": rounded(left, 2),
        }

    def validation(self, start: int) -> dict[str, list[Any]]:
        """The measurements from the `start`-th on, as columns."""
        events = self.history.validation[start:]
        scale = self.bits_per_nat
        table = {name: [shown(getattr(event, name), column) for event in events] for name, column in VALIDATION.items()}
        errors = [event.loss_se for event in events]
        return table | {
            "bits_per_byte": [rounded(event.loss * scale, 5) if scale else None for event in events],
            "bits_per_byte_se": [
                None if scale is None or error is None else rounded(error * scale, 3) for error in errors
            ],
        }


def _parse_cursor(cursor: object) -> tuple[str, int, int, int, str]:
    match = _CURSOR.fullmatch(cursor) if isinstance(cursor, str) else None
    if match is None:
        return _EMPTY_CURSOR
    return match[1], int(match[2]), int(match[3]), int(match[4]), match[5]
