"""Tensors in a folder that are not parameters of its model: each is compared with what is used instead.

Older files contain causal masks and RoPE frequencies, and many contain a copy of a tied head. Tensors that equal what the
model computes are left out; others are rejected, or used as in Transformers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch

from playground.config import ModelConfig
from playground.interchange.architectures import Architecture
from playground.interchange.refusal import shown
from playground.interchange.tensors import Place, chunks

HEAD = "lm_head.weight"
MASKED = -1e4  # the largest value used for masked positions

Places = dict[str, Place]


def with_prefix(item: Architecture, places: Mapping[str, Place], expected: Mapping[str, object]) -> Places:
    """The tensors under the names that are expected: some files leave out the first part, ``transformer.`` or ``model.``."""
    prefix = "transformer." if item.model_type == "gpt2" else "model."
    return {
        prefix + name if name not in expected and prefix + name in expected else name: place
        for name, place in places.items()
    }


def without_constants(item: Architecture, model: ModelConfig, places: Mapping[str, Place]) -> Places:
    """The tensors without masks and frequencies. Raises ValueError if one differs from what the model computes."""
    known = _MASKS if item.model_type == "gpt2" else _FREQUENCIES
    left = {}
    for name, place in places.items():
        holds = next((check for ending, check in known.items() if name.endswith(ending)), None)
        if holds is None:
            left[name] = place
        elif not holds(model, place):
            raise ValueError(
                f"Tensor {shown(name)} differs from what this model computes there: it cannot be expressed here."
            )
    return left


def head_differs(item: Architecture, places: Mapping[str, Place]) -> bool:
    """Whether a folder has a head that differs from the embedding."""
    names = ("transformer.wte.weight", "wte.weight") if item.model_type == "gpt2" else _EMBEDDINGS
    embed = next((places[name] for name in names if name in places), None)
    head = places.get(HEAD)
    if embed is None or head is None or embed.shape != head.shape:
        return head is not None and embed is not None
    pairs = zip(chunks("", embed), chunks("", head), strict=True)
    return not all(torch.equal(one, other) for one, other in pairs)


_EMBEDDINGS = ("model.embed_tokens.weight", "embed_tokens.weight")


def with_tied_head(embed: str, places: Places) -> Places:
    """The tensors of a model with a tied head, which is stored once, under either name."""
    left = dict(places)
    head = left.pop(HEAD, None)
    if head is not None:
        left.setdefault(embed, head)
    return left


def _is_causal(_: ModelConfig, place: Place) -> bool:
    """Whether a tensor (…, n, n) of any type is one up to the diagonal and zero beyond."""
    n, at = place.shape[-1] if place.shape else 0, 0
    if len(place.shape) < 2 or place.shape[-2] != n or any(size != 1 for size in place.shape[:-2]):
        return False
    for part in chunks("", place):
        index = torch.arange(at, at + len(part))
        if not torch.equal(part, (index % n <= index // n).to(part.dtype)):
            return False
        at += len(part)
    return True


def _is_masking(_: ModelConfig, place: Place) -> bool:
    part = next(iter(chunks("", place)))
    return part.numel() == 1 and part.item() <= MASKED


def _are_frequencies(model: ModelConfig, place: Place) -> bool:
    half = model.rope_dims // 2
    if place.shape != (half,) or not half:
        return False
    wanted = 1 / model.rope_theta ** (torch.arange(half, dtype=torch.float64) / half)
    found = torch.cat(list(chunks("", place))).double()
    close = 1e-5 if place.dtype == "F32" else 1e-2  # a file in half precision has rounded them
    return bool(((found / wanted - 1).abs() <= close).all())


Check = Callable[[ModelConfig, Place], bool]
_MASKS: dict[str, Check] = {".attn.bias": _is_causal, ".attn.masked_bias": _is_masking}
_FREQUENCIES: dict[str, Check] = {"rotary_emb.inv_freq": _are_frequencies}
