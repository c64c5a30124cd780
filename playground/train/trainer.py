"""Training as a generator of events. It neither prints nor writes files; leaving the loop stops it.

    state = TrainState.new(model_config, train_config)
    for event in train(state, dataset, train_config, tokenizer):
        ...                                   # a StepDone after each step, an Evaluated now and then

All randomness (batch, dropout, samples) depends only on (seed, step), so a run that is stopped, saved and resumed is
bit-identical to one that was not interrupted.
"""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.amp import GradScaler

from playground.config import GenerationConfig, ModelConfig, TrainConfig
from playground.data.batches import IGNORED, sample_batch
from playground.inference.generation import generate_text
from playground.models.transformer import Transformer, initialise
from playground.tokenizers import Tokenizer
from playground.train.dataset import Dataset
from playground.train.distributed import SINGLE, Group, dropout_seed
from playground.train.evaluation import evaluate, exact_match
from playground.train.events import Diverged, Evaluated, Event, Finished, Sampled, Snapshot, Started, StepDone
from playground.train.gradients import UNSCALED, ForwardBackward, accumulate, fastest_forward_backward
from playground.train.optimizer import (
    Optimizers,
    build_optimizer,
    clip_gradients,
    load_optimizer_tensors,
    optimizer_tensors,
)
from playground.train.schedule import learning_rate

SAMPLE_TOKENS = 120
SCALE, GROWTH_INTERVAL = (
    2.0**15,
    200,
)  # of the fp16 loss: its first scale, and steps without overflow until it is doubled


@dataclass
class TrainState:
    """The mutable state of training: weights, their average (EMA) if enabled, optimizer state, and counters."""

    model: Transformer
    optimizer: Optimizers
    step: int = 0
    tokens: int = 0
    seconds: float = 0.0  # spent in training steps, without evaluation and pauses
    scaler: GradScaler = UNSCALED  # of the loss; enabled for fp16 only
    average: dict[str, Tensor] | None = None  # of the weights, by name
    passes: ForwardBackward | None = None  # faster forward and backward pass, if there is one
    compiled_from: int = -1  # step after which they were used; below zero: not at all

    @classmethod
    def new(cls, model: ModelConfig, config: TrainConfig, device: str | torch.device = "cpu") -> TrainState:
        """A freshly initialised model, at step 0."""
        transformer = initialise(Transformer(model), config.seed).to(device)
        transformer.gradient_checkpointing = config.gradient_checkpointing
        state = cls(transformer, build_optimizer(transformer, config))
        if config.precision == "fp16":
            kind = transformer.embed.weight.device.type
            state.scaler = GradScaler(kind, init_scale=SCALE, growth_interval=GROWTH_INTERVAL)
        if config.ema:
            state.average = {name: weight.clone() for name, weight in state._weights().items()}
        return state

    def tensors(self) -> dict[str, dict[str, Tensor]]:
        """Everything but the counters, by part and name. "model" holds the weights for inference: the average, if enabled;
        the weights being trained are then under "raw"."""
        weights = self._weights()
        parts = {"model": self.average or weights, "optimizer": optimizer_tensors(self.optimizer, self.model)}
        return parts if self.average is None else {**parts, "raw": weights}

    def _weights(self) -> dict[str, Tensor]:
        return {name: parameter.detach() for name, parameter in self.model.named_parameters()}

    def counters(self) -> dict[str, int | float]:
        """Step, tokens and seconds; the fp16 loss scale with the steps since it changed, and the step since which passes
        are compiled, if applicable."""
        found: dict[str, int | float] = {"step": self.step, "tokens": self.tokens, "seconds": self.seconds}
        if self.scaler.is_enabled():
            scaler = self.scaler.state_dict()
            found |= {"scale": scaler["scale"], "scale_steps": scaler["_growth_tracker"]}
        if self.compiled_from >= 0:
            found["compiled_from"] = self.compiled_from
        return found

    def use_compiled(self, passes: ForwardBackward) -> None:
        """Use compiled passes from the next step on."""
        self.passes = passes
        if self.compiled_from < 0:
            self.compiled_from = self.step

    def load(self, tensors: dict[str, dict[str, Tensor]], counters: dict[str, int | float]) -> None:
        """Restore what `tensors` and `counters` returned, exactly."""
        self.model.load_state_dict(tensors.get("raw", tensors["model"]))
        if self.average is not None:
            for name, weight in self.average.items():
                weight.copy_(tensors["model"][name])
        load_optimizer_tensors(self.optimizer, self.model, tensors["optimizer"])
        self.step, self.tokens = int(counters["step"]), int(counters["tokens"])
        self.seconds = float(counters["seconds"])
        if "scale" in counters:  # scale_steps is missing where the scale was doubled at multiples of the interval
            steps = int(counters.get("scale_steps", self.step % GROWTH_INTERVAL))
            changed = {"scale": float(counters["scale"]), "_growth_tracker": steps}
            self.scaler.load_state_dict(self.scaler.state_dict() | changed)
        self.compiled_from = int(counters.get("compiled_from", -1))

    def update_ema(self, decay: float) -> None:
        """Update the average (EMA). The decay is lower at first, so that the initial weights do not dominate."""
        if self.average is not None:
            share = 1 - min(decay, (1 + self.step) / (10 + self.step))
            torch._foreach_lerp_(list(self.average.values()), list(self._weights().values()), share)

    @contextmanager
    def averaged(self) -> Iterator[Transformer]:
        """Context manager: the model with its averaged weights, if enabled; restores the weights afterwards."""
        self._swap()
        try:
            yield self.model
        finally:
            self._swap()

    def _swap(self) -> None:
        for name, parameter in self.model.named_parameters() if self.average is not None else ():
            assert self.average is not None
            self.average[name], parameter.data = parameter.data, self.average[name]


