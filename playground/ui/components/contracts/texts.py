"""Types of the Tokenizer, Sample and Streaming tabs."""

from __future__ import annotations

from typing import Annotated, Any, NotRequired, TypedDict

from playground.analysis.streaming import SlotStep
from playground.ui.components.contracts.shared import Nonce

# ---- cache_slots -----------------------------------------------------------------------------------------------------


class SlotsValue(TypedDict):
    """A story of a cache's slots, one step a token."""

    capacity: int
    n_sink: int
    streams: bool
    tokens: list[str]
    steps: list[Annotated[dict[str, Any], SlotStep]]
    nonce: Nonce


# ---- line_chart ------------------------------------------------------------------------------------------------------


class ChartLine(TypedDict):
    """Lines of one name share a colour; `label` tells them apart on hovering. `dots`: points instead of a line."""

    name: str
    x: list[Any]
    y: list[Any]
    dots: NotRequired[bool]
    label: NotRequired[str]


class ChartMark(TypedDict):
    """A vertical line."""

    x: float
    text: str


class LineChartValue(TypedDict):
    """`x` and `y` name the axes with their units, `log` makes y logarithmic, `ticks` are the places on x with a number."""

    title: str
    about: str
    x: str
    y: str
    lines: list[ChartLine]
    note: str
    nonce: Nonce
    log: NotRequired[bool]
    marks: NotRequired[list[ChartMark]]
    ticks: NotRequired[list[int]]


# ---- merge_replay, tokenizer_view --------------------------------------------------------------------------------------


class ReplayValue(TypedDict):
    """A text to replay merges on."""

    text: str
    nonce: Nonce


class ReplayQuestion(TypedDict):
    """How does BPE learn on the text itself, or on a corpus?"""

    text: str
    learned: str


class Merge(TypedDict):
    """One merge: the new token, the pair, how often it occurred, and the most frequent rivals."""

    token: int
    pair: list[str]
    ids: list[int]
    count: int
    rivals: list[tuple[str, str, int]]


class ReplayAnswer(TypedDict):
    """`bytes` of the text in base64; `removed`: for each boundary of two bytes the merge that removes it, 0 for none."""

    bytes: str
    removed: list[int]
    merges: list[Merge]
    learned: str
    stopped: bool


class TokenizeQuestion(TypedDict):
    """A text under several tokenizers, by their keys; `width`: of the model whose embedding is weighed."""

    visitor: str
    text: str
    tokenizers: list[str]
    learned: str
    width: Any


class TokenizeValue(TokenizeQuestion):
    """Without a text an invitation."""

    nonce: Nonce


class TokenizedText(TypedDict):
    """A text under one tokenizer: its size, and the first tokens; or why there is none."""

    key: str
    name: str
    error: NotRequired[str]
    note: NotRequired[str]
    vocab: NotRequired[int]
    tokens: NotRequired[int]
    bytes_per_token: NotRequired[float]
    tokens_per_word: NotRequired[float | None]
    share: NotRequired[float | None]
    ids: NotRequired[list[int]]
    pieces: NotRequired[list[str]]


class VocabularySize(TypedDict):
    """Bytes per token at a size of the vocabulary."""

    size: int
    ratio: float


class TokenizeAnswer(TypedDict):
    """Rows in the order of the keys, compression over the size of a BPE vocabulary, and a sentence on what to notice."""

    rows: list[TokenizedText]
    curve: list[VocabularySize]
    bytes: int
    characters: int
    words: int
    learned: str
    notice: str


# ---- next_token, token_text --------------------------------------------------------------------------------------------


class Padding(TypedDict):
    """Probability of ids that only pad the vocabulary, and what they add to the entropy, in bits."""

    p: float
    entropy: float


class NextTokenValue(TypedDict):
    """One distribution, likeliest first: labels of the first rows, logits of all.

    `logits` is base64 of uint16 from `low` to `high`; `by_id`, base64 of uint16 too, where each id stands in that order;
    `seen` where the tokens of the text so far do; `uniform` in [0, 1) is what chooses. Sliders re-shape it without a round
    trip by dispatching ``playground:sampling`` on the document with the settings as ``detail``.
    """

    labels: list[str]
    logits: str
    low: float
    high: float
    by_id: str
    uniform: float
    seen: list[int]
    temperature: float
    top_k: int
    top_p: float
    min_p: float
    repetition_penalty: float
    padding: Padding
    note: str
    nonce: Nonce


class WrittenToken(TypedDict):
    """A token, its probability before any filter, and the likeliest others."""

    id: int
    text: str
    p: float
    alternatives: list[tuple[int, str, float]]


class Branch(TypedDict):
    """A text that goes on where its parent's whole text had `at` tokens; `run` and `step`: whose it is, if not the tab's."""

    name: str
    note: str
    parent: int | None
    at: int
    tokens: list[WrittenToken]
    writing: bool
    run: NotRequired[str]
    step: NotRequired[int | None]


class TextTree(TypedDict):
    """Texts as they are written. `plain`: no colours to explain; `fixed`: no branches can begin here.

    Replace the whole value as often as eight times a second: what is on the page already is kept. The event ``branch``
    asks to go on elsewhere: ``{"branch": int, "at": int, "id": int}``, another token instead of number `at` of that
    branch's whole text. The event ``choose`` tells which branch was chosen: ``{"branch": int}``.
    """

    prompt: str
    branches: list[Branch]
    chosen: int
    state: str  # "idle", "writing", "done" or "stopped"
    note: str
    nonce: NotRequired[Nonce]
    plain: NotRequired[bool]
    fixed: NotRequired[bool]
