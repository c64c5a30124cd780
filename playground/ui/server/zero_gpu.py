"""On ZeroGPU, where a GPU is lent to one call at a time: an app must have such a call, or the Space ends at its start.

Training stays on the CPU there: it goes on in a process of its own for minutes, and a GPU is only to be had within the call.
The one call that there is says which GPU it got, for the host, and nobody's click leads to it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from importlib import import_module
from importlib.util import find_spec

SECONDS = 10  # that the call may take: what is asked for decides how long one waits


def announce(environment: Mapping[str, str] = os.environ) -> Callable[[], str] | None:
    """The call, known to ZeroGPU; None anywhere else. To be made before torch is loaded, which ``spaces`` has to see."""
    if environment.get("SPACES_ZERO_GPU", "").lower() not in ("1", "true") or find_spec("spaces") is None:
        return None
    return import_module("spaces").GPU(duration=SECONDS)(which_gpu)


def which_gpu() -> str:
    """The name of the GPU that this call was lent."""
    import torch

    return torch.cuda.get_device_name() if torch.cuda.is_available() else "none"
