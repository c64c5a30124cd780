"""What a model needs, computed from its config before anything of its size is built and before any weight is read.

A config of a few bytes can describe a model of any size. All layers of a model have the same tensors, and so have all
experts of a layer: the numbers of parameters and tensors follow from models of one and two layers, two and three experts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from torch import Tensor

from playground.config import ModelConfig, apart, counted
from playground.interchange.names import Rule, export_tensors
from playground.interchange.tensors import Place
from playground.models.transformer import without_storage

LAYER_BYTES = 100_000  # Python's objects for a layer and its tensors: 80 KB, measured
READ_TOKENS = 2_048  # of the longest text that views read at once
MISSING = 100  # tensors: with more missing their number is said, with fewer the name of the first

Rules = Callable[[ModelConfig], list[Rule]]


@dataclass(frozen=True)
class Size:
    """How many parameters a model has, and in how many tensors a folder stores them."""

    parameters: int
    tensors: int


def parameters(config: ModelConfig) -> dict[str, Tensor]:
    """A model's parameters without any storage: names and shapes."""
    return dict(without_storage(config).named_parameters())


def size_of(model: ModelConfig, rules: Rules) -> Size:
    """The size of a model whose tensors are stored by `rules`, in a time that does not depend on its size."""
    few = min(model.n_expert, 2)
    one, two = _small(model, rules, 1, few), _small(model, rules, 2, few)
    more = _small(model, rules, 1, few + 1) if model.n_expert > 1 else one
    names = ("parameters", "tensors")
    layer = [getattr(two, name) - getattr(one, name) for name in names]
    expert = [getattr(more, name) - getattr(one, name) for name in names]
    return Size(*(
        getattr(one, name) - part + model.n_layer * (part + (model.n_expert - few) * each)
        for name, part, each in zip(names, layer, expert, strict=True)
    ))  # fmt: skip


def _small(model: ModelConfig, rules: Rules, layers: int, experts: int) -> Size:
    position = model.position if model.position == "learned" else "none"  # of the others none has parameters
    changes = {"n_expert_active": 1, "window": 0, "n_sink": 0, "global_every": 0, "position": position}
    small = model.replace(n_layer=layers, n_expert=experts, **changes)
    own = parameters(small)
    return Size(sum(tensor.numel() for tensor in own.values()), len(export_tensors(rules(small), own)))


def check_size(model: ModelConfig, rules: Rules, places: Mapping[str, Place], free: int | None) -> None:
    """Raise ValueError for a model that does not fit into `free` bytes of memory (None: any amount), or that has far more
    tensors than its files."""
    size = size_of(model, rules)
    layers = counted(model.n_layer, "layer")
    check_memory(f"{layers} and {_millions(size.parameters)}", needed_bytes(model, size.parameters), free)
    if size.tensors > len(places) + MISSING:
        raise ValueError(
            f"The config describes a model of {layers}, which has {counted(size.tensors, 'tensor')}; the files have "
            f"{len(places):,}. Choose the config.json that belongs to the weights."
        )


def needed_bytes(model: ModelConfig, n_parameters: int) -> int:
    """Memory for importing a model and reading a text with it: float32 weights twice, as they are read and as they are kept,
    the objects of its layers, and the widest activations of one layer."""
    heads, hidden = model.n_head * model.head_dim, model.mlp_hidden * model.n_expert_active
    activations = min(model.block_size, READ_TOKENS) * (4 * model.n_embd + 3 * heads + 2 * hidden)
    return 4 * (2 * n_parameters + activations) + LAYER_BYTES * model.n_layer


def check_weights_memory(n_parameters: int, free: int | None) -> None:
    """Raise ValueError if float32 weights would not fit into memory twice: as they are read, and as they are kept."""
    check_memory(_millions(n_parameters), 8 * n_parameters, free)


def check_memory(model: str, needed: int, free: int | None) -> None:
    """Raise ValueError if importing a model, described by its numbers, needs more than `free` bytes."""
    if free is not None and needed > free:
        need, left = apart(needed / 1e9, free / 1e9, 2)
        raise ValueError(
            f"This model has {model}: importing it needs {need} GB of memory, and {left} GB are free. Choose a smaller "
            "model, or close other programs."
        )


def _millions(n_parameters: int) -> str:
    return f"{n_parameters / 1e6:,.1f} million parameters"
