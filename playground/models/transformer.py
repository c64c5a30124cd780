"""The transformer, from token ids to logits: embed, a stack of blocks, norm, unembed.

Each block adds to a *residual stream*: first what attention gathers from other tokens, then what the MLP makes of it.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from playground.config import ModelConfig
from playground.models.attention import Attention, Step, View, visible
from playground.models.kv_cache import EMPTY, KVCache
from playground.models.mlp import MLPS
from playground.models.moe import MoE, Routing
from playground.models.normalization import NORMS
from playground.models.positional import POSITIONS
from playground.models.trace import Trace


class Block(nn.Module):
    """x + attention(norm(x)), then x + mlp(norm(x)): the pre-norm residual block."""

    leaves_normed = False  # whether what leaves the block has been through a norm

    def __init__(self, config: ModelConfig, layer: int) -> None:
        super().__init__()
        self.name = f"blocks.{layer}"
        self.attn_norm = NORMS[config.norm](config.n_embd, config.bias, config.norm_eps)
        self.attn = Attention(config, layer)
        self.mlp_norm = NORMS[config.norm](config.n_embd, config.bias, config.norm_eps)
        dense = config.n_expert == 1
        self.mlp = MLPS[config.mlp](config.n_embd, config.mlp_hidden, config.bias) if dense else MoE(config, layer)
        self.drop = nn.Dropout(config.dropout)

    def forward(self, x: Tensor, step: Step) -> Tensor:  # (B, T, C) -> (B, T, C)
        x = step.note(f"{self.name}.resid_pre", x)
        x = x + step.note(f"{self.name}.attn_out", self.drop(self.attn(self.attn_norm(x), step)))
        x = step.note(f"{self.name}.resid_mid", x)
        x = x + step.note(f"{self.name}.mlp_out", self.drop(self.mlp(self.mlp_norm(x), step)))
        return step.note(f"{self.name}.resid_post", x)


class PostNormBlock(Block):
    """norm(x + attention(x)), then norm(x + mlp(x)): as in Vaswani et al. 2017."""

    leaves_normed = True

    def forward(self, x: Tensor, step: Step) -> Tensor:  # (B, T, C) -> (B, T, C)
        x = step.note(f"{self.name}.resid_pre", x)
        x = self.attn_norm(x + step.note(f"{self.name}.attn_out", self.drop(self.attn(x, step))))
        x = step.note(f"{self.name}.resid_mid", x)
        x = self.mlp_norm(x + step.note(f"{self.name}.mlp_out", self.drop(self.mlp(x, step))))
        return step.note(f"{self.name}.resid_post", x)


BLOCKS: dict[str, type[Block]] = {"pre": Block, "post": PostNormBlock}

# Windows in a text from which attention is cut into blocks: two blocks of keys must be much less than all.
LOCAL_FROM = 4


class Transformer(nn.Module):
    """A decoder-only language model, of the architecture its config describes."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.n_tokens = config.vocab_size  # ids that may be written, from 0 on; a tokenizer may have fewer
        self.embed = nn.Embedding(config.vocab_size, config.n_embd)
        self.positions = POSITIONS[config.position](config)
        self.drop = nn.Dropout(config.dropout)
        block = BLOCKS[config.norm_placement]
        self.blocks = nn.ModuleList(block(config, layer) for layer in range(config.n_layer))
        norm = NORMS[config.norm](config.n_embd, config.bias, config.norm_eps)
        self.norm = nn.Identity() if block.leaves_normed else norm
        self.head = None if config.tie_embeddings else nn.Linear(config.n_embd, config.vocab_size, bias=False)
        self.softcap = config.logit_softcap
        self.windows, self.n_sink = sorted(set(config.windows)), config.n_sink
        self.recompute = False  # blocks keep nothing for the backward pass but their input; training sets it

    def forward(self, tokens: Tensor, routings: list[Routing] | None = None) -> Tensor:
        """Logits (B, T, V) of the token that follows each of `tokens` (B, T).

        With a list for `routings`, every mixture of experts adds its decisions to it, first layer first.
        """
        return self.unembed(self.hidden(tokens, routings=routings))

    def hidden(
        self,
        tokens: Tensor,
        cache: KVCache | None = None,
        trace: Trace | None = None,
        valid: Tensor | None = None,
        routings: list[Routing] | None = None,
    ) -> Tensor:
        """The residual stream after the last norm, (B, T, C), for token ids (B, T).

        With a cache, `tokens` continue what the cache has seen. `valid` (B, T) is False at padding, left or right of each
        row's tokens: no token sees it, positions do not count it, and what comes out of it means nothing. Raises
        ValueError for more positions than the model has.
        """
        if cache is not None and len(sizes := cache.frames(tokens.size(1))) > 1:
            masks = [None] * len(sizes) if valid is None else valid.split(sizes, dim=1)
            parts = zip(tokens.split(sizes, dim=1), masks, strict=True)
            return torch.cat([self.hidden(part, cache, trace, mask, routings) for part, mask in parts], dim=1)
        query_pos, step = self._step(tokens, cache, trace, valid, routings)
        x = step.note("embed", self.drop(self.positions.add(self.embed(tokens), query_pos)))
        again = self.recompute and torch.is_grad_enabled()
        for block in self.blocks:
            x = checkpoint(block, x, step, use_reentrant=False) if again else block(x, step)
        if cache is not None:
            cache.advance()
        return step.note("final", self.norm(x))

    def unembed(self, hidden: Tensor) -> Tensor:
        """Logits (..., V) of hidden states (..., C)."""
        weight = self.embed.weight if self.head is None else self.head.weight
        logits = hidden @ weight.T
        return self.softcap * torch.tanh(logits / self.softcap) if self.softcap else logits

    def n_parameters(self) -> int:
        """Trained numbers; a tied head counts once."""
        return sum(parameter.numel() for parameter in self.parameters())

    def _step(
        self,
        tokens: Tensor,
        cache: KVCache | None,
        trace: Trace | None,
        valid: Tensor | None,
        routings: list[Routing] | None,
    ) -> tuple[Tensor, Step]:
        """Positions (B or 1, T) of the tokens, and what all layers share."""
        n = tokens.size(1)
        if cache is not None:
            query_pos = cache.to(self.embed.weight).begin(n, valid)
        elif valid is not None:
            query_pos = (valid.cumsum(1) - 1).masked_fill(~valid, EMPTY)
        else:
            query_pos = torch.arange(n, device=tokens.device)[None]
        if (n if cache is None else cache.length + n) > self.positions.limit:  # padding may be all that is beyond
            self.positions.check(int(query_pos.max()) + 1)
        plain = cache is None and valid is None
        views = {window: self._view(window, query_pos, cache, plain) for window in self.windows}
        return query_pos, Step(views, cache, trace, routings)

    def _view(self, window: int, query_pos: Tensor, cache: KVCache | None, plain: bool) -> View:
        """Who sees whom in layers of a window. `at` is where tokens stand, which a cache that moves them may change."""
        if cache is None:
            key_pos, seen, n_sink = query_pos, window, self.n_sink
            query_at, key_at = query_pos, query_pos
        else:
            key_pos, seen, n_sink = cache.key_positions(window), cache.rings[window].window, cache.n_sink
            query_at, key_at = cache.inside(window, query_pos), cache.inside(window, key_pos)
        rotations = self.positions.rotation(query_at), self.positions.rotation(key_at)
        bias = self.positions.bias(query_at, key_at)
        # A plain causal square needs no mask: kernels know it by heart.
        if plain and bias is None and not 0 < window < query_pos.size(1):
            return View(None, *rotations)
        if plain and bias is None and n_sink == 0 and query_pos.size(1) >= LOCAL_FROM * window:
            return View(None, *rotations, window)
        mask = visible(query_pos, key_pos, seen, n_sink).unsqueeze(-3)  # (B, 1, T, S): all heads alike
        return View(mask if bias is None else bias.masked_fill(~mask, -math.inf), *rotations)


