"""Helpers of the endpoints for the page's scripts.

A request comes from a browser and is untrusted; the answer is JSON. Errors are answered with ``{"error": sentence}``.
"""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from PIL import Image

from playground.config import counted
from playground.inference.generation import encode_prompt
from playground.models.transformer import Transformer
from playground.runs.store.run_store import Run
from playground.ui.components.contracts.shared import Failure
from playground.ui.services import Services

Request = dict[str, Any]  # a question as it arrived; what it ought to hold is said in `components.table`
T = TypeVar("T")
MAX_TEXT = 20_000  # characters of a text to inspect


def json_endpoint(answer: Callable[[Services, Request], T]) -> Callable[[Services, object], T | Failure]:
    """Make a server function of `answer`: the request becomes a dictionary, and a ValueError an error message."""

    def server_function(services: Services, request: object) -> T | Failure:
        try:
            return answer(services, request if isinstance(request, dict) else {})
        except ValueError as error:
            return {"error": str(error)}

    server_function.__doc__ = answer.__doc__
    return server_function


@dataclass(frozen=True)
class ModelInput:
    """The checkpoint and text of a request, truncated to what the model can read."""

    run: Run
    model: Transformer
    ids: list[int]
    note: str  # a note on what of the text was left out, or ""


def model_input(services: Services, request: Request, field: str = "text") -> ModelInput:
    """The checkpoint and text of ``{"visitor", "run", "step", "text"}``. Raises ValueError if either is missing.

    With ``"special": false`` the text is read without special tokens, else as a prompt is.
    `field` is the key of the text, such as "text" or "clean prompt"; error messages use it as its name.
    """
    run = services.run(request.get("run"), request.get("visitor"))
    step = request.get("step")
    model = services.models.get(run, step if isinstance(step, int) else None)
    text = request.get(field)
    if not isinstance(text, str) or not text:
        raise ValueError(f"The {field} is empty. Write a sentence to analyze.")
    if len(text) > MAX_TEXT:
        raise ValueError(
            f"The {field} has {counted(len(text), 'character')}; the limit here is {MAX_TEXT:,}. Use a part of it."
        )
    ids, limit = encode_prompt(run.tokenizer, text, request.get("special") is not False), run.model.block_size
    note = (
        f"The {field} has {counted(len(ids), 'token')}; the model reads the last {limit}." if len(ids) > limit else ""
    )
    return ModelInput(run, model, ids[-limit:], note)


def plain(value: float) -> float | None:
    """A number for JSON, rounded to five digits; NaN becomes null."""
    return None if math.isnan(value) else float(f"{value:.5g}")


def numbers(values: np.ndarray) -> list[float | None]:
    """A list of such numbers."""
    return [plain(value) for value in values]


def png(grey: np.ndarray) -> str:
    """A grey picture (rows, columns) uint8 as base64 of a PNG."""
    file = io.BytesIO()
    Image.fromarray(grey).save(file, "PNG", compress_level=4)
    return base64.b64encode(file.getvalue()).decode("ascii")
