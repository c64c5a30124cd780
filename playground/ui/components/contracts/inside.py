"""Types of the Attention and Inside tabs."""

from __future__ import annotations

from typing import Annotated, Any, Literal, NotRequired, TypedDict

from playground.interp.embeddings import AnalogyTest
from playground.interp.experts import Information
from playground.interp.positions import Frequency
from playground.ui.components.contracts.shared import (
    CheckpointQuestion,
    Named,
    Numbers,
    Part,
    RunValue,
    TextQuestion,
    TextValue,
)  # fmt: skip

# ---- attention_grid --------------------------------------------------------------------------------------------------


class TourStage(TypedDict):
    """A few sentences of a guided tour, and what is shown meanwhile; `off`: what these heads write."""

    words: str
    step: int
    heads: list[tuple[int, int]]
    token: int
    off: str


class Tour(TypedDict):
    """A guided tour (`ui.inside.guided_tours`)."""

    title: str
    stages: list[TourStage]


class AttentionValue(RunValue):
    """A tour opens at its first stage."""

    text: str
    special: bool
    reading: NotRequired[Tour]


class AttentionQuestion(TextQuestion):
    """One layer is asked for when it was chosen and no sprite of that step has shown it yet."""

    layer: NotRequired[int | None]


class AttentionAnswer(TypedDict):
    """A picture of attention weights.

    `png` is an 8-bit greyscale sprite in base64, its rows the returned `layers`, its columns the heads, a pixel
    round(sqrt(weight) * 255).
    """

    tokens: list[str]
    n_layer: int
    n_head: int
    layers: list[int]
    size: int
    png: str
    note: str
    windows: list[int]
    n_sink: int


# ---- causes ----------------------------------------------------------------------------------------------------------


class PartsAnswer(TypedDict):
    """What can be switched off."""

    n_layer: int
    n_head: int
    parts: list[Part]


# ---- embeddings ------------------------------------------------------------------------------------------------------


class VectorsQuestion(CheckpointQuestion):
    """About the vectors of tokens, or of words after the layer `depth`."""

    what: Literal["tokens", "words"]
    depth: NotRequired[int]


class EmbeddingsQuestion(VectorsQuestion):
    """Where do vectors lie? With "fixed" `axes` those of the step `anchor`, with "own" those of the step itself."""

    anchor: int
    axes: Literal["fixed", "own"]


class EmbeddingsAnswer(TypedDict):
    """Vectors as points on three axes, and the axes' shares of the variance. `depth`: that of words."""

    names: list[str]
    kinds: list[str]
    counts: list[int]
    points: list[list[float]]
    shares: list[float]
    depth: int


class NearQuestion(VectorsQuestion):
    """Which vectors are nearest to one?"""

    name: str


class NearAnswer(TypedDict):
    """Neighbours with their cosines; `count`: how often the name occurs in the text that was read."""

    name: str
    count: int
    near: list[Named]


class AnalogyQuestion(VectorsQuestion):
    """a is to b as c is to …?"""

    a: str
    b: str
    c: str
    expected: str


class AnalogyAnswer(TypedDict):
    """As `interp.embeddings.Analogy`. `raw_given`: whether `raw` is one of the three given names."""

    ranked: list[Named]
    raw: str
    raw_given: bool
    expected: str | None
    rank: int | None
    lazy: int | None
    of: int
    test: Annotated[dict[str, Any], AnalogyTest] | None


# ---- experts ---------------------------------------------------------------------------------------------------------


class ExpertsQuestion(CheckpointQuestion):
    """How do the experts work on validation text? `brief`: their load alone."""

    brief: NotRequired[bool]


class ExpertsBits(TypedDict):
    """Bits of a layer's first choice, and what kind and token tell of them."""

    expert: float
    kind: Annotated[dict[str, Any], Information]
    token: Annotated[dict[str, Any], Information]


class ExpertsAnswer(TypedDict):
    """Shares of all choices by layer and expert, and as how many experts alike that is; of a dense model `n_expert` alone.

    `kinds`: kind of token and how many; `table`: first choices by layer, kind and expert.
    """

    n_expert: int
    n_active: NotRequired[int]
    n_tokens: NotRequired[int]
    load: NotRequired[list[list[float]]]
    effective: NotRequired[list[float]]
    kinds: NotRequired[list[tuple[str, int]]]
    table: NotRequired[list[list[list[float]]]]
    information: NotRequired[list[ExpertsBits]]


