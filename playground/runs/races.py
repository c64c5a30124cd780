"""Races on disk: a race is a folder next to the runs that contains its own runs, so it is created and deleted as one.

Its runs are ordinary ones (every tab works on them); they train together, so the race alone has a worker, a state
and buttons. Access is decided as for runs. A reference race may also name runs next to it in the gallery.
"""

from __future__ import annotations

import re
import secrets
import shutil
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any

from playground.config import RACE_START, ModelConfig, TrainConfig, apart, counted
from playground.data.corpora import CORPORA, training_text
from playground.data.downloads import Progress
from playground.runs.create import free_memory
from playground.runs.limits import LOCAL, Limits, starting_values
from playground.runs.store import status
from playground.runs.store.files import discard, read_json, write_json
from playground.runs.store.names import checked_name, free_name
from playground.runs.store.processes import STOP_SECONDS, end
from playground.runs.store.run_store import (
    ARMS,
    FORMAT,
    RACE_SUFFIX,
    Run,
    RunNotFound,
    RunStore,
    check_owner,
    hashed,
    owned_by,
    read_run,
    write_text,
)
from playground.runs.store.status import Status
from playground.tokenizers import Tokenizer, build_tokenizer
from playground.train.dataset import Dataset, prepare
from playground.train.estimate import estimate, expected_vocabulary, race_memory
from playground.train.events import StepDone
from playground.train.race import PlannedArm, plan
from playground.train.race_spec import RaceSpec
from playground.train.trainer import TrainState, train

_RACE_ID = re.compile(r"[0-9a-f]{28}" + RACE_SUFFIX)
PACE_STEPS = 5  # measured to turn a budget in seconds into steps


class RaceNotFound(RunNotFound):
    """The race does not exist, was deleted, is damaged, or belongs to someone else; the message does not tell which."""

    def __init__(self) -> None:
        ValueError.__init__(self, "Race not found.")


@dataclass(frozen=True)
class Race:
    """A race as it was created. `runs` holds the ids of its runs by arm and then by seed; `solved` what matching changed."""

    id: str
    name: str
    spec: RaceSpec
    runs: tuple[tuple[str, ...], ...]
    solved: tuple[str, ...]
    notes: str  # notes of the author for readers, or empty
    created: float
    path: Path
    owner: str | None = None
    shared: bool = False
    reference: bool = False

    def status(self) -> Status:
        """Its current state."""
        return Status("finished") if self.reference else status.derive(self.path)

    @cached_property
    def members(self) -> tuple[tuple[Run, ...], ...]:
        """Its runs by arm and seed. Raises RunNotFound when one is missing or damaged."""
        return tuple(tuple(self._member(run_id) for run_id in arm) for arm in self.runs)

    def _member(self, run_id: str) -> Run:
        run = read_run(self.path / ARMS / run_id, self.reference)
        if run is None and self.reference:
            run = read_run(self.path.parent / run_id, True)
        if run is None:
            raise RunNotFound
        return run


@dataclass(frozen=True)
class PreparedRace:
    """Everything that a race is created from, validated."""

    spec: RaceSpec
    arms: tuple[PlannedArm, ...]
    tokenizers: tuple[Tokenizer, ...]
    own_text: str | None = None


def is_race_id(text: object) -> bool:
    """Whether it has the form of a race's id."""
    return isinstance(text, str) and _RACE_ID.fullmatch(text) is not None


# Before a race