def train(
    state: TrainState, data: Dataset, config: TrainConfig, tokenizer: Tokenizer, group: Group = SINGLE
) -> Iterator[Event]:
    """Train from `state.step` to `config.steps`, changing `state` in place; it is consistent at every event.

    Evaluations, samples and snapshots that are due at a step come before the next step, so a run resumed at that step
    repeats them with the same result. Ends with `Finished`, or with `Diverged` as soon as the loss or the
    gradient is not finite; the weights are then still those before that step. Of a `group` of processes only the first
    evaluates and samples.
    """
    yield Started(
        state.step, config.steps, state.model.n_parameters(), len(data.train), len(data.validation), data.bits_per_nat,
        data.lost, compared=True,
    )  # fmt: skip
    state.passes = state.passes or fastest_forward_backward(state.model, config)
    snapshots = snapshot_steps(config.steps, config.snapshots)
    recent: deque[float] = deque(maxlen=3)
    while True:
        if group.rank == 0:
            yield from _evaluate_and_sample(state, data, config, tokenizer, snapshots)
        if state.step >= config.steps:
            break
        event = _step(state, data, config, recent, group)
        yield event
        if isinstance(event, Diverged):
            return
    yield Finished(state.step, state.tokens, state.seconds)


def _step(
    state: TrainState, data: Dataset, config: TrainConfig, recent: deque[float], group: Group
) -> StepDone | Diverged:
    """One optimizer step over `grad_accum` micro-batches."""
    model, optimizer, number = state.model.train(), state.optimizer, state.step + 1
    device = model.embed.weight.device
    began = time.perf_counter()
    rate = learning_rate(number, config)
    for part in optimizer.param_groups:
        part["lr"] = rate
    block_size, count = model.config.block_size, config.batch_size * config.grad_accum
    x, y = sample_batch(
        data.train, data.train_mask, block_size=block_size, count=count, seed=config.seed, step=number,
        among=data.train_windows,
    )  # fmt: skip
    targets = max(1, int((y != IGNORED).sum()))
    x, y = x.to(device, non_blocking=True), y.to(device, non_blocking=True)
    mine = group.shard(x), group.shard(y)
    while True:
        if model.config.dropout:
            torch.manual_seed(dropout_seed(config.seed, number, group.rank))
        optimizer.zero_grad()
        loss = accumulate(model, *mine, config, targets=targets, count=count, scaler=state.scaler, passes=state.passes)
        loss = group.all_reduce(model, loss)
        for each in optimizer.parts:
            state.scaler.unscale_(each)
        grad_norm = clip_gradients(model, config.grad_clip)
        scale = state.scaler.get_scale()
        state.scaler.update()
        if math.isfinite(loss) and math.isfinite(grad_norm):
            break
        if scale <= 1.0 or state.scaler.get_scale() >= scale:
            return Diverged(number, rate, tuple(recent))
        # fp16 overflowed and the scale is lower now: the same step again, so that steps and batches stay aligned
    optimizer.step()
    recent.append(loss)
    state.step, state.tokens = number, state.tokens + x.numel()
    state.update_ema(config.ema)
    state.seconds += time.perf_counter() - began
    return StepDone(number, state.tokens, state.seconds, loss, grad_norm, rate)


def _evaluate_and_sample(
    state: TrainState, data: Dataset, config: TrainConfig, tokenizer: Tokenizer, snapshots: frozenset[int]
) -> Iterator[Event]:
    """Evaluation, sample and snapshot, if due at the current step."""
    step, last = state.step, state.step >= config.steps
    if last or step % config.eval_interval == 0:
        with state.averaged() as model:
            found = evaluate(model, data.validation, data.validation_mask, config.eval_tokens, data.validation_windows)
            right = exact_match(model, tokenizer, data.task, version=config.task_version) if data.task else None
        yield Evaluated(step, state.tokens, state.seconds, found.loss, found.accuracy, right, loss_se=found.loss_se)
    if config.sample_interval and (last or step % config.sample_interval == 0):
        choice = GenerationConfig(temperature=0.8, max_new_tokens=SAMPLE_TOKENS, seed=config.seed)
        with state.averaged() as model:
            text = generate_text(model, tokenizer, data.prompt, choice)
        yield Sampled(step, data.prompt, text)
    if step in snapshots:
        yield Snapshot(step)


def snapshot_steps(steps: int, count: int) -> frozenset[int]:
    """`count` steps from 0 to `steps`, evenly spaced on a logarithmic scale, because most changes happen early."""
    if count <= 0:
        return frozenset()
    if count == 1:
        return frozenset({steps})
    spaced = (round((steps + 1) ** (index / (count - 1))) - 1 for index in range(count))
    return frozenset({*spaced, steps})
