"""The unit of import and export: a trained model with its tokenizer and log."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from playground.config import ModelConfig, TrainConfig
from playground.interchange.names import Tensors
from playground.models.transformer import Transformer
from playground.tokenizers import Tokenizer, n_tokens


@dataclass(frozen=True)
class Package:
    """A trained model and what belongs to it. `weights` are float32 by our names; `events` are rows of its log."""

    name: str
    config: ModelConfig
    weights: Tensors
    tokenizer: Tokenizer
    step: int = 0
    train: TrainConfig | None = None
    preset: str = ""
    events: tuple[dict[str, Any], ...] = ()
    precision: str = "float32"  # of the stored weights
    notes: tuple[str, ...] = field(default=())  # changes made on import

    def build(self) -> Transformer:
        """The model itself, in eval mode."""
        model = Transformer(self.config)
        model.load_state_dict(self.weights)
        model.n_tokens = n_tokens(self.tokenizer)
        return model.eval().requires_grad_(False)
