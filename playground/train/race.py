"""A race: several models trained under equal conditions, so that only the compared settings differ. This module matches and
budgets the arms of a `RaceSpec`, and orders their steps; it does no I/O.

For equal seeds all arms read the same batches in the same order and start from the same weights where shapes agree: both
depend only on seed and name.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from playground.config import (
    ModelConfig,
    TrainConfig,
    counted,
    label,
    preset,
    setting_kinds,
    spelled,
)
from playground.train.estimate import count_parameters
from playground.train.events import Diverged, Event, Finished, StepDone
from playground.train.flops import training_flops
from playground.train.race_spec import UNITS, Arm, Match, MatchBy, RaceSpec

TOLERANCE: dict[str, float] = {"mlp": 0.01, "width": 0.05}  # widths come in steps of a head's size
EVALUATIONS = 20  # over a race, unless it says otherwise
MAX_MLP = 16_384
_SOLVED = {"mlp": "mlp_width", "width": "n_embd"}
_WORDS = {"parameters": "parameters", "flops": "training FLOPs per token"}
MAX_STEPS = 100_000

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
            target = matched_size(arms[0].model, spec.match) if arms and spec.match != "none" else None
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


def matched_size(model: ModelConfig, match: Match) -> float:
    """What `match` makes equal in all arms: parameters, or training FLOPs per token."""
    return count_parameters(model) if match == "parameters" else training_flops(model)


def match_model(model: ModelConfig, match: Match, by: MatchBy, target: float) -> tuple[ModelConfig, str]:
    """The model whose parameters or FLOPs per token are closest to `target`, and a description of the change.

    Changes the MLP's hidden size in single steps, or the width in steps of two per head. Raises ValueError when even the
    closest is further off than the tolerance.
    """
    found = _nearest(model, match, by, target)
    worth = matched_size(found, match)
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
        if matched_size(_sized(model, by, middle * unit), match) <= target:
            low = middle
        else:
            high = middle
    candidates = [_sized(model, by, size * unit) for size in (low, high)]
    return min(candidates, key=lambda candidate: abs(matched_size(candidate, match) - target))


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
