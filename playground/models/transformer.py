"""The transformer, from token ids to logits: embed, a stack of blocks, norm, unembed.

Each block adds two updates to the *residual stream*: the output of attention, then that of the MLP.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils.checkpoint import checkpoint

from playground.config import ModelConfig
from playground.models.attention import Attention, ForwardContext, LayerContext, attention_mask
from playground.models.kv_cache import EMPTY, KVCache
from playground.models.mlp import MLPS
from playground.models.moe import MoE, Routing
from playground.models.normalization import NORMS
from playground.models.positional import POSITIONS
from playground.models.trace import HookPoint


class Block(nn.Module):
    """x + attention(norm(x)), then x + mlp(norm(x)): the pre-norm residual block."""

    leaves_normed = False  # whether the block's output is normalised

    def __init__(self, config: ModelConfig, layer: int) -> None:
        super().__init__()
        self.attn_norm = NORMS[config.norm](config.n_embd, config.bias, config.norm_eps)
        self.attn = Attention(config, layer)
        self.mlp_norm = NORMS[config.norm](config.n_embd, config.bias, config.norm_eps)
        dense = config.n_expert == 1
        self.mlp = MLPS[config.mlp](config.n_embd, config.mlp_hidden, config.bias) if dense else MoE(config)
        self.drop = nn.Dropout(config.dropout)
        self.hook_resid_mid = HookPoint()

    def forward(self, x: Tensor, ctx: ForwardContext) -> Tensor:  # (B, T, C) -> (B, T, C)
        x = x + self.drop(self.attn(self.attn_norm(x), ctx))
        x = self.hook_resid_mid(x)
        return x + self.drop(self.mlp(self.mlp_norm(x), ctx))


class PostNormBlock(Block):
    """norm(x + attention(x)), then norm(x + mlp(x)): as in Vaswani et al. 2017."""

    leaves_normed = True

    def forward(self, x: Tensor, ctx: ForwardContext) -> Tensor:  # (B, T, C) -> (B, T, C)
        x = self.attn_norm(x + self.drop(self.attn(x, ctx)))
        x = self.hook_resid_mid(x)
        return self.mlp_norm(x + self.drop(self.mlp(x, ctx)))


BLOCKS: dict[str, type[Block]] = {"pre": Block, "post": PostNormBlock}

# Sequence length in windows from which attention is split into blocks: two blocks of keys must be far fewer than all.
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
        self.gradient_checkpointing = False  # keep only the inputs of blocks for the backward pass

    def forward(self, tokens: Tensor, routings: list[Routing] | None = None) -> Tensor:
        """Logits (B, T, V) of the token that follows each of `tokens` (B, T).

        With a list for `routings`, each mixture of experts appends its decisions to it, first layer first.
        """
        return self.unembed(self.hidden(tokens, routings=routings))

    def hidden(
        self,
        tokens: Tensor,
        cache: KVCache | None = None,
        valid: Tensor | None = None,
        routings: list[Routing] | None = None,
    ) -> Tensor:
        """The residual stream after the last norm, (B, T, C), for token ids (B, T).

        With a cache, `tokens` continue the cached ones. `valid` (B, T) is False at padding, to the left or right of each
        row's tokens: padding is masked, positions do not count it, and its outputs are meaningless. Raises ValueError for
        more positions than the model has.
        """
        query_pos, ctx = self._context(tokens, cache, valid, routings)
        x = self.drop(self.positions.add(self.embed(tokens), query_pos))
        again = self.gradient_checkpointing and torch.is_grad_enabled()
        for block in self.blocks:
            x = checkpoint(block, x, ctx, use_reentrant=False) if again else block(x, ctx)
        if cache is not None:
            cache.advance()
        return self.norm(x)

    def unembed(self, hidden: Tensor) -> Tensor:
        """Logits (..., V) of hidden states (..., C)."""
        weight = self.embed.weight if self.head is None else self.head.weight
        logits = hidden @ weight.T
        return self.softcap * torch.tanh(logits / self.softcap) if self.softcap else logits

    def n_parameters(self) -> int:
        """Number of trained parameters; a tied head counts once."""
        return sum(parameter.numel() for parameter in self.parameters())

    def _context(
        self,
        tokens: Tensor,
        cache: KVCache | None,
        valid: Tensor | None,
        routings: list[Routing] | None,
    ) -> tuple[Tensor, ForwardContext]:
        """Positions (B or 1, T) of the tokens, and the context that all layers share."""
        n = tokens.size(1)
        if cache is not None:
            query_pos = cache.to(self.embed.weight).next_positions(n, valid)
        elif valid is not None:
            query_pos = (valid.cumsum(1) - 1).masked_fill(~valid, EMPTY)
        else:
            query_pos = torch.arange(n, device=tokens.device)[None]
        if (n if cache is None else cache.length + n) > self.positions.limit:  # only padding may lie beyond
            self.positions.check(int(query_pos.max()) + 1)
        plain = cache is None and valid is None
        by_window = {window: self._layer_context(window, query_pos, cache, plain) for window in self.windows}
        return query_pos, ForwardContext(by_window, cache, routings)

    def _layer_context(self, window: int, query_pos: Tensor, cache: KVCache | None, plain: bool) -> LayerContext:
        """Mask and rotations for the layers with a window. `*_at` are positions for RoPE, which a streaming cache shifts."""
        if cache is None:
            key_pos, seen, n_sink = query_pos, window, self.n_sink
            query_at, key_at = query_pos, query_pos
        else:
            key_pos, seen, n_sink = cache.key_positions(window), cache.rings[window].window, cache.n_sink
            query_at, key_at = cache.cache_positions(window, query_pos), cache.cache_positions(window, key_pos)
        rotations = self.positions.rotation(query_at), self.positions.rotation(key_at)
        bias = self.positions.bias(query_at, key_at)
        # A causal square needs no explicit mask: kernels have it built in.
        if plain and bias is None and not 0 < window < query_pos.size(1):
            return LayerContext(None, *rotations)
        if plain and bias is None and n_sink == 0 and query_pos.size(1) >= LOCAL_FROM * window:
            return LayerContext(None, *rotations, window)
        mask = attention_mask(query_pos, key_pos, seen, n_sink).unsqueeze(-3)  # (B, 1, T, S): the same for all heads
        return LayerContext(mask if bias is None else bias.masked_fill(~mask, -math.inf), *rotations)


class _Shapes(TorchFunctionMode):
    """Modules are made without filling their parameters, and what they compute of positions is computed on the CPU.

    On the meta device torch would do neither, but first import the whole of `torch._dynamo` for the Python code of `normal_`
    and `arange`: more than a second for every process that only asks for a number of parameters.
    """

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        given = kwargs or {}
        if getattr(func, "__module__", "") == nn.init.__name__ and func.__name__.endswith("_"):
            return given.get("tensor", args[0] if args else None)
        if func is torch.arange:
            given = {"device": "cpu", **given}
        return func(*args, **given)


def without_storage(config: ModelConfig) -> Transformer:
    """A model whose parameters are on torch's meta device: names, shapes and types, without memory or numbers."""
    with torch.device("meta"), _Shapes():
        return Transformer(config)


