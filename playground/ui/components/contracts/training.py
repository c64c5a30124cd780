"""Types of the Train, Batch and Compare tabs and the page's header."""

from __future__ import annotations

from typing import Annotated, Any, Literal, NotRequired, TypedDict

from playground.analysis.data_card import Duplicates, Gram
from playground.races.verdict import Verdict
from playground.reference.bands import Band
from playground.ui.components.contracts.shared import CheckpointQuestion, Named, Nonce, Numbers, RunValue

# ---- batch_view ------------------------------------------------------------------------------------------------------


class BatchRow(TypedDict):
    """A row has one more token than targets: target t is token t + 1. `counts`: whether a target is trained on."""

    ids: list[int]
    pieces: list[str]
    loss: Numbers | None
    counts: list[bool]


class BatchContent(TypedDict):
    """The rows that are shown of a batch of `n_rows`."""

    n_rows: int
    title: str
    rows: list[BatchRow]
    note: str
    code: list[dict[str, str]]  # the name and text of functions that ran
    nonce: Nonce


class BatchValue(BatchContent):
    """A batch: of a training step of a run, or, with an empty run, of a form's text."""

    visitor: str
    run: str
    step: int | None  # of the checkpoint that judges it
    batch: Any  # the training step


class ExplainQuestion(CheckpointQuestion):
    """How does the loss at one position come about?"""

    ids: list[int]
    position: int
    target: int


class ExplainCandidate(TypedDict):
    """`analysis.batch.Candidate` and its piece of text."""

    token: int
    piece: str
    logit: float
    weight: float
    p: float


class ExplainAnswer(TypedDict):
    """`analysis.batch.Explained`."""

    candidates: list[ExplainCandidate]
    target: int
    largest: float
    total: float
    p: float
    loss: float
    others: int
    p_others: float


# ---- compare_chart, live_run, race_view, status_pill -------------------------------------------------------------------


class CompareValue(TypedDict):
    """The first eight runs are drawn; none shows an invitation."""

    visitor: str
    runs: list[str]
    nonce: Nonce


class BandAnswer(TypedDict):
    """The reference band behind a run's curve, if there is one."""

    band: Annotated[dict[str, Any], Band] | None


class LiveRunValue(RunValue):
    """The run of the training view; `arrived` if the opening page chose it, so that the page stays where it is."""

    arrived: NotRequired[bool]


class RaceValue(TypedDict):
    """An empty race shows an invitation; `arrived` if the opening page chose it, so that the page stays where it is."""

    visitor: str
    race: str
    nonce: Nonce
    arrived: NotRequired[bool]


class RaceQuestion(TypedDict):
    """What is new of a race? With the cursor of the last answer, or null."""

    visitor: str
    race: str
    cursor: str | None


class RaceArm(TypedDict):
    """One arm of a race and the runs that train it, a seed each."""

    name: str
    role: str
    short: str
    steps: int
    tokens_per_step: int
    flops_per_token: float
    parameters: int
    bits_per_nat: float | None
    tokens: str
    text: str
    solved: str
    runs: list[str]


class RaceHead(TypedDict):
    """What hardly ever changes of a race."""

    name: str
    reference: bool
    notes: str
    seeds: list[int]
    arms: list[RaceArm]
    differs: list[str]
    matched: str
    families: list[list[int]]
    conditions: str


class RaceRow(TypedDict):
    """New points of a race's run number `i`, arm by arm, seed by seed."""

    i: int
    reset: bool
    train: NotRequired[dict[str, Numbers]]
    validation: NotRequired[dict[str, Numbers]]


class RaceAnswer(TypedDict):
    """What is new of a race, as `races.payload.race_news` says; the optional keys are there when they have changed."""

    id: str
    state: str
    message: str
    steps: list[int]
    states: str  # a letter a run
    cursor: str
    head: NotRequired[RaceHead]
    summary: NotRequired[Annotated[dict[str, Any], Verdict]]
    rows: NotRequired[list[RaceRow]]


class FileQuestion(TypedDict):
    """A race as a file to keep."""

    visitor: str
    race: str
    kind: Literal["report", "csv", "json"]


class FileAnswer(TypedDict):
    """A file for the browser to save: its name, media type and text."""

    name: str
    type: str
    text: str


class LiveValue(TypedDict):
    """Who looks."""

    visitor: str


class LiveAnswer(TypedDict):
    """What is training now, in words."""

    state: str
    text: str


# ---- data_card -------------------------------------------------------------------------------------------------------


class DataCardValue(TypedDict):
    """The fields of `analysis.data_card.DataCard`, with a title."""

    title: str
    nonce: Nonce
    n_bytes: int
    n_characters: int
    n_distinct: int
    train_bytes: int
    validation_bytes: int
    train_tokens: int
    validation_tokens: int
    tokens_exact: bool
    bytes_per_token: float
    vocab_size: int
    grams: list[Annotated[dict[str, Any], Gram]]
    counted_bytes: int
    held_out_bytes: int
    answers_only: bool
    duplicates: Annotated[dict[str, Any], Duplicates]
    samples: list[tuple[str, str]]
    no_bits: str


# ---- link_box, loss_compare, side_by_side ------------------------------------------------------------------------------


class LinkValue(TypedDict):
    """What to copy and show; a new nonce copies again."""

    query: dict[str, str]
    note: str
    nonce: Nonce


class LossesValue(TypedDict):
    """A text in pieces with what each costs either model, in nats."""

    a: str
    b: str
    spans: list[tuple[str, float | None, float | None]]
    differs: list[str]
    note: str
    nonce: Nonce


class Continuation(TypedDict):
    """What one model writes: pieces with their probability before any filter. `role`: a preset, or "other"."""

    name: str
    role: str
    tokens: list[Named]
    note: str


class SideBySideValue(TypedDict):
    """`differs` are the settings in which the models differ."""

    prompt: str
    items: list[Continuation]
    differs: list[str]
    nonce: Nonce
