"""Endpoints of the views on embeddings, positions, probes and search, see `ui.json_endpoints`."""

from __future__ import annotations

import math
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import asdict
from typing import Any, TypeVar, cast

import numpy as np

from playground.analysis import semantic_search
from playground.config import counted
from playground.interp import linear_probes
from playground.interp.activations import kind_of, text_windows
from playground.interp.embeddings import (
    Axes,
    Vectors,
    analogy,
    capital_analogies,
    names_near,
    neighbours,
    principal_axes,
    token_vectors,
    turned_onto,
    word_vectors,
)
from playground.interp.positions import rope_frequencies, shown_positions, similarity, slopes
from playground.models.transformer import Transformer
from playground.runs.store.run_store import Run
from playground.tokenizers import decode
from playground.ui.components.contracts.inside import (
    AnalogyAnswer,
    EmbeddingsAnswer,
    Fit,
    NearAnswer,
    PositionsAnswer,
    ProbeLabel,
    ProbesAnswer,
    SearchAnswer,
    SearchTrial,
    SimilarAnswer,
)
from playground.ui.json_endpoints import Request, json_endpoint
from playground.ui.services import Services
from playground.ui.texts import DATASETS

MOST_TOKENS, MOST_WORDS = 400, 120  # vectors
WORD_TOKENS = 32_000  # of text, read for the vectors of words
PASSAGES, PASSAGE_TOKENS = 600, 80_000
QUERY, LINES = 1_000, 12  # characters of a query or line; lines of a map

_T = TypeVar("_T")


class Kept:
    """A cache of slow results. One computation at a time, because each uses a core."""

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._lock = threading.RLock()
        self._kept: OrderedDict[Hashable, Any] = OrderedDict()

    def get(self, key: Hashable, make: Callable[[], _T]) -> _T:
        """The cached value of a key, or the result of `make`."""
        with self._lock:
            found = self._kept.pop(key) if key in self._kept else make()
            self._kept[key] = found
            while len(self._kept) > self._capacity:
                self._kept.popitem(last=False)
            return found


_VECTORS, _PROBES, _TEXTS, _INDEXES = Kept(24), Kept(24), Kept(4), Kept(6)


def _checkpoint(services: Services, request: Request) -> tuple[Run, int, Transformer]:
    """The run, step and model of a question. Raises ValueError if they are missing."""
    run = services.run(request.get("run"), request.get("visitor"))
    step = request.get("step")
    step = step if isinstance(step, int) else (run.steps_available() or [0])[-1]
    return run, step, services.models.get(run, step)


def _depth(request: Request, run: Run, otherwise: int) -> int:
    depth = request.get("depth")
    return depth if type(depth) is int and 0 <= depth <= run.model.n_layer else otherwise


def _text(request: Request, name: str, words: str, limit: int = QUERY, blank: bool = False) -> str:
    """A text field of a question. Raises ValueError naming it when it is empty (or blank) or too long."""
    value = request.get(name)
    if not isinstance(value, str) or not (value if blank else value.strip()):
        raise ValueError(f"{words} is empty. Write something in it.")
    if len(value) > limit:
        raise ValueError(f"{words} has {counted(len(value), 'character')}; the limit here is {limit:,}. Shorten it.")
    return value


# ---- vectors ----------------------------------------------------------------------------------------------------------


def _vectors(services: Services, request: Request, step: object) -> Vectors:
    """The vectors that a question is about, at a step."""
    run, step, model = _checkpoint(services, {**request, "step": step})
    words = request.get("what") == "words"
    depth = _word_depth(request, run)

    def make() -> Vectors:
        if words:
            tokens = DATASETS.get(run, services.cache_dir).validation
            sequences = text_windows(tokens, run.model.block_size, WORD_TOKENS)
            return word_vectors(model, run.tokenizer, sequences, depth, MOST_WORDS)
        try:
            read = DATASETS.get(run, services.cache_dir).validation
        except ValueError:
            read = None  # its text is not available, as for an imported model
        return token_vectors(model, run.tokenizer, read, MOST_TOKENS)

    return _VECTORS.get((run.id, step, words, depth if words else 0), make)


