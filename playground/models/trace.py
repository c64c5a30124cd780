"""Reading and editing the activations of a forward pass, with PyTorch's forward hooks.

Names are those of TransformerLens: for block i, ``blocks.{i}.resid_pre``, ``.q``, ``.k``, ``.v``, ``.pattern``, ``.z``,
``.attn_out``, ``.resid_mid``, ``.mlp_out`` and ``.resid_post``; around the blocks ``embed`` and ``final``. A mixture of
experts adds ``.router``, the probabilities (B, T, E), and ``.experts``, the ids (B, T, k) that each token is sent to.

Most activations are the input or the output of a module that the model has anyway, so hooks cost nothing while there are
none. The others pass through a `HookPoint`.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, Self

from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

Edit = Callable[[Tensor], Tensor]


class HookPoint(nn.Module):
    """A module that returns its input, for activations that are no other module's input or output."""

    def forward(self, x: Tensor) -> Tensor:
        return x

    def is_hooked(self) -> bool:
        """Whether a hook applies to the forward passes of the calling thread."""
        hooks = self._forward_hooks
        return bool(hooks) and any(getattr(hook, "applies", _always)() for hook in list(hooks.values()))


@dataclass(frozen=True)
class Site:
    """Where an activation is found: the output of a module, or its first input; `heads` if it has all heads side by side."""

    module: str  # path in the model, or in a block
    is_input: bool = False
    heads: bool = False  # (B, T, heads * D) there, (B, heads, T, D) for hooks


AROUND = {"embed": Site("drop"), "final": Site("norm")}
IN_BLOCK = {
    "resid_pre": Site("", is_input=True),
    "q": Site("attn.query_norm"),  # (B, H, T, D)
    "k": Site("attn.key_norm"),  # (B, K, T, D)
    "v": Site("attn.value", heads=True),  # (B, K, T, D)
    "pattern": Site("attn.hook_pattern"),  # (B, H, T, S); hooking it switches the layer to eager attention
    "z": Site("attn.out", is_input=True, heads=True),  # (B, H, T, D)
    "attn_out": Site("attn"),
    "resid_mid": Site("hook_resid_mid"),
    "mlp_out": Site("mlp"),
    "resid_post": Site(""),
}
IN_MOE = {"router": Site("mlp.hook_router"), "experts": Site("mlp.hook_experts")}

_registering = threading.Lock()  # PyTorch numbers hooks with a counter that threads must not increase at the same time


class Trace:
    """Keeps the activations whose names match one of `keep`, and passes those named in `edit` through a function.

    >>> with Trace(model, keep=["*.pattern"]) as trace:
    ...     model.hidden(tokens)
    >>> trace.kept["blocks.0.pattern"]  # (B, H, T, S), rows sum to 1

    An edited activation is kept as edited. Only forward passes of the thread that entered the context are hooked: requests
    share models. Outputs of attention and MLPs are those before dropout. Entering raises ValueError for a name in `edit`
    that the model does not have.
    """

    def __init__(self, model: nn.Module, keep: Sequence[str] = (), edit: Mapping[str, Edit] | None = None) -> None:
        self.model, self.keep, self.edit = model, tuple(keep), dict(edit or {})
        self.kept: dict[str, Tensor] = {}
        self._handles: list[RemovableHandle] = []

    def __enter__(self) -> Self:
        found = dict(sites(self.model))
        for name in self.edit:
            if name not in found:
                raise ValueError(f"The model has no activation named {name}. Choose one of: {', '.join(found)}.")
        wanted = {name: site for name, site in found.items() if name in self.edit or self._keeps(name)}
        with _registering:
            self._handles = [self._register(name, site) for name, site in wanted.items()]
        return self

    def __exit__(self, *_: object) -> None:
        for handle in self._handles:
            handle.remove()

    def _keeps(self, name: str) -> bool:
        return any(fnmatchcase(name, pattern) for pattern in self.keep)

    def _register(self, name: str, site: Site) -> RemovableHandle:
        module, size = self.model.get_submodule(site.module), 0
        if site.heads:
            attention: Any = self.model.get_submodule(site.module.rpartition(".")[0])
            size = attention.head_dim
        hook = _Hook(self, name, self.edit.get(name), self._keeps(name), size)
        return module.register_forward_pre_hook(hook.on_input) if site.is_input else module.register_forward_hook(hook)


class _Hook:
    """What a trace does with one activation, in the forward passes of one thread."""

    def __init__(self, trace: Trace, name: str, edit: Edit | None, keep: bool, head_dim: int) -> None:
        self.trace, self.name, self.edit, self.keep, self.head_dim = trace, name, edit, keep, head_dim
        self.thread = threading.get_ident()

    def applies(self) -> bool:
        return threading.get_ident() == self.thread

    def on_input(self, module: nn.Module, args: tuple[Any, ...]) -> tuple[Any, ...] | None:
        edited = self(module, args, args[0])
        return None if edited is None else (edited, *args[1:])

    def __call__(self, module: nn.Module, args: Any, value: Tensor) -> Tensor | None:
        """The edited activation, or None to leave it as it is."""
        if not self.applies():
            return None
        seen = value.unflatten(-1, (-1, self.head_dim)).transpose(1, 2) if self.head_dim else value
        if self.edit is not None:
            seen = self.edit(seen)
        if self.keep:
            self.trace.kept[self.name] = seen.detach()
        if self.edit is None:
            return None
        return seen.transpose(1, 2).flatten(2) if self.head_dim else seen


def sites(model: nn.Module) -> Iterator[tuple[str, Site]]:
    """The names of all activations of a model, and where they are found."""
    blocks: Any = model.get_submodule("blocks")
    yield "embed", AROUND["embed"]
    for layer, block in enumerate(blocks):
        for name, site in (IN_BLOCK | (IN_MOE if hasattr(block.mlp, "hook_router") else {})).items():
            path = f"blocks.{layer}"
            yield f"{path}.{name}", Site(f"{path}.{site.module}".rstrip("."), site.is_input, site.heads)
    yield "final", AROUND["final"]


def _always() -> bool:
    return True