def prepare_race(
    spec: RaceSpec,
    own_text: str | None = None,
    *,
    cache_dir: Path | None = None,
    progress: Progress | None = None,
    memory_limit: int | None = None,
    limits: Limits = LOCAL,
) -> PreparedRace:
    """Check a race before it is created: settings, text, sizes that can be matched, a budget that pays for an
    evaluation, memory, and what this visitor may use (`limits`). A budget in seconds is turned into steps by
    measuring a few. Writes nothing; raises ValueError with one sentence."""
    if own_text is not None:
        size = {"corpus_bytes": CORPORA["own"].default_bytes}
        spec = replace(spec, shared={**size, **spec.shared, "corpus": "own"})
    for variant in spec.arms:
        start = starting_values(variant.preset)
        limits.check_frozen(variant.changes, start)
        limits.check_frozen(spec.shared, start, RACE_START)
    if limits != LOCAL:  # before a text is fetched, and before a step is measured
        limits.check_race([(arm.model, arm.train) for arm in plan_race(spec)], len(spec.seeds))
    texts = _Texts(own_text, cache_dir, progress)
    arms = plan(spec, texts.vocabulary, texts.pace)
    for arm in arms:
        try:
            texts.dataset(arm.model, arm.train)
        except ValueError as error:
            raise ValueError(f"Arm {arm.name}: {error}") from None
    limits.check_race([(arm.model, arm.train) for arm in arms], len(spec.seeds))
    check_race_memory(arms, len(spec.seeds), memory_limit)
    tokenizers = tuple(texts.tokenizer(arm.train) for arm in arms)
    return PreparedRace(spec, tuple(arms), tokenizers, own_text if spec.shared.get("corpus") == "own" else None)


def plan_race(spec: RaceSpec, cache_dir: Path | None = None) -> list[PlannedArm]:
    """The arms as a form previews them: the same plan, but no text is fetched or fitted and no time measured.

    Vocabularies that depend on the text are `expected_vocabulary`; a budget in seconds counts as one step.
    """
    quick = replace(spec, budget="steps", amount=100) if spec.budget == "seconds" else spec
    return plan(quick, expected_vocabulary, lambda model, config: 1.0)