def _word_depth(request: Request, run: Run) -> int:
    """The depth of word vectors: by default after the last layer but one, because the last encodes the next token."""
    return _depth(request, run, max(1, run.model.n_layer - 1))


@json_endpoint
def embeddings(services: Services, request: Request) -> EmbeddingsAnswer:
    """Vectors in three dimensions: ``{"visitor", "run", "step", "anchor", "what": "tokens" | "words", "depth", "axes"}``.

    -> ``{"names", "kinds", "counts", "points": [[x, y, z], ...], "shares", "depth"}``, the depth that of words. With `axes`
    "fixed" these are the principal axes of the step `anchor`, for every step; with "own" those of the step itself, turned
    onto the anchor's.
    """
    vectors = _vectors(services, request, request.get("step"))
    last = _vectors(services, request, request.get("anchor"))
    axes = principal_axes(last.matrix)
    reference = axes.place(last.matrix)
    points, shares = axes.place(vectors.matrix), _shares(axes, vectors.matrix)
    if request.get("axes") == "own" and vectors is not last:
        own = principal_axes(vectors.matrix)
        points = turned_onto(own.place(vectors.matrix), reference)
        total = ((vectors.matrix - vectors.matrix.mean(0)) ** 2).sum()
        shares = ((points - points.mean(0)) ** 2).sum(0) / max(total, 1e-300)
    return {
        "names": list(vectors.names), "kinds": [kind_of(name) for name in vectors.names],
        "counts": vectors.counts.tolist(), "points": _rounded(_three(points)), "shares": _rounded(_three(shares[None])[0]),
        "depth": _word_depth(request, services.run(request.get("run"), request.get("visitor"))),
    }  # fmt: skip


def _three(points: np.ndarray) -> np.ndarray:
    """Points with three coordinates, also where so few vectors or dimensions have fewer axes."""
    return np.pad(points, ((0, 0), (0, max(0, 3 - points.shape[1]))))[:, :3]


def _shares(axes: Axes, matrix: np.ndarray) -> np.ndarray:
    """The share of the variance of a matrix along axes that may be another's."""
    centred = matrix - matrix.mean(0)
    return np.asarray(((centred @ axes.directions.T) ** 2).sum(0) / max((centred**2).sum(), 1e-300))


@json_endpoint
def near(services: Services, request: Request) -> NearAnswer:
    """Neighbours of a vector: as `embeddings`, with ``"name"`` -> ``{"name", "count", "near": [[name, cosine], ...]}``."""
    vectors = _vectors(services, request, request.get("step"))
    index = vectors.find(_text(request, "name", "The name", 60, blank=True))
    found = names_near(vectors, neighbours(vectors, index, 10))
    return {"name": vectors.names[index], "count": int(vectors.counts[index]), "near": found}


@json_endpoint
def analogies(services: Services, request: Request) -> AnalogyAnswer:
    """An analogy: as `embeddings`, with ``"a", "b", "c", "expected"``.

    -> ``{"ranked": [[name, cosine], ...], "raw", "raw_given", "expected", "rank", "lazy", "of", "test"}``, see
    `interp.embeddings.Analogy`; `raw_given`: whether `raw` is one of the three given names; `test` counts all
    analogies between letters and capitals, null where there are none.
    """
    vectors = _vectors(services, request, request.get("step"))
    a, b, c = (vectors.find(_text(request, name, f"The field “{name}”", 60, blank=True)) for name in "abc")
    wanted = request.get("expected")
    expected = vectors.find(wanted) if isinstance(wanted, str) and wanted.strip() else None
    if len(vectors.names) < 4:
        raise ValueError(f"An analogy needs four vectors; there are {len(vectors.names)}. Choose another run.")
    if len({a, b, c}) < 3:
        raise ValueError("The three given names must differ from each other. Change one of them.")
    if expected in (a, b, c):
        raise ValueError(
            "The expected answer is one of the three given names, which are excluded from the answers. Change it."
        )
    found, test = analogy(vectors, a, b, c, expected), capital_analogies(vectors)
    return {
        "ranked": names_near(vectors, found.ranked), "raw": vectors.names[found.raw], "raw_given": found.raw in (a, b, c),
        "expected": None if expected is None else vectors.names[expected], "rank": found.rank, "lazy": found.lazy,
        "of": len(vectors.names) - 3, "test": None if test is None else asdict(test),
    }  # fmt: skip


