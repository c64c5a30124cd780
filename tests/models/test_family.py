"""Every variant, read in every way, against the oracle: the same formulas written out over the full square in float64."""

import random

import pytest
import torch
from torch import nn

from playground.models.kv_cache import KVCache
from playground.models.positional import alibi_slopes
from playground.models.trace import Trace
from playground.models.transformer import Transformer, initialise, without_storage
from tests.models.oracle import oracle
from tests.models.variants import DEVICES, SMALL, VARIANTS, WINDOWED, build, tokens

LIMITS = {torch.float32: 2e-5, torch.float64: 1e-12}


def whole(n):
    return [n]


def one_by_one(n):
    return [1] * n


def random_chunks(n):
    dice, sizes = random.Random(n), []
    while sum(sizes) < n:
        sizes.append(min(dice.choice((1, 2, 5, 13, 29)), n - sum(sizes)))
    return sizes


def read(model, x, cache, sizes):
    with torch.no_grad():
        return torch.cat([model.unembed(model.hidden(part, cache=cache)) for part in x.split(sizes, dim=1)], dim=1)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("dtype", LIMITS, ids=str)
@pytest.mark.parametrize("name", VARIANTS)
def test_every_variant_read_in_every_way_equals_the_oracle(name, dtype, device):
    """In one pass, and through a cache whole, token by token and in random chunks; windows of 7 roll over nine times."""
    config = VARIANTS[name]
    model, x = build(config), tokens(config, n=64)
    with torch.no_grad():
        expected = oracle(model, x)
    assert expected.std() > 0.4, "weights are large enough that a mistake would show"
    model, x = model.to(device, dtype), x.to(device)
    with torch.no_grad():
        assert (model(x).cpu() - expected).abs().max() < LIMITS[dtype]
    for cut in (whole, one_by_one, random_chunks):
        got = read(model, x, KVCache(config, batch_size=2), cut(64)).cpu()
        assert (got - expected).abs().max() < LIMITS[dtype], cut.__name__
        assert torch.equal(got.argmax(-1), expected.argmax(-1))


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("name", VARIANTS)
def test_gradients_equal_the_oracles(name, device):
    """Of every parameter, the router's and each expert's included."""
    config = VARIANTS[name]
    model, twin, x = build(config).double(), build(config).double(), tokens(config, n=40)
    model = model.to(device)
    for run in (lambda: model(x.to(device)).cpu(), lambda: oracle(twin, x)):
        nn.functional.cross_entropy(run()[:, :-1].flatten(0, 1), x[:, 1:].flatten()).backward()
    for (part, ours), theirs in zip(model.named_parameters(), twin.parameters(), strict=True):
        assert theirs.grad.norm() > 0 or "key.bias" in part, part  # softmax takes no notice of a key's bias
        assert (ours.grad.cpu() - theirs.grad).norm() <= 1e-10 * theirs.grad.norm() + 1e-14, part


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("dtype", LIMITS, ids=str)
@pytest.mark.parametrize("name", VARIANTS)
def test_no_variant_sees_the_future(name, dtype, device):
    """Changing a token changes no earlier logit, exactly: not by rounding, not through a mask, a router or a cache.

    On a GPU an expert's part of another length may go through another kernel: there a mixture is held to 1e-12 in float64.
    """
    config = VARIANTS[name]
    gpu_mixture = device != "cpu" and config.n_expert > 1
    model, x = build(config).to(device, torch.float64 if gpu_mixture else dtype), tokens(config, batch=1).to(device)

    def unchanged(before, after):
        return (before - after).abs().max() <= 1e-12 if gpu_mixture else torch.equal(before, after)

    with torch.no_grad():
        before = model(x)
        for at in (*range(1, 63, 3), 63):
            changed = x.clone()
            changed[:, at] = (changed[:, at] + 1) % config.vocab_size
            after = model(changed)
            assert unchanged(before[:, :at], after[:, :at])
            assert not torch.equal(before[:, at], after[:, at])
    for sizes in (random_chunks(64), [7] * 9 + [1], [41, 23], [3] * 21 + [1]):
        read_before = read(model, x, KVCache(config), sizes)
        for at in (33, 40):
            changed = x.clone()
            changed[:, at:] = (changed[:, at:] + 1) % config.vocab_size
            assert unchanged(read_before[:, :at], read(model, changed, KVCache(config), sizes)[:, :at]), sizes


