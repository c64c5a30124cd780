"""Hooks on activations: what is kept and edited, for whom, and that nothing remains afterwards."""

import threading

import pytest
import torch

from playground.models.trace import Trace, sites
from tests.models.variants import VARIANTS, build, tokens

NAMES = ("resid_pre", "q", "k", "v", "pattern", "z", "attn_out", "resid_mid", "mlp_out", "resid_post")


def logits(model, x):
    with torch.no_grad():
        return model.unembed(model.hidden(x))


@pytest.mark.parametrize("name", ["modern", "post-norm", "mixture", "heads that do not divide the width"])
def test_every_activation_is_kept_and_an_edit_that_returns_it_changes_nothing(name):
    """Editing the kept values in again gives the same logits to the last bit; with those of the other text it does not."""
    config = VARIANTS[name]
    model, x = build(config), tokens(config, n=20)
    own = NAMES + (("router", "experts") if config.n_expert > 1 else ())
    expected = ["embed", *(f"blocks.{layer}.{part}" for layer in range(3) for part in own), "final"]
    assert [path for path, _ in sites(model)] == expected
    with Trace(model, keep=["*"]) as trace:
        before = logits(model, x)
    assert sorted(trace.kept) == sorted(expected)
    eager = {f"blocks.{layer}.pattern": lambda pattern: pattern for layer in range(3)}
    for path, value in trace.kept.items():
        with Trace(model, edit={**eager, path: lambda _, value=value: value}):
            assert torch.equal(logits(model, x), before), path
        with Trace(model, edit={**eager, path: lambda value: value.flip(0)}):
            assert (logits(model, x) - before).abs().max() > 1e-5, path


def test_the_residual_stream_is_the_sum_of_what_is_added_to_it():
    config = VARIANTS["modern"]
    model, x = build(config), tokens(config, n=20)
    with Trace(model, keep=["*"]) as trace:
        hidden = model.hidden(x)
    kept = trace.kept
    assert torch.equal(kept["final"], hidden)
    assert torch.equal(kept["blocks.0.resid_pre"], kept["embed"])
    for layer in range(3):
        own = {part: kept[f"blocks.{layer}.{part}"] for part in NAMES}
        assert torch.equal(own["resid_pre"] + own["attn_out"], own["resid_mid"])
        assert torch.equal(own["resid_mid"] + own["mlp_out"], own["resid_post"])
        assert torch.equal(model.blocks[layer].attn.out(own["z"].transpose(1, 2).flatten(2)), own["attn_out"])


def test_an_edit_of_the_stream_between_attention_and_mlp_reaches_both_of_its_readers():
    config = VARIANTS["modern"]
    model, x = build(config), tokens(config, n=20)
    with Trace(
        model, keep=["blocks.2.mlp_out", "blocks.2.resid_post"], edit={"blocks.2.resid_mid": torch.ones_like}
    ) as trace:
        logits(model, x)
    ones = torch.ones(2, 20, config.n_embd)
    with torch.no_grad():
        out = model.blocks[2].mlp(model.blocks[2].mlp_norm(ones))
    assert torch.equal(trace.kept["blocks.2.mlp_out"], out)
    assert torch.equal(trace.kept["blocks.2.resid_post"], ones + out)


def test_hooks_are_removed_also_after_an_error():
    model, x = build(VARIANTS["modern"]), tokens(VARIANTS["modern"], n=20)
    before = logits(model, x)

    def fail(_):
        raise RuntimeError("an edit that fails")

    with pytest.raises(RuntimeError, match="an edit that fails"), Trace(model, ["*"], {"blocks.1.z": fail}):
        logits(model, x)
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())
    assert torch.equal(logits(model, x), before)


def test_another_thread_is_not_hooked():
    """Requests share a model: what one edits or keeps, patterns included, changes no bit of what another computes."""
    model, x = build(VARIANTS["modern"]), tokens(VARIANTS["modern"], n=20)
    before, found = logits(model, x), []
    with Trace(model, ["*"], {"blocks.0.z": torch.zeros_like, "embed": torch.zeros_like}) as trace:
        other = threading.Thread(target=lambda: found.append(logits(model, x)))
        other.start()
        other.join()
        assert torch.equal(found[0], before)
        assert trace.kept == {}
        assert not torch.equal(logits(model, x), before)


def test_threads_that_register_at_the_same_time_keep_their_own_hooks():
    model, x = build(VARIANTS["modern"]), tokens(VARIANTS["modern"], n=6)
    wrong = []

    def work(number):
        for _ in range(20):
            with Trace(model, ["embed"], {"embed": lambda e: torch.full_like(e, number)}) as trace:
                logits(model, x)
            if not (trace.kept["embed"] == number).all():
                wrong.append(number)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())


def test_an_unknown_activation_is_named():
    model = build(VARIANTS["modern"])
    with pytest.raises(
        ValueError, match=r"no activation named blocks\.7\.z\. Choose one of: embed, blocks\.0\.resid_pre"
    ):
        Trace(model, edit={"blocks.7.z": torch.zeros_like}).__enter__()


def test_hooking_patterns_switches_to_eager_attention_and_nothing_else_does(monkeypatch):
    from playground.models import attention

    model, x, calls = build(VARIANTS["modern"]), tokens(VARIANTS["modern"], n=20), []
    eager = attention.eager_attention
    monkeypatch.setattr(attention, "eager_attention", lambda *a, **k: calls.append(1) or eager(*a, **k))
    with Trace(model, [name for name, _ in sites(model) if not name.endswith("pattern")]):
        logits(model, x)
    assert calls == []
    with Trace(model, ["blocks.1.pattern"]):
        logits(model, x)
    assert len(calls) == 1
