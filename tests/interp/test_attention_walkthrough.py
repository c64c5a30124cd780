"""One head by hand, against the model's own pattern and output."""

import numpy as np
import pytest
import torch

from playground.config import preset
from playground.interp.attention_walkthrough import by_hand, source
from playground.models.trace import Trace
from tests.models.variants import SMALL, VARIANTS, build, tokens

CONFIGS = {
    **VARIANTS,
    "alibi": preset("modern", **SMALL, position="alibi"),
    "gpt-oss": preset("gpt-oss", **SMALL, window=16),
    "partial rope, qk-norm": preset("modern", **SMALL, rope_fraction=0.5, qk_norm=True),
}


@pytest.mark.parametrize("name", CONFIGS)
def test_every_number_leads_to_what_the_head_writes(name):
    config = CONFIGS[name]
    model, ids = build(config, scale=2), tokens(config, n=30, batch=1)
    with torch.no_grad(), Trace(model, keep=["*.pattern", "*.z"]) as trace:
        model.hidden(ids)
    for layer, head, t in ((0, 0, 29), (1, 3, 12), (2, 2, 0)):
        found = by_hand(model, ids[0].tolist(), layer, head, t)
        pattern, z = (trace.kept[f"blocks.{layer}.{part}"][0, head, t].double().numpy() for part in ("pattern", "z"))
        np.testing.assert_allclose(found.weights, pattern, atol=1e-5)
        np.testing.assert_allclose(found.output, z, atol=1e-5, rtol=1e-4)
        assert found.difference < 1e-5
        assert found.dots == pytest.approx([found.query @ key for key in found.keys])
        shares = [np.exp(score) for score in found.scores]
        total = sum(shares) + (0 if found.sink is None else np.exp(found.sink))
        assert found.weights == pytest.approx([share / total for share in shares])
        assert not found.visible[t + 1 :].any()
        assert (found.weights[~found.visible] == 0).all()


def test_what_is_not_there_is_refused():
    model = build(VARIANTS["modern"])
    for place, complaint in (
        ((3, 0, 0), "Layer 4"),
        ((0, 4, 0), "Head 5"),
        ((0, 0, 2), "Token 3"),
        ((0, 0, -1), "Token 0"),
    ):
        with pytest.raises(ValueError, match=f"{complaint} is not there"):
            by_hand(model, [1, 2], *place)


def test_the_code_shown_is_the_code_that_runs():
    text = source()
    for line in (
        "def attention_mask(",
        "def attend(",
        "def forward(self, x: Tensor, ctx: ForwardContext)",
        "pattern = ",
    ):
        assert line in text
