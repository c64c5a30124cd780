"""An architecture's description names what is special, and nothing that is not."""

import pytest

from playground.analysis.describe import describe
from playground.config import ModelConfig, preset

CASES = [
    (preset("classic"), "learned positions · LayerNorm · GELU · multi-head · biases"),
    (preset("modern"), "RoPE · RMSNorm · SwiGLU · grouped-query · no biases"),
    (preset("mixture"), "RoPE · RMSNorm · SwiGLU · 2 of 4 experts · grouped-query · no biases"),
    (
        preset("gpt-oss"),
        "RoPE · RMSNorm · clamped SwiGLU · 2 of 4 experts · grouped-query · biases · window 32 but in layers 2, 4"
        " · learned sink logits · untied head",
    ),
    (
        preset("modern", n_kv_head=1, window=32, n_sink=4),
        "RoPE · RMSNorm · SwiGLU · multi-query · no biases · window 32 + 4 sinks",
    ),
    (
        preset(
            "modern", rope_fraction=0.5, norm_placement="post", qk_norm=True, n_expert=8, shared_expert=True,
            sink_logit="zero", logit_softcap=30, init="zero",
        ),
        "RoPE on 16 of 32 dimensions · RMSNorm after each sublayer · QK-norm · SwiGLU · 1 of 8 experts and a shared one"
        " · grouped-query · no biases · softmax-off-by-one · logits capped at 30 · blocks start at zero",
    ),
    (
        preset("classic", position="alibi", mlp="relu2", init="depth_scaled"),
        "ALiBi · LayerNorm · ReLU² · multi-head · biases · depth-scaled start",
    ),
    (preset("classic", position="none"), "no positions · LayerNorm · GELU · multi-head · biases"),
]  # fmt: skip


@pytest.mark.parametrize(("config", "words"), CASES)
def test_architectures_in_words(config: ModelConfig, words: str):
    assert describe(config) == words
