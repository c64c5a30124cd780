"""Training against things it must equal: one big batch, an uninterrupted run, AdamW by hand; and that it learns."""

import math
from itertools import pairwise

import numpy as np
import pytest
import torch

from playground.config import GenerationConfig, ModelConfig, TrainConfig, preset
from playground.data.batches import IGNORED, sample_batch, spread_windows, windows
from playground.inference.generation import generate
from playground.models.moe import Routing
from playground.tokenizers import BPETokenizer, build_tokenizer
from playground.train.dataset import Dataset, prepare, split
from playground.train.estimate import estimate
from playground.train.evaluation import evaluate
from playground.train.events import Diverged, Evaluated, Finished, Sampled, Snapshot, Started, StepDone
from playground.train.gradients import accumulate, cross_entropy
from playground.train.routing import router_loss
from playground.train.schedule import learning_rate
from playground.train.trainer import TrainState, snapshot_steps, train

MODEL = preset("modern", vocab_size=256, block_size=16, n_layer=2, n_embd=16, n_head=2)
FAST = dict(steps=12, batch_size=4, warmup_steps=2, eval_interval=4, eval_tokens=256, sample_interval=0)
TEXT = "".join(f"{n} and {n * 7 % 13} make {n + n * 7 % 13}.\n" for n in range(400))
BYTES = build_tokenizer("byte", "")


def run(config: TrainConfig, model: ModelConfig = MODEL, until: int | None = None, state: TrainState | None = None):
    state = state or TrainState.new(model, config)
    data = prepare(TEXT, BYTES, model, config)
    events = []
    for event in train(state, data, config, BYTES):
        events.append(event)
        if isinstance(event, StepDone) and event.step == until:
            break
    return state, events


def losses(events):
    return [event.loss for event in events if isinstance(event, StepDone)]


def test_targets_are_the_inputs_shifted_by_one():
    x, y = windows(np.arange(100), None, np.array([3, 50]), 5)
    assert x.tolist() == [[3, 4, 5, 6, 7], [50, 51, 52, 53, 54]]
    assert y.tolist() == [[4, 5, 6, 7, 8], [51, 52, 53, 54, 55]]
    flags = np.arange(100) % 2 == 0
    assert windows(np.arange(100), flags, np.array([3]), 5)[1].tolist() == [[4, IGNORED, 6, IGNORED, 8]]


def test_batches_depend_on_seed_and_step_alone():
    stream = np.random.default_rng(0).integers(0, 256, 5000)
    draw = lambda seed, step: sample_batch(stream, None, block_size=8, count=4, seed=seed, step=step)[0]  # noqa: E731
    assert torch.equal(draw(1, 2), draw(1, 2))
    assert not torch.equal(draw(1, 2), draw(1, 3))
    assert not torch.equal(draw(1, 2), draw(2, 2))


def test_the_last_window_of_a_text_is_reachable():
    stream = np.arange(9)
    seen = {int(sample_batch(stream, None, block_size=7, count=1, seed=0, step=s)[0][0, 0]) for s in range(50)}
    assert seen == {0, 1}


def test_evaluation_windows_do_not_overlap_and_reach_the_end():
    offsets = spread_windows(1001, 10, 500)
    assert len(offsets) == 50
    assert (np.diff(offsets) >= 10).all()
    assert offsets[0] == 0
    assert offsets[-1] == 990
    assert spread_windows(11, 10, 10_000).tolist() == [0]


STREAM = np.random.default_rng(0).integers(0, 256, 4000).astype(np.uint8)
SOME = np.random.default_rng(1).random(4000) < np.linspace(0, 1, 4000)  # targets: few at the beginning, many at the end


@pytest.mark.parametrize("flags", [None, SOME], ids=["alike", "ragged"])
def test_accumulation_equals_one_batch(flags):
    """2, 4 or 8 micro-batches are one batch of 16, also when they hold different numbers of targets."""
    data = Dataset(STREAM, STREAM, 1.0, flags, flags)

    def trained(batch_size, grad_accum):
        config = TrainConfig(**FAST).replace(batch_size=batch_size, grad_accum=grad_accum)
        state = TrainState.new(MODEL, config)
        return losses(train(state, data, config, BYTES)), state.model.parameters()

    one_losses, one = trained(16, 1)
    one = list(one)
    for batch_size, grad_accum in ((8, 2), (4, 4), (2, 8)):
        many_losses, many = trained(batch_size, grad_accum)
        assert np.allclose(one_losses, many_losses, rtol=1e-5)
        for a, b in zip(one, many, strict=True):
            assert (a - b).abs().max() < 2e-5


