"""A race: several models trained under equal conditions, so that only the compared settings differ. This module defines
races, matches and budgets their arms, and orders their steps; it does no I/O.

An *arm* is a preset with some settings changed; each arm is trained once per seed, and each (arm, seed) is an
ordinary run. The first arm is the baseline. For equal seeds all arms read the same batches in the same order and
start from the same weights where shapes agree: both depend only on seed and name.
"""

from __future__ import annotations

import heapq
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal, get_args

from playground.config import (
    PRESETS,
    ModelConfig,
    TrainConfig,
    counted,
    current_name,
    current_names,
    label,
    parsed,
    preset,
    setting_kinds,
    spelled,
)
from playground.train.estimate import count_parameters
from playground.train.events import Diverged, Event, Finished, StepDone
from playground.train.flops import training_flops

BudgetKind = Literal["steps", "tokens", "flops", "seconds"]
Match = Literal["none", "parameters", "flops"]
MatchBy = Literal["mlp", "width"]
UNITS: dict[str, str] = {
    "steps": "steps",
    "tokens": "tokens",
    "flops": "training FLOPs",
    "seconds": "seconds of training",
}

MAX_ARMS, MAX_SEEDS = 8, 5
MAX_STEPS = 100_000
TOLERANCE: dict[str, float] = {"mlp": 0.01, "width": 0.05}  # widths come in steps of a head's size
EVALUATIONS = 20  # over a race, unless it says otherwise
MAX_MLP = 16_384
NAME_LENGTH = 40  # characters of an arm's name
_SOLVED = {"mlp": "mlp_width", "width": "n_embd"}
_WORDS = {"parameters": "parameters", "flops": "training FLOPs per token"}


@dataclass(frozen=True)
class Arm:
    """One model of a race: a preset and the model or training settings that it changes."""

    name: str
    preset: str
    changes: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class RaceSpec:
    """A race as described by its JSON file. The constructor validates it and raises ValueError with one sentence.

    `shared` holds settings of all arms; an arm's own settings override them. `amount` is the budget of one run in units
    of `budget`. With `match`, every arm after the first is resized to the first arm's parameters or FLOPs per token, by
    `match_by`.
    """

    name: str
    arms: tuple[Arm, ...]
    shared: dict[str, Any] = field(default_factory=dict)
    budget: BudgetKind = "steps"
    amount: float = 300
    seeds: tuple[int, ...] = (0, 1, 2)
    match: Match = "parameters"
    match_by: MatchBy = "mlp"

    def __post_init__(self) -> None:
        if not 2 <= len(self.arms) <= MAX_ARMS:
            raise ValueError(f"A race has 2 to {MAX_ARMS} arms; this one has {len(self.arms)}.")
        names = [arm.name for arm in self.arms]
        for arm in self.arms:
            if not (isinstance(arm.name, str) and 1 <= len(arm.name.strip()) <= NAME_LENGTH and arm.name.isprintable()):
                raise ValueError(
                    f"An arm's name must be 1 to {NAME_LENGTH} printable characters; {arm.name!r:.60} is not."
                )
            if names.count(arm.name) > 1:
                raise ValueError(
                    f"Two arms are called {arm.name!r}. Give one of them another name, as in “Wider: modern”."
                )
            if arm.preset not in PRESETS:
                raise ValueError(
                    f"Preset must be one of {', '.join(PRESETS)}; arm {arm.name!r} has {arm.preset!r:.40}."
                )
        for changes in (self.shared, *(arm.changes for arm in self.arms)):
            _check_settings(changes)
        self._check_seeds()
        self._check_choice("budget", self.budget, BudgetKind)
        self._check_choice("match", self.match, Match)
        self._check_choice("match by", self.match_by, MatchBy)
        usable = isinstance(self.amount, (int, float)) and not isinstance(self.amount, bool)
        if not usable or not 0 < self.amount < 1e18:
            raise ValueError(f"Budget must be a number above 0 of {UNITS[self.budget]}; {self.amount!r:.40} is not.")

    def _check_seeds(self) -> None:
        whole = all(isinstance(seed, int) and not isinstance(seed, bool) for seed in self.seeds)
        if not whole or not 1 <= len(self.seeds) <= MAX_SEEDS or len(set(self.seeds)) != len(self.seeds):
            raise ValueError(
                f"Seeds must be 1 to {MAX_SEEDS} different whole numbers; {list(self.seeds)!r:.60} is not."
            )

    @staticmethod
    def _check_choice(name: str, value: object, kind: Any) -> None:
        if value not in get_args(kind):
            raise ValueError(f"{name.capitalize()} must be one of {', '.join(get_args(kind))}; {value!r:.40} is not.")

    def to_dict(self) -> dict[str, Any]:
        """As JSON-able values; the inverse of `from_dict`."""
        return {**asdict(self), "arms": [asdict(arm) for arm in self.arms], "seeds": list(self.seeds)}

    @classmethod
    def from_dict(cls, values: object) -> RaceSpec:
        """From a JSON object. Arms may be written as objects or in short, as `parse_arm` reads them; `seeds` also as
        a count."""
        if not isinstance(values, Mapping):
            raise ValueError("A race is a JSON object with at least 'arms'.")
        unknown = [str(name) for name in values if name not in cls.__dataclass_fields__]
        if unknown:
            known = ", ".join(cls.__dataclass_fields__)
            raise ValueError(f"Unknown entry {unknown[0][:40]!r} in the race. Known entries: {known}.")
        given = dict(values)
        arms, seeds = given.get("arms"), given.get("seeds", 3)
        if not isinstance(arms, Sequence) or isinstance(arms, str):
            raise ValueError('The race\'s \'arms\' must be a list, such as ["classic", "modern"].')
        if isinstance(seeds, (int, float)) and not isinstance(seeds, bool):
            if not 1 <= seeds <= MAX_SEEDS or seeds != int(seeds):  # NaN and infinity have no int
                raise ValueError(f"Seeds must be 1 to {MAX_SEEDS}; {seeds!r:.40} is not.")
            seeds = range(int(seeds))
        if not isinstance(seeds, (list, tuple, range)):
            raise ValueError(f"Seeds must be a number or a list of numbers; {seeds!r:.40} is not.")
        given |= {"arms": tuple(map(_arm, arms)), "seeds": tuple(seeds)}
        if isinstance(given.get("shared"), Mapping):
            given["shared"] = current_names(given["shared"])
        return cls(**{"name": _default_name(given["arms"]), **given})


