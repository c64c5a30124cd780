"""A mixture of experts is a sum over experts, and costs what its active ones cost."""

import pytest
import torch
from torch import nn

from playground.config import ModelConfig, TrainConfig, preset
from playground.models.attention import ForwardContext
from playground.models.moe import MoE, Routing
from playground.models.trace import Trace
from playground.train.estimate import count_parameters
from playground.train.routing import balance_loss, router_loss, z_loss
from tests.models.variants import DEVICES, VARIANTS, build, tokens

STEP = ForwardContext({})
SHAPE = dict(vocab_size=61, n_embd=32, n_layer=2)


def mixture(config: ModelConfig) -> MoE:
    moe = MoE(config).double()
    for number, parameter in enumerate(moe.parameters()):
        parameter.data = 0.3 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(number)).double()
    return moe


def dense_loop(moe: MoE, x, keep):
    """Every expert applied to every token, weighted by what the router gives to its `keep` likeliest, else by nothing."""
    probabilities = moe.router(x).softmax(-1)
    chosen = probabilities >= probabilities.topk(keep).values[..., -1:]
    weights = probabilities * chosen
    if moe.normalise:
        weights = weights / weights.sum(-1, keepdim=True)
    out = 0.0 if moe.shared is None else moe.shared(x)
    for expert, answer in enumerate(moe.experts([x.flatten(0, 1)] * moe.n_expert)):
        out = out + weights[..., expert, None] * answer.view_as(x)
    return out


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("normalise", [False, True])
@pytest.mark.parametrize(("n_expert", "active"), [(4, 2), (8, 1), (3, 3)])
def test_a_mixture_is_a_loop_over_experts_gradients_included(n_expert, active, normalise, shared, bias, device):
    config = preset("modern", **SHAPE, n_expert=n_expert, n_expert_active=active, router_norm=normalise,
                    shared_expert=shared, bias=bias)  # fmt: skip
    moe, twin = mixture(config).to(device), mixture(config).to(device)
    x = torch.randn(2, 13, 32, dtype=torch.float64).to(device).requires_grad_()
    y = x.detach().clone().requires_grad_()
    ours, theirs = moe(x, STEP), dense_loop(twin, y, active)
    assert (ours - theirs).abs().max() < 1e-12
    for out in (ours, theirs):
        (out * torch.linspace(-1, 1, 32, device=device)).sum().backward()
    assert (x.grad - y.grad).abs().max() < 1e-12
    for (name, a), b in zip(moe.named_parameters(), twin.parameters(), strict=True):
        assert (a.grad - b.grad).abs().max() < 1e-11, name


@pytest.mark.parametrize("kind", ["gelu", "relu2", "swiglu", "geglu", "clamped_swiglu"])
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("device", DEVICES)
def test_one_expert_is_the_dense_mlp(kind, bias, device):
    """A mixture of one, with the dense model's weights, gives its answers and its gradients."""
    config = preset("modern", **SHAPE, mlp=kind, bias=bias)
    dense, moe = build(config).to(device).double().blocks[0].mlp, MoE(config).to(device).double()
    for name, parameter in dense.named_parameters():
        part, what = name.split(".")
        own = getattr(moe.experts, part if what == "weight" else f"{part}_bias")
        own.data = parameter.data[None].clone()
    x = torch.randn(2, 9, 32, dtype=torch.float64).to(device)
    ours, theirs = moe(x, STEP), dense(x)
    assert (ours - theirs).abs().max() < (1e-14 if device == "cpu" else 1e-12)
    ours.square().sum().backward()
    theirs.square().sum().backward()
    assert (moe.experts.down.grad[0] - dense.down.weight.grad).abs().max() < 1e-11


def test_experts_see_only_the_tokens_that_chose_them():
    """The rows that experts compute on are the choices, filled up to fours: cost grows with active experts only."""
    rows = {}
    for n_expert, active in ((2, 2), (8, 2), (16, 2), (8, 4)):
        moe = mixture(preset("modern", **SHAPE, n_expert=n_expert, n_expert_active=active))
        seen, inner = [], moe.experts.act
        moe.experts.act = lambda gate, up, seen=seen, inner=inner: seen.append(len(up)) or inner(gate, up)
        moe(torch.randn(4, 64, 32, dtype=torch.float64), STEP)
        rows[n_expert, active] = sum(seen)
        assert active * 256 <= sum(seen) <= active * 256 + 3 * n_expert
    assert rows[8, 4] > 1.9 * rows[8, 2]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("kind", ["gelu", "relu2", "swiglu", "geglu", "clamped_swiglu"])
@pytest.mark.parametrize(("width", "hidden"), [(32, 88), (128, 344), (32, 90), (48, 129)])
def test_an_answer_does_not_depend_on_how_many_others_asked(width, hidden, kind, dtype):
    """To the last bit: else a later token would change an earlier one's numbers, by rounding."""
    moe = mixture(preset("modern", n_embd=width, n_expert=2, mlp=kind, mlp_width=hidden, bias=True)).to(dtype).eval()
    asked = torch.randn(70, width, dtype=dtype)
    with torch.no_grad():
        whole = moe.experts([asked, asked[:0]])[0]
        for n in range(1, 70):
            assert torch.equal(moe.experts([asked[:n], asked[n:]])[0], whole[:n]), n