def test_a_mean_of_means_would_be_another_gradient():
    """What averaging the micro-batches' means gives where they hold different numbers of targets, and what we give."""
    x, y = sample_batch(STREAM, SOME, block_size=16, count=16, seed=3, step=1)
    counts = [int((part != IGNORED).sum()) for part in y.split(4)]
    assert len(set(counts)) > 1
    model = TrainState.new(MODEL, TrainConfig(**FAST)).model

    def gradient(backward):
        model.zero_grad()
        backward()
        return torch.cat([p.grad.flatten() for p in model.parameters()])

    def each(weights):
        for inputs, wanted, weight in zip(x.split(4), y.split(4), weights, strict=True):
            (cross_entropy(model(inputs), wanted) * weight).backward()

    config = TrainConfig(**FAST).replace(batch_size=4, grad_accum=4)
    whole = gradient(lambda: (cross_entropy(model(x), y) / sum(counts)).backward())
    ours = gradient(lambda: accumulate(model, x, y, config, targets=sum(counts), count=16))
    means = gradient(lambda: each([1 / (4 * count) for count in counts]))
    assert (ours - whole).norm() < 1e-5 * whole.norm()
    assert (means - whole).norm() > 0.05 * whole.norm()


@pytest.mark.parametrize("name", ["mixture", "gpt-oss"])
def test_accumulation_equals_one_batch_for_experts(name):
    """But for the balance loss: what is balanced is one micro-batch, as in Switch and Mixtral."""
    model = preset(name, vocab_size=256, block_size=16, n_layer=2, n_embd=16, n_head=2)
    ends = []
    for batch_size, grad_accum in ((16, 1), (4, 4)):
        config = TrainConfig(**FAST).replace(
            batch_size=batch_size, grad_accum=grad_accum, balance_loss=0.0, router_z_loss=0.01
        )
        state, events = run(config, model)
        ends.append((list(state.model.parameters()), losses(events)))
    assert np.allclose(ends[0][1], ends[1][1], rtol=1e-5)
    for a, b in zip(ends[0][0], ends[1][0], strict=True):
        assert (a - b).abs().max() < 2e-5


def test_routers_become_balanced_and_the_loss_shown_is_the_texts_alone():
    model = preset("mixture", vocab_size=256, block_size=16, n_layer=2, n_embd=16, n_head=2)
    spread, first = {}, {}
    for weight in (0.0, 1.0):
        config = TrainConfig(**FAST).replace(steps=60, balance_loss=weight, learning_rate=1e-2)
        state, events = run(config, model)
        first[weight] = losses(events)[0]
        x = torch.from_numpy(np.frombuffer(TEXT.encode()[:1600], dtype=np.uint8).astype(np.int64)).view(100, 16)
        routings: list[Routing] = []
        with torch.no_grad():
            state.model(x, routings)
        spread[weight] = max(torch.bincount(r.chosen.flatten(), minlength=4).float().std() for r in routings)
    assert spread[1.0] < 0.5 * spread[0.0]
    assert first[0.0] == first[1.0]


def test_only_matrices_are_decayed_stacked_biases_are_not():
    model = preset("gpt-oss", vocab_size=64, block_size=16, n_layer=2, n_embd=16, n_head=2)
    state = TrainState.new(model, TrainConfig(weight_decay=0.5))
    names = {id(parameter): name for name, parameter in state.model.named_parameters()}
    decayed = [names[id(p)] for group in state.optimizer.param_groups if group["weight_decay"] for p in group["params"]]
    assert "blocks.0.mlp.experts.gate" in decayed
    assert not [name for name in decayed if "bias" in name or "norm" in name or "sinks" in name]


@pytest.mark.parametrize("cut", [1, 5, 8])
def test_a_resumed_run_is_bit_for_bit_the_uninterrupted_one(cut):
    config = TrainConfig(**FAST).replace(grad_accum=2)
    model = MODEL.replace(dropout=0.1)
    whole, events = run(config, model)
    first, before = run(config, model, until=cut)
    tensors = {part: {name: t.clone() for name, t in group.items()} for part, group in first.tensors().items()}
    second = TrainState.new(model, config.replace(seed=config.seed))
    second.load(tensors, first.counters())
    torch.manual_seed(999)  # whatever else drew random numbers in between
    resumed, after = run(config, model, state=second)
    assert losses(before) + losses(after) == losses(events)
    assert resumed.tokens == whole.tokens
    for a, b in zip(whole.model.parameters(), resumed.model.parameters(), strict=True):
        assert torch.equal(a, b)
    ends = [[e.loss for e in run_ if isinstance(e, Evaluated)][-1] for run_ in (events, after)]
    assert ends[0] == ends[1]


