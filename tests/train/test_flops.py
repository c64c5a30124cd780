"""FLOP counts against torch's own counter, which watches a real pass, and against counting visible keys one by one."""

import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from playground.config import preset
from playground.models.transformer import Transformer, initialise
from playground.train.flops import forward_flops, mean_visible, training_flops
from playground.train.gradients import cross_entropy

MODELS = {
    "classic": preset("classic", block_size=32, n_layer=3, n_embd=32, n_head=4),
    "modern": preset("modern", block_size=32, n_layer=2, n_embd=48, n_head=4),
    "untied, multi-query": preset("modern", block_size=24, n_layer=2, n_embd=32, n_head=4, n_kv_head=1).replace(
        tie_embeddings=False
    ),
    "window, every second layer global": preset("modern", block_size=32, n_layer=4, n_embd=32, n_head=4).replace(
        window=8, global_every=2, n_sink=1
    ),
    "experts": preset("modern", block_size=32, n_layer=2, n_embd=32, n_head=4).replace(
        n_expert=4, n_expert_active=2, shared_expert=True
    ),
    "wide heads": preset("modern", block_size=32, n_layer=2, n_embd=32, n_head=3, n_kv_head=1, head_size=16),
    "solved MLP": preset("modern", block_size=32, n_layer=2, n_embd=32, n_head=4, mlp_width=77),
}

# A change of every setting, from a model with which it makes a difference: the count holds for each. One that is added
# needs its line here.
_DENSE = preset("modern", block_size=32, n_layer=2, n_embd=32, n_head=4, n_kv_head=2)
_MIXED = _DENSE.replace(n_expert=4, n_expert_active=2)
CHANGES = {
    "vocab_size": _DENSE.replace(vocab_size=300), "block_size": _DENSE.replace(block_size=40),
    "n_layer": _DENSE.replace(n_layer=3), "n_embd": _DENSE.replace(n_embd=48), "n_head": _DENSE.replace(n_head=8),
    "n_kv_head": _DENSE.replace(n_kv_head=1), "head_size": _DENSE.replace(head_size=12),
    "position": _DENSE.replace(position="learned"), "rope_theta": _DENSE.replace(rope_theta=99.0),
    "rope_fraction": _DENSE.replace(rope_fraction=0.5), "norm": _DENSE.replace(norm="layernorm"),
    "norm_eps": _DENSE.replace(norm_eps=1e-3), "norm_placement": _DENSE.replace(norm_placement="post"),
    "qk_norm": _DENSE.replace(qk_norm=True), "window": _DENSE.replace(window=12),
    "global_every": _DENSE.replace(window=12, global_every=2), "n_sink": _DENSE.replace(window=12, n_sink=2),
    "sink_logit": _DENSE.replace(sink_logit="learned"), "mlp": _DENSE.replace(mlp="gelu"),
    "match_parameters": _DENSE.replace(match_parameters=False), "mlp_width": _DENSE.replace(mlp_width=72),
    "n_expert": _MIXED, "n_expert_active": _MIXED.replace(n_expert_active=3),
    "router_norm": _MIXED.replace(router_norm=False), "shared_expert": _MIXED.replace(shared_expert=True),
    "bias": _DENSE.replace(bias=True), "tie_embeddings": _DENSE.replace(tie_embeddings=False),
    "logit_softcap": _DENSE.replace(logit_softcap=9.0), "init": _DENSE.replace(init="zero"),
    "dropout": _DENSE.replace(dropout=0.1),
}  # fmt: skip


def counted(model, backward):
    """FLOPs of one pass over a full context as torch's counter sees them, with attention spelled out in full squares."""
    transformer = initialise(Transformer(model), 0)
    tokens = torch.zeros(1, model.block_size, dtype=torch.long)
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        loss = cross_entropy(transformer(tokens), tokens)
        if backward:
            loss.backward()
    return counter.get_total_flops()


def hidden_half(model):
    """What the counter sees more per token: products with keys that the query cannot see, and with a sink's key of zeros."""
    sink = model.sink_logit != "none"
    unseen = sum(model.block_size + sink - mean_visible(model, window) for window in model.windows)
    return 2 * 2 * model.n_head * model.head_dim * unseen


@pytest.mark.parametrize("name", [*MODELS, *CHANGES])
def test_forward_and_training_equal_torchs_counter(name):
    model = (MODELS | CHANGES)[name]
    forward = counted(model, backward=False) / model.block_size
    assert forward_flops(model) + hidden_half(model) == pytest.approx(forward, rel=1e-9)
    both = counted(model, backward=True) / model.block_size
    assert training_flops(model) + 3 * hidden_half(model) == pytest.approx(both, rel=1e-9)


@pytest.mark.parametrize(("window", "n_sink"), [(0, 0), (8, 0), (8, 2)])
def test_visible_keys_by_counting(window, n_sink):
    model = preset("modern", block_size=32, window=window, n_sink=n_sink)
    by_hand = sum(
        1 for t in range(32) for s in range(t + 1) if not window or t - s < window or s < n_sink
    )  # fmt: skip
    assert mean_visible(model, window) == by_hand / 32
