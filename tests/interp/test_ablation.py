"""Parts switched off, against models from which they were really taken out."""

import copy
import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from playground.config import preset
from playground.interp.ablation import Part, continuation, edits, effect, means, parts_of, probe
from playground.models.trace import Trace
from playground.train.dataset import Dataset
from playground.train.evaluation import evaluate
from tests.models.variants import SMALL, VARIANTS, build, tokens

CONFIGS = {
    **VARIANTS,
    "post-norm": preset("classic", **SMALL, norm_placement="post"),
    "mixture": preset("mixture", **SMALL),
    "gpt-oss": preset("gpt-oss", **SMALL, window=16),
}


def logits(model, ids, changes):
    with torch.no_grad(), Trace(model, edit=changes):
        return model.unembed(model.hidden(ids))


@pytest.mark.parametrize("name", CONFIGS)
def test_a_head_set_to_zero_is_its_columns_of_the_output_matrix_set_to_zero(name):
    model, ids = build(CONFIGS[name], scale=2), tokens(CONFIGS[name], n=30)
    size = model.config.head_dim
    for part in (Part(0, "head", 0), Part(1, "head", 3), Part(2, "head", 2)):
        without = copy.deepcopy(model)
        with torch.no_grad():
            without.blocks[part.layer].attn.out.weight[:, part.head * size : (part.head + 1) * size] = 0
            expected = without(ids)
        torch.testing.assert_close(logits(model, ids, edits([part])), expected, atol=1e-5, rtol=1e-5)
        assert (expected - model(ids)).abs().max() > 1e-3


@pytest.mark.parametrize("name", ["classic", "modern", "post-norm"])
def test_an_mlp_or_all_attention_set_to_zero_is_what_it_writes_set_to_zero(name):
    model, ids = build(CONFIGS[name], scale=2), tokens(CONFIGS[name], n=30)
    for part, module in ((Part(1, "mlp"), "mlp.down"), (Part(2, "attention"), "attn.out")):
        without = copy.deepcopy(model)
        with torch.no_grad():
            for parameter in without.blocks[part.layer].get_submodule(module).parameters():
                parameter.zero_()
            expected = without(ids)
        torch.testing.assert_close(logits(model, ids, edits([part])), expected, atol=1e-5, rtol=1e-5)


def test_all_heads_of_a_layer_are_its_attention_without_the_bias():
    model, ids = build(VARIANTS["modern"]), tokens(VARIANTS["modern"], n=30)
    heads = logits(model, ids, edits([Part(1, "head", h) for h in range(4)]))
    torch.testing.assert_close(heads, logits(model, ids, edits([Part(1, "attention")])))


def test_a_head_set_to_its_mean_writes_the_same_everywhere():
    config = VARIANTS["classic"]
    model, ids = build(config), tokens(config, n=30)
    average = means(model, ids)
    with torch.no_grad(), Trace(model, ["blocks.1.z"], edits([Part(1, "head", 2)], average)) as trace:
        model.hidden(ids)
    with torch.no_grad(), Trace(model, ["blocks.1.z"]) as plain:
        model.hidden(ids)
    before, after = plain.kept["blocks.1.z"], trace.kept["blocks.1.z"]
    by_hand = torch.stack([before[b, 2, t] for b in range(2) for t in range(30)]).mean(0)
    torch.testing.assert_close(after[:, 2], by_hand.expand(2, 30, -1))
    others = [0, 1, 3]
    torch.testing.assert_close(after[:, others], before[:, others])


