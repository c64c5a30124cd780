"""The training device: a GPU if there is one, otherwise the CPU."""

from __future__ import annotations

import os

import torch


def training_device() -> torch.device:
    """This process's GPU, or the CPU. Each process of torchrun on a machine uses its own GPU."""
    if not torch.cuda.is_available():
        return torch.device("cpu")
    return torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")) % torch.cuda.device_count())
