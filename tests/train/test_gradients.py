"""Precision, loss scaling, recomputation, the z-loss and the average of weights, each against what it must equal."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from playground.config import TrainConfig, preset
from playground.data.batches import IGNORED, sample_batch
from playground.models.transformer import Transformer, initialise
from playground.train import trainer
from playground.train.distributed import Group, dropout_seed
from playground.train.evaluation import evaluate
from playground.train.events import Diverged, Evaluated, StepDone
from playground.train.gradients import accumulate, logit_z_loss
from playground.train.trainer import TrainState, train
from tests.train.test_trainer import BYTES, FAST, MODEL, TEXT, losses, prepare, run

DATA = prepare(TEXT, BYTES, MODEL, TrainConfig(**FAST))
X, Y = sample_batch(DATA.train, None, block_size=16, count=4, seed=0, step=1)


def gradients(model_config=MODEL, dtype=torch.float32, **changes):
    """All gradients of one batch as one vector in float64, and the loss."""
    config = TrainConfig(**FAST).replace(**changes)
    model = initialise(Transformer(model_config), 0).to(dtype).train()
    model.gradient_checkpointing = config.gradient_checkpointing
    loss = accumulate(model, X, Y, config, targets=Y.numel(), count=len(X))
    return torch.cat([p.grad.flatten().double() for p in model.parameters()]), loss


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_lower_precision_stays_near_the_float64_gradient_and_fp32_is_nearer(precision):
    exact, exact_loss = gradients(dtype=torch.float64)
    errors = {}
    for name in ("fp32", precision):
        found, loss = gradients(precision=name)
        errors[name] = ((found - exact).norm() / exact.norm()).item()
        assert abs(loss - exact_loss) < 5e-3
    assert errors["fp32"] < 1e-5
    assert 1e-4 < errors[precision] < 3e-2


def test_weights_and_moments_stay_in_fp32_at_any_precision():
    state, events = run(TrainConfig(**FAST).replace(precision="bf16"))
    assert {t.dtype for part in state.tensors().values() for t in part.values()} == {torch.float32}
    assert losses(events)[-1] < losses(events)[0]


def test_a_step_in_fp16_moves_the_weights_along_the_float64_gradient():
    """Gradient descent, so that the step is the gradient times the rate, whatever the loss was multiplied by."""
    config = TrainConfig(**FAST).replace(
        precision="fp16", optimizer="sgd", weight_decay=0.0, grad_clip=0.0, warmup_steps=0, steps=1, grad_accum=2
    )
    state = TrainState.new(MODEL, config)
    model = initialise(Transformer(MODEL), config.seed).double()
    x, y = sample_batch(DATA.train, DATA.train_mask, block_size=16, count=8, seed=config.seed, step=1)
    accumulate(model, x, y, config.replace(precision="fp32"), targets=y.numel(), count=8)
    exact = torch.cat([p.grad.flatten() for p in model.parameters()])
    before = torch.cat([p.detach().double().flatten() for p in state.model.parameters()])
    step = next(event for event in train(state, DATA, config, BYTES) if isinstance(event, StepDone))
    moved = before - torch.cat([p.detach().double().flatten() for p in state.model.parameters()])
    assert (moved / step.learning_rate - exact).norm() < 3e-2 * exact.norm()
    assert step.grad_norm == pytest.approx(exact.norm().item(), rel=1e-2)


def test_an_overflow_of_fp16_halves_the_scale_and_repeats_the_step(monkeypatch):
    config = TrainConfig(**FAST).replace(precision="fp16", steps=3)
    _, calm = run(config)
    monkeypatch.setattr(trainer, "SCALE", 2.0**40)
    state, events = run(config)
    assert [e.step for e in events if isinstance(e, StepDone)] == [1, 2, 3]
    assert 1 < state.scaler.get_scale() < 2.0**40
    assert losses(events) == pytest.approx(losses(calm), abs=2e-3)
    second = TrainState.new(MODEL, config)
    second.load(state.tensors(), state.counters())
    assert second.scaler.state_dict() == state.scaler.state_dict()


@pytest.mark.parametrize("older", [False, True], ids=["saved now", "saved before scale_steps"])
def test_the_scale_of_fp16_doubles_and_a_resumed_run_keeps_its_rhythm(monkeypatch, older):
    monkeypatch.setattr(trainer, "GROWTH_INTERVAL", 4)
    config = TrainConfig(**FAST).replace(precision="fp16", steps=11)
    whole, events = run(config)
    assert whole.counters()["scale"] == 4 * trainer.SCALE
    first, before = run(config, until=6)
    counters = first.counters()
    assert counters.pop("scale_steps") == 2 if older else counters["scale_steps"] == 2
    second = TrainState.new(MODEL, config)
    second.load({part: {n: t.clone() for n, t in group.items()} for part, group in first.tensors().items()}, counters)
    resumed, after = run(config, state=second)
    assert losses(before) + losses(after) == losses(events)
    assert resumed.scaler.state_dict() == whole.scaler.state_dict()
    plain = TrainState.new(MODEL, config.replace(precision="bf16"))
    assert plain.counters().keys() == {"step", "tokens", "seconds"}


def test_a_gradient_that_is_too_long_although_no_number_overflowed_is_a_divergence(monkeypatch):
    """The scale would stay as it is, so repeating the step would not end."""
    config = TrainConfig(**FAST).replace(precision="fp16")
    monkeypatch.setattr(trainer, "clip_gradients", lambda *_: math.inf)
    assert isinstance(list(train(TrainState.new(MODEL, config), DATA, config, BYTES))[-1], Diverged)


def test_what_is_broken_at_any_scale_is_a_divergence():
    config = TrainConfig(**FAST).replace(precision="fp16")
    state = TrainState.new(MODEL, config)
    with torch.no_grad():
        state.model.embed.weight[:] = float("inf")
    assert isinstance(list(train(state, DATA, config.replace(eval_interval=100), BYTES))[-1], Diverged)


@pytest.mark.parametrize("name", ["classic", "modern", "gpt-oss"])
def test_recomputed_activations_give_the_same_gradients_and_are_not_kept(name):
    model = preset(name, vocab_size=256, block_size=16, n_layer=4, n_embd=16, n_head=2, dropout=0.2)
    found, kept = {}, {}
    for checkpointing in (False, True):
        sizes = {}

        def note(tensor, sizes=sizes):
            sizes[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
            return tensor

        torch.manual_seed(3)
        with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
            found[checkpointing], _ = gradients(model, gradient_checkpointing=checkpointing)
        kept[checkpointing] = sum(sizes.values())
    assert torch.equal(found[True], found[False])
    assert kept[True] < 0.7 * kept[False]


def test_the_z_loss_is_its_formula_and_pulls_along_its_derivative():
    logits = (5 * torch.randn(2, 7, 11, dtype=torch.float64)).requires_grad_()
    targets = torch.randint(0, 11, (2, 7))
    targets[0, :3] = IGNORED
    z = logits.exp().sum(-1).log()
    counts = (targets != IGNORED).double()
    loss = logit_z_loss(logits.double(), targets)
    assert abs(loss - (z.square() * counts).sum()) < 1e-3
    loss.backward()
    by_hand = 2 * z[..., None] * logits.softmax(-1) * counts[..., None]
    assert (logits.grad - by_hand).abs().max() < 1e-4


@pytest.mark.parametrize("name", ["modern", "gpt-oss"])
def test_the_gradient_is_that_of_one_batch_however_the_targets_are_dealt_out(name):
    """Micro-batches, lanes' rows and processes that hold different numbers of targets, some of them none; in float64.

    Cross-entropy, z-loss and router z-loss. The balance loss, which is no mean over tokens, is left out.
    """
    architecture = preset(name, vocab_size=256, block_size=16, n_layer=2, n_embd=16, n_head=2)
    config = TrainConfig(z_loss=0.1, balance_loss=0.0, router_z_loss=0.01)
    x, y = sample_batch(DATA.train, None, block_size=16, count=12, seed=1, step=1)
    y = y.masked_fill(
        torch.rand(y.shape, generator=torch.Generator().manual_seed(0)) > torch.linspace(-0.2, 1, 12)[:, None], IGNORED
    )
    counts = (y != IGNORED).sum(1)
    assert counts.min() == 0
    assert counts.max() > 10
    model = initialise(Transformer(architecture), 0).double().train()

    def of_all(backward):
        model.zero_grad()
        backward()
        return torch.cat([p.grad.flatten() for p in model.parameters()])

    def by_formula():
        routings = []
        log_z = model(x, routings).logsumexp(-1)
        logits = model(x)
        wanted = y != IGNORED
        right = logits.gather(-1, y.clamp(min=0)[..., None])[..., 0]
        total = ((log_z - right) + 0.1 * log_z.square())[wanted].mean()
        if routings:
            total = total + 0.01 * sum(r.logits.logsumexp(-1).square().mean() for r in routings) / len(routings)
        total.backward()

    exact = of_all(by_formula)
    for batch_size, processes in ((12, 1), (4, 1), (1, 1), (5, 1), (4, 2), (3, 5), (1, 12)):
        found = of_all(
            lambda batch_size=batch_size, processes=processes: [
                accumulate(
                    model, *(Group(rank, processes).shard(part) for part in (x, y)),
                    config.replace(batch_size=batch_size), targets=int(counts.sum()), count=12,
                )
                for rank in range(processes)
            ]
        )  # fmt: skip
        assert (found - exact).norm() < 1e-6 * exact.norm(), (batch_size, processes)


@pytest.mark.slow
def test_every_process_and_every_step_has_dropout_of_its_own():
    """By what torch draws: its generator for CPUs takes the lowest 32 bits of a seed alone."""
    for seed in (0, 7, 2**32 - 1):
        drawn = set()
        for step in (1, 2, 1_000_000):
            for rank in range(1024):
                torch.manual_seed(dropout_seed(seed, step, rank))
                drawn.add(tuple(torch.randint(0, 2**62, (2,)).tolist()))
            assert dropout_seed(seed, step) == (seed << 31) + step & 0x7FFF_FFFF_FFFF_FFFF, (
                "as ever, so that runs resume"
            )
        assert len(drawn) == 3 * 1024


@given(
    st.integers(0, 2**32 - 1), st.integers(0, 1023), st.integers(0, 1023), st.integers(1, 10**6), st.integers(1, 10**6)
)
def test_no_two_steps_of_processes_share_the_seed_of_their_dropout(seed, rank, other, step, later):
    same = dropout_seed(seed, step, rank) & 0xFFFF_FFFF == dropout_seed(seed, later, other) & 0xFFFF_FFFF
    assert same == ((rank, step) == (other, later))


def test_the_z_loss_keeps_logits_calm_and_is_no_part_of_the_loss_that_is_shown():
    sizes, first = {}, {}
    for weight in (0.0, 1.0):
        state, events = run(TrainConfig(**FAST).replace(steps=60, z_loss=weight, learning_rate=1e-2))
        with torch.no_grad():
            sizes[weight] = state.model(X).logsumexp(-1).abs().mean()
        first[weight] = losses(events)[0]
    assert sizes[1.0] < 0.5 * sizes[0.0]
    assert first[1.0] == first[0.0]


def test_the_average_is_the_one_by_hand_and_is_what_is_measured_and_saved():
    config = TrainConfig(**FAST).replace(ema=0.8)
    state = TrainState.new(MODEL, config)
    mean = {name: p.detach().double().clone() for name, p in state.model.named_parameters()}
    for event in train(state, DATA, config, BYTES):
        if isinstance(event, StepDone):
            keep = min(0.8, (1 + event.step) / (10 + event.step))
            for name, p in state.model.named_parameters():
                mean[name] = keep * mean[name] + (1 - keep) * p.detach().double()
        if isinstance(event, Evaluated):
            measured = event.loss
    saved = state.tensors()["model"]
    twin = Transformer(MODEL)
    twin.load_state_dict(saved)
    for name, p in state.model.named_parameters():
        assert (saved[name] - mean[name]).abs().max() < 1e-5
        assert (saved[name] - p).abs().max() > 1e-4 or p.ndim < 2
    assert evaluate(twin, DATA.validation, None, config.eval_tokens)[0] == measured


@pytest.mark.parametrize("cut", [1, 7])
def test_a_run_with_an_average_at_half_precision_resumes_bit_for_bit(cut):
    config = TrainConfig(**FAST).replace(
        ema=0.9, precision="bf16", z_loss=1e-3, optimizer="muon", gradient_checkpointing=True
    )
    whole, events = run(config)
    first, before = run(config, until=cut)
    tensors = {part: {name: t.clone() for name, t in group.items()} for part, group in first.tensors().items()}
    second = TrainState.new(MODEL, config.replace(seed=5))
    second.load(tensors, first.counters())
    resumed, after = run(config, state=second)
    assert losses(before) + losses(after) == losses(events)
    for part, group in whole.tensors().items():
        for name, value in group.items():
            assert torch.equal(value, resumed.tensors()[part][name]), (part, name)
    ends = [[e.loss for e in one if isinstance(e, Evaluated)][-1] for one in (events, after)]
    assert ends[0] == ends[1]
    assert math.isfinite(ends[0])