@pytest.mark.parametrize("name", [name for name in WINDOWED if not VARIANTS[name].n_sink])
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


@pytest.mark.parametrize("name", ["local and global", "gpt-oss"])
def test_a_global_layer_forgets_nothing_but_local_ones_keep_little(name):
    config = VARIANTS[name]
    model, x = build(config), tokens(config, batch=1)
    changed = x.clone()
    changed[:, 5] = (changed[:, 5] + 1) % config.vocab_size
    with torch.no_grad():
        assert (model(x) - model(changed)).abs().amax(dim=(0, 2))[6:].min() > 0
    cache = KVCache(config)
    sizes = [keys.size(2) for keys in cache.keys]
    assert sizes == [config.window + config.n_sink, config.block_size, config.window + config.n_sink]
    read(model, x, cache, one_by_one(64))
    assert [keys.size(2) for keys in cache.keys] == sizes


SAME = {
    "a window as long as the text": ("modern", dict(window=64), dict()),
    "a window as long as the text, kept by global layers": ("modern", dict(window=64, global_every=2), dict()),
    "sinks in a window that forgets nothing": ("modern", dict(window=64, n_sink=3), dict()),
    "a cap that nothing reaches": ("modern", dict(logit_softcap=1000.0), dict()),
    "dropout while evaluating": ("classic", dict(dropout=0.4), dict()),
    "all experts active, or the same ones by weight": ("mixture", dict(n_expert_active=4, router_norm=False),
                                                       dict(n_expert_active=4)),
}  # fmt: skip


@pytest.mark.parametrize("case", SAME)
def test_degenerate_cases_are_the_plain_one(case):
    base, left, right = SAME[case]
    a, b = (VARIANTS[base].replace(**changes) for changes in (left, right))
    assert a != b
    x = tokens(a)
    with torch.no_grad():
        difference = (build(a)(x) - build(b)(x)).abs().max()
    assert difference < (1e-6 if case != "a cap that nothing reaches" else 1e-4)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("name", ["modern", "qk-norm", "window and sinks", "sink logits, alibi, window", "gpt-oss"])
