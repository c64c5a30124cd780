"""Estimates against what a model really has and keeps."""

import pytest
import torch

from playground.config import TrainConfig, preset
from playground.models.transformer import Transformer, initialise
from playground.train.estimate import PROCESS_BYTES, estimate
from playground.train.gradients import compute_losses, cross_entropy
from playground.train.routing import router_loss

MODELS = {
    "classic": preset("classic"),
    "modern": preset("modern"),
    "alibi": preset("modern", position="alibi"),
    "window": preset("modern", window=32),
    "learned sinks": preset("modern", sink_logit="learned"),
    "wide heads": preset("modern", head_size=64, qk_norm=True),
    "narrow heads": preset("modern", head_size=8),
    "qk-norm": preset("modern", qk_norm=True),
    "clamped": preset("modern", mlp="clamped_swiglu"),
    "post-norm, relu2": preset("classic", norm_placement="post", mlp="relu2"),
    "exact gelu": preset("classic", mlp="gelu_exact"),
    "mixture": preset("mixture"),
    "many experts": preset("modern", n_expert=8, n_expert_active=4, shared_expert=True),
    "gpt-oss": preset("gpt-oss"),
}


@pytest.mark.parametrize("name", MODELS)
def test_memory_covers_what_the_backward_pass_keeps_and_not_much_more(name):
    """Every tensor that autograd saves, counted once, but for the parameters."""
    config, train = MODELS[name], TrainConfig()
    model = initialise(Transformer(config), 0)
    weights = {parameter.untyped_storage().data_ptr() for parameter in model.parameters()}
    saved = {}

    def keep(tensor):
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            saved[storage.data_ptr()] = storage  # held, so that no address is used twice
        return tensor

    x = torch.randint(0, config.vocab_size, (train.batch_size, config.block_size))
    routings = []
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        loss = cross_entropy(model(x, routings), x) + router_loss(routings, train)
    assert loss.requires_grad
    need = estimate(config, train)
    activations = need.memory_bytes - PROCESS_BYTES - 16 * need.parameters
    assert 1.0 < activations / sum(storage.nbytes() for storage in saved.values()) < 1.8


@pytest.mark.parametrize(
    ("changes", "low", "high"), [({"gradient_checkpointing": True}, 1.0, 4.0), ({"precision": "bf16"}, 1.0, 3.0)]
)
def test_memory_covers_recomputed_and_half_precision_steps_too(changes, low, high):
    """What autograd saves under each: much less with recomputation, and spelled-out patterns with bf16."""
    config, train = preset("modern", n_layer=6), TrainConfig(batch_size=8).replace(**changes)
    model = initialise(Transformer(config), 0).train()
    model.gradient_checkpointing = train.gradient_checkpointing
    weights = {parameter.untyped_storage().data_ptr() for parameter in model.parameters()}
    saved = {}

    def keep(tensor):
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            saved[storage.data_ptr()] = storage
        return tensor

    x = torch.randint(0, config.vocab_size, (train.batch_size, config.block_size))
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        part, _ = compute_losses(model, x, x, train)
    assert part.requires_grad
    need = estimate(config, train)
    activations = need.memory_bytes - PROCESS_BYTES - 16 * need.parameters
    assert low < activations / sum(storage.nbytes() for storage in saved.values()) < high


def test_flops_of_a_mixture_are_those_of_its_active_experts():
    """By hand: attention, a router and two of eight experts a layer, the tied head; and attention over the mean of keys."""
    model = preset("mixture", n_layer=2, n_embd=32, n_head=4, block_size=64, n_expert=8, window=16, global_every=2)
    train = TrainConfig(batch_size=3, grad_accum=2)
    attention = 2 * 32 * 32 + 2 * 32 * 16
    layer = attention + 8 * 32 + 2 * 3 * 32 * model.mlp_hidden
    matrices, norms = 2 * layer + 256 * 32, 2 * 2 * 32 + 32
    keys = sum(min(t, 16) for t in range(1, 65)) / 64 + sum(range(1, 65)) / 64
    need = estimate(model, train)
    assert need.active_parameters == matrices + norms
    assert need.parameters == matrices + norms + 2 * 6 * 3 * 32 * model.mlp_hidden
    assert need.flops_per_step == pytest.approx((6 * matrices + 12 * 32 * keys) * 3 * 2 * 64)
