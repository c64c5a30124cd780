"""A copy of a model's matrices in the order in which `decode_step.c` reads them, kept until the weights change.

A panel is 32 rows of a matrix, column after column. Read that way a product is one stream through memory, which the CPU
prefetches, and needs no reduction across lanes. Queries, keys and values are one matrix; so are an MLP's gate and up
projection, interleaved every 16 rows. Huge pages, where available, avoid most address translation in large models.

Snapshots and reference runs store weights as bfloat16. If all float32 weights of a model are exact in bfloat16, panels have
half the size and are widened as they are read. Nothing is rounded.
"""

from __future__ import annotations

import mmap
import threading
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch.nn.functional import pad

from playground.models.transformer import Transformer

LANES = 16
PANEL = 2 * LANES  # rows
HUGE = 2**21  # bytes of a huge page on most machines

Named = dict[str, torch.Tensor]


@dataclass(frozen=True)
class Panels:
    """Matrices by name ("head", "0.qkv", "0.out", ...) as bfloat16 if `half`, or float32; biases (rows,) as float32."""

    half: bool
    matrices: Named
    biases: Named


_known: WeakKeyDictionary[Transformer, tuple[list[int], Panels]] = WeakKeyDictionary()
_packing = threading.Lock()


def packed_weights(model: Transformer) -> Panels:
    """A model's panels, packed at the first request and again after a weight has changed."""
    with _packing:
        versions = [number for weight in model.parameters() for number in (weight.data_ptr(), weight._version)]
        known = _known.get(model)
        if known is None or known[0] != versions:
            with torch.inference_mode():
                known = _known[model] = versions, _packed(model)
        return known[1]


def _packed(model: Transformer) -> Panels:
    half = all(is_exact(weight) for weight in model.parameters() if weight.ndim == 2)
    matrices: Named = {"head": getattr(model.head, "weight", model.embed.weight)}
    biases: Named = {}
    for number, block in enumerate(model.blocks):
        for name, (weight, bias) in _stacked(block).items():
            matrices[f"{number}.{name}"] = weight
            if bias is not None:
                biases[f"{number}.{name}"] = pad(bias, (0, -len(bias) % PANEL)).contiguous()
    packed = {name: in_panels(weight, half) for name, weight in matrices.items()}
    places, end = {}, 0
    for name, view in packed.items():
        places[name], end = end, end + view.numel()
    memory = _memory(end, torch.bfloat16 if half else torch.float32)
    for name, view in packed.items():
        kept = memory[places[name] : places[name] + view.numel()].view(view.shape)
        packed[name] = kept.copy_(view)
    return Panels(half, packed, biases)


def is_exact(weight: torch.Tensor) -> bool:
    """Whether bfloat16 represents every element of a float32 matrix exactly."""
    low = weight.detach().view(torch.int16)[:, ::2]  # lower halves, as bytes lie on all machines that torch knows
    return not low[:1].any() and not low.any()


def _stacked(block: Any) -> dict[str, tuple[torch.Tensor, torch.Tensor | None]]:
    """Weight and bias of a block's four products."""
    attention, mlp = block.attn, block.mlp
    qkv = (attention.query, attention.key, attention.value)
    up = (mlp.up,) if mlp.gate is None else (mlp.gate, mlp.up)
    return {
        "qkv": (torch.cat([part.weight for part in qkv]), _biases(qkv, torch.cat)),
        "out": (attention.out.weight, attention.out.bias),
        "up": (_in_turns([part.weight for part in up]), _biases(up, _in_turns)),
        "down": (mlp.down.weight, mlp.down.bias),
    }


def _biases(parts: Any, joined: Any) -> torch.Tensor | None:
    biases = [part.bias for part in parts]
    return None if biases[0] is None else joined(biases)


def _in_turns(parts: list[torch.Tensor]) -> torch.Tensor:
    """16 rows of the first, 16 of the second, and so on, padded with zeros; a single matrix unchanged."""
    if len(parts) == 1:
        return parts[0]
    blocks = [_filled(part, LANES).unflatten(0, (-1, LANES)) for part in parts]
    return torch.stack(blocks, dim=1).flatten(0, 2)


def _filled(rows: torch.Tensor, multiple: int) -> torch.Tensor:
    return pad(rows, (0, 0) * (rows.ndim - 1) + (0, -len(rows) % multiple))


def in_panels(weight: torch.Tensor, half: bool) -> torch.Tensor:
    """A matrix (rows, columns) as (panels, columns, 32): a view, if its rows fill their panels.

    As bfloat16 the rows lie in pairs, (panels, columns, 16, 2): a row of the upper 16 and its partner of the lower 16 make
    one word of 32 bits, of which the first is the lower half.
    """
    panels = _filled(weight, PANEL).unflatten(0, (-1, PANEL))
    if not half:
        return panels.transpose(1, 2)
    return panels.unflatten(1, (2, LANES)).permute(0, 3, 2, 1)


def _memory(size: int, dtype: torch.dtype) -> torch.Tensor:
    """Memory for this many elements, on huge pages where available."""
    n_bytes = size * dtype.itemsize
    if n_bytes < HUGE or not hasattr(mmap, "MADV_HUGEPAGE"):
        return torch.empty(size, dtype=dtype)
    room = mmap.mmap(-1, -(-n_bytes // HUGE) * HUGE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    room.madvise(mmap.MADV_HUGEPAGE)
    return torch.frombuffer(room, dtype=dtype, count=size)