def test_nothing_switched_off_changes_nothing_and_watching_changes_no_logit():
    for config in CONFIGS.values():
        model, ids = build(config), tokens(config, n=20)
        with torch.no_grad():
            torch.testing.assert_close(logits(model, ids, {}), model(ids), atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize("name", CONFIGS)
def test_watching_everything_changes_no_logit(name):
    """Patterns spelled out are another kernel than the one that runs unwatched: no logit may tell.

    In float32 at initialisation, whose logits are about 0.2 and so leave 1e-6 above rounding; with weights five times as
    large in float64, in which a difference of the formula would show.
    """
    config = CONFIGS[name]
    ids = tokens(config, n=40)
    for model in (build(config, scale=1), build(config).double()):
        with torch.no_grad(), Trace(model, keep=["*.pattern", "*.z", "*.q", "*.resid_post"]) as trace:
            seen = model.unembed(model.hidden(ids))
        with torch.no_grad():
            unseen = model(ids)
        assert len(trace.kept) == 4 * config.n_layer
        torch.testing.assert_close(seen, unseen, atol=1e-6, rtol=0)


@pytest.fixture(scope="module")
def measured():
    config = VARIANTS["modern"].replace(block_size=32)
    model = build(config, scale=2)
    stream = np.random.default_rng(0).integers(0, config.vocab_size, 3_000).astype(np.uint16)
    mask = np.random.default_rng(1).random(3_000) < 0.4
    return model, Dataset(stream, stream, 1.0, None, mask)


def test_the_change_of_the_loss_is_that_of_two_evaluations(measured):
    model, data = measured
    on = probe(model, data, 1_000)
    loss, *_ = evaluate(model, data.validation, data.validation_mask, 1_000)
    assert on.loss == pytest.approx(loss, rel=1e-6)
    part = Part(0, "head", 1)
    without = copy.deepcopy(model)
    with torch.no_grad():
        without.blocks[0].attn.out.weight[:, 8:16] = 0
    other, *_ = evaluate(without, data.validation, data.validation_mask, 1_000)
    assert effect(model, on, [part]).change == pytest.approx(other - loss, abs=1e-6)


def test_the_error_is_that_of_a_ratio_of_means_over_windows(measured):
    """Against leaving out one window after the other (jackknife), which knows nothing of the formula."""
    model, data = measured
    on, part = probe(model, data, 2_900), Part(1, "mlp")
    found = effect(model, on, [part])
    with torch.no_grad():
        changed = F.cross_entropy(
            logits(model, on.inputs, edits([part])).transpose(1, 2), on.targets, ignore_index=-100, reduction="none"
        ).sum(1)
    difference, count = (changed.double() - on.losses).numpy(), on.counts.numpy()
    n = len(count)
    left = [
        (difference.sum() - difference[i]) / (count.sum() - count[i]) for i in range(n)
    ]  # fmt: skip
    jackknife = math.sqrt((n - 1) / n * np.sum((np.array(left) - np.mean(left)) ** 2))
    assert found.error == pytest.approx(jackknife, rel=0.05)


def test_continuations_are_greedy_with_and_without(measured):
    model, _ = measured
    ids = [3, 1, 4, 1, 5]
    for parts in ([], [Part(0, "head", 0), Part(1, "mlp")]):
        found = continuation(model, ids, parts, None, 12)
        text = list(ids)
        for _ in range(12):
            text.append(int(logits(model, torch.tensor([text]), edits(parts))[0, -1].argmax()))
        assert found.ids == text[5:]
        expected = logits(model, torch.tensor([ids]), edits(parts))[0, -1].double().softmax(-1).numpy()
        np.testing.assert_allclose(found.probabilities, expected, atol=1e-6)
    assert len(continuation(model, [1] * 40, [], None, 12).ids) == 1, "a full context has room for one more"


def test_parts_are_listed_in_order_and_strangers_refused(measured):
    model, data = measured
    parts = parts_of(model.config)
    assert len(parts) == 3 * (4 + 1)
    assert parts[0].name() == "Layer 1 · head 1"
    assert parts[-1].name() == "Layer 3 · MLP"
    for part, complaint in ((Part(3, "mlp"), "Layer 4 is not there"), (Part(0, "head", 4), "Head 5 is not there")):
        with pytest.raises(ValueError, match=complaint):
            continuation(model, [1], [part], None, 1)
        with pytest.raises(ValueError, match=complaint):
            effect(model, probe(model, data, 100), [part])