def test_forgetting_the_optimizer_state_would_show():
    config = TrainConfig(**FAST)
    _, events = run(config)
    first, _ = run(config, until=5)
    second = TrainState.new(MODEL, config)
    second.load({**first.tensors(), "optimizer": {}}, first.counters())
    _, after = run(config, state=second)
    assert abs(losses(after)[-1] - losses(events)[-1]) > 1e-4


def test_steps_equal_adamw_by_hand():
    """Two steps of the trainer against the formula of AdamW in float64."""
    config = TrainConfig(**FAST).replace(steps=2, grad_clip=0.0)
    state, _ = run(config)
    twin = TrainState.new(MODEL, config).model.double()
    data = prepare(TEXT, BYTES, MODEL, config)
    m = {n: torch.zeros_like(p) for n, p in twin.named_parameters()}
    v = {n: torch.zeros_like(p) for n, p in twin.named_parameters()}
    for step in (1, 2):
        x, y = sample_batch(data.train, None, block_size=16, count=4, seed=config.seed, step=step)
        twin.zero_grad()
        torch.nn.functional.cross_entropy(twin(x).flatten(0, 1), y.flatten()).backward()
        rate = learning_rate(step, config)
        with torch.no_grad():
            for name, p in twin.named_parameters():
                m[name] = config.beta1 * m[name] + (1 - config.beta1) * p.grad
                v[name] = config.beta2 * v[name] + (1 - config.beta2) * p.grad**2
                if p.ndim > 1:
                    p *= 1 - rate * config.weight_decay
                p -= rate * m[name] / (1 - config.beta1**step) / ((v[name] / (1 - config.beta2**step)).sqrt() + 1e-8)
    for a, b in zip(state.model.parameters(), twin.parameters(), strict=True):
        assert (a.double() - b).abs().max() < 2e-5


def test_the_learning_rate_rises_then_falls_along_half_a_cosine():
    config = TrainConfig(steps=110, warmup_steps=10, learning_rate=1.0, min_lr_ratio=0.1)
    assert [round(learning_rate(s, config), 6) for s in (1, 5, 10)] == [0.1, 0.5, 1.0]
    assert math.isclose(learning_rate(60, config), 0.55)
    assert math.isclose(learning_rate(110, config), 0.1)


def test_observations_come_when_due_and_once():
    config = TrainConfig(**FAST).replace(steps=10, sample_interval=5, snapshots=4)
    _, events = run(config)
    assert isinstance(events[0], Started)
    assert isinstance(events[-1], Finished)
    assert [e.step for e in events if isinstance(e, Evaluated)] == [0, 4, 8, 10]
    assert [e.step for e in events if isinstance(e, Sampled)] == [0, 5, 10]
    assert [e.step for e in events if isinstance(e, Snapshot)] == sorted(snapshot_steps(10, 4))
    assert [e.step for e in events if isinstance(e, StepDone)] == list(range(1, 11))


def test_snapshots_are_spaced_by_the_logarithm():
    steps = sorted(snapshot_steps(1000, 12))
    assert steps[0] == 0
    assert steps[-1] == 1000
    assert len(steps) == 12 or len(steps) == 11
    ratios = [(b + 1) / (a + 1) for a, b in pairwise(steps[3:])]
    assert max(ratios) < 2.2


def test_evaluation_equals_a_sum_by_hand():
    state, _ = run(TrainConfig(**FAST))
    stream = np.frombuffer(TEXT.encode(), dtype=np.uint8)
    loss, accuracy, _ = evaluate(state.model, stream, None, 160)
    total, hits = 0.0, 0
    twin = state.model.double().eval()
    for offset in spread_windows(len(stream), 16, 160):
        x = torch.from_numpy(stream[offset : offset + 17].astype(np.int64))
        with torch.no_grad():
            log_p = twin(x[None, :-1])[0].log_softmax(-1)
        total -= log_p[range(16), x[1:]].sum().item()
        hits += (log_p.argmax(-1) == x[1:]).sum().item()
    assert abs(loss - total / 160) < 1e-5
    assert accuracy == hits / 160


