"""The limits of a visitor, in one frozen object; every error is one sentence with the remedy.

Checked when a run is prepared, again when it is queued, and once more by the worker, which receives its limits from the
process that started it and never from the run's folder. `LOCAL` has no limits except the machine's memory. The values of
`PUBLIC` and `CLASSROOM` are explained in docs/decisions/2026-11-25-fair-use.md.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any, Literal, Self, get_args

from playground.config import ModelConfig, TrainConfig, apart, current_name, label, recipe, setting_kinds, spelled
from playground.config import preset as preset_config
from playground.train.estimate import count_parameters, estimate, race_memory

Trainers = Literal["everyone", "owner", "nobody"]
COPIES = 3  # of weights and moments on disk: two checkpoints are kept, and one is being written


def _limit(help: str) -> Any:
    return field(default=None, metadata={"help": help})


@dataclass(frozen=True)
class Limits:
    """None means no limit. Megabytes are millions of bytes; minutes are of a worker's time."""

    max_parameters: int | None = _limit("Parameters of a model; in a race, of each model.")
    max_context: int | None = _limit("Context length of a model, in tokens.")
    max_batch_tokens: int | None = _limit("Tokens per step: batch size × gradient accumulation × context length.")
    max_vocabulary: int | None = _limit("Vocabulary size.")
    max_steps: int | None = _limit("Steps of a run; in a race, of each model.")
    memory_mb: int | None = _limit(
        "Memory of a training process, in MB: estimated before it starts, measured while it runs."
    )
    run_minutes: float | None = _limit("Training time of one run or race, in minutes.")
    daily_minutes: float | None = _limit("Training time of one visitor within 24 hours, in minutes.")
    running_runs: int | None = _limit("Runs and races of one visitor that train at the same time.")
    waiting_runs: int | None = _limit(
        "Runs and races of one visitor that wait in the queue. A tokenizer comparison needs four."
    )
    network_runs: int | None = _limit("Runs and races that train or wait, of all visitors from one network.")
    queue_length: int | None = _limit("Runs and races that wait in the queue, of all visitors together.")
    new_visitor_runs: int | None = _limit(
        "Runs and races that wait in the queue, of all visitors together who have not trained yet."
    )
    visitor_mb: int | None = _limit("Disk space of one visitor's runs, in MB.")
    total_mb: int | None = _limit("Disk space of all runs, in MB; above it the oldest runs are deleted.")
    new_tokens: int | None = _limit("Tokens generated per request.")
    trainers: Trainers = "everyone"
    frozen: tuple[str, ...] = ()  # settings that visitors cannot change

    def __post_init__(self) -> None:
        for item in fields(self):
            if "help" in item.metadata:
                _checked(item.name, getattr(self, item.name), whole="int" in str(item.type))
        if self.trainers not in get_args(Trainers):
            raise ValueError(f"trainers must be one of {', '.join(get_args(Trainers))}; {self.trainers!r:.40} is not.")
        object.__setattr__(self, "frozen", tuple(current_name(name) for name in self.frozen))
        unknown = [name for name in self.frozen if name not in setting_kinds()]
        if unknown:
            raise ValueError(
                f"frozen contains {unknown[0][:40]!r}, which is not a setting. Write names as in `--set NAME=…`."
            )

    def to_dict(self) -> dict[str, Any]:
        """As JSON-able values; the inverse of `from_dict`."""
        return {**asdict(self), "frozen": list(self.frozen)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """From JSON. Raises ValueError for invalid values: a worker with unreadable limits must not train."""
        unknown = values.keys() - {item.name for item in fields(cls)}
        if unknown:
            raise ValueError(f"Unknown limit {min(unknown)[:40]!r}.")
        return cls(**{**values, "frozen": tuple(values.get("frozen", ()))})

    # What a run may be

    def check_run(self, model: ModelConfig, train: TrainConfig) -> None:
        """Raise ValueError if a run is larger than it may be."""
        self.check_shape(model, train)
        self._check_memory(
            estimate(model, train).memory_bytes, "this run", "the batch size, context length, embedding size or layers"
        )
        self._check_disk(stored_bytes(model, train), "this run")

    def check_race(self, arms: Sequence[tuple[ModelConfig, TrainConfig]], n_seeds: int) -> None:
        """Raise ValueError if a model of a race, or all of them together, are larger than they may be."""
        for model, train in arms:
            self.check_shape(model, train)
        self._check_memory(
            race_memory(arms, n_seeds), "this race", "the number of arms or seeds, the embedding size or the layers"
        )
        self._check_disk(n_seeds * sum(stored_bytes(model, train) for model, train in arms), "this race")

    def check_shape(self, model: ModelConfig, train: TrainConfig) -> None:
        """Raise ValueError if a single model, its batch or its vocabulary is larger than it may be."""
        _compare(model.block_size, self.max_context, "Context length", "this model has {} tokens", "it")
        _compare(
            model.vocab_size, self.max_vocabulary, "Vocabulary size", "this model has {} tokens", "it, or use bytes"
        )
        _compare(train.steps, self.max_steps, "Steps", "this run has {}", "them")
        tokens = train.batch_size * train.grad_accum * model.block_size
        _compare(tokens, self.max_batch_tokens, "Batch", "a step reads {} tokens", _BATCH)
        size = count_parameters(model)
        _compare(size, self.max_parameters, "Parameters", "this model has {}", "the embedding size or the layers")

    def _check_memory(self, need: int, what: str, remedy: str) -> None:
        _compare(need / 1e6, self.memory_mb, "Memory", f"{what} needs about {{}} MB", remedy)

    def _check_disk(self, need: int, what: str) -> None:
        remedy = "the snapshots, the embedding size or the layers"
        _compare(need / 1e6, self.visitor_mb, "Disk space", f"{what} needs up to {{}} MB", remedy)

    def check_writing(self, new_tokens: int) -> None:
        """Raise ValueError if more tokens would be generated at once than allowed."""
        _compare(new_tokens, self.new_tokens, "Max new tokens", "{} were requested", "it, then continue the text")

    def check_frozen(self, changes: Mapping[str, Any], *starts: Mapping[str, Any]) -> None:
        """Raise ValueError if `changes` give a frozen setting a value that none of the `starts` gives it."""
        for name in self.frozen:
            allowed = [start[name] for start in starts if name in start]
            if name in changes and allowed and changes[name] not in allowed:
                raise ValueError(
                    f"{label(setting_kinds()[name], name)} is fixed here at {spelled(allowed[0])}; "
                    f"{spelled(changes[name])!s:.40} was requested. Leave it unchanged."
                )

    def in_words(self) -> str:
        """The limits relevant before a start, in one line; empty without limits."""
        words = {
            "max_parameters": "{:,} parameters", "max_context": "context {:,}", "max_steps": "{:,} steps",
            "run_minutes": "{:g} min a run",
            "daily_minutes": "{:g} min a day", "visitor_mb": "{:,} MB of runs",
        }  # fmt: skip
        said = [text.format(value) for name, text in words.items() if (value := getattr(self, name)) is not None]
        return "Here, up to: " + " · ".join(said) if said else ""


def _checked(name: str, value: Any, whole: bool) -> None:
    if value is None:
        return
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not number or not 0 < value < 1e15 or (whole and value != int(value)):
        raise ValueError(f"{name} must be a {'whole ' if whole else ''}number above 0; {value!r:.40} is not.")


def _compare(value: float, limit: float | None, name: str, given: str, remedy: str) -> None:
    if limit is not None and value > limit:
        more, most = apart(value, limit, 0)
        raise ValueError(f"{name}: {given.format(more)}; the limit here is {most}. Lower {remedy}.")


_BATCH = "the batch size, gradient accumulation or context length"


def stored_bytes(model: ModelConfig, train: TrainConfig) -> int:
    """What a run takes on disk at most: checkpoints of 12 bytes a parameter, and snapshots of 4."""
    return count_parameters(model) * (12 * COPIES + 4 * train.snapshots)


def starting_values(preset: str) -> dict[str, Any]:
    """The settings that a form initially shows for a preset and its recipe."""
    model = preset_config(preset, **recipe(preset, ModelConfig))
    return {**model.to_dict(), **TrainConfig(**recipe(preset, TrainConfig)).to_dict()}


LOCAL = Limits()
PUBLIC = Limits(
    max_parameters=5_000_000, max_context=512, max_batch_tokens=16_384, max_vocabulary=4_096, memory_mb=2_000,
    run_minutes=10, daily_minutes=30, running_runs=1, waiting_runs=4, network_runs=10, queue_length=40,
    new_visitor_runs=20, visitor_mb=500, total_mb=10_000, new_tokens=512,
)  # fmt: skip
CLASSROOM = replace(PUBLIC, run_minutes=5, daily_minutes=60, network_runs=None, queue_length=120, new_visitor_runs=60)
