"""ZeroGPU lends a GPU to single calls. An app must register such a call, or the Space fails at startup.

Training stays on the CPU there, because it runs for minutes in a separate process and a GPU is only available within a
call. The registered call returns the name of its GPU and is not used by the page.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from importlib import import_module
from importlib.util import find_spec

SECONDS = 10  # maximum duration of the call; it determines the waiting time


def announce(environment: Mapping[str, str] = os.environ) -> Callable[[], str] | None:
    """Register the call with ZeroGPU; None elsewhere. Must run before torch is imported, which ``spaces`` has to patch."""
    if environment.get("SPACES_ZERO_GPU", "").lower() not in ("1", "true") or find_spec("spaces") is None:
        return None
    return import_module("spaces").GPU(duration=SECONDS)(which_gpu)


def which_gpu() -> str:
    """The name of the GPU that this call was lent."""
    import torch

    return torch.cuda.get_device_name() if torch.cuda.is_available() else "none"
