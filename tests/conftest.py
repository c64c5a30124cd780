"""One thread and fixed seeds: numbers in tests are the same each time."""

import os

os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
os.environ.setdefault("HF_HUB_OFFLINE", "1")

import pytest
import torch


@pytest.fixture(autouse=True)
def deterministic() -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)
