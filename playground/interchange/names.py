"""Which of our tensors is which of theirs, as tables: one per architecture, for export, import and the parity tests.

A table is a list of `Rule`s. Each rule has the names, including the layer's number, and the transformation in
both directions. Since rules also work on tensors without storage (device "meta"), the same table gives the names and
shapes that a folder must have before any weight is read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

Tensors = dict[str, Tensor]
Convert = Callable[..., tuple[Tensor, ...]]


@dataclass(frozen=True)
class Rule:
    """Our tensors, their tensors, and the transformations in both directions."""

    ours: tuple[str, ...]
    theirs: tuple[str, ...]
    there: Convert
    back: Convert


def same(ours: str, theirs: str) -> Rule:
    """The same tensor under another name."""
    return Rule((ours,), (theirs,), _alone, _alone)


def transposed(ours: str, theirs: str) -> Rule:
    """GPT-2 keeps its projections as (in, out)."""
    return Rule((ours,), (theirs,), _turned, _turned)


def joined(ours: Iterable[str], theirs: str, sizes: Iterable[int]) -> Rule:
    """GPT-2 keeps query, key and value in one projection: `sizes` are their output widths."""
    widths = list(sizes)
    return Rule(
        tuple(ours),
        (theirs,),
        lambda *parts: _turned(torch.cat(parts)),
        lambda whole: tuple(part.contiguous() for part in _turned(whole)[0].split(widths)),
    )


def zeros(theirs: str, shape: tuple[int, ...]) -> Rule:
    """A bias that the architecture always has and this model does not."""
    return Rule((), (theirs,), lambda: (torch.zeros(shape),), lambda _: ())


def missing(ours: str, shape: tuple[int, ...]) -> Rule:
    """A bias of ours that the architecture does not have: it is zero."""
    return Rule((ours,), (), lambda _: (), lambda: (torch.zeros(shape),))


def shifted(ours: str, theirs: str) -> Rule:
    """Gemma stores the weight of a norm minus one."""
    return Rule((ours,), (theirs,), lambda weight: (weight - 1,), lambda weight: (weight + 1,))


def scaled(ours: str, theirs: str, scale: float) -> Rule:
    """Gemma multiplies embeddings by a constant, which we fold into the weights."""
    return Rule((ours,), (theirs,), lambda weight: (weight / scale,), lambda weight: (weight * torch.tensor(scale),))


def folded(embed: str, head: str, theirs: str, scale: float) -> Rule:
    """One matrix used for embedding (multiplied by `scale`) and head: two matrices of ours."""
    return Rule(
        (embed, head), (theirs,), lambda _, head: (head,), lambda weight: (weight * torch.tensor(scale), weight.clone())
    )


def one_by_one(ours: str, theirs: Iterable[str]) -> Rule:
    """Our experts are one tensor (E, out, in); theirs are E tensors."""
    return Rule(
        (ours,),
        tuple(theirs),
        lambda stack: tuple(part.contiguous() for part in stack),
        lambda *parts: (torch.stack(parts),),
    )


def interleaved(gate: str, up: str, theirs: str) -> Rule:
    """gpt-oss interleaves gate and up: its last dimension is gate 0, up 0, gate 1, up 1 ..., with inputs before outputs."""
    return Rule((gate, up), (theirs,), _woven, _unwoven)


def _alone(tensor: Tensor) -> tuple[Tensor, ...]:
    return (tensor,)


def _turned(tensor: Tensor) -> tuple[Tensor, ...]:
    return (tensor.transpose(-1, -2).contiguous() if tensor.ndim > 1 else tensor,)


def _woven(gate: Tensor, up: Tensor) -> tuple[Tensor, ...]:
    if gate.ndim == 3:  # weights (E, out, in); biases are (E, out)
        gate, up = gate.transpose(-1, -2), up.transpose(-1, -2)
    return (torch.stack((gate, up), dim=-1).flatten(-2).contiguous(),)


def _unwoven(whole: Tensor) -> tuple[Tensor, ...]:
    gate, up = whole[..., ::2], whole[..., 1::2]
    if whole.ndim == 3:
        gate, up = gate.transpose(-1, -2), up.transpose(-1, -2)
    return gate.contiguous(), up.contiguous()


def export_tensors(rules: Iterable[Rule], ours: Mapping[str, Tensor]) -> Tensors:
    """Their tensors from ours. Raises KeyError unless the rules use all of ours."""
    left, theirs = dict(ours), Tensors()
    for rule in rules:
        parts = [left.pop(name).detach() for name in rule.ours]
        theirs |= zip(rule.theirs, rule.there(*parts), strict=True)
    if left:
        raise KeyError(f"no rule for {', '.join(left)}")
    return theirs


def import_tensors(rules: Iterable[Rule], read: Callable[[str], Tensor]) -> Tensors:
    """Our tensors from theirs, which `read` returns by name, rule by rule, to save memory."""
    ours = Tensors()
    for rule in rules:
        ours |= zip(rule.ours, rule.back(*map(read, rule.theirs)), strict=True)
    return ours
