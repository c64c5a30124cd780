"""Where a run trains: on a GPU if there is one, else on the processor."""

from __future__ import annotations

import os

import torch


def training_device() -> torch.device:
    """This process's GPU, or the processor. Of torchrun's processes on a machine each takes a GPU, in turn."""
    if not torch.cuda.is_available():
        return torch.device("cpu")
    return torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")) % torch.cuda.device_count())
