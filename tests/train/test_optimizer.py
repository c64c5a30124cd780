"""Muon, SGD and the schedules against their formulas; and every optimizer resumes bit for bit."""

import math

import pytest
import torch

from playground.config import TrainConfig
from playground.data.batches import sample_batch
from playground.train.muon import Muon
from playground.train.optimizer import (
    MUON_MOMENTUM,
    build_optimizer,
    clip_gradients,
    is_hidden_matrix,
    optimizer_tensors,
)
from playground.train.schedule import learning_rate
from playground.train.trainer import TrainState
from tests.train.test_trainer import BYTES, FAST, MODEL, TEXT, losses, prepare, run


def gradients(twin, data, config, step):
    x, y = sample_batch(data.train, None, block_size=16, count=4, seed=config.seed, step=step)
    twin.zero_grad()
    torch.nn.functional.cross_entropy(twin(x).flatten(0, 1), y.flatten()).backward()


def test_steps_equal_sgd_with_momentum_by_hand():
    config = TrainConfig(**FAST).replace(steps=3, grad_clip=0.0, optimizer="sgd", learning_rate=0.1)
    state, _ = run(config)
    twin = TrainState.new(MODEL, config).model.double()
    data, moment = prepare(TEXT, BYTES, MODEL, config), {}
    for step in (1, 2, 3):
        gradients(twin, data, config, step)
        with torch.no_grad():
            for name, p in twin.named_parameters():
                gradient = p.grad + (config.weight_decay * p if p.ndim > 1 else 0)
                moment[name] = config.beta1 * moment[name] + gradient if step > 1 else gradient
                p -= learning_rate(step, config) * moment[name]
    for a, b in zip(state.model.parameters(), twin.parameters(), strict=True):
        assert (a.double() - b).abs().max() < 2e-5


def orthogonalised(matrix):
    """Five Newton-Schulz steps with Jordan's coefficients, in float64. Torch takes them in bfloat16, where the smallest
    singular values come out differently."""
    a, b, c = 3.4445, -4.7750, 2.0315
    x = matrix / matrix.norm()
    x = x.T if matrix.shape[0] > matrix.shape[1] else x
    for _ in range(5):
        gram = x @ x.T
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x.T if matrix.shape[0] > matrix.shape[1] else x


@pytest.mark.parametrize("limit", [0.0, 1e-3, 0.5, 5.0, 1e6])
def test_clipping_is_torchs_own(limit):
    found = []
    for clip in (
        clip_gradients,
        lambda model, limit: torch.nn.utils.clip_grad_norm_(model.parameters(), limit or math.inf),
    ):
        model = torch.nn.Linear(5, 3)
        for index, parameter in enumerate(model.parameters()):
            parameter.grad = torch.randn(parameter.shape, generator=torch.Generator().manual_seed(index))
        length = float(clip(model, limit))
        found.append(torch.cat([torch.tensor([length]), *(p.grad.flatten() for p in model.parameters())]))
    assert found[0].equal(found[1])


@pytest.mark.parametrize("kind", ["adamw", "muon", "sgd"])
def test_the_number_of_threads_changes_no_bit_of_a_step(kind):
    """Cores share the parameters; every parameter is stepped once, and as if it were alone."""
    found = []
    for threads in (1, 2, 4):
        torch.set_num_threads(threads)
        try:
            model = TrainState.new(MODEL, TrainConfig()).model
            optimizer = build_optimizer(model, TrainConfig(optimizer=kind))
            for step in range(2):
                for number, p in enumerate(model.parameters()):
                    p.grad = torch.randn(p.shape, generator=torch.Generator().manual_seed(100 * step + number))
                optimizer.step()
        finally:
            torch.set_num_threads(1)
        assert len(optimizer.parts) >= threads
        found.append([*model.parameters(), *optimizer_tensors(optimizer, model).values()])
    for alone, *shared in zip(*found, strict=True):
        assert all(tensor.equal(alone) for tensor in shared)


def test_a_muon_step_equals_the_formula_and_leaves_embeddings_to_adamw():
    config = TrainConfig(**FAST).replace(steps=1, warmup_steps=0, grad_clip=0.0, optimizer="muon", learning_rate=0.02)
    state, _ = run(config)
    twin = TrainState.new(MODEL, config).model.double()
    gradients(twin, prepare(TEXT, BYTES, MODEL, config), config, 1)
    rate = learning_rate(1, config)
    seen = set()
    for (name, ours), p in zip(state.model.named_parameters(), twin.parameters(), strict=True):
        decay = 1 - rate * config.weight_decay if p.ndim > 1 else 1
        if is_hidden_matrix(name, p):
            first = (1 - MUON_MOMENTUM) * p.grad  # the average's first step, then Nesterov's look ahead
            ahead = (1 - MUON_MOMENTUM) * p.grad + MUON_MOMENTUM * first
            change = 0.2 * math.sqrt(max(p.shape)) * orthogonalised(ahead)
            tolerance = 0.25  # of direction; its length is compared below
        else:
            change, tolerance = p.grad / (p.grad.abs() + 1e-8), 1e-3  # AdamW's first step
        expected = p * decay - rate * change
        difference = (ours.double() - expected).norm() / (rate * change).norm()
        assert difference < tolerance, (name, difference)
        taken = (p * decay - ours.double()).norm() / (rate * change).norm()
        assert abs(taken - 1) < 0.05, (name, taken)
        seen.add(is_hidden_matrix(name, p))
    assert seen == {True, False}