def _arm(value: object) -> Arm:
    if isinstance(value, Arm):
        return value
    if isinstance(value, str):
        return parse_arm(value)
    try:
        arm = Arm(**value)  # type: ignore[arg-type]
    except TypeError:
        raise ValueError(f"An arm is text or an object with name, preset and changes; {value!r:.60} is not.") from None
    if not isinstance(arm.name, str) or not isinstance(arm.preset, str):
        raise ValueError(f"An arm's name and preset must be text; {value!r:.60} has others.")
    if not isinstance(arm.changes, Mapping):
        raise ValueError(f"The changes of arm {arm.name!r:.40} must be an object of settings.")
    return replace(arm, changes=current_names(arm.changes))


def _default_name(arms: Sequence[Arm]) -> str:
    if len(arms) > 3:
        return f"{arms[0].name[:20]} and {counted(len(arms) - 1, 'other')}"
    return " against ".join(arm.name for arm in arms)[:60]


def parse_arm(text: str) -> Arm:
    """Parse an arm in short notation: ``modern``, ``modern + n_kv_head=1 + window=64``, or with a name, ``Wide: modern +
    n_embd=96``.

    Raises ValueError naming what cannot be read.
    """
    match = re.fullmatch(r"\s*(?:([^:]+):)?([^:]*)", text)
    if match is None:
        raise ValueError(f"Arm {text[:60]!r} is not understood. Write it as: Name: preset + setting=value.")
    start, *parts = (part.strip() for part in match[2].split("+"))
    kinds, changes = setting_kinds(), {}
    for part in parts:
        name, equals, value = (piece.strip() for piece in part.partition("="))
        name = current_name(name)
        if not equals or name not in kinds:
            raise ValueError(
                f"Arm {text[:60]!r}: {part[:40]!r} is no change. Write setting=value, as in position=rope."
            )
        changes[name] = parsed(kinds[name], name, value)
    if start not in PRESETS:
        raise ValueError(f"Arm {text[:60]!r} must start from one of {', '.join(PRESETS)}; {start[:40]!r} is not.")
    return Arm((match[1] or arm_name(start, changes)).strip()[:NAME_LENGTH], start, changes)


def arm_name(start: str, changes: Mapping[str, Any]) -> str:
    """The default name of an arm: "Modern", or "Modern, KV heads 1"; settings by their short names,
    "Modern, n_kv_head 1", where their labels are too long for a name."""
    kinds = setting_kinds()
    labels = [f"{label(kinds[name], name)} {spelled(value)}" for name, value in changes.items()]
    fields = [f"{name} {spelled(value)}" for name, value in changes.items()]
    name, shorter = (", ".join([start.capitalize(), *words]) for words in (labels, fields))
    name = name if len(name) <= NAME_LENGTH else shorter
    return name if len(name) <= NAME_LENGTH else f"{name[: NAME_LENGTH - 1]}…"


