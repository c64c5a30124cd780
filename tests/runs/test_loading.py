import itertools
import os
import threading
from pathlib import Path

import pandas
import pytest
import torch

from playground.models.transformer import Transformer
from playground.runs.curves import Curves
from playground.runs.gallery import publish
from playground.runs.loading import ModelCache
from playground.runs.store.checkpoints import load_checkpoint, save_checkpoint
from playground.runs.store.run_store import Run, RunStore
from playground.runs.worker.execution import execute
from playground.train.events import Event, StepDone
from playground.train.trainer import TrainState
from tests.runs.conftest import MODEL, TRAIN, MakeRun

TOKENS = torch.arange(32).view(2, 16)


@pytest.fixture
def trained(make_run: MakeRun) -> Run:
    run = make_run(snapshots=4)
    assert execute(run).state == "finished"
    return run


def expected(run: Run) -> torch.Tensor:
    """Logits of the newest checkpoint, loaded the way the trainer resumes."""
    saved = load_checkpoint(run.path)
    assert saved is not None
    state = TrainState.new(MODEL, TRAIN)
    state.load(saved.tensors, saved.counters)
    with torch.no_grad():
        return state.model.eval()(TOKENS)


def test_a_loaded_model_is_the_trained_one(trained: Run) -> None:
    model = ModelCache().get(trained)
    assert not model.training
    assert not any(parameter.requires_grad for parameter in model.parameters())
    assert torch.equal(model(TOKENS), expected(trained))


def test_each_step_has_its_own_weights(trained: Run) -> None:
    cache = ModelCache()
    assert trained.steps_available() == [0, 2, 9, 20, 30]
    outputs = [cache.get(trained, step)(TOKENS) for step in trained.steps_available()]
    assert all(not torch.equal(a, b) for a, b in itertools.pairwise(outputs))
    assert torch.equal(outputs[-1], expected(trained))
    first = TrainState.new(MODEL, TRAIN).model.eval()
    for parameter in first.parameters():  # snapshots are kept at half precision
        parameter.data = parameter.data.bfloat16().float()
    assert torch.equal(outputs[0], first(TOKENS))


def test_models_are_shared_and_the_oldest_forgotten(trained: Run) -> None:
    cache = ModelCache(capacity=2)
    model = cache.get(trained, 30)
    assert cache.get(trained) is model
    found: list[Transformer] = []
    threads = [threading.Thread(target=lambda: found.append(cache.get(trained, 20))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(map(id, found))) == 1
    cache.get(trained, 30)
    cache.get(trained, 9)  # 20 was used longest ago
    assert cache.get(trained, 30) is model
    assert cache.get(trained, 20) is not found[0]


def test_steps_that_are_not_there(trained: Run, make_run: MakeRun) -> None:
    with pytest.raises(ValueError, match="no saved weights yet"):
        ModelCache().get(make_run())
    for step in (5, -1, 10**30, "30", None.__class__, 30.5):
        with pytest.raises(ValueError, match="There are no weights of step"):
            ModelCache().get(trained, step)  # type: ignore[arg-type]


def test_a_damaged_newest_step_is_passed_over_unless_it_was_asked_for(trained: Run) -> None:
    path = trained.path / "snapshots" / "step_00000030" / "model.safetensors"
    other = trained.path / "checkpoints" / "step_00000030" / "model.safetensors"
    for file in (path, other):
        data = bytearray(file.read_bytes())
        data[-1] ^= 1
        file.write_bytes(data)
    with pytest.raises(ValueError, match="weights of step 30 cannot be used"):
        ModelCache().get(trained, 30)
    cache = ModelCache()
    assert cache.get(trained) is cache.get(trained, 20)


def test_weights_of_another_shape_are_refused_by_their_header(make_run: MakeRun) -> None:
    run = make_run()
    state = TrainState.new(MODEL.replace(n_embd=32), TRAIN)
    save_checkpoint(run.path, state.tensors(), state.counters())
    with pytest.raises(ValueError, match="expected"):
        ModelCache().get(run)


def test_a_published_run_is_small_anonymous_and_close(store: RunStore, make_run: MakeRun) -> None:
    run = make_run(owner="me", snapshots=4)
    with pytest.raises(ValueError, match="Only a finished run"):
        publish(run, store.gallery or Path(), name="x")
    calls: list[Event] = []
    execute(run, watch=calls.append)
    assert store.gallery is not None
    folder = publish(run, store.gallery, name="Reference", steps=[0, 9, 30], precision="float16")
    shipped = store.get(folder.name, "anyone")
    assert (shipped.name, shipped.reference, shipped.owner, shipped.state()) == ("Reference", True, None, "finished")
    assert shipped.steps_available() == [0, 9, 30]
    assert sorted(os.listdir(folder)) == ["baselines.json", "events.jsonl", "run.json", "snapshots", "tokenizer.json"]
    assert (ModelCache().get(shipped)(TOKENS) - expected(run)).abs().max() < 2e-3
    frames = [Curves(store).dataframe(r) for r in (shipped, run)]
    pandas.testing.assert_frame_equal(*frames, rtol=1e-5)  # six digits of each number are kept
    assert len(frames[0]) == sum(isinstance(event, StepDone) for event in calls)
    weights = [
        path / "model.safetensors"
        for path in (folder / "snapshots" / "step_00000030", run.path / "checkpoints/step_00000030")
    ]
    header = 2_000
    assert weights[0].stat().st_size < weights[1].stat().st_size / 2 + header


def test_large_models_are_kept_as_long_as_memory_allows(trained: Run) -> None:
    """Two of these three fit, and the one that was looked at last stays; one that is too large by itself is kept alone."""
    steps = trained.steps_available()[:3]
    size = sum(weight.nbytes for weight in ModelCache().get(trained, steps[0]).parameters())
    cache = ModelCache(most_bytes=2 * size)
    first, second, third = (cache.get(trained, step) for step in steps)
    assert cache.get(trained, steps[2]) is third and cache.get(trained, steps[1]) is second
    assert cache.get(trained, steps[0]) is not first
    alone = ModelCache(most_bytes=1)
    kept = alone.get(trained, steps[0])
    assert alone.get(trained, steps[0]) is kept
