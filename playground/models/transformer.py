"""The transformer, from token ids to logits: embed, a stack of blocks, norm, unembed.

Each block adds to a *residual stream*: first what attention gathers from other tokens, then what the MLP makes of it.
"""

from __future__ import annotations

import hashlib
import math

import torch
from torch import Tensor, nn

from playground.config import ModelConfig
from playground.models.attention import Attention, Step, visible
from playground.models.kv_cache import KVCache
from playground.models.mlp import MLPS
from playground.models.normalization import NORMS
from playground.models.positional import POSITIONS
from playground.models.trace import Trace


class Block(nn.Module):
    """x + attention(norm(x)), then x + mlp(norm(x)): the pre-norm residual block."""

    def __init__(self, config: ModelConfig, layer: int) -> None:
        super().__init__()
        self.name = f"blocks.{layer}"
        self.attn_norm = NORMS[config.norm](config.n_embd, config.bias)
        self.attn = Attention(config, layer)
        self.mlp_norm = NORMS[config.norm](config.n_embd, config.bias)
        self.mlp = MLPS[config.mlp](config.n_embd, config.mlp_hidden, config.bias)
        self.drop = nn.Dropout(config.dropout)

    def forward(self, x: Tensor, step: Step) -> Tensor:  # (B, T, C) -> (B, T, C)
        x = step.note(f"{self.name}.resid_pre", x)
        x = x + step.note(f"{self.name}.attn_out", self.drop(self.attn(self.attn_norm(x), step)))
        x = step.note(f"{self.name}.resid_mid", x)
        x = x + step.note(f"{self.name}.mlp_out", self.drop(self.mlp(self.mlp_norm(x))))
        return step.note(f"{self.name}.resid_post", x)


class Transformer(nn.Module):
    """A decoder-only language model, of the architecture its config describes."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.embed = nn.Embedding(config.vocab_size, config.n_embd)
        self.positions = POSITIONS[config.position](config)
        self.drop = nn.Dropout(config.dropout)
        self.blocks = nn.ModuleList(Block(config, layer) for layer in range(config.n_layer))
        self.norm = NORMS[config.norm](config.n_embd, config.bias)
        self.head = None if config.tie_embeddings else nn.Linear(config.n_embd, config.vocab_size, bias=False)

    def forward(self, tokens: Tensor) -> Tensor:
        """Logits (B, T, V) of the token that follows each of `tokens` (B, T)."""
        return self.unembed(self.hidden(tokens))

    def hidden(self, tokens: Tensor, cache: KVCache | None = None, trace: Trace | None = None) -> Tensor:
        """The residual stream after the last norm, (B, T, C), for token ids (B, T).

        With a cache, `tokens` continue what the cache has seen. Raises ValueError for more positions than the model has.
        """
        query_pos, step = self._step(tokens, cache, trace)
        x = step.note("embed", self.drop(self.positions.add(self.embed(tokens), query_pos)))
        for block in self.blocks:
            x = block(x, step)
        if cache is not None:
            cache.advance(tokens.size(1))
        return step.note("final", self.norm(x))

    def unembed(self, hidden: Tensor) -> Tensor:
        """Logits (..., V) of hidden states (..., C)."""
        weight = self.embed.weight if self.head is None else self.head.weight
        return hidden @ weight.T

    def n_parameters(self) -> int:
        """Trained numbers; a tied head counts once."""
        return sum(parameter.numel() for parameter in self.parameters())

    def _step(self, tokens: Tensor, cache: KVCache | None, trace: Trace | None) -> tuple[Tensor, Step]:
        n, config = tokens.size(1), self.config
        if cache is None:
            query_pos = key_pos = torch.arange(n, device=tokens.device)
        else:
            cache = cache.to(self.embed.weight)
            query_pos, key_pos = cache.new_positions(n), cache.key_positions(n)
        last = n if cache is None else cache.length + n
        if config.position == "learned" and last > config.block_size:
            raise ValueError(
                f"Learned positions end at the context of {config.block_size} tokens; this text has {last}. Shorten it."
            )
        # A plain causal square needs no mask: kernels know it by heart.
        plain = cache is None and not 0 < config.window < n
        mask = None if plain else visible(query_pos, key_pos, config.window, config.n_sink)
        rotations = self.positions.rotation(query_pos), self.positions.rotation(key_pos)
        return query_pos, Step(*rotations, mask, cache, trace)


def initialise(model: Transformer, seed: int) -> Transformer:
    """Draw the weights as GPT-2 does: normal with standard deviation 0.02, and 0.02 / sqrt(2 L) where a block writes.

    Each tensor has a generator of its own, seeded by `seed` and its name. So two architectures that differ along one axis
    start from the same numbers wherever their shapes agree: a comparison compares the axis and not the draw.
    """
    writes = 0.02 / math.sqrt(2 * model.config.n_layer)
    for name, parameter in model.named_parameters():
        if parameter.ndim < 2:
            continue  # norms start at one and biases at zero
        std = writes if name.endswith(("attn.out.weight", "mlp.down.weight")) else 0.02
        digest = hashlib.sha256(f"{seed}/{name}".encode()).digest()
        generator = torch.Generator().manual_seed(int.from_bytes(digest[:8], "little") >> 1)
        with torch.no_grad():
            parameter.copy_(torch.empty(parameter.shape).normal_(0.0, std, generator=generator))
    for module in model.modules():
        if isinstance(module, nn.Linear) and module.bias is not None:
            nn.init.zeros_(module.bias)
    return model
