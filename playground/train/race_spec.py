"""What a race is: its arms, their settings, budget and seeds, as a JSON file or a few words say it.

An *arm* is a preset with some settings changed; each arm is trained once per seed, and each (arm, seed) is an
ordinary run. The first arm is the baseline.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal, get_args

from playground.config import (
    PRESETS,
    counted,
    current_name,
    current_names,
    label,
    parsed,
    setting_kinds,
    spelled,
)

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
NAME_LENGTH = 40  # characters of an arm's name


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