def written(arm: Arm) -> str:
    """An arm in short; the inverse of `parse_arm`."""
    values = {name: str(value).lower() if isinstance(value, bool) else value for name, value in arm.changes.items()}
    text = " + ".join([arm.preset, *(f"{name}={value}" for name, value in values.items())])
    return text if arm.name == arm_name(arm.preset, arm.changes) else f"{arm.name}: {text}"


def _check_settings(changes: object) -> None:
    if not isinstance(changes, Mapping):
        raise ValueError("Settings must be an object of names and values.")
    kinds = setting_kinds()
    for name in changes:
        if name == "seed":
            raise ValueError("A race sets the seeds itself: give 'seeds', not the setting 'seed'.")
        if name == "steps":
            raise ValueError(
                "A race's steps follow from its budget: give 'budget' and 'amount', not the setting 'steps'."
            )
        if name not in kinds:
            raise ValueError(f"Unknown setting {str(name)[:40]!r}. Known settings: {', '.join(sorted(kinds))}.")


# Arms, matched and budgeted


@dataclass(frozen=True)
class PlannedArm:
    """An arm as it will be trained, for the first seed. `solved` describes what matching changed, or is empty."""

    name: str
    preset: str
    model: ModelConfig
    train: TrainConfig
    parameters: int
    flops_per_token: float
    solved: str = ""

    @property
    def tokens_per_step(self) -> int:
        return tokens_per_step(self.model, self.train)


Vocabulary = Callable[[TrainConfig], int]  # how many tokens the text has under a config's tokenizer
Pace = Callable[[ModelConfig, TrainConfig], float]  # seconds of a step, measured


def plan(spec: RaceSpec, vocabulary: Vocabulary, pace: Pace) -> list[PlannedArm]:
    """Every arm with its configs, matched sizes and number of steps. Raises ValueError if that is not possible."""
    arms: list[PlannedArm] = []
    for arm in spec.arms:
        try:
            model, train = _configs(spec, arm, vocabulary)
            target = _worth(arms[0].model, spec.match) if arms and spec.match != "none" else None
            model, solved = (model, "") if target is None else match_model(model, spec.match, spec.match_by, target)
            train = _budgeted(spec, arm, model, train, pace)
        except ValueError as error:
            raise ValueError(f"Arm {arm.name}: {error}") from None
        arms.append(
            PlannedArm(arm.name, arm.preset, model, train, count_parameters(model), training_flops(model), solved)
        )
    _check_one_question(arms)
    return arms


def _configs(spec: RaceSpec, arm: Arm, vocabulary: Vocabulary) -> tuple[ModelConfig, TrainConfig]:
    kinds = setting_kinds()
    changes = {**spec.shared, **arm.changes}
    of_model = {name: value for name, value in changes.items() if kinds[name] is ModelConfig}
    of_train = {name: value for name, value in changes.items() if kinds[name] is TrainConfig}
    before = {
        "sample_interval": 0,
        **of_train,
        "steps": 1,
        "warmup_steps": 0,
        "seed": spec.seeds[0],
    }  # steps: see below
    train = TrainConfig.from_dict(before)
    preset(arm.preset, **of_model)  # settings first: the text may take seconds
    return preset(arm.preset, **of_model, vocab_size=vocabulary(train)), train


def _check_one_question(arms: Sequence[PlannedArm]) -> None:
    """Check that all arms have the same text, context length and evaluation, so that their losses are comparable."""
    for name, of in (
        ("corpus", "train"),
        ("corpus_bytes", "train"),
        ("validation_fraction", "train"),
        ("task_version", "train"),
        ("eval_tokens", "train"),
        ("block_size", "model"),
    ):
        values = [getattr(getattr(arm, of), name) for arm in arms]
        if len(set(values)) > 1:
            kind = TrainConfig if of == "train" else ModelConfig
            shown = ", ".join(spelled(value) for value in dict.fromkeys(values))
            raise ValueError(
                f"{label(kind, name)} differs between the arms ({shown}), so their losses would answer different "
                "questions. Set it for all arms alike."
            )


def _worth(model: ModelConfig, match: Match) -> float:
    return count_parameters(model) if match == "parameters" else training_flops(model)