class _Texts:
    """Texts, tokenizers and datasets of a race's arms, each made once."""

    def __init__(self, own_text: str | None, cache_dir: Path | None, progress: Progress | None) -> None:
        self._own, self._cache, self._progress = own_text, cache_dir, progress
        self._texts: dict[tuple[Any, ...], str] = {}
        self._tokenizers: dict[tuple[Any, ...], Tokenizer] = {}

    def text(self, config: TrainConfig) -> str:
        key = self._key(config)
        if key not in self._texts:
            self._texts[key] = training_text(config, cache_dir=self._cache, own_text=self._own, progress=self._progress)
        return self._texts[key]

    @staticmethod
    def _key(config: TrainConfig) -> tuple[Any, ...]:
        return config.corpus, config.corpus_bytes, config.validation_fraction, config.task_version

    def tokenizer(self, config: TrainConfig) -> Tokenizer:
        apart = config.documents != "joined"
        key = (*self._key(config), config.tokenizer, config.bpe_vocab, apart)
        if key not in self._tokenizers:
            self._tokenizers[key] = build_tokenizer(
                config.tokenizer, self.text(config), vocab_size=config.bpe_vocab, eos=apart
            )
        return self._tokenizers[key]

    def vocabulary(self, config: TrainConfig) -> int:
        return self.tokenizer(config).vocab_size

    def dataset(self, model: ModelConfig, config: TrainConfig) -> Dataset:
        return prepare(self.text(config), self.tokenizer(config), model, config)

    def pace(self, model: ModelConfig, config: TrainConfig) -> float:
        """Seconds per step, measured: the median of a few, after one to warm up."""
        config = config.replace(steps=PACE_STEPS + 1, eval_interval=PACE_STEPS + 1, eval_tokens=64, warmup_steps=0)
        events = train(TrainState.new(model, config), self.dataset(model, config), config, self.tokenizer(config))
        seconds = [event.seconds for event in events if isinstance(event, StepDone)]
        steps = sorted(after - before for before, after in pairwise(seconds))
        return max(1e-6, steps[len(steps) // 2])


def check_race_memory(arms: Sequence[PlannedArm], n_seeds: int, limit: int | None = None) -> None:
    """Raise ValueError if a race's models together need more than `limit` bytes, or than the machine has free.

    See `race_memory`.
    """
    need = race_memory([(arm.model, arm.train) for arm in arms], n_seeds)
    available = free_memory() if limit is None else limit
    if need > available:
        here = "are free on this machine" if limit is None else "is the limit here"
        needed, left = apart(need / 1e9, available / 1e9)
        raise ValueError(
            f"This race's {counted(len(arms) * n_seeds, 'model')} need about {needed} GB of memory together; "
            f"{left} GB {here}. Use fewer arms or seeds, or lower the embedding size, layers or batch size."
        )


def check_job(job: Run | Race, limits: Limits) -> None:
    """Raise ValueError if a run or a race is larger than it may be."""
    if isinstance(job, Run):
        limits.check_run(job.model, job.train)
        return
    firsts = [runs[0] for runs in job.members]
    limits.check_race([(run.model, run.train) for run in firsts], len(job.spec.seeds))


def job_memory(job: Run | Race) -> int:
    """Bytes that a run's or a race's process will need, roughly."""
    if isinstance(job, Run):
        return estimate(job.model, job.train).memory_bytes
    return race_memory([(runs[0].model, runs[0].train) for runs in job.members], len(job.spec.seeds))


# Keeping and finding


def create_race(store: RunStore, prepared: PreparedRace, *, name: str = "", owner: str | None = None) -> Race:
    """Write a prepared race with all its runs into the store, not started. `owner` is the visitor's secret.

    Raises ValueError for a bad name and for a full disk; nothing is left behind then.
    """
    check_owner(owner)
    race_id = secrets.token_hex(14) + RACE_SUFFIX
    hidden = store.root / f".{race_id}.tmp"
    wanted = checked_name(name or prepared.spec.name)
    with store.exclusive():
        title = free_name(wanted, {race.name for race in _all(store.root) if race.owner == hashed(owner)})
        try:
            hidden.mkdir()
            _fill(hidden, race_id, prepared, title, hashed(owner))
            hidden.rename(store.root / race_id)
        except OSError as error:
            shutil.rmtree(hidden, ignore_errors=True)
            raise ValueError(
                f"The race could not be written: {error.strerror}. Free some space and try again."
            ) from error
        except BaseException:
            shutil.rmtree(hidden, ignore_errors=True)
            raise
    return get_race(store, race_id, owner)


def _fill(folder: Path, race_id: str, prepared: PreparedRace, name: str, owner: str | None) -> None:
    spec, number = prepared.spec, 0
    ids: list[list[str]] = []
    now = time.time()
    common = {"format": FORMAT, "created": now, "owner": owner, "shared": False}
    (folder / ARMS).mkdir()
    for arm, tokenizer in zip(prepared.arms, prepared.tokenizers, strict=True):
        ids.append([])
        for seed in spec.seeds:
            number += 1
            ids[-1].append(race_id[: -len(RACE_SUFFIX)] + f"{number:04x}")
            run = folder / ARMS / ids[-1][-1]
            run.mkdir()
            write_json(run / "tokenizer.json", tokenizer.to_dict())
            configs = {"model": arm.model.to_dict(), "train": arm.train.replace(seed=seed).to_dict()}
            title = f"{arm.name[:20]} · seed {seed} · {name}"[:60]
            write_json(run / "run.json", {**common, **configs, "name": title, "preset": arm.preset})
    if prepared.own_text is not None:
        write_text(folder, prepared.own_text)
    facts = {"name": name, "spec": spec.to_dict(), "runs": ids, "solved": [arm.solved for arm in prepared.arms]}
    write_json(folder / "race.json", {**common, **facts, "notes": ""})


def get_race(store: RunStore, race_id: str, visitor: str | None = None) -> Race:
    """A race that the visitor may look at: a shipped one, a shared one, or their own. Raises RaceNotFound."""
    if not is_race_id(race_id):
        raise RaceNotFound
    race = _load(store.root / race_id, False)
    if race is None and store.gallery is not None:
        race = _load(store.gallery / race_id, True)
    if race is None or not (race.reference or race.shared or owned_by(race.owner, visitor)):
        raise RaceNotFound
    return race


def own_race(store: RunStore, race_id: str, visitor: str | None = None) -> Race:
    """A race that the visitor may change. Raises RaceNotFound, or ValueError for one they may only look at."""
    race = get_race(store, race_id, visitor)
    if race.reference:
        raise ValueError("This race ships with the playground and cannot be changed. Run it again as your own.")
    if not owned_by(race.owner, visitor):
        raise ValueError("This race was shared with you to look at; only its owner can change it.")
    return race


def own_job(store: RunStore, job_id: str, visitor: str | None = None) -> Run | Race:
    """What a worker can be given: a race, or a run that is in none. Raises as `own_race` and `RunStore.own_alone` do."""
    return own_race(store, job_id, visitor) if is_race_id(job_id) else store.own_alone(job_id, visitor)


def list_races(store: RunStore, visitor: str | None = None) -> list[Race]:
    """The visitor's races, newest first, then the shipped ones in the order of their names."""
    own = [race for race in _all(store.root) if owned_by(race.owner, visitor)]
    shipped = list(_all(store.gallery, reference=True)) if store.gallery is not None else []
    return sorted(own, key=lambda race: (-race.created, race.id)) + sorted(
        shipped, key=lambda race: (race.name, race.id)
    )


def jobs(store: RunStore) -> list[Run | Race]:
    """All that a worker could be given."""
    alone = [run for run in store.list() if not run.reference and run.race_path is None]
    return [*alone, *_all(store.root)]


def rename_race(store: RunStore, race_id: str, name: str, visitor: str | None = None) -> Race:
    """Give a race another name; one in use gets " (2)". Raises RaceNotFound or ValueError."""
    with store.exclusive():
        race = own_race(store, race_id, visitor)
        taken = {other.name for other in _all(store.root) if other.owner == race.owner and other.id != race.id}
        return _change(race, name=free_name(checked_name(name), taken))


def share_race(store: RunStore, race_id: str, shared: bool, visitor: str | None = None) -> Race:
    """Share a race and its runs with everyone who has the link, or stop sharing. Raises RaceNotFound or ValueError."""
    with store.exclusive():
        race = _change(own_race(store, race_id, visitor), shared=bool(shared))
        for run_id in (run_id for arm in race.runs for run_id in arm):
            values = read_json(race.path / ARMS / run_id / "run.json")
            if values is not None:
                write_json(race.path / ARMS / run_id / "run.json", {**values, "shared": race.shared})
    return race


def delete_race(store: RunStore, race_id: str, visitor: str | None = None) -> None:
    """Remove a race and all its runs; one that trains is stopped first. Raises RaceNotFound or ValueError."""
    with store.exclusive():
        race = own_race(store, race_id, visitor)
        status.request(race.path, "stop")
        if race.status().state == "queued":
            status.declare(race.path, Status("stopped"))
    end(race.path, patience=STOP_SECONDS)
    discard(race.path)


def _change(race: Race, **changes: Any) -> Race:
    values = read_json(race.path / "race.json")
    if values is None:
        raise RaceNotFound
    write_json(race.path / "race.json", {**values, **changes})
    return replace(race, **changes)


def _all(folder: Path | None, reference: bool = False) -> Iterator[Race]:
    if folder is None or not folder.is_dir():
        return
    for path in folder.iterdir():
        race = _load(path, reference) if is_race_id(path.name) else None
        if race is not None:
            yield race


def _load(path: Path, reference: bool) -> Race | None:
    values = read_json(path / "race.json")
    if values is None or values.get("format") != FORMAT:
        return None
    try:
        return Race(
            id=path.name,
            name=str(values["name"]),
            spec=RaceSpec.from_dict(values["spec"]),
            runs=tuple(tuple(str(run_id) for run_id in arm) for arm in values["runs"]),
            solved=tuple(str(words) for words in values["solved"]),
            notes=str(values.get("notes") or ""),
            created=float(values["created"]),
            path=path,
            owner=values["owner"],
            shared=values["shared"] is True,
            reference=reference,
        )
    except (KeyError, TypeError, ValueError, AttributeError):
        return None  # written by hand or by another version: treated as missing