# ---- positions --------------------------------------------------------------------------------------------------------


@json_endpoint
def positions(services: Services, request: Request) -> PositionsAnswer:
    """How positions differ: ``{"visitor", "run", "step"}`` -> ``{"scheme", "block_size", "at", "similarity", ...}``.

    `similarity` is (T, T) over the positions `at`, or null; RoPE also has `frequencies` (`positions.Frequency`), `theta`
    and `untouched`, the dimensions of a head that it leaves alone; ALiBi has `slopes`.
    """
    run, _, model = _checkpoint(services, request)
    config, found = run.model, similarity(model)
    rope = config.position == "rope"
    return {
        "scheme": config.position, "block_size": config.block_size, "at": shown_positions(config.block_size).tolist(),
        "similarity": None if found is None else np.round(found, 3).tolist(),
        "frequencies": [asdict(one) for one in rope_frequencies(config)] if rope else None, "theta": config.rope_theta,
        "untouched": config.head_dim - config.rope_dims if rope else 0, "slopes": slopes(config),
        "window": config.window,
    }  # fmt: skip


# ---- probes -----------------------------------------------------------------------------------------------------------


@json_endpoint
def probes(services: Services, request: Request) -> ProbesAnswer:
    """Linear probes of a checkpoint: ``{"visitor", "run", "step"}`` -> ``{"depths", "labels", "skipped", "n_tokens"}``.

    A label is ``{"id", "name", "question", "n_class", "n_train", "n_test", "majority", "real", "shuffled", "words"}``, its
    measurements ``[accuracy, standard error]``, one a depth.
    """
    run, step, model = _checkpoint(services, request)

    def read() -> linear_probes.ProbeText:
        tokens, tales = DATASETS.get(run, services.cache_dir).validation, run.train.corpus == "tales"
        return linear_probes.probe_text(run.tokenizer, tokens, run.model.block_size, tales)

    text = _TEXTS.get((run.id, "probes"), read)
    found = _PROBES.get((run.id, step), lambda: linear_probes.probe_model(model, text))
    names = depth_names(run.model.n_layer)
    labels: list[ProbeLabel] = [
        {
            "id": label.id, "name": label.name, "question": label.question,
            "n_class": len(np.unique(label.values[label.values >= 0])), "n_train": measured.n_train,
            "n_test": measured.n_test, "majority": _fit(measured.majority),
            "real": [_fit(fit) for fit in measured.real], "shuffled": [_fit(fit) for fit in measured.shuffled],
            "words": linear_probes.in_words(label, measured, names),
        }
        for label in text.labels if (measured := found.get(label.id))
    ]  # fmt: skip
    skipped = [label.name for label in text.labels if label.id not in found]
    return {"depths": names, "labels": labels, "skipped": skipped, "n_tokens": int(text.sequences.size)}


def depth_names(n_layer: int) -> list[str]:
    """The names of a model's depths."""
    return ["embedding", *(f"layer {layer}" for layer in range(1, n_layer + 1))]


def _fit(fit: linear_probes.Fit) -> Fit:
    return round(fit.accuracy, 4), None if math.isnan(fit.error) else round(fit.error, 4)


# ---- search -----------------------------------------------------------------------------------------------------------


def _index(
    services: Services, run: Run, step: int, model: Transformer, depth: int
) -> tuple[semantic_search.Index, semantic_search.Trial | None]:
    """The search index of a checkpoint, and its evaluation against n-grams."""

    def read() -> semantic_search.Corpus:
        data = DATASETS.get(run, services.cache_dir)
        found = semantic_search.passages_of(_text_of(run, data.validation[:PASSAGE_TOKENS]), PASSAGES)
        if len(found) < PASSAGES // 4:  # a short text: what it was trained on as well
            rest = semantic_search.passages_of(_text_of(run, data.train[:PASSAGE_TOKENS]), PASSAGES - len(found))
            after = max((passage.document for passage in found), default=0) + 1
            found += [semantic_search.Passage(passage.text, passage.document + after) for passage in rest]
        return semantic_search.Corpus(found)

    def make() -> tuple[semantic_search.Index, semantic_search.Trial | None]:
        index = semantic_search.build_index(model, run.tokenizer, corpus, depth)
        return index, semantic_search.same_document(index)

    corpus = _TEXTS.get((run.id, "passages"), read)
    return _INDEXES.get((run.id, step, depth), make)