def test_matrices_taken_together_step_as_torchs_muon_takes_them_one_by_one():
    """Shapes lying, standing and square; both round to bfloat16 in between, so directions agree to a few per cent."""
    shapes = [(8, 24), (24, 8), (16, 16), (8, 24), (16, 16)]
    start = [torch.randn(shape, generator=torch.Generator().manual_seed(i)) for i, shape in enumerate(shapes)]
    ends = []
    for kind, more in ((Muon, {}), (torch.optim.Muon, {"adjust_lr_fn": "match_rms_adamw"})):
        parameters = [torch.nn.Parameter(x.clone()) for x in start]
        optimizer = kind(parameters, lr=0.1, weight_decay=0.3, momentum=0.9, **more)
        for step in range(3):
            for number, p in enumerate(parameters):
                p.grad = torch.randn(p.shape, generator=torch.Generator().manual_seed(100 * step + number))
            optimizer.step()
        ends.append((parameters, [optimizer.state[p]["momentum_buffer"] for p in parameters]))
    for ours, theirs, before in zip(ends[0][0], ends[1][0], start, strict=True):
        assert (ours - theirs).norm() < 0.03 * (theirs - before).norm()
    for ours, theirs in zip(ends[0][1], ends[1][1], strict=True):
        assert (ours - theirs).abs().max() < 1e-6


def test_muon_takes_matrices_inside_blocks_only():
    optimizer = build_optimizer(TrainState.new(MODEL, TrainConfig()).model, TrainConfig(optimizer="muon"))
    muon, rest = optimizer.parts
    shapes = [p.shape for group in muon.param_groups for p in group["params"]]
    assert all(len(shape) == 2 and 256 not in shape for shape in shapes)
    assert len(shapes) == 7 * MODEL.n_layer
    assert sum(len(group["params"]) for group in rest.param_groups) == 1 + 2 * MODEL.n_layer + 1


@pytest.mark.parametrize("optimizer", ["adamw", "muon", "sgd"])
@pytest.mark.parametrize("schedule", ["linear", "wsd"])
def test_every_optimizer_resumes_bit_for_bit(optimizer, schedule):
    config = TrainConfig(**FAST).replace(optimizer=optimizer, schedule=schedule)
    whole, events = run(config)
    first, before = run(config, until=5)
    tensors = {part: {name: t.clone() for name, t in group.items()} for part, group in first.tensors().items()}
    second = TrainState.new(MODEL, config)
    second.load(tensors, first.counters())
    resumed, after = run(config, state=second)
    assert losses(before) + losses(after) == losses(events)
    for a, b in zip(whole.model.parameters(), resumed.model.parameters(), strict=True):
        assert torch.equal(a, b)
    assert whole.tensors()["optimizer"].keys() == resumed.tensors()["optimizer"].keys()


@pytest.mark.parametrize("optimizer", ["muon", "sgd"])
def test_every_optimizer_learns(optimizer):
    rate = {"muon": 0.01, "sgd": 0.3}[optimizer]
    config = TrainConfig(**{**FAST, "steps": 60}).replace(optimizer=optimizer, learning_rate=rate)
    _, events = run(config)
    assert losses(events)[-1] < losses(events)[0] - 1.5


def test_schedules_by_hand():
    def rates(schedule):
        config = TrainConfig(steps=110, warmup_steps=10, learning_rate=1.0, min_lr_ratio=0.1, schedule=schedule)
        return [learning_rate(step, config) for step in (5, 10, 35, 60, 90, 100, 110)]

    assert rates("constant") == [0.5, 1, 1, 1, 1, 1, 1]
    assert rates("linear") == pytest.approx([0.5, 1, 0.775, 0.55, 0.28, 0.19, 0.1])
    assert rates("wsd") == pytest.approx([0.5, 1, 1, 1, 1, 0.55, 0.1])
    cosine = 0.1 + 0.9 * 0.5 * (1 + math.cos(math.pi * 0.25))
    assert rates("cosine")[2:4] == pytest.approx([cosine, 0.55])
