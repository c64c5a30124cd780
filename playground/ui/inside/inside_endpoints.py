"""Endpoints of the Inside tab, see `ui.json_endpoints`."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import asdict

import numpy as np

from playground.inference.generation import encode_prompt
from playground.interp.ablation import Part, Probe, continuation, effect, parts_of, probe
from playground.interp.attention_walkthrough import by_hand, source
from playground.interp.heads import SCORES, head_scores, letters_of, repeated_tokens
from playground.interp.limits import check_parts
from playground.interp.logit_lens import TOP, logit_lens
from playground.interp.patching import patching, telling
from playground.models.transformer import Transformer
from playground.runs.store.run_store import Run
from playground.tokenizers import StreamDecoder, Tokenizer, pieces
from playground.ui.components.contracts.inside import HandAnswer, LensAnswer, LensDepth, PartsAnswer, PatchAnswer
from playground.ui.components.contracts.shared import AblateAnswer, Consequences, HeadsAnswer
from playground.ui.json_endpoints import MAX_TEXT, ModelInput, Request, json_endpoint, model_input, numbers, plain
from playground.ui.services import Services
from playground.ui.texts import DATASETS

CELLS = 2_000  # of a lens; above this a cell has fewer alternatives
PROBE_TOKENS = 4_000
WRITTEN = 48  # tokens of a continuation
HEAVIEST = 6  # keys whose values are shown
NEXT = 8  # rows of the next-token table


@json_endpoint
def lens(services: Services, request: Request) -> LensAnswer:
    """Predictions after every layer: ``{"visitor", "run", "step", "text"}`` -> ``{"name", "tokens", "depths", "note"}``.

    A depth is ``{"top": [[[piece, p], ...] per position], "entropy", "divergence", "actual"}``, see `logit_lens.Lens`.
    """
    inputs = model_input(services, request)
    few = (inputs.run.model.n_layer + 1) * len(inputs.ids) > CELLS
    found = logit_lens(inputs.model, inputs.ids, 2 if few else TOP)
    names = dict(zip(ids := sorted(set(found.top.ravel().tolist())), pieces(inputs.run.tokenizer, ids), strict=True))
    depths: list[LensDepth] = [
        {
            "top": [
                [(names[token], plain(p)) for token, p in zip(tokens, odds, strict=True)]
                for tokens, odds in zip(found.top[depth].tolist(), found.top_probability[depth].tolist(), strict=True)
            ],
            "entropy": numbers(found.entropy[depth]),
            "divergence": numbers(found.divergence[depth]),
            "actual": numbers(found.actual[depth]),
        }
        for depth in range(len(found.top))
    ]
    return {
        "name": inputs.run.name, "tokens": pieces(inputs.run.tokenizer, inputs.ids), "depths": depths, "note": inputs.note,
    }  # fmt: skip


@json_endpoint
def heads(services: Services, request: Request) -> HeadsAnswer:
    """Scores of every head: ``{"visitor", "run", "step", "text"}`` -> ``{"scores": [...], "values", "note"}``.

    `values` maps a score's id to numbers (L, H).
    """
    inputs = model_input(services, request)
    probes = repeated_tokens(letters_of(inputs.run.tokenizer), inputs.run.model.block_size)
    found = head_scores(inputs.model, probes, inputs.ids)
    return {
        "scores": [asdict(score) for score in SCORES],
        "values": {name: [[plain(value) for value in row] for row in rows] for name, rows in found.items()},
        "note": inputs.note,
    }


@json_endpoint
def head_by_hand(services: Services, request: Request) -> HandAnswer:
    """One head for one token: ``{"visitor", "run", "step", "text", "layer", "head", "position", "key"}`` -> its numbers.

    ``{"tokens", "n_layer", "n_head", "size", "layer", "head", "position", "key", "query", "key_vector", "rows", "sink",
    "top", "output", "difference", "source", "note"}``. A row is ``[dot, bias, visible, score, weight]`` of a key, `top`
    are ``[key, weight, value vector]`` of the heaviest. An invalid layer, head, position or key is replaced by the
    last or most likely one.
    """
    inputs = model_input(services, request)
    config, last = inputs.run.model, len(inputs.ids) - 1

    def within(name: str, highest: int, otherwise: int) -> int:
        value = request.get(name)
        return value if type(value) is int and 0 <= value <= highest else otherwise

    layer, head = within("layer", config.n_layer - 1, 0), within("head", config.n_head - 1, 0)
    position = within("position", last, last)
    found = by_hand(inputs.model, inputs.ids, layer, head, position)
    key = within("key", position, int(found.weights.argmax()))
    heaviest = np.argsort(-found.weights, kind="stable")[: min(HEAVIEST, int(found.visible.sum()))]
    rows = zip(found.dots, found.bias, found.visible, found.scores, found.weights, strict=True)
    return {
        "tokens": pieces(inputs.run.tokenizer, inputs.ids), "n_layer": config.n_layer, "n_head": config.n_head,
        "size": config.head_dim, "layer": layer, "head": head, "position": position, "key": key,
        "query": numbers(found.query), "key_vector": numbers(found.keys[key]),
        "rows": [
            (plain(dot), plain(bias), bool(seen), plain(score) if seen else None, plain(weight))
            for dot, bias, seen, score, weight in rows
        ],
        "sink": found.sink, "output": numbers(found.output), "difference": found.difference,
        "top": [(int(s), plain(found.weights[s]), numbers(found.values[s])) for s in heaviest],
        "source": source(), "note": inputs.note,
    }  # fmt: skip


class Probes:
    """Cached probes of recently used checkpoints on validation text. Measuring uses a core, so one at a time."""

    def __init__(self, capacity: int = 4) -> None:
        self.lock = threading.Lock()
        self._capacity = capacity
        self._kept: OrderedDict[tuple[str, int | None], tuple[Transformer, Probe]] = OrderedDict()

    def get(self, services: Services, run: Run, step: int | None) -> tuple[Transformer, Probe]:
        """Model and probe of a checkpoint; call it under the lock. Raises ValueError when the text is not to be had."""
        model = services.models.get(run, step)
        known = self._kept.pop((run.id, step), None)
        if known is None or known[0] is not model:
            known = model, probe(model, DATASETS.get(run, services.cache_dir), PROBE_TOKENS)
        self._kept[run.id, step] = known
        while len(self._kept) > self._capacity:
            self._kept.popitem(last=False)
        return known


PROBES = Probes()


@json_endpoint
def parts(services: Services, request: Request) -> PartsAnswer:
    """The parts that can be ablated: ``{"visitor", "run"}`` -> ``{"n_layer", "n_head", "parts": [[layer, kind, head],
    ...]}``."""
    run = services.run(request.get("run"), request.get("visitor"))
    check_parts(run.model)
    listed = parts_of(run.model)
    return {
        "n_layer": run.model.n_layer,
        "n_head": run.model.n_head,
        "parts": [(part.layer, part.kind, part.head) for part in listed],
    }


@json_endpoint
def ablate(services: Services, request: Request) -> AblateAnswer:
    """Ablate parts: ``{"visitor", "run", "step", "parts": [[layer, kind, head], ...], "how", "text"?}`` -> what changes.

    ``{"loss", "change", "standard_error", "n_tokens", "n_windows"}`` in nats per token of the validation text, the
    standard error that of the change (null for one window); with a text also ``{"next": [[piece, p, p without], ...],
    "before", "after", "note"}``, two greedy continuations.
    """
    run = services.run(request.get("run"), request.get("visitor"))
    chosen, how = _parts(request.get("parts")), request.get("how", "zero")
    if how not in ("zero", "mean"):
        raise ValueError("A part is replaced by zero or by its mean. Choose one of the two.")
    step = request.get("step")
    with PROBES.lock:
        model, on = PROBES.get(services, run, step if isinstance(step, int) else None)
        found = effect(model, on, chosen, how)
    answer: AblateAnswer = {
        "loss": plain(on.loss), "change": plain(found.change), "standard_error": plain(found.error),
        "n_tokens": on.n_tokens, "n_windows": len(on.inputs),
    }  # fmt: skip
    if "text" in request:
        return {**answer, **_consequences(model_input(services, request), chosen, on if how == "mean" else None)}
    return answer


@json_endpoint
def patch(services: Services, request: Request) -> PatchAnswer:
    """Patch a corrupted prompt with a clean one's activations: ``{"visitor", "run", "step", "clean prompt", "corrupted
    prompt", "clean answer", "corrupted answer"}`` -> which of them carry the difference.

    ``{"tokens", "others", "answers", "clean", "corrupted", "residual", "heads", "mlps", "note"}``: the pieces of both
    prompts and answers, the logit differences, and shares as `patching.Patching` has them. An empty answer is the token
    that its prompt favours most over the other; of a longer one the first token counts.
    """
    both = [model_input(services, request, f"{name} prompt") for name in ("clean", "corrupted")]
    clean, corrupted = both
    favoured, disfavoured = telling(clean.model, clean.ids, corrupted.ids)
    answers = (
        _answer(clean, request.get("clean answer"), favoured),
        _answer(corrupted, request.get("corrupted answer"), disfavoured),
    )
    with PROBES.lock:
        found = patching(clean.model, clean.ids, corrupted.ids, answers)
    tokenizer = clean.run.tokenizer
    return {
        "tokens": pieces(tokenizer, clean.ids), "others": pieces(tokenizer, corrupted.ids),
        "answers": pieces(tokenizer, answers), "clean": plain(found.clean), "corrupted": plain(found.corrupted),
        "residual": [numbers(row) for row in found.residual], "heads": [numbers(row) for row in found.heads],
        "mlps": numbers(found.mlps), "note": clean.note or corrupted.note,
    }  # fmt: skip


def _answer(inputs: ModelInput, text: object, otherwise: int) -> int:
    """The token of an answer: its first one."""
    return (
        encode_prompt(inputs.run.tokenizer, text[:MAX_TEXT], special=False)[0]
        if isinstance(text, str) and text
        else otherwise
    )


def _parts(sent: object) -> list[Part]:
    """Parse parts from a request. Raises ValueError for invalid input."""
    found = []
    for item in sent if isinstance(sent, list) else []:
        if not (isinstance(item, list) and len(item) == 3 and type(item[0]) is int and type(item[2]) is int):
            raise ValueError(
                "This part does not exist in the model. Choose heads, MLPs or attention layers from the grid."
            )
        if item[1] not in ("head", "mlp", "attention"):
            raise ValueError(
                "This part does not exist in the model. Choose heads, MLPs or attention layers from the grid."
            )
        found.append(Part(item[0], item[1], item[2]))
    return found


def _consequences(inputs: ModelInput, chosen: list[Part], on: Probe | None) -> Consequences:
    """The next token and the continuation with and without the parts."""
    average = None if on is None else on.average
    tokenizer = inputs.run.tokenizer
    before = continuation(inputs.model, inputs.ids, [], None, WRITTEN)
    after = continuation(inputs.model, inputs.ids, chosen, average, WRITTEN)
    likely = np.maximum(before.probabilities, after.probabilities)
    shown = [int(token) for token in np.argsort(-likely, kind="stable")[:NEXT]]
    rows = zip(pieces(tokenizer, shown), before.probabilities[shown], after.probabilities[shown], strict=True)
    return {
        "next": [(piece, plain(p), plain(q)) for piece, p, q in rows],
        "before": _text(tokenizer, inputs.ids, before.ids),
        "after": _text(tokenizer, inputs.ids, after.ids),
        "note": inputs.note,
    }


def _text(tokenizer: Tokenizer, context: Sequence[int], ids: Sequence[int]) -> str:
    """The text of some ids that follow others."""
    decoder = StreamDecoder(tokenizer, context)
    return decoder.feed_all(ids) + decoder.finish()