def _text_of(run: Run, tokens: np.ndarray) -> str:
    """The text of some tokens of a run's dataset, with an empty line between documents however they are separated."""
    if run.train.documents == "joined":
        return decode(run.tokenizer, tokens.tolist())
    cuts = np.flatnonzero(tokens == run.tokenizer.eos)
    documents = np.split(tokens, cuts)  # all but the first begin with the end-of-text token
    return "\n\n".join(decode(run.tokenizer, each[number > 0 :].tolist()) for number, each in enumerate(documents))


@json_endpoint
def search(services: Services, request: Request) -> SearchAnswer:
    """Passages nearest to a query: ``{"visitor", "run", "step", "depth", "query"}``.

    -> ``{"depths", "depth", "n_passages", "model", "ngrams", "same", "trial", "note"}``: two lists of ``[passage, cosine,
    place in the other]``, how many of the one are in the other, and the evaluation of both.
    """
    run, step, model = _checkpoint(services, request)
    query = _text(request, "query", "The query")
    depth = _depth(request, run, (run.model.n_layer + 1) // 2)
    index, trial = _index(services, run, step, model, depth)
    passages = index.corpus.passages
    found = semantic_search.search(index, model, run.tokenizer, query)
    n_tokens, limit = len(run.tokenizer.encode(query)), run.model.block_size

    def rows(hits: tuple[semantic_search.Hit, ...]) -> list[tuple[str, float, int]]:
        return [(passages[hit.index].text, round(hit.score, 3), hit.other) for hit in hits]

    return {
        "depths": depth_names(run.model.n_layer), "depth": depth, "n_passages": len(passages),
        "model": rows(found.model), "ngrams": rows(found.ngrams),
        "same": len({hit.index for hit in found.model} & {hit.index for hit in found.ngrams}),
        "trial": None if trial is None else cast(SearchTrial, {**asdict(trial), "words": semantic_search.in_words(trial)}),
        "note": f"The query has {counted(n_tokens, 'token')}; the first {limit} are read." if n_tokens > limit else "",
    }  # fmt: skip


@json_endpoint
def similar(services: Services, request: Request) -> SimilarAnswer:
    """Lines of text against each other: ``{"visitor", "run", "step", "depth", "lines": text}``.

    -> ``{"lines", "model", "ngrams"}``, two matrices of cosines; the model's vectors less the mean of the corpus's passages.
    """
    run, step, model = _checkpoint(services, request)
    text = _text(request, "lines", "The field of lines", LINES * QUERY)
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if not 2 <= len(lines) <= LINES:
        raise ValueError(f"A map needs 2 to {LINES} lines of text; there are {len(lines)}. One sentence a line.")
    longest = max(len(line) for line in lines)
    if longest > QUERY:
        raise ValueError(f"A line has {counted(longest, 'character')}; the limit here is {QUERY:,}. Shorten it.")
    depth = _depth(request, run, (run.model.n_layer + 1) // 2)
    try:
        centre = _index(services, run, step, model, depth)[0].centre
    except ValueError:
        centre = None  # its text is not available: cosines without centering
    by_model, ngrams = semantic_search.similarity_map(model, run.tokenizer, lines, depth, centre)
    return {"lines": lines, "model": np.round(by_model, 3).tolist(), "ngrams": np.round(ngrams, 3).tolist()}


def _rounded(values: np.ndarray) -> Any:
    return [
        [float(f"{x:.4g}") for x in row] if isinstance(row, list) else float(f"{row:.4g}") for row in values.tolist()
    ]
