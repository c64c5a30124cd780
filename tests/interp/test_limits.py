"""What an imported model may cost the views that read all of its heads and layers."""

from __future__ import annotations

import numpy as np
import pytest

from playground.config import ImportedModelConfig, ModelConfig
from playground.interp import limits
from playground.interp.ablation import parts_of
from playground.interp.attention import attention_patterns
from playground.interp.attention_walkthrough import by_hand
from playground.interp.heads import patterns_of
from playground.interp.logit_lens import logit_lens
from playground.interp.patching import patching
from playground.models.transformer import Transformer

CONFIG = ModelConfig(n_layer=2, n_embd=16, n_head=4, n_kv_head=4, block_size=16)
IDS = list(range(10))


@pytest.fixture
def no_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "free_memory", lambda: 4_000)


@pytest.mark.usefixtures("no_memory")
def test_what_does_not_fit_into_memory_is_refused_with_its_numbers() -> None:
    model = Transformer(CONFIG).eval()
    for view, words in (
        (lambda: attention_patterns(model, IDS), "The attention of 4 heads in 2 layers on 10 tokens needs 0.00002 GB"),
        (
            lambda: patterns_of(model, np.array([IDS] * 2)),
            "The attention of 4 heads in 2 layers on 10 tokens needs 0.00004 GB",
        ),
        (lambda: by_hand(model, IDS, 0, 0, 3), "The attention of 4 heads in 1 layer on 10 tokens needs 0.00001 GB"),
        (lambda: logit_lens(model, IDS), "The lens of 3 depths on 10 tokens with a vocabulary of 256 needs 0.0002 GB"),
    ):
        with pytest.raises(
            ValueError, match=rf"^{words}.* GB are free\. Shorten the text or choose a smaller model\.$"
        ):
            view()


def test_so_many_heads_are_neither_listed_nor_tried_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MAX_PARTS", 9)
    words = r"^This model has 10 heads and MLPs in 2 layers; this view shows at most 9\. Choose a smaller model\.$"
    assert len(parts_of(CONFIG)) == 10
    with pytest.raises(ValueError, match=words):
        patching(Transformer(CONFIG), IDS, IDS[::-1], (0, 1))
    with pytest.raises(ValueError, match=words):
        limits.check_parts(CONFIG)
    limits.check_parts(ImportedModelConfig(n_layer=1, n_head=8, n_kv_head=8, n_embd=8))