INITS: dict[str, Callable[[int, int], float]] = {
    "gpt2": lambda layer, n_layer: 0.02 / math.sqrt(2 * n_layer),
    "depth_scaled": lambda layer, n_layer: 0.02 / math.sqrt(2 * (layer + 1)),
    "zero": lambda layer, n_layer: 0.0,
}
RESIDUAL_PROJECTIONS = ("attn.out.weight", "mlp.down.weight", "mlp.experts.down", "mlp.shared.down.weight")


def initialise(model: Transformer, seed: int) -> Transformer:
    """Draw the weights: normal with standard deviation 0.02, and as `config.init` says for the residual projections.

    Each tensor has its own generator, seeded by `seed` and its name. Two architectures that differ in one setting therefore
    start from the same numbers wherever their shapes agree, so that a comparison is not affected by the draw.
    """
    writes, n_layer = INITS[model.config.init], model.config.n_layer
    for name, parameter in model.named_parameters():
        if parameter.ndim < 2 or name.endswith("bias"):
            continue  # norms start at one, biases and sinks at zero
        std = writes(int(name.split(".")[1]), n_layer) if name.endswith(RESIDUAL_PROJECTIONS) else 0.02
        digest = hashlib.sha256(f"{seed}/{name}".encode()).digest()
        generator = torch.Generator().manual_seed(int.from_bytes(digest[:8], "little") >> 1)
        with torch.no_grad():
            parameter.copy_(torch.empty(parameter.shape).normal_(0.0, std, generator=generator))
    for module in model.modules():
        if isinstance(module, nn.Linear) and module.bias is not None:
            nn.init.zeros_(module.bias)
    return model
