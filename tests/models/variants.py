"""One small model for every axis of the architecture, with weights large enough that a mistake shows."""

import pytest
import torch

from playground.config import ModelConfig, preset
from playground.models.transformer import Transformer, initialise

SMALL = dict(vocab_size=61, block_size=96, n_layer=3, n_embd=32)

VARIANTS: dict[str, ModelConfig] = {
    "classic": preset("classic", **SMALL),
    "modern": preset("modern", **SMALL),
    "sinusoidal": preset("classic", **SMALL, position="sinusoidal"),
    "no positions": preset("classic", **SMALL, position="none"),
    "alibi": preset("classic", **SMALL, position="alibi"),
    "alibi, six heads": preset("modern", **{**SMALL, "n_embd": 48}, position="alibi", n_head=6, n_kv_head=3),
    "partial rope": preset("modern", **SMALL, rope_fraction=0.5, rope_theta=500.0),
    "classic rmsnorm": preset("classic", **SMALL, norm="rmsnorm"),
    "post-norm": preset("classic", **SMALL, norm_placement="post"),
    "post-norm, rmsnorm": preset("modern", **SMALL, norm_placement="post", norm_eps=1e-4),
    "qk-norm": preset("modern", **SMALL, qk_norm=True),
    "classic swiglu": preset("classic", **SMALL, mlp="swiglu", match_parameters=False),
    "relu2": preset("modern", **SMALL, mlp="relu2"),
    "exact gelu": preset("classic", **SMALL, mlp="gelu_exact"),
    "geglu": preset("modern", **SMALL, mlp="geglu"),
    "clamped swiglu": preset("classic", **SMALL, mlp="clamped_swiglu"),
    "multi-query": preset("modern", **SMALL, n_kv_head=1),
    "heads wider than their share": preset("modern", **SMALL, head_size=12, qk_norm=True, bias=True),
    "heads that do not divide the width": preset("classic", **SMALL, n_head=5, head_size=6, tie_embeddings=False),
    "untied": preset("modern", **SMALL, tie_embeddings=False),
    "soft-cap": preset("modern", **SMALL, logit_softcap=2.0),
    "window": preset("modern", **SMALL, window=7),
    "window learned": preset("classic", **SMALL, window=7),
    "window alibi": preset("modern", **SMALL, window=7, position="alibi"),
    "window and sinks": preset("modern", **SMALL, window=7, n_sink=3),
    "window and sinks, learned": preset("classic", **SMALL, window=7, n_sink=3),
    "window and sinks, alibi": preset("modern", **SMALL, window=7, n_sink=3, position="alibi"),
    "window beyond the context": preset("modern", **SMALL, window=500),
    "local and global": preset("modern", **SMALL, window=7, n_sink=2, global_every=2),
    "softmax-off-by-one": preset("classic", **SMALL, sink_logit="zero"),
    "learned sink logits": preset("modern", **SMALL, sink_logit="learned"),
    "sink logits, alibi, window": preset("modern", **SMALL, sink_logit="learned", position="alibi", window=7),
    "mixture": preset("mixture", **SMALL),
    "mixture, raw, one of three": preset("classic", **SMALL, n_expert=3, router_norm=False),
    "mixture with a shared expert": preset(
        "modern", **SMALL, n_expert=5, n_expert_active=3, shared_expert=True, bias=True
    ),
    "gpt-oss": preset("gpt-oss", **{**SMALL, "window": 7}),
    "gpt-oss, wide heads": preset("gpt-oss", **{**SMALL, "window": 7}, head_size=16),
}
WINDOWED = [name for name, config in VARIANTS.items() if 0 < config.window < 96 and not config.global_every]
NO_GPU = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU here")
DEVICES = ["cpu", pytest.param("cuda:0", marks=NO_GPU)]  # where numbers are compared


def build(config: ModelConfig, scale: float = 5.0) -> Transformer:
    """A model in eval mode whose matrices are `scale` times as large as at initialisation, and no vector plain.

    At initialisation the logits are so small that a wrong GELU hides below 1e-5; biases of zero hide, too.
    """
    model = initialise(Transformer(config), seed=1).eval()
    with torch.no_grad():
        for number, (name, parameter) in enumerate(model.named_parameters()):
            noise = torch.randn(parameter.shape, generator=torch.Generator().manual_seed(number))
            if name.endswith("sinks"):
                parameter += 2 * noise
            elif parameter.ndim < 2 or name.endswith("bias"):
                parameter += 0.2 * noise
            else:
                parameter *= scale
    return model


def tokens(config: ModelConfig, n: int = 64, batch: int = 2, seed: int = 0) -> torch.Tensor:
    return torch.randint(0, config.vocab_size, (batch, n), generator=torch.Generator().manual_seed(seed))
