"""Limits of views whose cost grows with numbers that an imported model may have very large: heads, layers, tokens."""

from __future__ import annotations

from playground.config import ModelConfig, apart, counted
from playground.runs.create import free_memory

MAX_PARTS = 2**18  # heads and MLPs of all layers that are listed or tried one by one
NUMBER_BYTES = 24  # of an attention weight or a logit: a float64 and two more that are computed from it


def check_parts(config: ModelConfig) -> None:
    """Raise ValueError for a model with too many heads and MLPs to list them, or to try them one by one."""
    n_parts = config.n_layer * (config.n_head + 1)
    if n_parts > MAX_PARTS:
        layers = counted(config.n_layer, "layer")
        raise ValueError(
            f"This model has {counted(n_parts, 'head or MLP', 'heads and MLPs')} in {layers}; this view "
            f"shows at most {MAX_PARTS:,}. Choose a smaller model."
        )


def check_attention(config: ModelConfig, n_layers: int, n_tokens: int, n_sequences: int = 1) -> None:
    """Raise ValueError if the attention weights of all heads of some layers on sequences do not fit into memory."""
    check_memory(
        f"The attention of {counted(config.n_head, 'head')} in {counted(n_layers, 'layer')} on {counted(n_tokens, 'token')}",
        n_sequences * n_layers * config.n_head * n_tokens**2,
    )


def check_memory(what: str, n_numbers: int) -> None:
    """Raise ValueError if so many numbers, with what is computed from them, do not fit into memory. `what` they are."""
    needed, free = NUMBER_BYTES * n_numbers, free_memory()
    if needed > free:
        need, left = apart(needed / 1e9, free / 1e9, 2)
        raise ValueError(
            f"{what} needs {need} GB of memory, and {left} GB are free. Shorten the text or choose a smaller model."
        )
