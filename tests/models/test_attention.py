"""Who sees whom, and that seeing is softmax(q kᵀ / sqrt(D)) v."""

import math

import numpy as np
import pytest
import torch

from playground.models.attention import attend, visible
from playground.models.trace import Trace
from tests.models.variants import VARIANTS, build, tokens


def spelled_out(q, k, v, mask):
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
    mask = visible(positions, positions, window, n_sink)
    expected = spelled_out(q, k, v, mask)
    given = mask if window else None
    assert (attend(q, k, v, given).double() - expected).abs().max() < 5e-6
    assert (attend(q, k, v, given, look=lambda pattern: pattern).double() - expected).abs().max() < 5e-6


def test_a_window_counts_the_query_itself_and_sinks_stay():
    positions = torch.arange(8)
    assert visible(positions, positions, 3).sum(1).tolist() == [1, 2, 3, 3, 3, 3, 3, 3]
    assert visible(positions, positions, 3, 2).sum(1).tolist() == [1, 2, 3, 4, 5, 5, 5, 5]
    shuffled = torch.tensor([5, 1, 7, 0, 6])
    assert visible(torch.tensor([7]), shuffled, 2, 1).tolist() == [[False, False, True, True, True]]


@pytest.mark.parametrize("name", VARIANTS)
def test_no_variant_sees_the_future(name):
    """Changing a token changes no earlier logit, exactly: not by rounding, not through the mask."""
    config = VARIANTS[name]
    model, x = build(config), tokens(config)
    changed = x.clone()
    changed[:, 40] = (changed[:, 40] + 1) % config.vocab_size
    with torch.no_grad():
        before, after = model(x), model(changed)
    assert torch.equal(before[:, :40], after[:, :40])
    assert not torch.equal(before[:, 40], after[:, 40])


@pytest.mark.parametrize("name", ["window", "window learned"])
def test_a_window_forgets(name):
    """Through L layers of window W nothing further back than L (W - 1) can matter, and something that far back does."""
    config = VARIANTS[name]
    model, x = build(config), tokens(config)
    reach = config.n_layer * (config.window - 1)
    changed = x.clone()
    changed[:, 10] = (changed[:, 10] + 1) % config.vocab_size
    with torch.no_grad():
        difference = (model(x) - model(changed)).abs().amax(dim=(0, 2))
    assert difference[10 + reach + 1 :].max() == 0
    assert difference[10 + reach] > 0


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
    """A traced pattern sums to one, is zero where nothing may be seen, and times the values gives what the heads said."""
    config = VARIANTS[name]
    model, x = build(config), tokens(config)
    trace = Trace(keep=["*.pattern", "*.v", "*.z"])
    with torch.no_grad():
        plain = model.unembed(model.hidden(x))
        traced = model.unembed(model.hidden(x, trace=trace))
    assert (plain - traced).abs().max() < 2e-5
    positions = torch.arange(x.size(1))
    mask = visible(positions, positions, config.window, config.n_sink)
    for layer in range(config.n_layer):
        pattern, v, z = (trace.kept[f"blocks.{layer}.{part}"] for part in ("pattern", "v", "z"))
        assert (pattern.sum(-1) - 1).abs().max() < 1e-5
        assert pattern.masked_select(~mask).abs().max() == 0
        values = v.repeat_interleave(config.n_head // config.n_kv_head, dim=1)
        assert (pattern @ values - z).abs().max() < 1e-5


def test_editing_a_pattern_changes_what_the_head_says():
    """A head forced to look at itself alone passes its own value on."""
    config = VARIANTS["classic"]
    model, x = build(config), tokens(config)
    trace = Trace(
        keep=["blocks.0.z", "blocks.0.v"], edit={"blocks.0.pattern": lambda p: torch.eye(p.size(-1)).expand_as(p)}
    )
    with torch.no_grad():
        model.hidden(x, trace=trace)
    assert torch.equal(trace.kept["blocks.0.z"], trace.kept["blocks.0.v"])


def test_rows_of_a_batch_do_not_touch_each_other():
    config = VARIANTS["modern"]
    model, x = build(config), tokens(config, batch=3)
    with torch.no_grad():
        assert (model(x)[1] - model(x[1:2])[0]).abs().max() < 1e-5
