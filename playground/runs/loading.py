"""A cache of loaded models, shared and read-only."""

from __future__ import annotations

import threading
from collections import OrderedDict

from playground.config import ModelConfig
from playground.models.transformer import Transformer, without_storage
from playground.runs.store.checkpoints import DamagedError, load_weights
from playground.runs.store.run_store import Run
from playground.tokenizers import n_tokens

CAPACITY = 8
BYTES = 2_000_000_000  # of all models together; one that is larger is alone


class ModelCache:
    """The most recently used models, by run and step. One per process; its methods may be called from any thread.

    Models are in eval mode, without gradients, and shared: callers must not modify them. Callers pass a `Run` from the
    store, which has checked access.
    """

    def __init__(self, capacity: int = CAPACITY, most_bytes: int = BYTES) -> None:
        self._capacity, self._most_bytes = capacity, most_bytes
        self._lock = threading.Lock()
        self._models: OrderedDict[tuple[str, int], Transformer] = OrderedDict()

    def get(self, run: Run, step: int | None = None) -> Transformer:
        """The model of a run at a step, or at its newest step that can be loaded.

        Raises ValueError when there is no such step, or when its files are damaged or do not fit the run's config.
        """
        available = run.steps_available()
        if not available:
            raise ValueError("This run has no saved weights yet. Let it train until its first checkpoint.")
        if step is not None:
            if step not in available:
                shown = ", ".join(map(str, available[-8:]))
                raise ValueError(f"There are no weights of step {str(step)[:12]}. The newest there are: {shown}.")
            return self._at(run, step)
        return self._newest(run, available)

    def _newest(self, run: Run, available: list[int]) -> Transformer:
        for step in reversed(available[1:]):
            try:
                return self._at(run, step)
            except DamagedError:
                continue  # fall back to an older step: the caller did not ask for a particular one
        return self._at(run, available[0])

    def _at(self, run: Run, step: int) -> Transformer:
        key = (run.id, step)
        with self._lock:
            model = self._models.pop(key, None) or _load(run, step)
            self._models[key] = model
            while len(self._models) > 1 and (len(self._models) > self._capacity or self._bytes() > self._most_bytes):
                self._models.popitem(last=False)
            return model

    def _bytes(self) -> int:
        return sum(weight.nbytes for model in self._models.values() for weight in model.parameters())


def parameter_shapes(config: ModelConfig) -> dict[str, tuple[int, ...]]:
    """The shape of every parameter of a model, by name; nothing is allocated."""
    return {name: tuple(parameter.shape) for name, parameter in without_storage(config).named_parameters()}


def _load(run: Run, step: int) -> Transformer:
    model = Transformer(run.model)
    model.load_state_dict(load_weights(run.path, step, parameter_shapes(run.model)))
    model.n_tokens = n_tokens(run.tokenizer)
    return model.eval().requires_grad_(False)
