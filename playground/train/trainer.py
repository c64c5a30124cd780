"""Training, as a generator of events: it neither prints nor writes, and leaving the loop stops it.

    state = TrainState.new(model_config, train_config)
    for event in train(state, dataset, train_config, tokenizer):
        ...                                   # a StepDone after each step, an Evaluated now and then

Whatever is random depends on (seed, step) alone: the batch, dropout, the samples. So a run that is stopped, saved and
resumed goes through bit for bit the same numbers as one that never was.
"""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from playground.config import ModelConfig, SampleConfig, TrainConfig
from playground.data.batches import IGNORED, random_windows
from playground.inference.generation import write
from playground.models.moe import Routing
from playground.models.transformer import Transformer, initialise
from playground.tokenizers import Tokenizer
from playground.train.dataset import Dataset
from playground.train.evaluation import evaluate, exact_match
from playground.train.events import Diverged, Evaluated, Event, Finished, Sampled, Snapshot, Started, StepDone
from playground.train.optimizer import (
    Optimizers,
    build_optimizer,
    clip_gradients,
    load_optimizer_tensors,
    optimizer_tensors,
)
from playground.train.routing import router_loss
from playground.train.schedule import learning_rate

SAMPLE_TOKENS = 120


@dataclass
class TrainState:
    """All that changes while a run trains: weights, optimizer moments, and three counters."""

    model: Transformer
    optimizer: Optimizers
    step: int = 0
    tokens: int = 0
    seconds: float = 0.0  # spent in steps, evaluation and pauses left out

    @classmethod
    def new(cls, model: ModelConfig, config: TrainConfig, device: str | torch.device = "cpu") -> TrainState:
        """A freshly initialised model, at step 0."""
        transformer = initialise(Transformer(model), config.seed).to(device)
        return cls(transformer, build_optimizer(transformer, config))

    def tensors(self) -> dict[str, dict[str, Tensor]]:
        """Everything but the counters, by part and name."""
        weights = {name: parameter.detach() for name, parameter in self.model.named_parameters()}
        return {"model": weights, "optimizer": optimizer_tensors(self.optimizer, self.model)}

    def counters(self) -> dict[str, int | float]:
        return {"step": self.step, "tokens": self.tokens, "seconds": self.seconds}

    def load(self, tensors: dict[str, dict[str, Tensor]], counters: dict[str, int | float]) -> None:
        """Continue from what `tensors` and `counters` gave, exactly."""
        self.model.load_state_dict(tensors["model"])
        load_optimizer_tensors(self.optimizer, self.model, tensors["optimizer"])
        self.step, self.tokens = int(counters["step"]), int(counters["tokens"])
        self.seconds = float(counters["seconds"])


def train(state: TrainState, data: Dataset, config: TrainConfig, tokenizer: Tokenizer) -> Iterator[Event]:
    """Train from `state.step` to `config.steps`, changing `state` in place; it is consistent at every event.

    Observations (evaluation, sample, snapshot) that are due at a step come before the next step begins, so a run resumed at
    that step makes them again, with the same result. Ends with `Finished`, or with `Diverged` as soon as the loss or the
    gradient is not finite; the weights are then still those before that step.
    """
    yield Started(
        state.step, config.steps, state.model.n_parameters(), len(data.train), len(data.validation), data.bits_per_nat
    )
    snapshots = snapshot_steps(config.steps, config.snapshots)
    recent: deque[float] = deque(maxlen=3)
    while True:
        yield from _observations(state, data, config, tokenizer, snapshots)
        if state.step >= config.steps:
            break
        event = _step(state, data, config, recent)
        yield event
        if isinstance(event, Diverged):
            return
    yield Finished(state.step, state.tokens, state.seconds)


def _step(state: TrainState, data: Dataset, config: TrainConfig, recent: deque[float]) -> StepDone | Diverged:
    """One optimizer step over `grad_accum` micro-batches."""
    model, optimizer, number = state.model.train(), state.optimizer, state.step + 1
    device = model.embed.weight.device
    began = time.perf_counter()
    rate = learning_rate(number, config)
    for group in optimizer.param_groups:
        group["lr"] = rate
    block_size, count = model.config.block_size, config.batch_size * config.grad_accum
    x, y = random_windows(
        data.train, data.train_mask, block_size=block_size, count=count, seed=config.seed, step=number
    )
    x, y = x.to(device, non_blocking=True), y.to(device, non_blocking=True)
    # Micro-batches are weighted by their number of targets: the mean over all of them, not a mean of means.
    targets = max(1, int((y != IGNORED).sum()))
    if model.config.dropout:
        torch.manual_seed((config.seed << 31) + number & 0x7FFF_FFFF_FFFF_FFFF)
    optimizer.zero_grad()
    loss = 0.0
    for inputs, wanted in zip(x.split(config.batch_size), y.split(config.batch_size), strict=True):
        routings: list[Routing] = []
        part = cross_entropy(model(inputs, routings), wanted) / targets
        # What routers are asked for besides is a mean over tokens, and no part of the loss that is shown.
        (part + router_loss(routings, config) * (len(inputs) / count)).backward()
        loss += part.item()
    grad_norm = clip_gradients(model, config.grad_clip).item()
    if not (math.isfinite(loss) and math.isfinite(grad_norm)):
        return Diverged(number, rate, tuple(recent))
    optimizer.step()
    recent.append(loss)
    state.step, state.tokens = number, state.tokens + x.numel()
    state.seconds += time.perf_counter() - began
    return StepDone(number, state.tokens, state.seconds, loss, grad_norm, rate)


def cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
    """Summed -log p of the targets (B, T) under logits (B, T, V), in nats; ignored targets count nothing."""
    return F.cross_entropy(logits.float().flatten(0, 1), targets.flatten(), ignore_index=IGNORED, reduction="sum")


def _observations(
    state: TrainState, data: Dataset, config: TrainConfig, tokenizer: Tokenizer, snapshots: frozenset[int]
) -> Iterator[Event]:
    """What is due at the current step."""
    step, last = state.step, state.step >= config.steps
    if last or step % config.eval_interval == 0:
        loss, accuracy = evaluate(state.model, data.validation, data.validation_mask, config.eval_tokens)
        right = exact_match(state.model, tokenizer, data.task) if data.task else None
        yield Evaluated(step, state.tokens, state.seconds, loss, accuracy, right)
    if config.sample_interval and (last or step % config.sample_interval == 0):
        choice = SampleConfig(temperature=0.8, max_new_tokens=SAMPLE_TOKENS, seed=config.seed)
        yield Sampled(step, data.prompt, write(state.model, tokenizer, data.prompt, choice))
    if step in snapshots:
        yield Snapshot(step)


def snapshot_steps(steps: int, count: int) -> frozenset[int]:
    """`count` steps from 0 to `steps`, evenly spaced in their logarithm: much happens early."""
    if count <= 0:
        return frozenset()
    if count == 1:
        return frozenset({steps})
    spaced = (round((steps + 1) ** (index / (count - 1))) - 1 for index in range(count))
    return frozenset({*spaced, steps})
