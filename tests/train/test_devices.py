"""A GPU: what can be known without one. Tensors without numbers ("meta") stand for those on it: no others may meet them."""

import os

import pytest
import torch

from playground.config import TrainConfig, preset
from playground.models.transformer import Transformer, initialise
from playground.train.devices import training_device
from playground.train.gradients import accumulate, cross_entropy, logit_z_loss, traced_forward_backward
from playground.train.optimizer import build_optimizer, load_optimizer_tensors, optimizer_tensors
from playground.train.trainer import TrainState
from tests.train.test_trainer import FAST, MODEL, run

SMALL = dict(vocab_size=64, n_layer=2, n_embd=32, n_head=4, block_size=16)


@pytest.mark.parametrize("changes", [{}, {"window": 4, "n_sink": 1}, {"position": "alibi"}, {"sink_logit": "learned"}])
@pytest.mark.parametrize("name", ["classic", "modern", "speedrun"])
def test_nothing_in_a_step_lies_away_from_the_models_device(name, changes) -> None:
    model = Transformer(preset(name, **SMALL, **changes)).to("meta").train()
    x = torch.zeros(3, 16, dtype=torch.int64, device="meta")
    logits = model(x)
    (cross_entropy(logits, x) + logit_z_loss(logits, x)).backward()
    assert {p.grad.device.type for p in model.parameters() if p.grad is not None} == {"meta"}


def test_such_tensors_would_notice() -> None:
    with pytest.raises(RuntimeError, match="meta"):
        torch.zeros(3, device="meta") + torch.zeros(3)


def test_the_fused_optimizers_state_comes_back_to_the_parameters_device() -> None:
    state, _ = run(TrainConfig(**FAST).replace(steps=2))
    saved = {name: value for name, value in state.tensors()["optimizer"].items() if name.endswith("/step")}
    assert saved
    twin = TrainState.new(MODEL, TrainConfig(**FAST)).model.to("meta")
    optimizer = build_optimizer(twin, TrainConfig(**FAST))
    load_optimizer_tensors(optimizer, twin, saved)
    assert {value.device.type for value in optimizer_tensors(optimizer, twin).values()} == {"meta"}


def test_each_process_takes_a_gpu_in_turn(monkeypatch) -> None:
    assert training_device().type == ("cuda" if torch.cuda.is_available() else "cpu")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    found = []
    for rank in ("0", "1", "2"):
        monkeypatch.setitem(os.environ, "LOCAL_RANK", rank)
        found.append(training_device().index)
    assert found == [0, 1, 0]


def test_traced_passes_give_the_gradients_of_the_plain_ones() -> None:
    """With the tracer of `torch.compile` alone: what is left to a GPU is to make code of it."""
    config = TrainConfig(batch_size=3, grad_accum=2, z_loss=0.1)
    x, y = torch.randint(0, 64, (2, 6, 16), generator=torch.Generator().manual_seed(0))
    y[0, :5] = -100
    found = []
    for trace in (False, True):
        model = initialise(Transformer(preset("modern", **SMALL)), 0).train()
        passes = traced_forward_backward(model, config, backend="eager") if trace else None
        loss = accumulate(model, x, y, config, targets=91, count=6, passes=passes)
        found.append((loss, torch.cat([p.grad.flatten() for p in model.parameters()])))
    assert found[0][0] == pytest.approx(found[1][0], rel=1e-6)
    assert (found[0][1] - found[1][1]).norm() < 1e-6 * found[0][1].norm()
