"""One head at one token, step by step: every number between the query and the head's output.

Queries, keys and values are recorded in a forward pass; everything after them is computed here in float64, step by step,
and compared with the model's attention pattern.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from playground.interp.limits import check_attention
from playground.models import attention
from playground.models.attention import attention_mask
from playground.models.positional import apply_rotary_emb
from playground.models.trace import Trace
from playground.models.transformer import Block, Transformer


@dataclass(frozen=True)
class ByHand:
    """One query over the keys s = 0 … S - 1 of a text, float64. D is the head's size."""

    query: np.ndarray  # (D,), after RoPE if the model uses it, like the keys
    keys: np.ndarray  # (S, D)
    values: np.ndarray  # (S, D)
    dots: np.ndarray  # (S,) query · key
    bias: np.ndarray  # (S,) position bias of the scores (ALiBi), otherwise 0
    visible: np.ndarray  # (S,) bool
    scores: np.ndarray  # (S,) dots / sqrt(D) + bias, -inf where not visible
    sink: float | None  # the sink logit, in models that have one
    weights: np.ndarray  # (S,) softmax of the scores; adds up to 1, or less with a sink
    output: np.ndarray  # (D,) sum of weights times values
    difference: float  # maximum difference from the model's weights


def by_hand(model: Transformer, ids: Sequence[int], layer: int, head: int, position: int) -> ByHand:
    """Compute one head for the token at `position`. Raises ValueError for an invalid layer, head or position."""
    config = model.config
    if not ids:
        raise ValueError("The text has no tokens. Write some words.")
    for name, value, size in (
        ("Layer", layer, config.n_layer),
        ("Head", head, config.n_head),
        ("Token", position, len(ids)),
    ):
        if not 0 <= value < size:
            raise ValueError(f"{name} {value + 1} is not there: choose 1 to {size}.")
    q, k, v, pattern = _traced(model, ids, layer, head)
    at = torch.arange(len(ids))[None]
    query, key = (apply_rotary_emb(x, model.positions.rotation(at))[0, 0].double() for x in (q, k))
    dots = query[position] @ key.T
    bias = model.positions.bias(at, at)
    added = (
        torch.zeros(len(ids)).double()
        if bias is None
        else bias.double().reshape(-1, len(ids), len(ids))[head, position]
    )
    seen = attention_mask(at[0], at[0], config.windows[layer], config.n_sink)[position]
    scores = (dots / math.sqrt(config.head_dim) + added).masked_fill(~seen, -math.inf)
    block = model.blocks[layer]
    assert isinstance(block, Block)
    sink = None if block.attn.sinks is None else float(block.attn.sinks[head].detach())
    everything = scores if sink is None else torch.cat((scores, torch.tensor([sink]).double()))
    weights = everything.softmax(0)[: len(ids)]
    values = v[0, 0].double()
    return ByHand(
        query=query[position].numpy(), keys=key.numpy(), values=values.numpy(), dots=dots.numpy(), bias=added.numpy(),
        visible=seen.numpy(), scores=scores.numpy(), sink=sink, weights=weights.numpy(),
        output=(weights @ values).numpy(), difference=float((weights - pattern[position].double()).abs().max()),
    )  # fmt: skip


def _traced(model: Transformer, ids: Sequence[int], layer: int, head: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Query, key and value of a head, each (1, 1, T, D), before RoPE, and its pattern (T, T)."""
    name = f"blocks.{layer}"
    check_attention(model.config, 1, len(ids))
    with torch.inference_mode(), Trace(model, keep=[f"{name}.{part}" for part in ("q", "k", "v", "pattern")]) as trace:
        model.hidden(torch.tensor([list(ids)], device=model.embed.weight.device))
    kept = {part: trace.kept[f"{name}.{part}"].cpu() for part in ("q", "k", "v", "pattern")}
    group = head * model.config.n_kv_head // model.config.n_head
    q, k, v = kept["q"][:, head : head + 1], *(kept[part][:, group : group + 1] for part in ("k", "v"))
    return q, k, v, kept["pattern"][0, head]


def source() -> str:
    """The source code that ran: attention mask, attention, and the layer around it."""
    return "\n\n".join(
        inspect.getsource(part).rstrip()
        for part in (attention_mask, attention.attend, attention.eager_attention, attention.Attention.forward)
    )
