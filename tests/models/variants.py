"""One small model for every axis of the architecture, with weights large enough that a mistake shows."""

import torch

from playground.config import ModelConfig, preset
from playground.models.transformer import Transformer, initialise

SMALL = dict(vocab_size=61, block_size=96, n_layer=3, n_embd=32)

VARIANTS: dict[str, ModelConfig] = {
    "classic": preset("classic", **SMALL),
    "modern": preset("modern", **SMALL),
    "sinusoidal": preset("classic", **SMALL, position="sinusoidal"),
    "no positions": preset("classic", **SMALL, position="none"),
    "classic rmsnorm": preset("classic", **SMALL, norm="rmsnorm"),
    "classic swiglu": preset("classic", **SMALL, mlp="swiglu", match_parameters=False),
    "multi-query": preset("modern", **SMALL, n_kv_head=1),
    "untied": preset("modern", **SMALL, tie_embeddings=False),
    "window": preset("modern", **SMALL, window=7),
    "window learned": preset("classic", **SMALL, window=7),
    "window and sinks": preset("modern", **SMALL, window=7, n_sink=3),
    "window and sinks, learned": preset("classic", **SMALL, window=7, n_sink=3),
    "window beyond the context": preset("modern", **SMALL, window=500),
}


def build(config: ModelConfig, scale: float = 5.0) -> Transformer:
    """A model in eval mode whose matrices are `scale` times as large as at initialisation.

    At initialisation the logits are so small that a wrong GELU hides below 1e-5.
    """
    model = initialise(Transformer(config), seed=1).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim >= 2:
                parameter *= scale
    return model


def tokens(config: ModelConfig, n: int = 64, batch: int = 2, seed: int = 0) -> torch.Tensor:
    return torch.randint(0, config.vocab_size, (batch, n), generator=torch.Generator().manual_seed(seed))
