"""Lanes: the same loss and gradients as one thread, whatever the number of cores, and always the same ones."""

from collections.abc import Iterator

import pytest
import torch

from playground.config import TrainConfig, preset
from playground.models.transformer import Transformer, initialise
from playground.train.data_parallel import DataParallelThreads
from playground.train.gradients import accumulate, fastest_forward_backward
from tests.train.test_trainer import FAST, losses, run

TRAIN = TrainConfig(batch_size=6, grad_accum=2)
SMALL = dict(vocab_size=64, block_size=16, n_layer=2, n_embd=16, n_head=2)


@pytest.fixture
def three_threads() -> Iterator[None]:
    torch.set_num_threads(3)
    yield
    torch.set_num_threads(1)


def test_lanes_deal_all_sequences_out_evenly() -> None:
    def of(batch: int, threads: int) -> tuple[int, int, int]:
        lanes = DataParallelThreads.of(preset("modern"), TrainConfig(batch_size=batch), threads)
        return lanes.count, lanes.rows, lanes.threads

    assert of(12, 2) == (2, 6, 1)
    assert of(1, 4) == (1, 1, 4)
    assert of(9, 2) == (1, 9, 2), "two threads cannot share nine evenly: they share every operation"
    assert of(6, 4) == (3, 2, 1)


@pytest.mark.parametrize(
    ("model", "train"),
    [
        ({"n_expert": 4, "n_expert_active": 2}, {}),
        ({"dropout": 0.1}, {}),
        ({}, {"precision": "fp16"}),
    ],
)
def test_what_is_no_sum_over_sequences_has_one_lane(model, train) -> None:
    assert DataParallelThreads.of(preset("modern", **model), TRAIN.replace(**train), 2).count == 1


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("name", ["classic", "modern", "speedrun"])
def test_lanes_give_the_loss_and_gradients_of_one_thread(name, precision, three_threads) -> None:
    """Two micro-batches of six in three lanes, some targets ignored; biases, tied heads and learned sinks among them."""
    config = TRAIN.replace(precision=precision, z_loss=0.1 if name == "modern" else 0.0)
    architecture = preset(name, **SMALL, sink_logit="learned" if name == "modern" else "none")
    x, y = torch.randint(0, 64, (2, 12, 16), generator=torch.Generator().manual_seed(0))
    y[0, :5] = -100
    found = []
    for lanes in (False, True, True):
        model = initialise(Transformer(architecture), 0).train()
        passes = fastest_forward_backward(model, config) if lanes else None
        loss = accumulate(model, x, y, config, targets=187, count=12, passes=passes)
        found.append((loss, torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None])))
    (plain_loss, plain), (loss, gradient), again = found
    assert loss == pytest.approx(plain_loss, rel=1e-6)
    assert (gradient - plain).norm() < (1e-6 if precision == "fp32" else 5e-3) * plain.norm()
    assert not gradient.equal(plain), "otherwise it was not shared"
    assert loss == again[0]
    assert gradient.equal(again[1]), "the same each time"


def test_a_run_in_lanes_goes_one_threads_way_and_is_the_same_each_time(three_threads) -> None:
    config = TrainConfig(**FAST).replace(batch_size=6, steps=20)
    laned = [losses(run(config)[1]) for _ in range(2)]
    torch.set_num_threads(1)
    alone = losses(run(config)[1])
    assert laned[0] == laned[1]
    assert laned[0] == pytest.approx(alone, abs=1e-4)
    assert laned[0] != alone


def test_threads_elsewhere_keep_their_number(three_threads) -> None:
    fastest_forward_backward(Transformer(preset("modern", **SMALL)), TRAIN)
    within = DataParallelThreads(3, 2, 1).sums(
        lambda x, y: [torch.tensor(torch.get_num_threads())], *torch.ones(2, 6, 4)
    )
    assert within == [3], "one each"
    assert torch.get_num_threads() == 3
