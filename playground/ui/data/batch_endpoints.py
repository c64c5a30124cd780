"""Endpoints of the Batch tab."""

from __future__ import annotations

from dataclasses import asdict
from typing import cast

from playground.analysis.batch import explain
from playground.tokenizers import pieces
from playground.ui.components.contracts.training import ExplainAnswer
from playground.ui.json_endpoints import Request, json_endpoint
from playground.ui.services import Services


@json_endpoint
def explain_loss(services: Services, request: Request) -> ExplainAnswer:
    """How one position's loss is computed: ``{"visitor", "run", "step", "ids", "position", "target"}`` -> `Explained`."""
    run = services.run(request.get("run"), request.get("visitor"))
    step, ids = request.get("step"), request.get("ids")
    numbers = [request.get("position"), request.get("target"), *(ids if isinstance(ids, list) else [None])]
    if len(numbers) > run.model.block_size + 2 or not all(type(number) is int for number in numbers):
        raise ValueError("This position is not in the batch. Choose one from the table.")
    model = services.models.get(run, step if isinstance(step, int) else None)
    row = asdict(explain(model, numbers[2:], numbers[0], numbers[1]))
    for candidate, piece in zip(
        row["candidates"], pieces(run.tokenizer, [c["token"] for c in row["candidates"]]), strict=True
    ):
        candidate["piece"] = piece
    return cast(ExplainAnswer, row)
