"""A store in a temporary folder, and runs so small that they train in a fraction of a second."""

import random
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from playground.config import ModelConfig, TrainConfig
from playground.runs.store.processes import environment
from playground.runs.store.run_store import Run, RunStore
from playground.tokenizers import build_tokenizer
from tests.forks import Forked, Forks

MakeRun = Callable[..., Run]

TEXT = "".join(random.Random(0).choices("abcdefgh \n", k=3_000))
MODEL = ModelConfig(
    block_size=16,
    n_layer=1,
    n_embd=16,
    n_head=2,
    n_kv_head=1,
    position="rope",
    norm="rmsnorm",
    mlp="swiglu",
    dropout=0.1,
)
TRAIN = TrainConfig(
    corpus="own", steps=30, batch_size=2, grad_accum=2, warmup_steps=3, eval_interval=10, eval_tokens=64,
    sample_interval=0, checkpoint_interval=10, snapshots=0,
)  # fmt: skip


@pytest.fixture(scope="session")
def workers() -> Iterator[Forks]:
    """From which workers are forked, in a worker's environment."""
    names = ("playground.runs.worker.racing", "playground.train.trainer", "torch._dynamo", "torch.distributed")
    server = Forks(*names, environment=environment(1))
    yield server
    server.close()


def fork_worker(workers: Forks, folder: Path, **variables: str) -> Forked:
    """A worker that trains the run or race in a folder, with one thread; and with environment variables like torchrun's."""
    command = ("playground.runs.worker.worker", "--threads", "1", str(folder))
    return workers.start(*command, folder=folder, output=folder / "worker.log", environment=variables)


@pytest.fixture
def store(tmp_path: Path) -> RunStore:
    return RunStore(tmp_path / "runs", tmp_path / "gallery")


@pytest.fixture
def make_run(store: RunStore) -> MakeRun:
    """A new run in the store; keyword arguments change its `TrainConfig`, or the ones `RunStore.create` takes."""
    return partial(new_run, store)


def new_run(
    store: RunStore, model: ModelConfig = MODEL, name: str = "a run", owner: str | None = None, **train: Any
) -> Run:
    return store.create(
        model,
        TRAIN.replace(**train),
        build_tokenizer("byte", TEXT),
        name=name,
        preset="modern",
        owner=owner,
        own_text=TEXT,
    )
