"""Types that several components use."""

from __future__ import annotations

from typing import Annotated, Any, Literal, NotRequired, TypedDict

from playground.interp.heads import Score

Numbers = list[float | None]  # null where there is none, or none that is finite
Named = tuple[str, float]  # a name or a piece of text, and its probability or cosine
Nonce = float | str  # differs whenever the same is asked or shown again


class Failure(TypedDict):
    """Instead of an answer: one sentence that says what is wrong and what to do."""

    error: str


# ---- questions that many views share ---------------------------------------------------------------------------------


class RunQuestion(TypedDict):
    """About a run; `visitor` is the token of who asks."""

    visitor: str
    run: str


class RunValue(RunQuestion):
    """A view of a run. With an empty one it shows its invitation."""

    nonce: Nonce


class TextValue(RunValue):
    """A view of a run's checkpoint and a text; some views do not use the text."""

    step: int | None
    text: str


class CheckpointQuestion(RunQuestion):
    """About one of a run's checkpoints; null: the last."""

    step: int | None


class TextQuestion(CheckpointQuestion):
    """About a checkpoint and a text, which is read with special tokens unless `special` is false."""

    text: str
    special: NotRequired[bool]


class CurvesQuestion(TypedDict):
    """What is new of some runs? Each with the cursor of its last answer, or null."""

    visitor: str
    cursors: dict[str, str | None]


class RunSample(TypedDict):
    """What a run wrote after a step."""

    step: int
    prompt: str
    text: str


class RunNews(TypedDict):
    """What is new of a run, as `runs.curves.Curves.since` says; the optional keys are there when they have changed."""

    id: str
    cursor: str
    reset: bool
    step: int
    tokens_per_second: float | None
    eta_seconds: float | None
    waiting: str  # its place in the queue, in words
    name: NotRequired[str]
    state: NotRequired[str]
    message: NotRequired[str]
    role: NotRequired[str]
    reference: NotRequired[bool]
    model: NotRequired[str]
    corpus: NotRequired[str]
    tokenizer: NotRequired[str]
    steps: NotRequired[int]
    bits_per_nat: NotRequired[float | None]
    no_bits: NotRequired[str]
    tokens: NotRequired[str]
    text: NotRequired[str]
    tokenizer_id: NotRequired[str]
    documents: NotRequired[str]
    imported: NotRequired[bool]
    baselines: NotRequired[dict[str, float] | None]
    vocabulary: NotRequired[int]
    train: NotRequired[dict[str, Numbers]]  # columns of `StepDone`
    validation: NotRequired[dict[str, Numbers]]  # columns of `Evaluated`, bits_per_byte and its error
    samples: NotRequired[list[RunSample]]
    notice: NotRequired[str]  # the run doctor's sentence


class CurvesAnswer(TypedDict):
    """The news of the runs that there are; `error` says which is not."""

    runs: list[RunNews]
    error: NotRequired[str]


class LossCurve(TypedDict):
    """The training loss (nats per token) by step."""

    step: list[int]
    loss: Numbers


class TimelineAnswer(TypedDict):
    """A run's saved steps, its newest trained one, whether it still trains, and its loss."""

    steps: list[int]
    last: int
    live: bool
    curve: LossCurve


class HeadsAnswer(TypedDict):
    """What each score means, and its numbers by layer and head, under its id."""

    scores: list[Annotated[dict[str, Any], Score]]
    values: dict[str, list[Numbers]]
    note: str


Part = tuple[int, str, int]  # layer, "head" or "mlp" or "attention", head


class AblateQuestion(CheckpointQuestion):
    """Switch parts off: replaced by zero or by their mean. With a text also what becomes of that."""

    parts: list[Part]
    how: Literal["zero", "mean"]
    text: NotRequired[str]
    special: NotRequired[bool]


class Consequences(TypedDict, total=False):
    """With a text: rows of piece, probability before and after, and two greedy continuations."""

    next: list[tuple[str, float | None, float | None]]
    before: str
    after: str
    note: str


class AblateAnswer(Consequences):
    """The loss and its change with the standard error of the change (null for one window), in nats per token."""

    loss: float | None
    change: float | None
    standard_error: float | None
    n_tokens: int
    n_windows: int
