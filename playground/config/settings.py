"""What every kind of settings shares: fields that describe themselves, checking on construction, plain dictionaries."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Container, Mapping
from dataclasses import field, fields
from typing import Any, ClassVar, Self, get_args, get_type_hints


def setting(
    default: Any,
    label: str,
    help: str,
    *,
    low: float | None = None,
    high: float | None = None,
    step: float | None = None,
    group: str = "",
    most: float | None = None,
) -> Any:
    """Declare a dataclass field with its label, one-line explanation, inclusive bounds, and the heading it stands under.

    `most` is the upper bound where nothing is trained (`Settings.trained`); without it, `high` holds there too.
    """
    metadata = {"label": label, "help": help, "low": low, "high": high, "step": step, "group": group}
    return field(default=default, metadata={**metadata, "most": high if most is None else most})


class Settings:
    """What the config dataclasses share: checking on construction, and a round trip through plain dictionaries."""

    renamed: ClassVar[Mapping[str, str]] = {}  # earlier names of fields: stored runs, links and race files have them
    trained: ClassVar[bool] = True  # whether the bounds are those of training here, or of what can be taken in

    def __post_init__(self) -> None:
        hints = get_type_hints(type(self))
        bound = "high" if self.trained else "most"
        for item in fields(self):  # type: ignore[arg-type]
            value = _checked(item, hints[item.name], getattr(self, item.name), item.metadata[bound])
            object.__setattr__(self, item.name, value)
        self._check_together()

    def _check_together(self) -> None:
        """Rules between fields; a subclass raises ValueError naming the fields, their values and a remedy."""

    def to_dict(self) -> dict[str, Any]:
        """All fields as JSON-able values, in their order of declaration."""
        return dataclasses.asdict(self)  # type: ignore[call-overload]

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Build from a mapping; missing fields take their defaults, unknown ones raise ValueError."""
        known = {item.name for item in fields(cls)}  # type: ignore[arg-type]
        values = {cls.renamed.get(name, name): value for name, value in values.items()}
        for name in values:
            if name not in known:
                raise ValueError(f"Unknown setting {str(name)[:40]!r}. Known settings: {', '.join(sorted(known))}.")
        return cls(**values)

    def replace(self, **changes: Any) -> Self:
        """A copy with some fields changed, validated again."""
        return type(self).from_dict({**self.to_dict(), **changes})


class _Anything:
    def __contains__(self, value: object) -> bool:
        return True


ANY: Container[Any] = _Anything()  # in a table for `unsupported`: every value of this field


def unsupported(values: Mapping[str, Any], supported: Mapping[str, Container[Any]]) -> list[str]:
    """Names of the settings in `values` that code does not handle, given the values that it `supported`s of each.

    A setting that the table does not name is not supported, whatever its value: code that was written before a setting
    existed does not know what it means.
    """
    return [name for name, value in values.items() if value not in supported.get(name, ())]


def _checked(item: dataclasses.Field[Any], kind: Any, value: Any, high: float) -> Any:
    """Type, then finite, then whole, then range or choice: the value to store, or ValueError with a remedy."""
    label = item.metadata["label"]
    choices = get_args(kind)
    if choices:
        if not isinstance(value, str) or value not in choices:
            raise ValueError(f"{label} must be one of {', '.join(choices)}. You sent {shown(value)}.")
        return value
    if kind is bool:
        if not isinstance(value, bool):
            raise ValueError(f"{label} must be true or false. You sent {shown(value)}.")
        return value
    if kind is str:
        if not isinstance(value, str):
            raise ValueError(f"{label} must be text. You sent {shown(value)}.")
        return value
    return _checked_number(item, kind, value, high)


def _checked_number(
    item: dataclasses.Field[Any], kind: type[int] | type[float], value: Any, high: float
) -> int | float:
    label, low = item.metadata["label"], item.metadata["low"]
    if (
        isinstance(value, bool)
        or not isinstance(value, (int, float))
        or (isinstance(value, float) and math.isnan(value))
    ):
        raise ValueError(f"{label} must be a number. You sent {shown(value)}.")
    if isinstance(value, float) and math.isinf(value):
        raise ValueError(f"{label} must be a finite number. You sent {shown(value)}.")
    if kind is int and value != int(value):
        raise ValueError(f"{label} must be a whole number; {shown(value)} is not.")
    if not low <= value <= high:
        raise ValueError(f"{label} must be {low:.10g} to {high:.10g}; {shown(value)} is not.")
    return kind(value)


def shown(value: Any) -> str:
    """A value as an error message repeats it: short, and on one line."""
    text = "NaN" if isinstance(value, float) and math.isnan(value) else repr(value)
    return text if len(text) <= 40 else text[:39] + "…"
