"""The services of an app on a store of its own, and a run in it that has trained for a moment."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from playground.config import TrainConfig, preset
from playground.runs.curves import Curves
from playground.runs.loading import ModelCache
from playground.runs.store.run_store import Run, RunStore
from playground.runs.worker.execution import execute
from playground.tokenizers import build_tokenizer
from playground.ui.services import Services

TEXT = "the cat sat on the mat and the dog sat on the log. " * 60
SHAPE = {"n_layer": 2, "n_embd": 32, "n_head": 4, "block_size": 32}
MakeRun = Callable[..., Run]


class NoLauncher:
    def position(self, run_id: str) -> None:
        return None


@pytest.fixture
def local(tmp_path: Path) -> Services:
    """Services of a local app, where everything belongs to whoever sits at the machine."""
    store = RunStore(tmp_path / "runs")
    return Services(store, NoLauncher(), Curves(store), ModelCache(), tmp_path / "corpora", public=False)  # type: ignore[arg-type]


@pytest.fixture
def make_run(local: Services) -> MakeRun:
    """Trains a run of 20 steps in the store of `local`; keyword arguments change its model."""

    def make(name: str = "modern", **model: Any) -> Run:
        train = TrainConfig(
            corpus="own", steps=20, batch_size=4, warmup_steps=2, eval_interval=10, eval_tokens=128,
            sample_interval=0, checkpoint_interval=10, snapshots=4,
        )  # fmt: skip
        run = local.store.create(
            preset(name, **{**SHAPE, **model}),
            train,
            build_tokenizer("byte", TEXT),
            name=name,
            preset=name,
            own_text=TEXT,
        )
        assert execute(run).state == "finished"
        return run

    return make