def test_shared_keys_are_copies_of_keys_of_ones_own(name, device):
    """Grouped-query attention is multi-head attention whose heads of a group have the same keys and values."""
    config = VARIANTS[name]
    full = config.replace(n_kv_head=config.n_head)
    grouped, own, x = build(config).double(), build(full).double(), tokens(config)
    weights = dict(grouped.named_parameters())
    with torch.no_grad():
        for part, parameter in own.named_parameters():
            shared = weights[part]
            if parameter.shape != shared.shape:
                heads = shared.unflatten(0, (config.n_kv_head, config.head_dim))
                shared = heads.repeat_interleave(config.n_head // config.n_kv_head, dim=0).flatten(0, 1)
            parameter.copy_(shared)
        assert sum(own.get_parameter(part).shape != weights[part].shape for part in weights) >= 2 * config.n_layer
        assert (grouped.to(device)(x.to(device)) - own.to(device)(x.to(device))).abs().max() < 1e-12


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("name", VARIANTS)
def test_rows_of_a_batch_do_not_touch_each_other(name, device):
    config = VARIANTS[name]
    model, x = build(config).to(device), tokens(config, batch=3).to(device)
    with torch.no_grad():
        assert (model(x)[1] - model(x[1:2])[0]).abs().max() <= (1e-6 if device == "cpu" else 2e-5)


@pytest.mark.parametrize("vocab_size", [256, 512, 2048])
@pytest.mark.parametrize("name", VARIANTS)
def test_an_untrained_model_is_undecided(name, vocab_size):
    """Its first loss is the logarithm of the vocabulary."""
    config = VARIANTS[name].replace(vocab_size=vocab_size)
    model, x = initialise(Transformer(config), 0).eval(), tokens(config, n=96, batch=4)
    with torch.no_grad():
        loss = nn.functional.cross_entropy(model(x[:, :-1]).flatten(0, 1), x[:, 1:].flatten())
    assert abs(loss.item() - torch.tensor(float(vocab_size)).log()) < 0.05


def test_what_blocks_write_starts_as_the_setting_says():
    stds = {}
    for init in ("gpt2", "depth_scaled", "zero"):
        model = initialise(Transformer(VARIANTS["mixture"].replace(init=init, n_embd=128, n_layer=4)), 0)
        stds[init] = [[w.std().item() for w in (b.attn.out.weight, b.mlp.experts.down)] for b in model.blocks]
        assert abs(model.blocks[2].attn.query.weight.std() - 0.02) < 1e-3
    for layer in range(4):
        for part in range(2):
            assert stds["gpt2"][layer][part] == pytest.approx(0.02 / 8**0.5, rel=0.05)
            assert stds["depth_scaled"][layer][part] == pytest.approx(0.02 / (2 * (layer + 1)) ** 0.5, rel=0.05)
            assert stds["zero"][layer][part] == 0


def test_with_zero_writes_a_model_begins_as_its_embedding():
    config = VARIANTS["modern"].replace(init="zero")
    model, x = initialise(Transformer(config), 0), tokens(config)
    with torch.no_grad():
        assert torch.equal(model(x), model.unembed(model.norm(model.embed(x))))


def test_alibi_slopes_are_the_papers():
    assert [round(s, 6) for s in alibi_slopes(8)] == [0.5, 0.25, 0.125, 0.0625, 0.03125, 0.015625, 0.007812, 0.003906]
    assert alibi_slopes(6) == [*alibi_slopes(4), 2**-1, 2**-3], "those of 4 heads, then every other of those of 8"


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("name", VARIANTS)
def test_bfloat16_stays_close_in_one_pass_and_through_a_cache(name, device):
    """Within a tenth of the logits' spread, with weights and cache in bfloat16 and under autocast.

    A router's near tie may flip in coarse numbers, and another expert answers: the choice is frozen to the exact one.
    """
    config = VARIANTS[name]
    model, x = build(config).to(device), tokens(config, n=60).to(device)
    with torch.no_grad(), Trace(model, keep=["*.experts"]) as choice:
        exact = model.unembed(model.hidden(x))

    def frozen(start, stop):
        return Trace(model, edit={layer: (lambda _, ids=ids: ids[:, start:stop]) for layer, ids in choice.kept.items()})

    def rough(model, cache, size):
        parts = []
        for at in range(0, 60, size):
            with frozen(at, at + size):
                parts.append(model.hidden(x[:, at : at + size], cache=cache))
        return model.unembed(torch.cat(parts, dim=1)).float()

    with torch.no_grad(), torch.autocast(device.split(":")[0], torch.bfloat16):
        found = {"autocast": rough(model, None, 60)}
    model = model.to(torch.bfloat16)
    with torch.no_grad():
        cache = KVCache(config, batch_size=2)
        found |= {"one pass": rough(model, None, 60), "cached": rough(model, cache, 12)}
    assert cache.keys[0].dtype == torch.bfloat16
    assert len(choice.kept) == (config.n_layer if config.n_expert > 1 else 0)
    for way, logits in found.items():
        assert (logits - exact).square().mean().sqrt() < 0.1 * exact.std(), way


assert SMALL["block_size"] > 4 * 7 + 3, "texts are long enough that every ring wraps three times"


@pytest.mark.parametrize("name", VARIANTS)
def test_a_model_without_storage_has_the_same_parameters_and_is_never_filled(name, monkeypatch) -> None:
    there = Transformer(VARIANTS[name])

    def import_dynamo(*_: object, **__: object) -> None:
        raise AssertionError("Python code of torch's, which imports torch._dynamo: that takes a second")

    monkeypatch.setattr(torch._refs, "normal", import_dynamo)  # what the meta device runs for `normal_` and `arange`
    monkeypatch.setattr(torch._refs, "arange", import_dynamo)
    monkeypatch.setattr(torch.Tensor, "uniform_", import_dynamo)
    model = without_storage(VARIANTS[name])
    assert all(parameter.is_meta for parameter in model.parameters())
    expected = {name: (parameter.shape, parameter.dtype) for name, parameter in there.named_parameters()}
    assert {name: (parameter.shape, parameter.dtype) for name, parameter in model.named_parameters()} == expected
