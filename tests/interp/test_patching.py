"""Activation patching, against forward passes in which modules are really interfered with, one place at a time."""

import numpy as np
import pytest
import torch

from playground.config import preset
from playground.interp.patching import everywhere, logit_difference, one_each, patching, streams, telling
from playground.models.trace import Trace
from tests.models.variants import SMALL, VARIANTS, build, tokens

CONFIGS = {
    name: VARIANTS[name]
    for name in ("classic", "modern", "post-norm", "window and sinks", "multi-query", "learned sink logits", "mixture")
}
ANSWERS = (7, 23)
AT = 9  # where the prompts differ: near enough to the end to matter in every variant


def prompts(config, n=12):
    """Two prompts that differ in one token."""
    clean = tokens(config, n=n, batch=1)[0].tolist()
    corrupted = [*clean]
    corrupted[AT] = (corrupted[AT] + 17) % config.vocab_size
    return clean, corrupted


def by_hooks(model, clean, corrupted, module, replace):
    """The logit difference after the corrupted prompt when what goes into `module` is replaced: replace(x, clean x)."""
    kept = []
    with torch.no_grad():
        handle = module.register_forward_pre_hook(lambda _, inputs: kept.append(inputs[0].clone()))
        model(torch.tensor([clean]))
        handle.remove()
        handle = module.register_forward_pre_hook(lambda _, inputs: (replace(inputs[0].clone(), kept[0]), *inputs[1:]))
        logits = model(torch.tensor([corrupted]))[0, -1].double()
        handle.remove()
    return float(logits[ANSWERS[0]] - logits[ANSWERS[1]])


def put(x, place, value):
    x[place] = value
    return x


@pytest.mark.parametrize("name", CONFIGS)
def test_every_share_is_that_of_a_forward_pass_of_its_own(name):
    model = build(CONFIGS[name], scale=4)
    clean, corrupted = prompts(model.config)
    found = patching(model, clean, corrupted, ANSWERS)
    with torch.no_grad():
        whole, broken = (
            float(p[7] - p[23]) for p in (model(torch.tensor([ids]))[0, -1].double() for ids in (clean, corrupted))
        )
    assert (found.clean, found.corrupted) == pytest.approx((whole, broken), abs=1e-4)
    size = model.config.head_dim

    def restores(share, difference):
        return share * (whole - broken) == pytest.approx(difference - broken, abs=1e-4)

    for layer, block in enumerate(model.blocks):
        for t in (0, AT, 10, 11):
            difference = by_hooks(model, clean, corrupted, block, lambda x, c, t=t: put(x, (0, t), c[0, t]))
            assert restores(found.residual[layer, t], difference)
        for h in range(model.config.n_head):
            columns = (..., slice(h * size, (h + 1) * size))
            difference = by_hooks(model, clean, corrupted, block.attn.out, lambda x, c, at=columns: put(x, at, c[at]))
            assert restores(found.heads[layer, h], difference)
        if hasattr(block.mlp, "down"):
            difference = by_hooks(model, clean, corrupted, block.mlp.down, lambda x, c: c)
            assert restores(found.mlps[layer], difference)
    assert np.abs(found.heads).max() > 1e-3


@pytest.mark.parametrize("name", CONFIGS)
def test_at_the_two_ends_of_the_model_the_answer_is_known(name):
    model = build(CONFIGS[name], scale=4)
    found = patching(model, *prompts(model.config), ANSWERS)
    assert found.residual.shape == (4, 12)
    # In the embedding, all of it is where the prompts differ; after the last layer, where the next token is read.
    logits = found.residual * (found.clean - found.corrupted)
    np.testing.assert_allclose(logits[0], np.eye(12)[AT] * (found.clean - found.corrupted), atol=2e-5)
    np.testing.assert_allclose(logits[-1], np.eye(12)[11] * (found.clean - found.corrupted), atol=2e-5)
    assert np.abs(logits[1:3, :AT]).max() < 2e-5, "before the first difference nothing differs"


@pytest.mark.parametrize("name", CONFIGS)
def test_patching_everything_restores_the_clean_run_and_patching_nothing_changes_nothing(name):
    model = build(CONFIGS[name], scale=4)
    clean, corrupted = prompts(model.config)
    names = [*streams(model.config), *(f"blocks.{layer}.{part}" for layer in range(3) for part in ("z", "mlp_out"))]
    kept = {}
    for ids in (clean, corrupted):
        with torch.no_grad(), Trace(model, keep=names) as trace:
            model.hidden(torch.tensor([ids]))
        kept[ids is clean] = trace.kept
    whole, broken = (logit_difference(model, ids, ANSWERS).item() for ids in (clean, corrupted))
    assert abs(whole - broken) > 1e-5
    for stream in streams(model.config):
        assert logit_difference(model, corrupted, ANSWERS, {stream: everywhere(kept[True][stream])}).item() == whole
    for name, value in kept[False].items():
        patched = logit_difference(model, corrupted, ANSWERS, {name: one_each(value)}, copies=4)
        np.testing.assert_allclose(patched, broken, atol=1e-5)
    assert logit_difference(model, corrupted, ANSWERS, {}, copies=40) == pytest.approx([broken] * 40, abs=1e-5)


def test_what_cannot_be_patched_is_refused():
    model = build(preset("modern", **SMALL))
    for clean, corrupted, answers, complaint in (
        ([1, 2, 3], [1, 2], (1, 2), "The clean prompt has 3 tokens, the corrupted one 2. Make them equally long."),
        ([], [], (1, 2), "takes 1 to 96"),
        ([1] * 97, [2] * 97, (1, 2), "takes 1 to 96"),
        ([1, 2], [1, 2], (1, 2), "The two prompts are the same tokens."),
        ([1, 2], [1, 3], (4, 4), "Both prompts have the same answer"),
    ):
        with pytest.raises(ValueError, match=complaint):
            patching(model, clean, corrupted, answers)


def test_the_answers_that_tell_two_prompts_apart():
    model = build(VARIANTS["modern"])
    clean, corrupted = prompts(model.config)
    with torch.no_grad():
        p, q = (model(torch.tensor([ids]))[0, -1].softmax(-1) for ids in (clean, corrupted))
    changes = (p - q).tolist()
    assert telling(model, clean, corrupted) == (changes.index(max(changes)), changes.index(min(changes)))
