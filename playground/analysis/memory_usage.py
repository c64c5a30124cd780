"""Memory of training a model, measured on one real step."""

from __future__ import annotations

from functools import lru_cache

import torch

from playground.config import ModelConfig, TrainConfig
from playground.data.batches import sample_batch
from playground.train.gradients import compute_losses
from playground.train.trainer import TrainState

# Settings that do not affect the memory of a step; runs that differ only in these are measured once.
IRRELEVANT = (
    "corpus", "corpus_bytes", "tokenizer", "bpe_vocab", "documents", "steps", "grad_accum", "schedule", "learning_rate",
    "min_lr_ratio", "warmup_steps", "weight_decay", "beta1", "beta2", "grad_clip", "eval_interval", "eval_tokens",
    "validation_fraction", "sample_interval", "prompt", "checkpoint_interval", "snapshots", "balance_loss", "router_z_loss",
    "compile", "seed", "task_version",
)  # fmt: skip


@lru_cache(maxsize=256)
def training_memory(model: ModelConfig, train: TrainConfig) -> int:
    """Memory of training in bytes: weights, gradients, optimizer state, EMA, and activations of one micro-batch.

    Measured on one real step with random tokens: the tensors are counted, each once, however many names it has.
    """
    plain = TrainConfig(steps=1, warmup_steps=0)
    return _training_memory(model, train.replace(**{name: getattr(plain, name) for name in IRRELEVANT}))


@lru_cache(maxsize=256)
def _training_memory(model: ModelConfig, config: TrainConfig) -> int:
    state, batch_size = TrainState.new(model, config), config.batch_size
    stream = torch.zeros(model.block_size + 2, dtype=torch.int64).numpy()
    x, y = sample_batch(stream, None, block_size=model.block_size, count=batch_size, seed=0, step=1)
    kept: dict[int, int] = {}

    def note(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        lm_loss, aux_loss = compute_losses(state.model.train(), x, y, config)
    (lm_loss + aux_loss.z_loss + aux_loss.router).backward()
    state.optimizer.step()
    weights = {p.untyped_storage().data_ptr(): p.untyped_storage().nbytes() for p in state.model.parameters()}
    moments = sum(t.nbytes for t in state.tensors()["optimizer"].values())
    activations = sum(size for address, size in kept.items() if address not in weights)
    average = sum(t.nbytes for t in (state.average or {}).values())
    return 2 * sum(weights.values()) + moments + average + activations