class RoutesAnswer(TypedDict):
    """Experts by layer and token, likeliest first, and the router's probabilities of them."""

    tokens: list[str]
    chosen: list[list[list[int]]]
    odds: list[list[list[float]]]
    note: str


# ---- head_by_hand, lens_view, patching ---------------------------------------------------------------------------------


class HandQuestion(TextQuestion):
    """One head, one token. What is not there is replaced by the last or likeliest."""

    layer: int | None
    head: int | None
    position: int | None
    key: int | None


class HandAnswer(TypedDict):
    """A row is dot, bias, visible, score and weight of a key; `top`: key, weight and value vector of the heaviest."""

    tokens: list[str]
    n_layer: int
    n_head: int
    size: int
    layer: int
    head: int
    position: int
    key: int
    query: Numbers
    key_vector: Numbers
    rows: list[tuple[float | None, float | None, bool, float | None, float | None]]
    sink: float | None
    top: list[tuple[int, float | None, Numbers]]
    output: Numbers
    difference: float
    source: str
    note: str


class SecondCheckpoint(TypedDict):
    """Another checkpoint, to be shown next to the first."""

    run: str
    step: int | None


class LensValue(TextValue):
    """One checkpoint, or two."""

    second: SecondCheckpoint | None


class LensDepth(TypedDict):
    """The likeliest pieces by position, and bits by position, as `interp.logit_lens.Lens` has them."""

    top: list[list[tuple[str, float | None]]]
    entropy: Numbers
    divergence: Numbers
    actual: Numbers


class LensAnswer(TypedDict):
    """The first depth is the embedding, the last the model's own prediction."""

    name: str
    tokens: list[str]
    depths: list[LensDepth]
    note: str


Prompts = TypedDict(
    "Prompts", {"clean prompt": str, "corrupted prompt": str, "clean answer": str, "corrupted answer": str}
)


class PatchingValue(RunValue, Prompts):
    """Two prompts, and answers that may be empty."""

    step: int | None


class PatchQuestion(CheckpointQuestion, Prompts):
    """What does patching restore?"""

    special: NotRequired[bool]


class PatchAnswer(TypedDict):
    """Shares by depth (the embedding first) and position, by layer and head, by layer; and the logit differences."""

    tokens: list[str]
    others: list[str]
    answers: list[str]
    clean: float | None
    corrupted: float | None
    residual: list[Numbers]
    heads: list[Numbers]
    mlps: Numbers
    note: str


# ---- meaning, positions, probes ----------------------------------------------------------------------------------------


class SearchQuestion(CheckpointQuestion):
    """Passages nearest to a query, after the layer `depth`."""

    depth: int | None
    query: str


class SearchTrial(TypedDict):
    """`analysis.semantic_search.Trial` and its sentence."""

    n: int
    model: float
    model_error: float
    ngrams: float
    ngrams_error: float
    difference: float
    error: float
    words: str


class SearchAnswer(TypedDict):
    """Two lists of passage, cosine and place in the other list; `same`: how many of the one are in the other."""

    depths: list[str]
    depth: int
    n_passages: int
    model: list[tuple[str, float, int]]
    ngrams: list[tuple[str, float, int]]
    same: int
    trial: SearchTrial | None
    note: str


class SimilarQuestion(CheckpointQuestion):
    """Lines of text against each other."""

    depth: int | None
    lines: str


class SimilarAnswer(TypedDict):
    """Two matrices of cosines."""

    lines: list[str]
    model: list[list[float]]
    ngrams: list[list[float]]


class PositionsAnswer(TypedDict):
    """`similarity` over the positions `at`; `untouched`: dimensions of a head that RoPE leaves alone."""

    scheme: str
    block_size: int
    at: list[int]
    similarity: list[list[float]] | None
    frequencies: list[Annotated[dict[str, Any], Frequency]] | None
    theta: float
    untouched: int
    slopes: list[float] | None
    window: int


Fit = tuple[float, float | None]  # accuracy and its standard error


class ProbeLabel(TypedDict):
    """What a probe looks for and finds, one measurement a depth: with real and with shuffled labels."""

    id: str
    name: str
    question: str
    n_class: int
    n_train: int
    n_test: int
    majority: Fit
    real: list[Fit]
    shuffled: list[Fit]
    words: str


class ProbesAnswer(TypedDict):
    """Probes by label; `skipped` are labels of which the text has too little."""

    depths: list[str]
    labels: list[ProbeLabel]
    skipped: list[str]
    n_tokens: int