def test_bits_per_byte_do_not_depend_on_the_tokenizer():
    """One bit per byte is one bit per byte: the scale takes the tokens' length into account."""
    text = "äöü " * 200 + "\n"
    config = TrainConfig(**FAST)
    for name in ("byte", "char", "bpe"):
        tokenizer = build_tokenizer(name, text, vocab_size=270)
        data = prepare(text, tokenizer, MODEL, config)
        tail = split(text, config.validation_fraction)[1]
        nats = 0.5 * len(tail.encode()) * math.log(2)  # a model that spends half a bit per byte of this text
        per_token = nats / len(tokenizer.encode(tail))
        assert abs(per_token * data.bits_per_nat - 0.5) < 1e-6


def test_divergence_is_said_at_its_step_and_leaves_the_weights_alone():
    config = TrainConfig(**FAST).replace(learning_rate=1.0, warmup_steps=0, grad_clip=0.0)
    state = TrainState.new(MODEL, config)
    data = prepare(TEXT, BYTES, MODEL, config)
    kept = []
    for event in train(state, data, config, BYTES):
        kept.append(event)
        if isinstance(event, StepDone) and event.step == 3:
            with torch.no_grad():
                state.model.embed.weight[:] = float("inf")
            broken = state.model.blocks[0].attn.query.weight.clone()
    assert isinstance(kept[-1], Diverged)
    assert kept[-1].step == 4
    assert list(kept[-1].last_losses) == losses(kept)[-3:]
    assert torch.equal(broken, state.model.blocks[0].attn.query.weight)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["classic", "modern", "mixture", "gpt-oss"])
def test_a_repeating_pattern_is_learned_and_written_again(name):
    """The settings of Transformers' own overfit test: loss falls by nine tenths, and greedy writing goes on likewise."""
    pattern = list(range(1, 20))
    model = preset(name, vocab_size=32, block_size=64, n_layer=2, n_embd=32, n_head=4)
    config = TrainConfig(learning_rate=3e-3, warmup_steps=10, steps=300, batch_size=2, weight_decay=0.0)
    state = TrainState.new(model, config)
    x = torch.tensor(pattern * 8)[:65].repeat(2, 1)
    first = last = 0.0
    for _ in range(config.steps):
        state.optimizer.zero_grad()
        routings: list[Routing] = []
        loss = cross_entropy(state.model(x[:, :-1], routings), x[:, 1:]) / 128
        (loss + router_loss(routings, config)).backward()
        state.optimizer.step()
        last = loss.item()
        first = first or last
    assert last < 0.1 * first
    greedy = GenerationConfig(temperature=0.0, max_new_tokens=38)
    written = [token.id for token in generate(state.model.eval(), pattern, greedy)]
    assert written == pattern * 2


def test_a_text_too_short_for_the_context_is_refused_with_a_remedy():
    config = TrainConfig(**FAST)
    with pytest.raises(
        ValueError, match=r"12 tokens in its validation part; context length 16 needs at least 17\. Lower"
    ):
        prepare("x" * 120, BYTES, MODEL, config)


def test_a_vocabulary_of_32_000_trains_measures_and_samples():
    model = MODEL.replace(vocab_size=32_000)
    config = TrainConfig(**{**FAST, "sample_interval": 12})
    rng = np.random.default_rng(0)
    data = Dataset(rng.integers(0, 32_000, 2000), rng.integers(0, 32_000, 900), 1.0)
    bpe = BPETokenizer([(n % 256, n // 256) for n in range(31_744)])
    events = list(train(TrainState.new(model, config), data, config, bpe))
    first = next(event for event in events if isinstance(event, Evaluated))
    assert first.loss == pytest.approx(math.log(32_000), abs=0.05)
    assert isinstance(next(event for event in events if isinstance(event, Sampled)).text, str)
    assert isinstance(events[-1], Finished)


def test_measuring_in_small_parts_gives_the_same_loss(monkeypatch):
    state = TrainState.new(MODEL, TrainConfig(**FAST))
    data = prepare(TEXT, BYTES, MODEL, TrainConfig(**FAST))
    whole = evaluate(state.model, data.validation, None, 1000)
    monkeypatch.setattr("playground.train.evaluation.BATCH_LOGITS", 256 * 20)
    assert evaluate(state.model, data.validation, None, 1000) == pytest.approx(whole, rel=1e-6)


def test_memory_estimate_grows_with_the_vocabulary_as_measured():
    """Peak memory of a worker, measured: 355 to 432 MB for 256 tokens, 832 MB for 32,000 (6 x 128 tokens a step)."""
    config = TrainConfig()
    small, large = (estimate(preset("modern", vocab_size=size), config).memory_bytes for size in (256, 32_000))
    assert 300e6 < small < 450e6
    assert 650e6 < large < 900e6
