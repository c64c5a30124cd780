"""The order in which the compiled step reads matrices: every number at its place, and none changed."""

import numpy as np
import pytest
import torch

from playground.inference.native.packed_weights import HUGE, LANES, PANEL, _memory, in_panels, is_exact, packed_weights
from tests.models.variants import VARIANTS, build


def back(panels, rows, half):
    """Rows first, by hand: a panel, a column and a lane at a time."""
    flat, columns = panels.float().contiguous().flatten().numpy(), panels.shape[1]
    found = np.zeros((len(panels) * PANEL, columns), dtype=np.float32)
    for row, column in np.ndindex(*found.shape):
        panel, inside = divmod(row, PANEL)
        lane = 2 * (inside % LANES) + inside // LANES if half else inside
        found[row, column] = flat[(panel * columns + column) * PANEL + lane]
    assert not found[rows:].any()
    return found[:rows]


@pytest.mark.parametrize("half", [False, True])
@pytest.mark.parametrize("shape", [(32, 8), (64, 3), (40, 5), (1, 1)])
def test_a_matrix_comes_back_from_its_panels(shape, half):
    weight = torch.randn(shape, generator=torch.Generator().manual_seed(0)).bfloat16().float()
    assert np.array_equal(back(in_panels(weight, half), shape[0], half), weight.numpy())


@pytest.mark.parametrize("name", ["modern", "classic swiglu", "untied", "classic"])
def test_products_that_share_a_vector_are_one(name):
    """Queries, keys and values below each other; the gate and what it gates in turns; biases in the same order."""
    model = build(VARIANTS[name]).requires_grad_(False)
    panels, block = packed_weights(model), model.blocks[1]
    attention, mlp = block.attn, block.mlp
    rows = [attention.query, attention.key, attention.value]
    weight = torch.cat([part.weight for part in rows])
    assert np.array_equal(back(panels.matrices["1.qkv"], len(weight), panels.half), weight.numpy())
    if rows[0].bias is not None:
        assert torch.equal(panels.biases["1.qkv"][: len(weight)], torch.cat([part.bias for part in rows]))
    if mlp.gate is not None:
        up = torch.from_numpy(back(panels.matrices["1.up"], len(panels.matrices["1.up"]) * PANEL, panels.half))
        gate, other = up.unflatten(0, (-1, 2, LANES)).unbind(1)
        n = len(mlp.up.weight)
        assert torch.equal(gate.flatten(0, 1)[:n], mlp.gate.weight)
        assert torch.equal(other.flatten(0, 1)[:n], mlp.up.weight)


def test_panels_are_kept_until_a_weight_changes():
    model = build(VARIANTS["modern"]).requires_grad_(False)
    first = packed_weights(model)
    assert packed_weights(model) is first
    model.blocks[0].mlp.down.weight.mul_(2)
    second = packed_weights(model)
    assert second is not first
    assert torch.equal(second.matrices["0.down"], 2 * first.matrices["0.down"])


def test_only_numbers_that_bfloat16_holds_are_halved():
    weight = torch.randn(50, 6).bfloat16().float()
    assert is_exact(weight)
    weight[49, 5] = 1 + 2**-20
    assert not is_exact(weight)


def test_large_rooms_are_ordinary_memory():
    room = _memory(HUGE, torch.float32)
    room.fill_(2)
    assert room.sum() == 2 * HUGE
    assert len(_memory(10, torch.bfloat16)) == 10
