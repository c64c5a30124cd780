"""Looking into a forward pass, and changing it: read or edit any named activation.

Names are TransformerLens's: for block i, ``blocks.{i}.resid_pre``, ``.q``, ``.k``, ``.v``, ``.pattern``, ``.z``,
``.attn_out``, ``.resid_mid``, ``.mlp_out``, ``.resid_post``; around them ``embed`` and ``final``. A mixture of experts adds
``.router``, the probabilities (B, T, E), and ``.experts``, the ids (B, T, k) that each token is sent to.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from fnmatch import fnmatchcase

from torch import Tensor

Edit = Callable[[Tensor], Tensor]


class Trace:
    """Keeps the activations whose name matches one of `keep`, and passes those named in `edit` through a function.

    >>> trace = Trace(keep=["*.pattern"])
    >>> model.hidden(tokens, trace=trace)
    >>> trace.kept["blocks.0.pattern"]          # (B, H, T, S), rows sum to 1
    """

    def __init__(self, keep: tuple[str, ...] | list[str] = (), edit: Mapping[str, Edit] | None = None) -> None:
        self.keep = tuple(keep)
        self.edit = dict(edit or {})
        self.kept: dict[str, Tensor] = {}

    def wants(self, name: str) -> bool:
        """Whether this activation is kept or edited, so that code can skip computing one that is not."""
        return name in self.edit or any(fnmatchcase(name, pattern) for pattern in self.keep)

    def __call__(self, name: str, value: Tensor) -> Tensor:
        if name in self.edit:
            value = self.edit[name](value)
        if any(fnmatchcase(name, pattern) for pattern in self.keep):
            self.kept[name] = value.detach()
        return value
