"""Endpoints of the Experts view, see `ui.json_endpoints`."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np

from playground.interp.activations import KINDS, kind_of, text_windows
from playground.interp.experts import by_kind, effective, entropy, information, route
from playground.tokenizers import pieces
from playground.ui.components.contracts.inside import ExpertsAnswer, RoutesAnswer
from playground.ui.json_endpoints import Request, json_endpoint, model_input
from playground.ui.services import Services
from playground.ui.texts import DATASETS

N_TOKENS = 8_000  # of the validation text
FEWEST = 20  # tokens of a kind that gets a row


@json_endpoint
def experts(services: Services, request: Request) -> ExpertsAnswer:
    """The load and specialization of a checkpoint's experts on validation text: ``{"visitor", "run", "step", "brief"?}``.

    -> ``{"n_expert", "n_active", "n_tokens", "load", "effective"}``: shares of all choices (L, E), and as how many
    experts alike that is (L,); of a dense model ``{"n_expert": 1}`` alone. Unless `brief`, also ``{"kinds": [[kind, tokens],
    ...], "table", "information"}``: first choices by kind of token (L, kinds, E), and per layer the bits of the first
    choice with what kind and token tell of them.
    """
    run = services.run(request.get("run"), request.get("visitor"))
    step = request.get("step")
    model = services.models.get(run, step if isinstance(step, int) else None)
    if model.config.n_expert == 1:
        return {"n_expert": 1}
    tokens = DATASETS.get(run, services.cache_dir).validation
    sequences = text_windows(tokens, run.model.block_size, N_TOKENS)
    routes = route(model, sequences)
    load = routes.load
    answer: ExpertsAnswer = {
        "n_expert": run.model.n_expert, "n_active": run.model.n_expert_active, "n_tokens": int(sequences.size),
        "load": _rounded(load), "effective": _rounded(effective(load)),
    }  # fmt: skip
    if request.get("brief"):
        return answer
    flat = sequences.ravel()
    known, labels = np.unique(flat, return_inverse=True)
    kinds = np.array([KINDS.index(kind_of(piece)) for piece in pieces(run.tokenizer, known.tolist())])[labels]
    counts = np.bincount(kinds, minlength=len(KINDS))
    rows = [kind for kind in range(len(KINDS)) if counts[kind] >= FEWEST]
    firsts = routes.chosen[:, :, 0]
    return {
        **answer,
        "kinds": [(KINDS[kind], int(counts[kind])) for kind in rows],
        "table": [_rounded(by_kind(kinds, first, len(KINDS), run.model.n_expert)[rows]) for first in firsts],
        "information": [
            {
                "expert": _plain(entropy(np.bincount(first, minlength=run.model.n_expert) / len(first))),
                "kind": {name: _plain(bits) for name, bits in asdict(information(kinds, first)).items()},
                "token": {name: _plain(bits) for name, bits in asdict(information(labels, first)).items()},
            }
            for first in firsts
        ],
    }


@json_endpoint
def routes(services: Services, request: Request) -> RoutesAnswer:
    """The routing of a text's tokens: ``{"visitor", "run", "step", "text"}`` -> ``{"tokens", "chosen", "odds", "note"}``.

    `chosen` are experts by layer and token, most likely first, `odds` the router's probabilities of them.
    """
    inputs = model_input(services, request)
    found = route(inputs.model, np.array([inputs.ids]))
    odds = np.take_along_axis(found.probabilities, found.chosen, axis=-1)
    return {
        "tokens": pieces(inputs.run.tokenizer, inputs.ids), "chosen": found.chosen.tolist(), "odds": _rounded(odds),
        "note": inputs.note,
    }  # fmt: skip


def _plain(value: Any) -> float:
    return float(f"{float(value):.4g}")


def _rounded(values: np.ndarray) -> Any:
    return np.round(values, 4).tolist()