INITS: dict[str, Callable[[int, int], float]] = {
    "gpt2": lambda layer, n_layer: 0.02 / math.sqrt(2 * n_layer),
    "depth_scaled": lambda layer, n_layer: 0.02 / math.sqrt(2 * (layer + 1)),
    "zero": lambda layer, n_layer: 0.0,
}
WRITES = ("attn.out.weight", "mlp.down.weight", "mlp.experts.down", "mlp.shared.down.weight")


def initialise(model: Transformer, seed: int) -> Transformer:
    """Draw the weights: normal with standard deviation 0.02, and as the config's `init` says where a block writes.

    Each tensor has a generator of its own, seeded by `seed` and its name. So two architectures that differ along one axis
    start from the same numbers wherever their shapes agree: a comparison compares the axis and not the draw.
    """
    writes, n_layer = INITS[model.config.init], model.config.n_layer
    for name, parameter in model.named_parameters():
        if parameter.ndim < 2 or name.endswith("bias"):
            continue  # norms start at one, biases and sinks at zero
        std = writes(int(name.split(".")[1]), n_layer) if name.endswith(WRITES) else 0.02
        digest = hashlib.sha256(f"{seed}/{name}".encode()).digest()
        generator = torch.Generator().manual_seed(int.from_bytes(digest[:8], "little") >> 1)
        with torch.no_grad():
            parameter.copy_(torch.empty(parameter.shape).normal_(0.0, std, generator=generator))
    for module in model.modules():
        if isinstance(module, nn.Linear) and module.bias is not None:
            nn.init.zeros_(module.bias)
    return model
