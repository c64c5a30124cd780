"""Events of training. The trainer yields them, the worker logs them, and everything else reads the log.

Losses are mean cross-entropy in nats per predicted token; times are seconds of training since the run's first step,
without pauses and evaluation.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields
from typing import Annotated, Any, get_args, get_type_hints


@dataclass(frozen=True)
class Column:
    """How a field of `StepDone` or `Evaluated` is kept in curves, which thin several steps to one point."""

    digits: int | None = 4  # significant ones; None: all
    last: bool = False  # a point is the last of its steps, else their mean
    whole: bool = False  # an integer
    optional: bool = False  # None where it was not measured


def columns(event: type[Any]) -> dict[str, Column]:
    """The columns of a table of such events, one a field, in their order. A field that says nothing gets a `Column()`."""
    hints, found = get_type_hints(event, include_extras=True), {}
    for item in fields(event):
        about = next((one for one in get_args(hints[item.name]) if isinstance(one, Column)), Column())
        found[item.name] = about
    return found


Count = Annotated[int, Column(digits=None, last=True, whole=True)]


@dataclass(frozen=True)
class Started:
    """Training begins, or begins again after a pause, at `step` (0 for a new run)."""

    step: int
    steps: int
    parameters: int
    train_tokens: int
    validation_tokens: int
    bits_per_nat: (
        float | None
    )  # times a loss in nats per token = bits per byte; None if the tokens do not reproduce the text
    lost: float = 0.0  # share of the validation text's characters that the tokens do not reproduce
    compared: bool = (
        False  # the text was compared with what its tokens decode to; logs of earlier versions did not do that
    )


@dataclass(frozen=True)
class StepDone:
    """One optimizer step. `step` counts from 1; `tokens` is the total seen so far.

    Its fields are the columns of curves, files and tables. A metric that earlier logs do not have is an
    ``Annotated[float | None, Column(optional=True)] = None``.
    """

    step: Count
    tokens: Count
    seconds: Annotated[float, Column(6, last=True)]
    loss: Annotated[float, Column(5)]
    grad_norm: float
    learning_rate: Annotated[float, Column(last=True)]


@dataclass(frozen=True)
class Evaluated:
    """A measurement on the validation text, after `step` steps. Its fields are the columns of curves and tables."""

    step: Count
    tokens: Count
    seconds: Annotated[float, Column(6)]
    loss: Annotated[float, Column(5)]
    # Standard error of `loss` over windows of validation text; older logs have none.
    loss_se: Annotated[float | None, Column(3, optional=True)] = field(default=None, kw_only=True)
    accuracy: float  # share of next tokens that were the model's top-1 prediction
    # Algorithmic tasks: share of whole answers that are right.
    exact_match: Annotated[float | None, Column(None, optional=True)] = None


@dataclass(frozen=True)
class Sampled:
    """Generated text after `step` steps, continuing `prompt`."""

    step: int
    prompt: str
    text: str


@dataclass(frozen=True)
class Snapshot:
    """A step at which the weights should be kept for later inspection."""

    step: int


@dataclass(frozen=True)
class Noted:
    """A note for the user on how the steps after `step` are computed."""

    step: int
    text: str


@dataclass(frozen=True)
class Diverged:
    """The loss or the gradient is no longer a finite number; nothing after `step` can be trusted."""

    step: int
    learning_rate: float
    last_losses: tuple[float, ...]


@dataclass(frozen=True)
class Finished:
    """All steps are done."""

    step: int
    tokens: int
    seconds: float


Event = Started | StepDone | Evaluated | Sampled | Snapshot | Noted | Diverged | Finished
EVENTS: dict[str, type[Any]] = {
    kind.__name__: kind for kind in (Started, StepDone, Evaluated, Sampled, Snapshot, Noted, Diverged, Finished)
}


def event_to_dict(event: Event) -> dict[str, Any]:
    """An event as a JSON-able dictionary; its class name is under ``"event"``."""
    return {"event": type(event).__name__, **asdict(event)}


def event_from_dict(values: dict[str, Any]) -> Event:
    """The inverse of `event_to_dict`. Raises KeyError or TypeError for anything else."""
    values = dict(values)
    kind = EVENTS[values.pop("event")]
    for name, hint in get_type_hints(kind).items():
        if hint == tuple[float, ...]:
            values[name] = tuple(values[name])
    event: Event = kind(**values)
    return event