def test_parameters_that_a_token_meets_do_not_grow_with_experts():
    two, eight = (preset("modern", **SHAPE, n_expert=n, n_expert_active=2) for n in (2, 8))
    routers = 2 * 32 * (8 - 2)
    assert count_parameters(eight, active=True) - count_parameters(two, active=True) == routers
    assert count_parameters(two, active=True) == count_parameters(two)
    assert count_parameters(eight) - count_parameters(two) == routers + 2 * 6 * 3 * 32 * two.mlp_hidden


def test_an_expert_nobody_chose_costs_nothing_and_learns_nothing():
    moe = mixture(preset("modern", **SHAPE, n_expert=4, n_expert_active=2, bias=True))
    moe.router.bias.data = torch.tensor([50.0, 0.0, 50.0, 0.0]).double()
    moe(torch.randn(2, 5, 32, dtype=torch.float64), STEP).sum().backward()
    assert moe.experts.up.grad[[1, 3]].abs().max() == 0
    assert moe.experts.up.grad[[0, 2]].abs().min(dim=0).values.max() > 0


def test_balance_loss_by_hand():
    """One when tokens and probabilities are spread alike, E when all goes to one expert, and pushing towards balance."""
    even = Routing(torch.zeros(8, 4), torch.arange(8)[:, None] % 4)
    assert balance_loss(even).item() == pytest.approx(1.0)
    one = Routing(torch.tensor([[30.0, 0.0, 0.0, 0.0]]).repeat(8, 1), torch.zeros(8, 1, dtype=torch.long))
    assert balance_loss(one).item() == pytest.approx(4.0)
    logits = torch.randn(10, 3, dtype=torch.float64, requires_grad=True)
    chosen = logits.topk(2).indices
    share = [(chosen == e).sum().item() / 20 for e in range(3)]
    p = logits.softmax(-1)
    by_hand = 3 * sum(share[e] * p[:, e].mean() for e in range(3))
    assert (balance_loss(Routing(logits, chosen)) - by_hand).abs() < 1e-7


def test_z_loss_by_hand():
    logits = torch.tensor([[0.0, 0.0], [1.0, 3.0]])
    expected = (torch.tensor(2.0).log() ** 2 + (torch.tensor(1.0).exp() + torch.tensor(3.0).exp()).log() ** 2) / 2
    assert z_loss(Routing(logits, logits.argmax(-1, keepdim=True))).item() == pytest.approx(expected.item(), rel=1e-6)


def test_router_losses_agree_with_transformers():
    """Theirs sums over the k choices where ours is their mean, and is taken over one layer here."""
    from transformers.models.mixtral.modeling_mixtral import load_balancing_loss_func

    logits = torch.randn(50, 6)
    theirs = load_balancing_loss_func((logits,), num_experts=6, top_k=2)
    assert balance_loss(Routing(logits, logits.topk(2).indices)).item() == pytest.approx(theirs.item() / 2, rel=1e-5)


def test_a_model_hands_over_one_routing_a_layer_and_dense_ones_none():
    config = VARIANTS["mixture"]
    routings = []
    build(config)(tokens(config), routings)
    assert [r.logits.shape for r in routings] == [(128, 4)] * 3
    assert [r.chosen.shape for r in routings] == [(128, 2)] * 3
    weights = TrainConfig(balance_loss=0.5, router_z_loss=0.25)
    expected = sum(0.5 * balance_loss(r) + 0.25 * z_loss(r) for r in routings) / 3
    assert (router_loss(routings, weights) - expected).abs() < 1e-6
    dense = []
    build(VARIANTS["modern"])(tokens(config), dense)
    assert dense == []
    assert router_loss(dense, weights) == 0.0


def test_the_routers_choice_can_be_seen_and_changed():
    """`blocks.i.router` are probabilities, `blocks.i.experts` ids; sending all tokens elsewhere changes what they become."""
    config = VARIANTS["mixture"]
    model, x = build(config), tokens(config)
    with torch.no_grad(), Trace(model, keep=["*.router", "*.experts"]) as trace:
        model.hidden(x)
        probabilities, chosen = trace.kept["blocks.1.router"], trace.kept["blocks.1.experts"]
        assert probabilities.shape == (2, 64, 4)
        assert (probabilities.sum(-1) - 1).abs().max() < 1e-6
        assert torch.equal(chosen, probabilities.topk(2).indices)
        edit = {"blocks.1.experts": lambda ids: torch.zeros_like(ids)}
        with Trace(model, keep=["blocks.1.mlp_out"], edit=edit) as forced:
            model.hidden(x)
        with Trace(model, keep=["blocks.1.mlp_out"]) as plain:
            model.hidden(x)
    first_already = (chosen == 0).all(-1)
    assert not first_already.any()
    assert (forced.kept["blocks.1.mlp_out"] - plain.kept["blocks.1.mlp_out"]).abs().amax(-1).min() > 1e-4


def test_cross_entropy_alone_teaches_a_normalised_top_1_router_nothing():
    """What the setting's explanation says: its weight is always one. Raw probabilities do teach it."""
    for normalise, learns in ((True, False), (False, True)):
        config = VARIANTS["mixture"].replace(n_expert_active=1, router_norm=normalise)
        model, x = build(config), tokens(config)
        nn.functional.cross_entropy(model(x)[:, :-1].flatten(0, 1), x[:, 1:].flatten()).backward()
        assert (model.blocks[0].mlp.router.weight.grad.abs().max() > 1e-6) == learns