def match_model(model: ModelConfig, match: Match, by: MatchBy, target: float) -> tuple[ModelConfig, str]:
    """The model whose parameters or FLOPs per token are closest to `target`, and a description of the change.

    Changes the MLP's hidden size in single steps, or the width in steps of two per head. Raises ValueError when even the
    closest is further off than the tolerance.
    """
    found = _nearest(model, match, by, target)
    worth = _worth(found, match)
    if abs(worth / target - 1) > TOLERANCE[by]:
        other = "embedding size" if by == "mlp" else "MLP hidden size"
        raise ValueError(
            f"It cannot be matched: {label(ModelConfig, _SOLVED[by])} {getattr(found, _SOLVED[by])} comes closest, with "
            f"{worth:,.0f} {_WORDS[match]} against {target:,.0f}. Match by {other}, or do not match sizes."
        )
    size = found.mlp_hidden if by == "mlp" else found.n_embd
    before = model.mlp_hidden if by == "mlp" else model.n_embd
    return found, "" if size == before else f"{label(ModelConfig, _SOLVED[by])} {before} → {size}"


def _nearest(model: ModelConfig, match: Match, by: MatchBy, target: float) -> ModelConfig:
    """By bisection: parameters and FLOPs increase with either size."""
    unit = 1 if by == "mlp" else 2 * model.n_head
    low, high = (8, MAX_MLP) if by == "mlp" else (-(-8 // unit), 1024 // unit)
    while high - low > 1:
        middle = (low + high) // 2
        if _worth(_sized(model, by, middle * unit), match) <= target:
            low = middle
        else:
            high = middle
    candidates = [_sized(model, by, size * unit) for size in (low, high)]
    return min(candidates, key=lambda candidate: abs(_worth(candidate, match) - target))


def _sized(model: ModelConfig, by: MatchBy, size: int) -> ModelConfig:
    return model.replace(**{_SOLVED[by]: size})


def tokens_per_step(model: ModelConfig, train: TrainConfig) -> int:
    """Tokens that one optimizer step reads."""
    return train.batch_size * train.grad_accum * model.block_size


def steps_within(spec: RaceSpec, model: ModelConfig, train: TrainConfig, pace: Pace) -> int:
    """Whole steps within the budget of one run."""
    cost = {
        "steps": lambda: 1.0,
        "tokens": lambda: float(tokens_per_step(model, train)),
        "flops": lambda: training_flops(model) * tokens_per_step(model, train),
        "seconds": lambda: pace(model, train),
    }[spec.budget]()
    return int(spec.amount / cost + 1e-9)


def _budgeted(spec: RaceSpec, arm: Arm, model: ModelConfig, train: TrainConfig, pace: Pace) -> TrainConfig:
    """The arm's training config with the steps of the budget, evaluated at regular intervals unless the race sets them."""
    steps = steps_within(spec, model, train, pace)
    amount = f"{spec.amount:,.6g} {UNITS[spec.budget]}"
    if steps > MAX_STEPS:
        raise ValueError(
            f"A budget of {amount} is {counted(steps, 'step')}; a race has at most {MAX_STEPS:,}. Lower the budget."
        )
    given = {**spec.shared, **arm.changes}
    interval = given.get("eval_interval", max(1, round(steps / EVALUATIONS)))
    if steps < 1 or (isinstance(interval, int) and steps < interval):
        least = max(1, interval if isinstance(interval, int) else 1)
        after = counted(least, "step")
        raise ValueError(
            f"A budget of {amount} is {counted(steps, 'step')}, too small to evaluate once (after {after}). "
            "Raise the budget at "
            f"least {max(2, -(-least // max(1, steps)))}-fold, or lower the batch size or context length."
        )
    return train.replace(
        steps=steps,
        warmup_steps=given.get("warmup_steps", min(50, steps // 10)),
        eval_interval=interval,
        checkpoint_interval=given.get("checkpoint_interval", max(1, min(200, steps // 4))),
    )


# The order of steps


@dataclass
class Lane:
    """One run in a race: its events, and how far it is. `steps` is what it has to do, `step` what it has done."""

    events: Iterator[Event]
    steps: int
    step: int = 0


def interleave(lanes: Sequence[Lane]) -> Iterator[tuple[int, Event]]:
    """All lanes' events, one step of one lane at a time: always of the lane that has done the smallest share of its steps.

    With equal steps this is round-robin. Lanes that were resumed behind others catch up first. The events of each lane
    keep their order, so a run is the same as if it were trained alone.
    """
    waiting = [(lane.step / lane.steps, index) for index, lane in enumerate(lanes)]
    heapq.heapify(waiting)
    while waiting:
        _, index = heapq.heappop(waiting)
        lane = lanes[index]
        for event in lane.events:
            yield index, event
            if isinstance(event, StepDone):
                lane.step = event.step
                heapq.heappush(waiting, (lane.step / lane.steps, index))
                break
            if isinstance(event, (Finished, Diverged)):
                break
