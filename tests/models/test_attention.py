"""Who sees whom, and that seeing is softmax(q kᵀ / sqrt(D)) v."""

import math

import numpy as np
import pytest
import torch

from playground.models.attention import attend, attention_mask
from playground.models.trace import Trace
from tests.models.variants import VARIANTS, build, tokens


def eager_attention(q, k, v, mask):
    """Attention as the formula says, in float64, one query at a time."""
    q, k, v = (x.double().numpy() for x in (q, k, v))
    out = np.zeros(q.shape)
    group = q.shape[1] // k.shape[1]
    for b, h, t in np.ndindex(q.shape[:3]):
        seen = [s for s in range(k.shape[2]) if mask[t, s]]
        scores = np.array([q[b, h, t] @ k[b, h // group, s] for s in seen]) / math.sqrt(q.shape[3])
        weights = np.exp(scores - scores.max())
        weights /= weights.sum()
        out[b, h, t] = sum(w * v[b, h // group, s] for w, s in zip(weights, seen, strict=True))
    return torch.from_numpy(out)


@pytest.mark.parametrize("n_kv_head", [4, 2, 1])
@pytest.mark.parametrize(("window", "n_sink"), [(0, 0), (3, 0), (3, 2)])
def test_attend_is_its_formula_with_and_without_a_look(n_kv_head, window, n_sink):
    q = torch.randn(2, 4, 9, 8) * 3
    k, v = torch.randn(2, n_kv_head, 9, 8) * 3, torch.randn(2, n_kv_head, 9, 8)
    positions = torch.arange(9)
    mask = attention_mask(positions, positions, window, n_sink)
    expected = eager_attention(q, k, v, mask)
    given = mask if window else None
    assert (attend(q, k, v, given).double() - expected).abs().max() < 5e-6
    assert (attend(q, k, v, given, hook=lambda pattern: pattern).double() - expected).abs().max() < 5e-6


@pytest.mark.parametrize("n", [32, 37, 5])
@pytest.mark.parametrize("window", [1, 4, 8])
def test_blocks_of_a_window_give_what_the_mask_gives_and_its_gradients(n, window):
    positions = torch.arange(n)
    found = []
    for mask, seen in ((attention_mask(positions, positions, window), 0), (None, window)):
        torch.manual_seed(0)
        given = [torch.randn(2, heads, n, 8, requires_grad=True) for heads in (4, 2, 2)]
        out = attend(*given, mask, window=seen)
        (out * torch.linspace(-1, 1, n)[:, None]).sum().backward()
        found.append([out, *(x.grad for x in given)])
    for masked, local in zip(*found, strict=True):
        assert (masked - local).abs().max() < 1e-5


@pytest.mark.parametrize("n_kv_head", [4, 1])
@pytest.mark.parametrize("n_sink", [0, 2])
def test_at_half_precision_training_spells_attention_out_and_gets_the_same_gradients(n_kv_head, n_sink):
    shapes = [(2, 4, 24, 8), (2, n_kv_head, 24, 8), (2, n_kv_head, 24, 8)]
    exact = [torch.randn(shape, dtype=torch.float64) for shape in shapes]
    positions = torch.arange(24)
    mask = attention_mask(positions, positions, 7, n_sink) if n_sink else None
    found = {}
    for dtype in (torch.float64, torch.bfloat16):
        given = [x.to(dtype).detach().requires_grad_() for x in exact]
        out = attend(*given, mask, hook=(lambda pattern: pattern) if dtype == torch.float64 else None)
        out.square().sum().backward()
        found[dtype] = [out, *(x.grad for x in given)]
    for reference, ours in zip(found[torch.float64], found[torch.bfloat16], strict=True):
        assert (reference - ours).norm() < 0.02 * reference.norm()


@pytest.mark.parametrize("n_kv_head", [4, 2, 1])
def test_a_sink_takes_its_share_of_the_softmax(n_kv_head):
    """exp(sink) joins the denominator and nothing else; with a bias on distance, and with and without a look."""
    q = torch.randn(2, 4, 9, 8) * 3
    k, v = torch.randn(2, n_kv_head, 9, 8) * 3, torch.randn(2, n_kv_head, 9, 8)
    sinks, bias, mask = torch.tensor([0.0, 5.0, -3.0, 2.0]), torch.randn(4, 9, 9), torch.ones(9, 9).tril().bool()
    group = 4 // n_kv_head
    for given, added in ((None, torch.zeros(4, 9, 9)), (bias.masked_fill(~mask, -math.inf), bias)):
        scores = q.double() @ k.double().repeat_interleave(group, 1).transpose(-1, -2) / math.sqrt(8) + added.double()
        weights = scores.exp() * mask
        pattern = weights / (weights.sum(-1, keepdim=True) + sinks.double().exp()[:, None, None])
        expected = pattern @ v.double().repeat_interleave(group, 1)
        seen = []
        for hook in (None, lambda found, seen=seen: seen.append(found) or found):
            assert (attend(q, k, v, given, hook, sinks=sinks) - expected).abs().max() < 5e-6
        assert (seen[0] - pattern).abs().max() < 1e-6


def test_padding_and_empty_slots_are_seen_by_no_token():
    query, key = torch.tensor([[2, 3], [-1, 0]]), torch.tensor([[-1, 0, 1, 2, 3], [-1, -1, -1, -1, 0]])
    mask = attention_mask(query, key, window=3)
    assert mask[0].tolist() == [[False, True, True, True, False], [False, False, True, True, True]]
    assert mask[1, 1].tolist() == [False, False, False, False, True]
    assert mask[1, 0].any(), "even padding sees something, or its softmax would be 0 / 0"


def test_a_window_counts_the_query_itself_and_sinks_stay():
    positions = torch.arange(8)
    assert attention_mask(positions, positions, 3).sum(1).tolist() == [1, 2, 3, 3, 3, 3, 3, 3]
    assert attention_mask(positions, positions, 3, 2).sum(1).tolist() == [1, 2, 3, 4, 5, 5, 5, 5]
    shuffled = torch.tensor([5, 1, 7, 0, 6])
    assert attention_mask(torch.tensor([7]), shuffled, 2, 1).tolist() == [[False, False, True, True, True]]


def test_sinks_are_never_forgotten():
    config = VARIANTS["window and sinks"]
    model, x = build(config), tokens(config)
    changed = x.clone()
    changed[:, 1] = (changed[:, 1] + 1) % config.vocab_size
    with torch.no_grad():
        difference = (model(x) - model(changed)).abs().amax(dim=(0, 2))
    assert difference[1:].min() > 0


def test_without_positions_only_the_set_of_earlier_tokens_matters():
    config = VARIANTS["no positions"].replace(n_layer=1)
    model, x = build(config), tokens(config)
    swapped = x.clone()
    swapped[:, [3, 9]] = x[:, [9, 3]]
    with torch.no_grad():
        assert (model(x)[:, 20] - model(swapped)[:, 20]).abs().max() < 1e-5
    config = VARIANTS["modern"].replace(n_layer=1)
    model = build(config)
    with torch.no_grad():
        assert (model(x)[:, 20] - model(swapped)[:, 20]).abs().max() > 1e-2


@pytest.mark.parametrize("name", VARIANTS)
def test_the_pattern_shown_is_the_pattern_used(name):
    """A traced pattern is zero where nothing may be seen, and times the values and the output matrix it is what the layer
    said. It sums to one, or to less where a sink logit takes the rest."""
    config = VARIANTS[name]
    model, x = build(config), tokens(config)
    with torch.no_grad():
        plain = model.unembed(model.hidden(x))
    with torch.no_grad(), Trace(model, keep=["*.pattern", "*.v", "*.z", "*.attn_out"]) as trace:
        traced = model.unembed(model.hidden(x))
    assert (plain - traced).abs().max() < 2e-5
    positions = torch.arange(x.size(1))
    for layer, window in enumerate(config.windows):
        mask = attention_mask(positions, positions, window, config.n_sink)
        pattern, v, z, out = (trace.kept[f"blocks.{layer}.{part}"] for part in ("pattern", "v", "z", "attn_out"))
        rest = 1 - pattern.sum(-1)
        assert rest.abs().max() < 1e-6 if config.sink_logit == "none" else (rest.min() > 0 and rest.max() > 0.1)
        assert pattern.masked_select(~mask).abs().max() == 0
        values = v.repeat_interleave(config.n_head // config.n_kv_head, dim=1)
        assert (pattern @ values - z).abs().max() < 1e-5
        joined = (pattern @ values).transpose(1, 2).flatten(2)
        with torch.no_grad():
            assert (model.blocks[layer].attn.out(joined) - out).abs().max() < 1e-5


def test_editing_a_pattern_changes_what_the_head_says():
    """A head forced to look at itself alone passes its own value on."""
    config = VARIANTS["classic"]
    model, x = build(config), tokens(config)
    edit = {"blocks.0.pattern": lambda p: torch.eye(p.size(-1)).expand_as(p)}
    with torch.no_grad(), Trace(model, keep=["blocks.0.z", "blocks.0.v"], edit=edit) as trace:
        model.hidden(x)
    assert torch.equal(trace.kept["blocks.0.z"], trace.kept["blocks.0.v"])
